//! Questions about names outside, to the name servers of the host.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::op::{Edns, Message, Query};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use crate::{address::ClusterRange, resolver};

/// How long one server is waited for: stub resolvers wait for five seconds in all.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many of the host's servers are asked.
const SERVERS: usize = 3;
const PORT: u16 = 53;
/// The largest message, in bytes.
const LARGEST: usize = 65_535;
/// What this side takes over UDP, in bytes.
const DATAGRAM: u16 = 1232;

/// How a request came, and so how it is passed on: room is the same on the whole way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// The host's name servers.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    servers: Servers,
}

#[derive(Clone, Debug)]
enum Servers {
    /// Those that `/etc/resolv.conf` names at the time, but for the cluster's own.
    OfTheHost(ClusterRange),
    #[cfg(test)]
    Fixed(Vec<SocketAddr>),
}

impl Upstream {
    pub(super) fn of_the_host(range: ClusterRange) -> Self {
        let servers = Servers::OfTheHost(range);
        Self { servers }
    }

    fn servers(&self) -> Vec<SocketAddr> {
        match &self.servers {
            Servers::OfTheHost(range) => {
                let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
                chosen(&text, *range)
            }
            #[cfg(test)]
            Servers::Fixed(servers) => servers.clone(),
        }
    }

    /// Passes a request on as it is and gives the answer as it is; None where no server has one.
    pub(super) async fn pass_on(&self, request: &[u8], transport: Transport) -> Option<Vec<u8>> {
        for server in self.servers() {
            let asked = async {
                match transport {
                    Transport::Udp => over_udp(request, server).await,
                    Transport::Tcp => over_tcp(request, server).await,
                }
            };
            if let Ok(Ok(answer)) = timeout(PATIENCE, asked).await {
                return Some(answer);
            }
        }
        None
    }

    /// Asks a question of its own.
    pub(super) async fn ask(&self, question: Query) -> Option<Message> {
        let mut request = Message::query();
        request.metadata.recursion_desired = true;
        request.add_query(question);
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM);
        request.set_edns(edns);
        let request = request.to_vec().ok()?;
        let answer = self.pass_on(&request, Transport::Udp).await?;
        let answer = Message::from_vec(&answer).ok()?;
        if !answer.metadata.truncation {
            return Some(answer);
        }
        let whole = self.pass_on(&request, Transport::Tcp).await?;
        Message::from_vec(&whole).ok()
    }
}

/// The servers that may be asked. The cluster's own addresses would lead back here.
fn chosen(resolv_conf: &str, range: ClusterRange) -> Vec<SocketAddr> {
    resolver::servers(resolv_conf)
        .filter(|server| match server {
            IpAddr::V4(address) => !range.all().contains(*address),
            IpAddr::V6(_) => true,
        })
        .take(SERVERS)
        .map(|server| SocketAddr::new(server, PORT))
        .collect()
}

/// A new port each time, connected: an answer is taken from nobody else.
async fn over_udp(request: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(request).await?;
    let mut buffer = vec![0; LARGEST];
    loop {
        let count = socket.recv(&mut buffer).await?;
        if answers(&buffer[..count], request) {
            buffer.truncate(count);
            return Ok(buffer);
        }
    }
}

async fn over_tcp(request: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&framed(request)).await?;
    let answer = read_frame(&mut stream).await?;
    if answers(&answer, request) {
        Ok(answer)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Whether a message is an answer to this request: the number is the same, and so is the question.
fn answers(message: &[u8], request: &[u8]) -> bool {
    let (Ok(message), Ok(request)) = (Message::from_vec(message), Message::from_vec(request))
    else {
        return false;
    };
    message.metadata.id == request.metadata.id
        && (message.queries == request.queries || message.queries.is_empty())
}

/// A message as it travels over TCP.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), &message[..usize::from(length)]].concat()
}

/// Reads one message of a TCP stream.
pub(super) async fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

#[cfg(test)]
pub(super) mod tests {
    use hickory_proto::{
        op::{MessageType, ResponseCode},
        rr::{Name, RData, Record, RecordType},
    };
    use tokio::net::TcpListener;

    use super::*;

    pub(crate) fn fixed(servers: Vec<SocketAddr>) -> Upstream {
        let servers = Servers::Fixed(servers);
        Upstream { servers }
    }

    pub(crate) fn question() -> Message {
        let name = Name::from_ascii("example.com.").unwrap();
        let mut request = Message::query();
        request.add_query(Query::query(name, RecordType::A));
        request
    }

    /// Where nobody listens, nor will while a test runs: nobody is given this port unasked.
    pub(crate) const GONE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

    fn answer_to(request: &[u8], truncated: bool) -> Vec<u8> {
        let mut answer = Message::from_vec(request).unwrap();
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.truncation = truncated;
        let name = answer.queries[0].name().clone();
        let data = RData::A("192.0.2.1".parse().unwrap());
        answer.add_answer(Record::from_rdata(name, 60, data));
        answer.to_vec().unwrap()
    }

    /// A server that answers over UDP, cut off if told so, and over TCP whole; each time first to a
    /// question that nobody asked.
    pub(crate) async fn server(truncated: bool) -> SocketAddr {
        let (tcp, address, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = tcp.local_addr().unwrap();
            // Another test may have the port for UDP.
            if let Ok(udp) = UdpSocket::bind(address).await {
                break (tcp, address, udp);
            }
        };
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (count, from) = udp.recv_from(&mut buffer).await.unwrap();
                let mut other = answer_to(&buffer[..count], false);
                other[0] ^= 1;
                udp.send_to(&other, from).await.unwrap();
                let answer = answer_to(&buffer[..count], truncated);
                udp.send_to(&answer, from).await.unwrap();
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let request = read_frame(&mut stream).await.unwrap();
                let answer = answer_to(&request, false);
                stream.write_all(&framed(&answer)).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_request_is_passed_on_over_either_transport() {
        let upstream = fixed(vec![server(false).await]);
        let request = question().to_vec().unwrap();
        for transport in [Transport::Udp, Transport::Tcp] {
            let answer = upstream.pass_on(&request, transport).await.unwrap();
            assert_eq!(answer, answer_to(&request, false));
        }
    }

    #[tokio::test]
    async fn a_server_that_is_gone_is_passed_over() {
        let request = question().to_vec().unwrap();
        let upstream = fixed(vec![GONE, server(false).await]);
        assert!(upstream.pass_on(&request, Transport::Udp).await.is_some());
        let none = fixed(vec![GONE]).pass_on(&request, Transport::Tcp).await;
        assert_eq!(none, None);
    }

    #[tokio::test]
    async fn an_answer_that_was_cut_off_is_fetched_whole() {
        let upstream = fixed(vec![server(true).await]);
        let answer = upstream.ask(question().queries[0].clone()).await.unwrap();
        assert!(!answer.metadata.truncation && answer.answers.len() == 1);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    }

    #[test]
    fn the_clusters_own_server_is_never_asked() {
        let range = ClusterRange::choose(&[]).unwrap();
        let text = "nameserver 10.200.64.10\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n";
        let servers = ["127.0.0.53:53", "192.0.2.1:53"].map(|s| s.parse().unwrap());
        assert_eq!(chosen(text, range), servers);
    }
}
