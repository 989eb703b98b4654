//! Frames survive every way of cutting the bytes, and no bytes bring the decoder down.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use skiff_proto::tree::SyncRoot;
use skiff_proto::{
    Autostop, Decoder, DiskUse, DockerFacts, DockerState, Ending, Fault, FaultKind, Frame,
    FrameError, Hello, HookEvent, JobRecord, JobSpec, JobStatus, LogFile, LogPart, LogSource,
    MAX_FRAME, OwnerAccess, Request, Response, StageEnd, StageKind, StageOrder, WaitFor,
};

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,20}"
}

fn status() -> impl Strategy<Value = JobStatus> {
    prop_oneof![
        Just(JobStatus::Init),
        Just(JobStatus::Pending),
        Just(JobStatus::SettingUp),
        Just(JobStatus::Running),
        Just(JobStatus::FailedDriver),
        Just(JobStatus::Succeeded),
        Just(JobStatus::Failed),
        Just(JobStatus::FailedSetup),
        Just(JobStatus::Cancelled),
    ]
}

fn spec() -> impl Strategy<Value = JobSpec> {
    (
        text(),
        option::of(text()),
        text(),
        option::of(text()),
        option::of(text()),
        btree_map(text(), text(), 0..4),
        btree_map(text(), text(), 0..4),
    )
        .prop_map(
            |(submission, name, user, setup, run, env, secrets)| JobSpec {
                submission,
                name,
                user,
                setup,
                run,
                env,
                secrets: secrets.into_iter().collect(),
                resources: "1x(cpus=2)".into(),
                num_nodes: 2,
                after: 7,
                milli_gpus: 500,
            },
        )
}

fn record() -> impl Strategy<Value = JobRecord> {
    (
        any::<u64>(),
        text(),
        status(),
        any::<u64>(),
        option::of(any::<u64>()),
        option::of(any::<i32>()),
        option::of(text()),
    )
        .prop_map(
            |(id, submission, status, submitted_ms, ended_ms, exit_code, cause)| JobRecord {
                id,
                submission,
                name: cause.clone(),
                user: "ann".into(),
                resources: String::new(),
                status,
                submitted_ms,
                started_ms: ended_ms,
                ended_ms,
                exit_code,
                num_nodes: 2,
                exit_codes: exit_code.into_iter().collect(),
                secrets: cause.iter().cloned().collect(),
                cause,
                log_dir: "~/sky_logs/1-None".into(),
            },
        )
}

fn request() -> impl Strategy<Value = Request> {
    let source = prop_oneof![
        Just(LogSource::Latest),
        any::<u64>().prop_map(LogSource::Id),
        text().prop_map(LogSource::Submission),
    ];
    let part = prop_oneof![
        Just(LogPart::Job),
        any::<u32>().prop_map(LogPart::Rank),
        text().prop_map(LogPart::File),
    ];
    prop_oneof![
        spec().prop_map(|job| Request::Submit { job }),
        (
            source,
            any::<u64>(),
            option::of(any::<u64>()),
            any::<bool>(),
            part
        )
            .prop_map(|(job, offset, tail, follow, part)| Request::Logs {
                job,
                offset,
                tail,
                follow,
                part
            }),
        Just(Request::LogFiles {
            job: LogSource::Latest
        }),
        Just(Request::Queue),
        vec(any::<u64>(), 0..4).prop_map(|jobs| Request::Cancel { jobs }),
        Just(Request::Docker),
        prop_oneof![Just(Ending::Down), Just(Ending::Stop)]
            .prop_map(|ending| Request::Shutdown { ending }),
        (option::of(autostop()), option::of(owner()))
            .prop_map(|(autostop, owner)| Request::SetAutostop { autostop, owner }),
        prop_oneof![
            Just(HookEvent::Stop),
            Just(HookEvent::Preemption),
            Just(HookEvent::Down),
        ]
        .prop_map(|event| Request::RunHooks { event }),
        between_nodes(),
        (text(), text(), any::<u64>()).prop_map(|(sync, path, manifest)| Request::Sync {
            sync,
            roots: vec![SyncRoot::Workdir, SyncRoot::Mount { path }],
            manifest,
        }),
    ]
}

/// What a head asks of a worker, and what it must know to find it.
fn between_nodes() -> impl Strategy<Value = Request> {
    let kind = prop_oneof![Just(StageKind::Setup), Just(StageKind::Run)];
    let variables = || btree_map(text(), text(), 0..4);
    let order = (any::<u64>(), kind, text(), text(), variables(), variables()).prop_map(
        |(job, kind, mark, script, env, secrets)| StageOrder {
            job,
            kind,
            mark,
            script,
            env,
            secrets: secrets.into_iter().collect(),
        },
    );
    prop_oneof![
        vec(text(), 0..4).prop_map(|addresses| Request::Nodes { addresses }),
        order.prop_map(|order| Request::Stage { order }),
        Just(Request::Activity),
        Just(Request::AwaitLeave),
    ]
}

fn owner() -> impl Strategy<Value = Box<OwnerAccess>> {
    (any::<[String; 3]>(), any::<[String; 2]>()).prop_map(|(names, [token, authority])| {
        let [namespace, secret, uid] = names;
        Box::new(OwnerAccess {
            namespace,
            secret,
            uid,
            token,
            authority,
        })
    })
}

fn autostop() -> impl Strategy<Value = Autostop> {
    let wait_for = prop_oneof![
        Just(WaitFor::JobsAndSsh),
        Just(WaitFor::Jobs),
        Just(WaitFor::None),
    ];
    (any::<u64>(), any::<bool>(), wait_for).prop_map(|(idle_ms, down, wait_for)| Autostop {
        idle_ms,
        down,
        wait_for,
    })
}

fn facts() -> impl Strategy<Value = Box<DockerFacts>> {
    let disk = (any::<u64>(), any::<u64>()).prop_map(|(used, size)| DiskUse { used, size });
    let texts = (option::of(text()), vec(text(), 0..3), option::of(text()));
    (texts, option::of(disk)).prop_map(|((storage, tried, driver), disk)| {
        Box::new(DockerFacts {
            storage,
            tried,
            driver,
            user_namespace: None,
            process_sandbox: Some(true),
            notice: None,
            disk,
        })
    })
}

fn response() -> impl Strategy<Value = Response> {
    let kind = prop_oneof![
        Just(FaultKind::Unsupported),
        Just(FaultKind::NotFound),
        Just(FaultKind::Invalid),
        Just(FaultKind::DiskFull),
        Just(FaultKind::System),
        Just(FaultKind::ShuttingDown),
        Just(FaultKind::Changed),
        Just(FaultKind::NodeLost),
    ];
    let state = prop_oneof![
        Just(DockerState::Off),
        Just(DockerState::Starting),
        Just(DockerState::Ready),
        text().prop_map(|log| DockerState::Failed { log }),
    ];
    prop_oneof![
        Just(Response::Done),
        Just(Response::Needs),
        record().prop_map(|job| Response::Submitted { job }),
        (record(), any::<u64>()).prop_map(|(job, offset)| Response::LogStart { job, offset }),
        record().prop_map(|job| Response::LogEnd { job }),
        any::<u64>().prop_map(|bytes| Response::LogGap { bytes }),
        (record(), vec((text(), any::<u64>(), any::<u64>()), 0..3)).prop_map(|(job, files)| {
            let file = |(name, start, end)| LogFile { name, start, end };
            Response::LogFiles {
                job,
                files: files.into_iter().map(file).collect(),
            }
        }),
        vec(record(), 0..3).prop_map(|jobs| Response::Jobs { jobs }),
        (state, option::of(facts())).prop_map(|(state, facts)| Response::Docker { state, facts }),
        (any::<u64>(), option::of(any::<u64>()))
            .prop_map(|(sessions, quiet_ms)| Response::Activity { sessions, quiet_ms }),
        any::<u32>().prop_map(|pid| Response::StageStarted { pid }),
        (any::<i32>(), option::of(text())).prop_map(|(code, cause)| Response::StageEnded {
            end: StageEnd { code, cause }
        }),
        text().prop_map(|cause| Response::Leaving { cause }),
        (kind, text()).prop_map(|(kind, message)| Response::Failed {
            fault: Fault { kind, message }
        }),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (any::<u16>(), text(), text()).prop_map(|(protocol, build, boot)| Frame::Hello(Hello {
            protocol,
            build,
            boot
        })),
        (any::<u32>(), request()).prop_map(|(id, request)| Frame::Request(id, request)),
        (any::<u32>(), response()).prop_map(|(id, response)| Frame::Response(id, response)),
        (any::<u32>(), vec(any::<u8>(), 0..300)).prop_map(|(id, bytes)| Frame::Data(id, bytes)),
        (any::<u32>(), 0..=Frame::CHUNK, vec(any::<u8>(), 0..300)).prop_map(|(id, size, bytes)| {
            Frame::Packed(id, u32::try_from(size).expect("small"), bytes)
        }),
        any::<u32>().prop_map(Frame::End),
        (any::<u32>(), any::<u32>()).prop_map(|(id, bytes)| Frame::Credit(id, bytes)),
        any::<u32>().prop_map(Frame::Cancel),
        Just(Frame::Ping),
        Just(Frame::Pong),
    ]
}

/// All frames that these pieces bring.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame().expect("only whole frames were sent") {
            frames.push(frame);
        }
    }
    assert!(!decoder.is_midway());
    frames
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        frames in vec(frame(), 0..6),
        sizes in vec(1_usize..40, 1..20),
    ) {
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.encode(&mut bytes);
        }
        let mut rest = bytes.as_slice();
        let mut sizes = sizes.iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let size = rest.len().min(*sizes.next()?);
            let (piece, next) = rest.split_at(size);
            rest = next;
            (!piece.is_empty()).then_some(piece)
        });
        assert_eq!(decode(pieces), frames);
        assert_eq!(decode(std::iter::once(bytes.as_slice())), frames);
    }

    #[test]
    fn no_bytes_bring_the_decoder_down(pieces in vec(vec(any::<u8>(), 0..50), 0..20)) {
        let mut decoder = Decoder::default();
        for piece in &pieces {
            decoder.push(piece);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }

    #[test]
    fn a_changed_byte_is_another_frame_or_an_error(
        frame in frame(),
        at in any::<proptest::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.next_frame() {}
    }
}

#[test]
fn an_unknown_request_names_its_id_and_the_next_frame_follows() {
    let mut bytes = Vec::new();
    Frame::Request(7, Request::Queue).encode(&mut bytes);
    let text = bytes.len() - "queue\"}".len();
    bytes[text..text + 5].copy_from_slice(b"dance");
    Frame::Ping.encode(&mut bytes);
    let mut decoder = Decoder::default();
    decoder.push(&bytes);
    assert!(matches!(
        decoder.next_frame(),
        Err(FrameError::Request { id: 7, .. })
    ));
    assert_eq!(decoder.next_frame().expect("a frame"), Some(Frame::Ping));
}

#[test]
fn impossible_lengths_are_refused_before_they_are_waited_for() {
    for length in [0, 4, u32::try_from(MAX_FRAME + 1).expect("small"), u32::MAX] {
        let mut decoder = Decoder::default();
        decoder.push(&length.to_le_bytes());
        assert!(
            matches!(decoder.next_frame(), Err(FrameError::Length(_))),
            "{length}"
        );
    }
}

#[test]
fn a_message_with_more_fields_than_known_is_read() {
    let payload = br#"{"protocol":2,"build":"next","boot":"b","colour":"red"}"#;
    let mut bytes = u32::try_from(5 + payload.len())
        .expect("small")
        .to_le_bytes()
        .to_vec();
    bytes.extend_from_slice(&[1, 0, 0, 0, 0]);
    bytes.extend_from_slice(payload);
    let hello = Hello {
        protocol: 2,
        build: "next".into(),
        boot: "b".into(),
    };
    assert_eq!(
        decode(std::iter::once(bytes.as_slice())),
        [Frame::Hello(hello)]
    );
}

#[test]
fn the_values_of_secrets_do_not_show_in_debug_output() {
    let job = JobSpec {
        secrets: [("TOKEN".to_owned(), "hunter2".to_owned())]
            .into_iter()
            .collect(),
        ..JobSpec::default()
    };
    let shown = format!("{:?}", Frame::Request(1, Request::Submit { job }));
    assert!(shown.contains("TOKEN"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
