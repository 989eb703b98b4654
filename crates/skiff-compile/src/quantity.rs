//! Amounts in Kubernetes' notation.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// `2`, `100m`
pub(crate) fn cpu(milli: u64) -> Quantity {
    Quantity(if milli.is_multiple_of(1000) {
        (milli / 1000).to_string()
    } else {
        format!("{milli}m")
    })
}

/// `2G`, `512M`; the largest unit that is exact.
pub(crate) fn memory(bytes: u64) -> Quantity {
    let units = [("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)];
    let exact = units
        .into_iter()
        .find(|(_, size)| bytes.is_multiple_of(*size));
    Quantity(match exact {
        Some((unit, size)) if bytes > 0 => format!("{}{unit}", bytes / size),
        _ => bytes.to_string(),
    })
}

/// `3.92`: CPUs for people and for the agent.
pub(crate) fn cpus_text(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `31.3`: gigabytes for people, rounded down to a tenth.
pub(crate) fn gigabytes_text(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    let text = format!("{}.{}", tenths / 10, tenths % 10);
    text.trim_end_matches(".0").to_owned()
}
