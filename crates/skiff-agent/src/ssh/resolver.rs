//! Names to addresses, as the pod's own files say: `/etc/hosts`, then the name servers of `/etc/resolv.conf`. The C
//! library's way would load modules of the image, which a static executable cannot.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::wire::{Malformed, Reader};

/// How long a name server has to answer, each time.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often each name server is asked.
const ROUNDS: usize = 2;
const A: u16 = 1;
const AAAA: u16 = 28;

/// What `/etc/resolv.conf` says.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

/// The addresses of a host; fails where there is none.
pub(crate) async fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut known = in_hosts(&hosts, host);
    if known.is_empty() && host.eq_ignore_ascii_case("localhost") {
        known = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    if !known.is_empty() {
        return Ok(known);
    }
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let settings = Settings::parse(&text);
    for name in settings.candidates(host) {
        let mut addresses = ask(&settings.servers, &name, A).await;
        if addresses.is_empty() {
            addresses = ask(&settings.servers, &name, AAAA).await;
        }
        if !addresses.is_empty() {
            return Ok(addresses);
        }
    }
    let message = format!("cannot resolve {host}");
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|name| name.eq_ignore_ascii_case(host))
                .then_some(address)
        })
        .collect()
}

impl Settings {
    fn parse(text: &str) -> Self {
        let mut settings = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse().ok());
                    settings
                        .servers
                        .extend(address.map(|address: IpAddr| SocketAddr::new(address, 53)));
                }
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let ndots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    settings.ndots = ndots.unwrap_or(settings.ndots);
                }
                _ => {}
            }
        }
        settings
    }

    /// The names to ask for, in their order.
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(whole) = host.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let mut names: Vec<String> = self
            .search
            .iter()
            .map(|domain| format!("{host}.{}", domain.trim_matches('.')))
            .collect();
        let dots = host.bytes().filter(|byte| *byte == b'.').count();
        let place = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(place, host.to_owned());
        names
    }
}

/// What the first name server that answers says.
async fn ask(servers: &[SocketAddr], name: &str, kind: u16) -> Vec<IpAddr> {
    for _ in 0..ROUNDS {
        for server in servers {
            if let Ok(Ok(addresses)) = timeout(PATIENCE, ask_one(*server, name, kind)).await {
                return addresses;
            }
        }
    }
    Vec::new()
}

async fn ask_one(server: SocketAddr, name: &str, kind: u16) -> io::Result<Vec<IpAddr>> {
    let mut id = [0; 2];
    let filled = SystemRandom::new().fill(&mut id);
    filled.map_err(|_| io::Error::other("no random bytes"))?;
    let Some(question) = question(id, name, kind) else {
        return Ok(Vec::new());
    };
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    // Only this server's answers get through.
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut buffer = [0; 1500];
    loop {
        let count = socket.recv(&mut buffer).await?;
        let answer = &buffer[..count];
        if answer.starts_with(&id) {
            return Ok(addresses(answer, question.len()).unwrap_or_default());
        }
    }
}

/// The question for one kind of record; None where the name can be no host's.
fn question(id: [u8; 2], name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut message = id.to_vec();
    // Recursion is desired; one question.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..64).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    (message.len() <= 300).then_some(message)
}

/// The addresses in an answer, behind the question that it repeats. Aliases need no following: their targets'
/// addresses are in the same answer.
fn addresses(answer: &[u8], question: usize) -> Result<Vec<IpAddr>, Malformed> {
    let mut header = Reader::new(answer.get(6..8).ok_or(Malformed)?);
    let count = u16::from_be_bytes([header.u8()?, header.u8()?]);
    let mut reader = Reader::new(answer.get(question..).ok_or(Malformed)?);
    let mut addresses = Vec::new();
    for _ in 0..count {
        loop {
            match reader.u8()? {
                0 => break,
                length @ 1..64 => drop(reader.take(length.into())?),
                _ => {
                    reader.u8()?;
                    break;
                }
            }
        }
        let fixed = reader.take(10)?;
        let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
        let length = u16::from_be_bytes([fixed[8], fixed[9]]);
        let data = reader.take(length.into())?;
        let v4 = <[u8; 4]>::try_from(data).map(IpAddr::from);
        let v6 = <[u8; 16]>::try_from(data).map(IpAddr::from);
        match kind {
            A => addresses.extend(v4),
            AAAA => addresses.extend(v6),
            _ => {}
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::{A, Settings, addresses, in_hosts, question};

    #[test]
    fn the_hosts_file_is_read() {
        let text = "127.0.0.1 localhost\n# 1.1.1.1 db\n10.0.0.7 pod.ns db # the database\nx y\n";
        assert_eq!(in_hosts(text, "DB"), [IpAddr::from([10, 0, 0, 7])]);
        assert!(in_hosts(text, "database").is_empty());
    }

    #[test]
    fn short_names_are_searched_for_first_in_the_namespace() {
        let settings = Settings::parse(
            "nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local\noptions ndots:5\n",
        );
        assert_eq!(settings.servers, [SocketAddr::from(([10, 96, 0, 10], 53))]);
        assert_eq!(
            settings.candidates("db"),
            ["db.ns.svc.cluster.local", "db.svc.cluster.local", "db"]
        );
        assert_eq!(settings.candidates("example.org."), ["example.org"]);
    }

    #[test]
    fn an_answer_behind_an_alias_is_found() {
        let mut answer = question([1, 2], "a.bc", A).expect("a name");
        let length = answer.len();
        answer[7] = 2;
        // An alias whose name points back, then the address.
        answer.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 3, 1, b'x', 0]);
        answer.extend_from_slice(&[1, b'x', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 7]);
        let found = addresses(&answer, length).expect("it can be read");
        assert_eq!(found, [IpAddr::from([10, 0, 0, 7])]);
        assert!(addresses(&answer[..answer.len() - 1], length).is_err());
        assert_eq!(question([0, 0], "a..b", A), None);
    }
}
