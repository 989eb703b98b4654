//! Amounts of CPU and memory, exact: no floating point between the text and the pod.

use crate::grammar::{Notation, Problem, ScalarKind};

/// `GB` is this many bytes everywhere, as in the quantity `G` of Kubernetes.
pub(crate) const GIGABYTE: u64 = 1_000_000_000;
/// More CPUs than any node has; keeps products within `u64`.
const MAX_CPUS: u64 = 1_000_000;

/// Units of memory after the number, in lower case.
const UNITS: [(&str, u64); 21] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("pib", 1 << 50),
    ("ki", 1 << 10),
    ("mi", 1 << 20),
    ("gi", 1 << 30),
    ("ti", 1 << 40),
    ("pi", 1 << 50),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", GIGABYTE),
    ("tb", 1_000_000_000_000),
    ("pb", 1_000_000_000_000_000),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", GIGABYTE),
    ("t", 1_000_000_000_000),
    ("p", 1_000_000_000_000_000),
    ("b", 1),
];

/// A number of CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// Thousandths of a CPU.
    pub(crate) milli: u64,
    /// Whether it was written with `+`. The request is exactly `milli` all the same, as in
    /// `SkyPilot`.
    pub(crate) at_least: bool,
}

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// So many bytes. `GB` is 1000³ bytes everywhere.
    Bytes {
        /// The amount.
        bytes: u64,
        /// Whether it was written with `+`.
        at_least: bool,
    },
    /// `4x`: an amount for each CPU.
    PerCpu {
        /// Bytes for each CPU.
        bytes: u64,
    },
}

/// How a number of CPUs is written.
pub(crate) static CPUS: Notation = Notation {
    what: "a number of CPUs",
    kinds: &[ScalarKind::Integer, ScalarKind::Float, ScalarKind::Text],
    pattern: r"^ *([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\+? *$",
    check: |text| Cpus::parse(text).map(drop),
};

/// How an amount of memory is written.
pub(crate) static MEMORY: Notation = Notation {
    what: "an amount of memory",
    kinds: &[ScalarKind::Integer, ScalarKind::Float, ScalarKind::Text],
    pattern: r"^ *([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *([kKmMgGtTpP]?([iI]?[bB]?)?\+?|[xX]) *$",
    check: |text| Memory::parse(text).map(drop),
};

impl Cpus {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let help = "write a number such as 2 or 0.5, or \"4+\" for at least 4";
        let wrong = |problem: &str| Problem::new(format!("`{text}` {problem}"), help);
        let (number, at_least) = split_plus(text.trim());
        let milli = match scaled(number, 1000) {
            Some(Scaled {
                whole,
                remainder: false,
            }) => whole,
            Some(_) => return Err(wrong("is finer than a thousandth of a CPU")),
            None => return Err(wrong("is not a number of CPUs")),
        };
        if milli == 0 {
            return Err(wrong("must be more than 0"));
        }
        if milli > MAX_CPUS * 1000 {
            return Err(wrong("is more CPUs than any node has"));
        }
        Ok(Self { milli, at_least })
    }
}

impl Memory {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let help = "write gigabytes such as 16 or \"16+\", or with a unit: \"16GB\", \"512MB\"";
        let wrong = |problem: &str| Problem::new(format!("`{text}` {problem}"), help);
        let (number, at_least) = split_plus(text.trim());
        let number = number.to_ascii_lowercase();
        let per_cpu = number.strip_suffix('x').filter(|_| !at_least);
        let (number, unit) = match per_cpu {
            Some(number) => (number, GIGABYTE),
            None => split_unit(&number),
        };
        let amount =
            scaled(number.trim_end(), unit).ok_or_else(|| wrong("is not an amount of memory"))?;
        let bytes = amount.whole;
        if bytes == 0 {
            return Err(wrong("must be more than 0"));
        }
        Ok(if per_cpu.is_some() {
            Self::PerCpu { bytes }
        } else {
            Self::Bytes { bytes, at_least }
        })
    }

    /// The bytes that a node with so many thousandths of a CPU gets; None if they are too many.
    pub(crate) fn bytes_for(self, milli_cpu: u64) -> Option<u64> {
        match self {
            Self::Bytes { bytes, .. } => Some(bytes),
            Self::PerCpu { bytes } => {
                u64::try_from(u128::from(bytes) * u128::from(milli_cpu) / 1000).ok()
            }
        }
    }
}

/// A whole number with a unit, or without one of gigabytes: the bytes that it names.
pub(crate) fn whole_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (number, unit) = split_unit(&text);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Finds a number that is not more than 0.
pub(crate) fn positive(text: &str) -> Result<(), Problem> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 => Ok(()),
        _ => Err(Problem::new(format!("`{text}` must be more than 0"), "")),
    }
}

/// Thousandths of a decimal number; None is no number, or finer than a thousandth.
pub(crate) fn thousandths(text: &str) -> Option<u64> {
    let scaled = scaled(text.trim(), 1000)?;
    (!scaled.remainder).then_some(scaled.whole)
}

/// A number as people read it: thousandths or billionths without trailing zeros.
pub(crate) fn decimal_text(amount: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let fraction = format!("{:0digits$}", amount % unit);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}", amount / unit)
}

fn split_plus(text: &str) -> (&str, bool) {
    text.strip_suffix('+')
        .map_or((text, false), |number| (number, true))
}

fn split_unit(number: &str) -> (&str, u64) {
    UNITS
        .iter()
        .find_map(|(unit, size)| Some((number.strip_suffix(unit)?, *size)))
        .unwrap_or((number, GIGABYTE))
}

struct Scaled {
    whole: u64,
    /// Whether something smaller than one was cut off.
    remainder: bool,
}

/// `1.5e3` as `1500`.
fn without_exponent(number: &str, exponent: &str) -> Option<String> {
    let exponent: i32 = exponent
        .parse()
        .ok()
        .filter(|exponent| (-30..=30).contains(exponent))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let zeros = "0".repeat(exponent.unsigned_abs() as usize);
    let digits = if exponent < 0 {
        format!("{zeros}{whole}{fraction}")
    } else {
        format!("{whole}{fraction}{zeros}")
    };
    let point = if exponent < 0 {
        whole.len()
    } else {
        whole.len() + zeros.len()
    };
    Some(format!("{}.{}", digits.get(..point)?, digits.get(point..)?))
}

/// `text`, a decimal number without a sign, times `unit`.
fn scaled(text: &str, unit: u64) -> Option<Scaled> {
    if let Some((number, exponent)) = text.split_once(['e', 'E']) {
        return scaled(&without_exponent(number, exponent)?, unit);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    // Eighteen digits after the point are finer than a byte of an exabyte.
    let (counted, rest) = fraction.split_at(fraction.len().min(18));
    let number = |digits: &str| {
        if digits.is_empty() {
            Some(0)
        } else {
            digits.parse::<u64>().ok()
        }
    };
    let power = 10_u128.pow(u32::try_from(counted.len()).ok()?);
    let parts = u128::from(number(counted)?) * u128::from(unit);
    let total = u128::from(number(whole)?) * u128::from(unit) + parts / power;
    let remainder = parts % power > 0 || rest.bytes().any(|digit| digit != b'0');
    Some(Scaled {
        whole: u64::try_from(total).ok()?,
        remainder,
    })
}
