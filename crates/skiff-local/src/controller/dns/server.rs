//! The sockets: UDP and TCP on one port of the bridge.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_proto::op::{Message, ResponseCode};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

use super::{
    answer::{self, Outcome},
    forward::{Transport, Upstream, framed, read_frame},
    zone::Zone,
};

/// The port that is tried first: the same after a restart, so that no pod notices one. Port 53 may be
/// another's who listens on every address of the host.
const PORT: u16 = 10_053;
/// How many other ports are tried.
const TRIES: usize = 10;
/// How many requests may be under way at the same time; more than that is an attack or a circle.
const UNDER_WAY: usize = 512;
/// How many TCP connections may be open.
const CONNECTIONS: usize = 128;
/// How long a TCP connection may be silent, and how long its other end may take to read.
const SILENCE: Duration = Duration::from_secs(10);
/// The largest request over UDP, in bytes.
const LARGEST_REQUEST: usize = 4096;
/// Pause after the operating system refused a connection, as it does where descriptors run out.
const REFUSED: Duration = Duration::from_millis(100);

/// What is listened on.
pub(super) struct Sockets {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
    port: u16,
}

impl Sockets {
    /// Takes the usual port, or any other that is free for both.
    pub(super) async fn bind(address: Ipv4Addr) -> io::Result<Self> {
        let mut result = Self::bind_to(address, PORT).await;
        for _ in 0..TRIES {
            if result.is_ok() {
                break;
            }
            result = Self::bind_to(address, 0).await;
        }
        result
    }

    async fn bind_to(address: Ipv4Addr, port: u16) -> io::Result<Self> {
        let udp = UdpSocket::bind((address, port)).await?;
        let port = udp.local_addr()?.port();
        Ok(Self {
            udp: Arc::new(udp),
            tcp: TcpListener::bind((address, port)).await?,
            port,
        })
    }

    /// The port of both.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Answers for ever, from the moment that there is a zone. Until then requests wait in the sockets.
    pub(super) async fn serve(
        self,
        mut zone: watch::Receiver<Option<Arc<Zone>>>,
        upstream: Option<Upstream>,
    ) {
        if zone.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let responder = Responder {
            zone,
            upstream,
            places: Arc::new(Semaphore::new(UNDER_WAY)),
        };
        let udp = datagrams(self.udp, responder.clone());
        let _: ((), ()) = tokio::join!(udp, connections(self.tcp, responder));
    }
}

#[derive(Clone)]
struct Responder {
    zone: watch::Receiver<Option<Arc<Zone>>>,
    upstream: Option<Upstream>,
    /// For requests that others are asked for.
    places: Arc<Semaphore>,
}

impl Responder {
    fn outcome(&self, request: &[u8]) -> Outcome {
        let zone = self.zone.borrow().clone();
        zone.map_or(Outcome::Ignore, |zone| answer::outcome(&zone, request))
    }

    /// The bytes to send back for what cannot be answered at once.
    async fn elsewhere(
        &self,
        outcome: Outcome,
        request: &[u8],
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let place = self.places.try_acquire();
        let upstream = self.upstream.as_ref();
        let reply = match (outcome, upstream, place) {
            (Outcome::Ignore, _, _) => return None,
            (Outcome::Reply(reply), _, _) => *reply,
            // Whoever cannot get out is told so at once: there is no such name as far as he goes.
            (Outcome::Outside(reply) | Outcome::Alias(reply, _), None, _) => {
                answer::with_code(*reply, ResponseCode::NXDomain)
            }
            (Outcome::Outside(reply) | Outcome::Alias(reply, _), _, Err(_)) => {
                answer::with_code(*reply, ResponseCode::ServFail)
            }
            (Outcome::Outside(reply), Some(upstream), Ok(_)) => {
                if let Some(answer) = upstream.pass_on(request, transport).await {
                    return Some(answer);
                }
                answer::with_code(*reply, ResponseCode::ServFail)
            }
            (Outcome::Alias(reply, question), Some(upstream), Ok(_)) => {
                match upstream.ask(question).await {
                    Some(outside) => answer::joined(*reply, outside),
                    None => answer::with_code(*reply, ResponseCode::ServFail),
                }
            }
        };
        encoded(reply, request, transport)
    }
}

fn encoded(reply: Message, request: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let room = (transport == Transport::Udp).then(|| answer::room(request));
    answer::encoded(reply, room)
}

async fn datagrams(socket: Arc<UdpSocket>, responder: Responder) {
    let mut buffer = vec![0; LARGEST_REQUEST];
    loop {
        // An error is one of an earlier answer's: its asker has gone.
        let Ok((count, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let request = &buffer[..count];
        let outcome = match responder.outcome(request) {
            Outcome::Ignore => continue,
            Outcome::Reply(reply) => {
                if let Some(bytes) = encoded(*reply, request, Transport::Udp) {
                    let _ = socket.send_to(&bytes, from).await;
                }
                continue;
            }
            elsewhere => elsewhere,
        };
        let (request, socket, responder) = (request.to_vec(), socket.clone(), responder.clone());
        tokio::spawn(async move {
            let answer = responder.elsewhere(outcome, &request, Transport::Udp).await;
            if let Some(bytes) = answer {
                let _ = socket.send_to(&bytes, from).await;
            }
        });
    }
}

async fn connections(listener: TcpListener, responder: Responder) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted: io::Result<(TcpStream, SocketAddr)> = listener.accept().await;
        let Ok((stream, _)) = accepted else {
            sleep(REFUSED).await;
            continue;
        };
        let responder = responder.clone();
        tokio::spawn(async move {
            let _place = place;
            // A connection that ends or is silent for too long is over; there is nobody to tell.
            let _ = connection(stream, &responder).await;
        });
    }
}

async fn connection(mut stream: TcpStream, responder: &Responder) -> io::Result<()> {
    loop {
        let request = timeout(SILENCE, read_frame(&mut stream)).await??;
        let outcome = responder.outcome(&request);
        let answer = responder.elsewhere(outcome, &request, Transport::Tcp).await;
        let Some(answer) = answer else {
            return Ok(());
        };
        timeout(SILENCE, stream.write_all(&framed(&answer))).await??;
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Name, RecordType};

    use super::{
        super::{
            forward::tests::{GONE, fixed, question, server},
            zone::tests::zone,
        },
        *,
    };

    /// Serves the example zone; gives where.
    async fn serving(upstream: Option<Upstream>) -> SocketAddr {
        let sockets = Sockets::bind(Ipv4Addr::LOCALHOST).await.unwrap();
        let address = (Ipv4Addr::LOCALHOST, sockets.port()).into();
        let (publish, zone_seen) = watch::channel(None);
        publish.send_replace(Some(Arc::new(zone())));
        tokio::spawn(async move {
            sockets.serve(zone_seen, upstream).await;
            drop(publish);
        });
        address
    }

    async fn asked(server: SocketAddr, request: &Message, transport: Transport) -> Message {
        let upstream = fixed(vec![server]);
        let request = request.to_vec().unwrap();
        let answer = upstream.pass_on(&request, transport).await;
        Message::from_vec(&answer.expect("the server answers")).unwrap()
    }

    fn about(name: &str) -> Message {
        let mut request = question();
        request.queries[0].set_name(Name::from_ascii(name).unwrap());
        request.queries[0].set_query_type(RecordType::A);
        request
    }

    const BOTH: [Transport; 2] = [Transport::Udp, Transport::Tcp];

    #[tokio::test]
    async fn names_of_the_cluster_are_answered_over_both_transports() {
        let server = serving(None).await;
        for transport in BOTH {
            let name = about("web.default.svc.cluster.local.");
            let answer = asked(server, &name, transport).await;
            assert_eq!(answer.answers.len(), 1);
        }
    }

    #[tokio::test]
    async fn without_a_way_out_other_names_do_not_exist() {
        let server = serving(None).await;
        for name in ["example.com.", "out.default.svc.cluster.local."] {
            let answer = asked(server, &about(name), Transport::Udp).await;
            assert_eq!(
                answer.metadata.response_code,
                ResponseCode::NXDomain,
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn with_a_way_out_the_hosts_servers_are_asked() {
        let server = serving(Some(fixed(vec![server(false).await]))).await;
        for transport in BOTH {
            let answer = asked(server, &about("example.com."), transport).await;
            assert_eq!(answer.answers.len(), 1);
            let alias = about("out.default.svc.cluster.local.");
            let answer = asked(server, &alias, transport).await;
            assert_eq!(answer.answers.len(), 2, "the alias and the address");
        }
    }

    #[tokio::test]
    async fn a_server_of_the_host_that_is_gone_is_told_as_a_failure() {
        let server = serving(Some(fixed(vec![GONE]))).await;
        let answer = asked(server, &about("example.com."), Transport::Tcp).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_no_obstacle() {
        let first = Sockets::bind(Ipv4Addr::LOCALHOST).await.unwrap();
        let second = Sockets::bind(Ipv4Addr::LOCALHOST).await.unwrap();
        assert_ne!(first.port(), second.port());
    }
}
