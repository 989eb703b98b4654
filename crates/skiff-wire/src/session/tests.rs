//! The conversation with an agent that the test plays, byte by byte.

use skiff_proto::{Decoder, Fault, FaultKind, Frame, Hello, PROTOCOL_VERSION, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, duplex, split};

use super::{Ended, Patience, Session, SessionError};

/// The agent's end of a connection.
struct Agent {
    stream: DuplexStream,
    decoder: Decoder,
}

impl Agent {
    async fn receive(&mut self) -> Frame {
        loop {
            if let Some(frame) = self
                .decoder
                .next_frame()
                .expect("the client's frames are whole")
            {
                return frame;
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).await.expect("in memory");
            assert!(count > 0, "the client hung up");
            self.decoder.push(&bytes[..count]);
        }
    }

    async fn send(&mut self, frame: Frame) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).await.expect("in memory");
    }

    async fn greet(&mut self, protocol: u16) {
        assert!(matches!(self.receive().await, Frame::Hello(_)));
        let (build, boot) = ("test".to_owned(), "boot".to_owned());
        self.send(Frame::Hello(Hello {
            protocol,
            build,
            boot,
        }))
        .await;
    }
}

fn connection() -> (DuplexStream, Agent) {
    let (client, stream) = duplex(64 << 10);
    let decoder = Decoder::default();
    (client, Agent { stream, decoder })
}

/// A session with an agent that has greeted.
async fn open() -> (Session, Agent) {
    let (client, mut agent) = connection();
    let (output, input) = split(client);
    let (session, ()) = tokio::join!(
        Session::open(input, output, Patience::CLIENT),
        agent.greet(PROTOCOL_VERSION)
    );
    (session.expect("the agent has greeted"), agent)
}

fn refused(error: SessionError) -> Fault {
    match error {
        SessionError::Refused(fault) => fault,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_request_gets_its_own_answer_whatever_the_order() {
    let (session, mut agent) = open().await;
    let mut first = session.start(Request::Queue).await.expect("it is sent");
    let mut second = session.start(Request::Docker).await.expect("it is sent");
    let (Frame::Request(one, Request::Queue), Frame::Request(two, Request::Docker)) =
        (agent.receive().await, agent.receive().await)
    else {
        panic!("other requests were sent");
    };
    agent.send(Frame::Response(two, Response::Done)).await;
    agent
        .send(Frame::Response(one, Response::Jobs { jobs: Vec::new() }))
        .await;
    assert_eq!(
        first.response().await.ok(),
        Some(Response::Jobs { jobs: Vec::new() })
    );
    assert_eq!(second.response().await.ok(), Some(Response::Done));
}

#[tokio::test]
async fn a_refusal_is_the_requests_error_and_the_session_goes_on() {
    let (session, mut agent) = open().await;
    let (answer, ()) = tokio::join!(session.ask(Request::Queue), async {
        let Frame::Request(id, _) = agent.receive().await else {
            panic!("no request")
        };
        let fault = Fault {
            kind: FaultKind::DiskFull,
            message: "the disk is full".to_owned(),
        };
        agent
            .send(Frame::Response(id, Response::Failed { fault }))
            .await;
    });
    assert_eq!(
        refused(answer.expect_err("it was refused")).kind,
        FaultKind::DiskFull
    );
    let (answer, ()) = tokio::join!(session.ask(Request::Docker), async {
        let Frame::Request(id, _) = agent.receive().await else {
            panic!("no request")
        };
        agent.send(Frame::Response(id, Response::Done)).await;
    });
    assert_eq!(answer.ok(), Some(Response::Done));
}

#[tokio::test]
async fn an_agent_of_another_time_is_told_by_its_version() {
    let (client, mut agent) = connection();
    let (output, input) = split(client);
    let theirs = PROTOCOL_VERSION + 2;
    let (session, ()) = tokio::join!(
        Session::open(input, output, Patience::CLIENT),
        agent.greet(theirs)
    );
    assert!(
        matches!(session.err(), Some(SessionError::Version { theirs: told }) if told == theirs)
    );
}

#[tokio::test]
async fn something_else_than_an_agent_is_not_understood() {
    let (client, mut agent) = connection();
    let (output, input) = split(client);
    let words = b"/bin/sh: 1: /skiff/bin/task: not found\n";
    let (session, _) = tokio::join!(
        Session::open(input, output, Patience::CLIENT),
        agent.stream.write_all(words)
    );
    assert!(matches!(session.err(), Some(SessionError::Frame(_))));
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_frame_ends_every_request_as_lost() {
    let (session, mut agent) = open().await;
    let mut first = session.start(Request::Queue).await.expect("it is sent");
    let mut second = session.start(Request::Queue).await.expect("it is sent");
    let Frame::Request(id, _) = agent.receive().await else {
        panic!("no request")
    };
    let mut bytes = Vec::new();
    Frame::Response(id, Response::Jobs { jobs: Vec::new() }).encode(&mut bytes);
    agent
        .stream
        .write_all(&bytes[..bytes.len() / 2])
        .await
        .expect("in memory");
    drop(agent);
    assert!(matches!(first.response().await, Err(SessionError::Lost(_))));
    assert!(matches!(
        second.response().await,
        Err(SessionError::Lost(_))
    ));
    assert!(matches!(
        session.ask(Request::Queue).await,
        Err(SessionError::Lost(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_lost_connection() {
    let (session, _agent) = open().await;
    let answer = session.ask(Request::Queue).await;
    assert!(matches!(answer, Err(SessionError::Lost(why)) if why.contains("no answer for")));
    let silence = Patience::CLIENT.silence;
    assert_eq!(session.ended().await, Ended::Silent(silence));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_does_not_hold_those_who_write_to_it() {
    let (session, _agent) = open().await;
    let call = session.start(Request::Queue).await.expect("it is sent");
    let sending = async { while call.send(vec![0; 64 << 10]).await.is_ok() {} };
    let limit = Patience::CLIENT.silence * 2;
    let sent = tokio::time::timeout(limit, sending).await;
    assert!(sent.is_ok(), "the writer still waits");
}

#[tokio::test]
async fn a_closed_connection_says_so_and_the_agent_is_known() {
    let (session, agent) = open().await;
    assert_eq!(session.boot(), "boot");
    drop(agent);
    assert_eq!(session.ended().await, Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_answers_pings_is_waited_for() {
    let (session, mut agent) = open().await;
    let answering = async {
        let Frame::Request(id, _) = agent.receive().await else {
            panic!("no request")
        };
        for _ in 0..100 {
            assert_eq!(agent.receive().await, Frame::Ping);
            agent.send(Frame::Pong).await;
        }
        agent.send(Frame::Response(id, Response::Done)).await;
    };
    let (answer, ()) = tokio::join!(session.ask(Request::Queue), answering);
    assert_eq!(answer.ok(), Some(Response::Done));
}

#[tokio::test]
async fn data_comes_through_in_order_until_its_end() {
    let (session, mut agent) = open().await;
    let mut call = session.start(Request::Queue).await.expect("it is sent");
    let Frame::Request(id, _) = agent.receive().await else {
        panic!("no request")
    };
    for piece in [b"one".as_slice(), b"two"] {
        agent.send(Frame::Data(id, piece.to_vec())).await;
    }
    agent.send(Frame::End(id)).await;
    // Frames for a request that nobody made are nobody's.
    agent.send(Frame::Data(id + 7, b"stray".to_vec())).await;
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(call.next().await.expect("the connection holds"));
    }
    let expected = [
        Frame::Data(id, b"one".to_vec()),
        Frame::Data(id, b"two".to_vec()),
        Frame::End(id),
    ];
    assert_eq!(frames, expected);
}

#[tokio::test]
async fn dropping_the_session_closes_the_connection() {
    let (session, agent) = open().await;
    drop(session);
    let mut rest = Vec::new();
    let mut stream: ReadHalf<DuplexStream> = split(agent.stream).0;
    stream.read_to_end(&mut rest).await.expect("in memory");
    assert!(rest.is_empty());
}
