//! Disks: how large the node's is, and which local one a cloud should choose.

use crate::grammar::{Notation, Problem, ScalarKind};
use crate::quantity::{GIGABYTE, thousandths, whole_bytes};

/// What `SkyPilot` takes for a disk that nobody asked for.
pub(crate) const DEFAULT_DISK_BYTES: u64 = 256 * GIGABYTE;

/// How the size of a disk is written.
pub(crate) static DISK_SIZE: Notation = Notation {
    what: "a size of a disk",
    kinds: &[ScalarKind::Integer, ScalarKind::Text],
    pattern: "^[0-9]+([kKmMgGtTpP]?([iI]?[bB]?)?)?$",
    check: |text| size(text).map(drop),
};

/// How a local disk is written.
pub(super) static LOCAL_DISK: Notation = Notation {
    what: "a local disk",
    kinds: &[ScalarKind::Text],
    pattern: r"^ *([nN][vV][mM][eE]|[sS][sS][dD])?:?([0-9.]+\+?)? *$",
    check: |text| local_disk(text).map(drop),
};

/// The bytes of a disk: gigabytes, or a number with a unit.
pub(crate) fn size(text: &str) -> Result<u64, Problem> {
    let help = "write whole gigabytes such as 512, or with a unit: \"512GB\", \"1TB\"";
    let wrong = |why: &str| Problem::new(format!("`{text}` {why}"), help);
    match whole_bytes(text) {
        Some(0) => Err(wrong("must be more than 0")),
        Some(bytes) => Ok(bytes),
        None => Err(wrong("is not a size of a disk")),
    }
}

/// `nvme:500+`, `ssd`, `1000+`, written out in full.
pub(super) fn local_disk(text: &str) -> Result<String, Problem> {
    let wrong = || {
        let help = "write `nvme:500+`, `ssd:500`, `nvme` or `1000+`, in gigabytes";
        Problem::new(format!("`{text}` is not a local disk"), help)
    };
    let lower = text.trim().to_lowercase();
    let (kind, size) = match lower.split_once(':') {
        Some(parts) => parts,
        None if lower == "nvme" || lower == "ssd" => (lower.as_str(), "100+"),
        None => ("nvme", lower.as_str()),
    };
    let number = size.strip_suffix('+').unwrap_or(size);
    let is_size = thousandths(number).is_some_and(|size| size > 0);
    if !is_size || !matches!(kind, "nvme" | "ssd") {
        return Err(wrong());
    }
    Ok(format!("{kind}:{size}"))
}
