//! Uploads: what arrives, what is refused, what a broken one leaves.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;

use skiff_proto::{Ending, FaultKind, Frame, Hello, PROTOCOL_VERSION, Request, Response};
use tar::{Builder, EntryType, Header};

use crate::support::{Agent, job, shell};

/// An archive of entries as they are, however wrong.
struct Hostile(Builder<Vec<u8>>);

impl Hostile {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn entry(mut self, path: &str, kind: EntryType, link: Option<&str>, text: &str) -> Self {
        let mut header = Header::new_gnu();
        // The library itself refuses such paths; the bytes do not.
        header.as_gnu_mut().expect("gnu").name[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(link) = link {
            header.as_gnu_mut().expect("gnu").linkname[..link.len()]
                .copy_from_slice(link.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        header.set_cksum();
        self.0.append(&header, text.as_bytes()).expect("in memory");
        self
    }

    fn file(self, path: &str, text: &str) -> Self {
        self.entry(path, EntryType::Regular, None, text)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("in memory")
    }
}

fn refusal(response: Response) -> (FaultKind, String) {
    match response {
        Response::Failed { fault } => (fault.kind, fault.message),
        other => panic!("it was taken: {other:?}"),
    }
}

#[test]
fn an_upload_is_there_when_it_is_acknowledged() {
    let agent = Agent::start();
    let mut client = agent.client();
    let source = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(source.path().join("deep/er")).expect("a folder");
    std::fs::write(source.path().join("deep/er/script"), "echo ran\n").expect("written");
    std::fs::set_permissions(
        source.path().join("deep/er/script"),
        PermissionsExt::from_mode(0o755),
    )
    .expect("set");
    symlink("/usr/bin/python3", source.path().join("python")).expect("linked");
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
    std::fs::create_dir(source.path().join("d".repeat(90))).expect("a folder");
    std::fs::write(source.path().join(&long), vec![7; 3 << 20]).expect("written");
    let mut archive = Builder::new(Vec::new());
    archive.follow_symlinks(false);
    archive
        .append_dir_all(".", source.path())
        .expect("in memory");
    assert_eq!(
        client.upload(&archive.into_inner().expect("in memory")),
        Response::Done
    );

    let workdir = agent.home().join("sky_workdir");
    assert_eq!(
        std::fs::read(workdir.join(&long)).expect("there").len(),
        3 << 20
    );
    let link = std::fs::read_link(workdir.join("python")).expect("a link");
    assert_eq!(link.to_str(), Some("/usr/bin/python3"));
    let modified = |path: &std::path::Path| {
        let modified = path.metadata().expect("there").modified().expect("a time");
        modified
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_secs()
    };
    let original = modified(&source.path().join("deep/er/script"));
    assert_eq!(modified(&workdir.join("deep/er/script")), original);
    let ran = client.run(job("./deep/er/script"));
    assert!(ran.text.contains(") ran\n"), "{}", ran.text);
    assert_eq!(
        std::fs::read_dir(agent.root().join("incoming"))
            .expect("a folder")
            .count(),
        0
    );
}

#[test]
fn files_that_an_upload_does_not_name_stay() {
    let agent = Agent::start();
    let mut client = agent.client();
    let workdir = agent.home().join("sky_workdir");
    assert_eq!(
        client.upload(&Hostile::new().file("a", "1").file("d/b", "1").bytes()),
        Response::Done
    );
    std::fs::write(workdir.join("d/result"), "mine").expect("written");
    assert_eq!(
        client.upload(&Hostile::new().file("d/b", "2").bytes()),
        Response::Done
    );
    let read = |name: &str| std::fs::read_to_string(workdir.join(name)).expect("there");
    assert_eq!(
        [read("a"), read("d/b"), read("d/result")],
        ["1", "2", "mine"]
    );
}

#[test]
fn an_empty_upload_is_one() {
    let agent = Agent::start();
    assert_eq!(
        agent.client().upload(&Hostile::new().bytes()),
        Response::Done
    );
    assert_eq!(agent.client().upload(&[]), Response::Done);
}

#[test]
fn archives_that_lead_out_are_refused_whole() {
    let agent = Agent::start();
    let mut client = agent.client();
    let outside = agent.root().join("outside");
    std::fs::create_dir(&outside).expect("a folder");
    let target = outside.to_str().expect("text").to_owned();
    let link = |link: &str| {
        Hostile::new()
            .file("ok", "")
            .entry("out", EntryType::Symlink, Some(link), "")
    };
    let cases = [
        Hostile::new()
            .file("ok", "")
            .file("../../outside/x", "evil"),
        Hostile::new()
            .file("ok", "")
            .file(&format!("{target}/x"), "evil"),
        Hostile::new()
            .file("ok", "")
            .file("a/../../outside/x", "evil"),
        link(&target).file("out/x", "evil"),
        link("../outside").file("out/x", "evil"),
        Hostile::new()
            .file("ok", "")
            .entry("dev", EntryType::Char, None, ""),
        Hostile::new()
            .file("ok", "")
            .entry("dev", EntryType::Block, None, ""),
        Hostile::new()
            .file("ok", "")
            .entry("pipe", EntryType::Fifo, None, ""),
        Hostile::new()
            .file("ok", "")
            .entry("hard", EntryType::Link, Some("/etc/passwd"), ""),
    ];
    for (at, case) in cases.into_iter().enumerate() {
        let (kind, message) = refusal(client.upload(&case.bytes()));
        assert_eq!(kind, FaultKind::Invalid, "case {at}: {message}");
        assert_eq!(
            std::fs::read_dir(&outside).expect("a folder").count(),
            0,
            "case {at} got out"
        );
        assert!(
            !agent.home().join("sky_workdir/ok").exists(),
            "case {at} left a part"
        );
    }
}

#[test]
fn a_link_in_the_working_folder_is_replaced_not_followed() {
    let agent = Agent::start();
    let mut client = agent.client();
    let outside = agent.root().join("outside");
    std::fs::create_dir(&outside).expect("a folder");
    symlink(&outside, agent.home().join("sky_workdir/data")).expect("linked");
    assert_eq!(
        client.upload(&Hostile::new().file("data/x", "here").bytes()),
        Response::Done
    );
    assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 0);
    let text = std::fs::read_to_string(agent.home().join("sky_workdir/data/x")).expect("there");
    assert_eq!(text, "here");
}

#[test]
fn a_file_does_not_replace_a_folder_with_something_in_it() {
    let agent = Agent::start();
    let mut client = agent.client();
    let results = agent.home().join("sky_workdir/out");
    std::fs::create_dir(&results).expect("a folder");
    std::fs::write(results.join("result"), "mine").expect("written");
    let (kind, message) =
        refusal(client.upload(&Hostile::new().file("a", "").file("out", "").bytes()));
    assert_eq!(kind, FaultKind::Invalid);
    assert!(
        message.contains("\"out\" is a folder in the pod"),
        "{message}"
    );
    assert!(
        !agent.home().join("sky_workdir/a").exists(),
        "a part was taken"
    );
    assert!(results.join("result").exists());
}

#[test]
fn what_is_not_an_archive_is_refused_and_the_connection_goes_on() {
    let agent = Agent::start();
    let mut client = agent.client();
    let (kind, _) = refusal(client.upload(&vec![b'x'; 5 << 20]));
    assert_eq!(kind, FaultKind::Invalid);
    let whole = Hostile::new().file("a", &"x".repeat(2000)).bytes();
    let (kind, message) = refusal(client.upload(&whole[..1000]));
    assert_eq!(
        (
            kind,
            message.starts_with("the upload is not a whole archive")
        ),
        (FaultKind::Invalid, true)
    );
    assert!(client.queue().is_empty());
}

#[test]
fn a_broken_connection_leaves_the_older_files() {
    let agent = Agent::start();
    let mut client = agent.client();
    assert_eq!(
        client.upload(&Hostile::new().file("a", "old").bytes()),
        Response::Done
    );
    let mut cut = agent.client();
    let id = cut.request(Request::Workdir);
    let archive = Hostile::new()
        .file("a", "new")
        .file("b", &"x".repeat(100_000))
        .bytes();
    // Everything but the word that it is everything.
    for chunk in archive.chunks(Frame::CHUNK) {
        cut.send(&Frame::Data(id, chunk.to_vec()));
    }
    let incoming = agent.root().join("incoming");
    shell(&format!(
        "until [ -e {}/*/b ]; do :; done",
        incoming.display()
    ));
    drop(cut);
    shell(&format!(
        "while [ \"$(ls {})\" ]; do :; done",
        incoming.display()
    ));
    let workdir = agent.home().join("sky_workdir");
    assert_eq!(
        std::fs::read_to_string(workdir.join("a")).expect("there"),
        "old"
    );
    assert!(!workdir.join("b").exists());
}

#[test]
fn a_sender_beyond_its_window_is_cut_off() {
    let agent = Agent::start();
    agent.client();
    let mut socket = UnixStream::connect(agent.root().join("run/agent.sock")).expect("it listens");
    let mut bytes = Vec::new();
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        build: "test".into(),
        boot: String::new(),
    };
    Frame::Hello(hello).encode(&mut bytes);
    Frame::Request(1, Request::Workdir).encode(&mut bytes);
    // Small pieces, whose credits fill the way back that nobody reads; then more than the window.
    for _ in 0..100_000 {
        Frame::Data(1, vec![0]).encode(&mut bytes);
    }
    for _ in 0..100 {
        Frame::Data(1, vec![0; Frame::CHUNK]).encode(&mut bytes);
    }
    assert!(socket.write_all(&bytes).is_err(), "everything was taken");
    assert!(agent.client().queue().is_empty());
}

#[test]
fn a_full_disk_is_said_with_its_path() {
    let Some(mut agent) = Agent::start_on_small_disk(4 << 20) else {
        return;
    };
    let mut client = agent.client();
    let (kind, message) =
        refusal(client.upload(&Hostile::new().file("big", &"x".repeat(6 << 20)).bytes()));
    assert_eq!(kind, FaultKind::DiskFull, "{message}");
    assert!(message.contains("\"big\""), "{message}");
    assert_eq!(
        client.upload(&Hostile::new().file("small", "x").bytes()),
        Response::Done
    );

    client.run(job("true"));
    let fill = agent.home().join("sky_workdir/fill");
    shell(&format!("head -c 8000000 /dev/zero > {}", fill.display()));
    let submitted = client.ask(Request::Submit {
        job: job("echo hi"),
    });
    let (kind, message) = refusal(submitted);
    assert_eq!(kind, FaultKind::DiskFull, "{message}");
    assert!(message.contains("/jobs/2"), "{message}");
    std::fs::remove_file(fill).expect("removed");
    assert!(client.run(job("echo again")).text.contains(") again\n"));
    assert_eq!(
        client.ask(Request::Shutdown {
            ending: Ending::Down
        }),
        Response::Done
    );
    drop(client);
    assert!(agent.wait().success());
}
