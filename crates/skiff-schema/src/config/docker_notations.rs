//! How scalars of `enable_docker` are written, each with the parser that its reader uses.

use std::net::IpAddr;

use crate::docker::DockerMode;
use crate::grammar::{Notation, Problem, ScalarKind};
use crate::resources::parse_image;

/// A sidecar with less memory than this cannot even start: whoever writes so little has forgotten the unit.
const LEAST_BYTES: u64 = 1 << 20;
/// The longest name of a volume, since it is a label's value.
const LONGEST_VOLUME: usize = 63;
/// More CPUs than any node has.
const MOST_MILLI_CPU: u128 = 1_000_000_000;

pub(super) static DOCKER: Notation = Notation {
    what: "a boolean or a Docker mode",
    kinds: &[ScalarKind::Bool, ScalarKind::Text],
    pattern: "^([Aa][Ll][Ll]|[Bb][Uu][Ii][Ll][Dd])$",
    check: |text| docker_mode(text).map(drop),
};

/// A mode as Python writes its boolean or word.
pub(super) fn docker_mode(text: &str) -> Result<DockerMode, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "false" => Ok(DockerMode::Off),
        "true" | "all" => Ok(DockerMode::All),
        "build" => Ok(DockerMode::Build),
        _ => Err(Problem::new(
            format!("`{text}` is no Docker mode"),
            "write true, false, ALL or BUILD",
        )),
    }
}

/// The image of a sidecar, which may well be called `docker`.
pub(super) static SIDECAR_IMAGE: Notation = Notation {
    what: "an image",
    kinds: &[ScalarKind::Text],
    pattern: r"^\s*[^\s]+\s*$",
    check: |text| sidecar_image(text).map(drop),
};

/// `docker:29-dind` is the image `docker`, where other fields would take `docker:` for their prefix.
pub(super) fn sidecar_image(text: &str) -> Result<&str, Problem> {
    let image = parse_image(text)?;
    let is_tag = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    Ok(match text.trim() {
        whole if whole.starts_with("docker:") && image.chars().all(is_tag) => whole,
        _ => image,
    })
}

pub(super) static CPU: Notation = Notation {
    what: "an amount of CPU",
    kinds: &[ScalarKind::Integer, ScalarKind::Float, ScalarKind::Text],
    pattern: r"^[0-9]*\.?[0-9]+m?$",
    check: |text| milli_cpu(text).map(drop),
};

/// Thousandths of a CPU, as Kubernetes writes it: `2`, `0.5`, `500m`.
pub(super) fn milli_cpu(text: &str) -> Result<u64, Problem> {
    let help = "write it as Kubernetes does: 2, 0.5, 500m";
    let wrong = |why: &str| Problem::new(format!("`{text}` {why}"), help);
    let (number, unit) = split_unit(text);
    let thousandths = match unit {
        "" => thousandths(number),
        "m" => thousandths(number).map(|thousandths| thousandths.div_ceil(1000)),
        _ => None,
    };
    match thousandths {
        None => Err(wrong("is not an amount of CPU")),
        Some(0) => Err(wrong("must be more than 0")),
        Some(milli) if milli > MOST_MILLI_CPU => Err(wrong("is more CPUs than any node has")),
        Some(milli) => u64::try_from(milli).map_err(|_| wrong("is not an amount of CPU")),
    }
}

pub(super) static BYTES: Notation = Notation {
    what: "an amount of bytes",
    kinds: &[ScalarKind::Integer, ScalarKind::Float, ScalarKind::Text],
    pattern: r"^[0-9]*\.?[0-9]+([kMGTP]|[KMGTP]i)?$",
    check: |text| bytes(text).map(drop),
};

/// Bytes, as Kubernetes writes them: `2Gi`, `512M`.
pub(super) fn bytes(text: &str) -> Result<u64, Problem> {
    let help = "write it as Kubernetes does: 2Gi, 512Mi, 4G";
    let wrong = |why: &str, help: &str| Problem::new(format!("`{text}` {why}"), help);
    let (number, unit) = split_unit(text);
    let Some(thousandths) = thousandths(number) else {
        return Err(wrong("is not an amount of bytes", help));
    };
    let size: u128 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        "m" => {
            let meant = format!("`m` are thousandths to Kubernetes: write {number}Mi");
            return Err(wrong("is next to nothing", &meant));
        }
        other => return Err(unknown_unit(text, number, other)),
    };
    let bytes = thousandths.checked_mul(size).map(|total| total / 1000);
    match bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
        None => Err(wrong("is more than any node has", help)),
        Some(0) => Err(wrong("must be more than 0", help)),
        Some(bytes) if bytes < LEAST_BYTES => Err(wrong(
            "is next to nothing",
            &format!("without a unit these are bytes: write {number}Gi or {number}Mi"),
        )),
        Some(bytes) => Ok(bytes),
    }
}

/// `4GB`, `4gi`: units of elsewhere.
fn unknown_unit(text: &str, number: &str, unit: &str) -> Problem {
    let lower = unit.to_ascii_lowercase();
    let known = ["k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi"];
    let meant = lower.trim_end_matches('b');
    let meant = known
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(meant));
    let help = match meant {
        Some(meant) => format!("did you mean `{number}{meant}`?"),
        None => "write it as Kubernetes does: 2Gi, 512Mi, 4G".to_owned(),
    };
    Problem::new(format!("`{text}` is not an amount of bytes"), help)
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let is_number = |char: char| char.is_ascii_digit() || char == '.';
    let end = text.find(|char| !is_number(char)).unwrap_or(text.len());
    text.split_at(end)
}

/// Thousandths of a decimal number; what is finer is rounded up, as Kubernetes does.
fn thousandths(number: &str) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let (counted, finer) = fraction.split_at(fraction.len().min(3));
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let counted: u128 = format!("{counted:0<3}").parse().ok()?;
    let finer = u128::from(finer.bytes().any(|byte| byte != b'0'));
    whole.checked_mul(1000)?.checked_add(counted + finer)
}

/// The name of a volume of `skiff volumes`.
pub(super) static VOLUME: Notation = Notation {
    what: "the name of a volume",
    kinds: &[ScalarKind::Text],
    pattern: r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
    check: |text| {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        let ends = text.chars().next().into_iter().chain(text.chars().last());
        if (1..=LONGEST_VOLUME).contains(&text.len())
            && text.chars().all(is_plain)
            && ends.into_iter().all(|char| char.is_ascii_alphanumeric())
        {
            return Ok(());
        }
        let message = format!("`{text}` is not the name of a volume");
        Err(Problem::new(
            message,
            "`skiff volumes ls` shows those that there are",
        ))
    },
};

pub(super) static MIRROR: Notation = Notation {
    what: "the address of a registry",
    kinds: &[ScalarKind::Text],
    pattern: r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
    check: |text| {
        let wrong = |why: &str, help: String| Problem::new(format!("`{text}` {why}"), help);
        let host = ["https://", "http://"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let Some(host) = host else {
            let host = text.split_once("://").map_or(text, |(_, host)| host);
            return Err(wrong(
                "has no scheme that registries speak",
                format!("write `https://{host}`, or `http://{host}` where it has no TLS"),
            ));
        };
        let (host, path) = host.split_once('/').unwrap_or((host, ""));
        if host.contains('@') {
            let help = "the task's own log-in goes to its registry: see docs/registries.md";
            return Err(wrong(
                "holds a log-in, which mirrors do not take",
                help.to_owned(),
            ));
        }
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "/-._~".contains(char);
        if is_host(host) && path.chars().all(is_plain) {
            return Ok(());
        }
        let help =
            "write scheme, host and port, and a path at most: https://mirror.example.com:5000/hub";
        Err(wrong("is not the address of a registry", help.to_owned()))
    },
};

pub(super) static INSECURE: Notation = Notation {
    what: "a registry or a network",
    kinds: &[ScalarKind::Text],
    pattern: r"^[^\s/?#@]+(/[0-9]{1,3})?$",
    check: |text| {
        if is_host(text) || network(text).is_some() {
            return Ok(());
        }
        let message = format!("`{text}` is neither a registry nor a network");
        let help = match text.split_once("://") {
            Some((_, host)) => format!("write `{host}`, without a scheme"),
            None => "write registry.example.com:5000, or a network as 10.0.0.0/8".to_owned(),
        };
        Err(Problem::new(message, help))
    },
};

pub(super) static NETWORK: Notation = Notation {
    what: "a network",
    kinds: &[ScalarKind::Text],
    pattern: r"^[0-9A-Fa-f.:]+/[0-9]{1,3}$",
    check: |text| {
        let help = "write it as 10.200.0.0/16";
        let Some((address, prefix)) = network(text) else {
            let message = format!("`{text}` is not a network");
            return Err(Problem::new(message, help));
        };
        let first = first_address(address, prefix);
        if first == address {
            return Ok(());
        }
        let message = format!("`{text}` is an address within a network");
        Err(Problem::new(message, format!("write `{first}/{prefix}`")))
    },
};

/// An address and the length of its prefix.
pub(super) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix: u8 = prefix.parse().ok().filter(|_| is_number)?;
    (prefix <= bits(address)).then_some((address, prefix))
}

/// How many bits an address of this kind has.
pub(super) fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn first_address(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

/// A host, with a port or without one: `registry`, `registry.example.com:5000`, `[::1]:5000`.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, rest)) = rest.split_once(']') else {
                return false;
            };
            let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
            return is_address && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
        }
        None => text
            .split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.bytes().all(is_plain) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}
