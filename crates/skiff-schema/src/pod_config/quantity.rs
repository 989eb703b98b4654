//! The notation of amounts in Kubernetes.

/// Units by tens and by powers of two.
const UNITS: &[&str] = &[
    "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
];

/// Whether a text is an amount: `500m`, `0.5`, `2Gi`, `1e3`.
pub(super) fn is_one(text: &str) -> bool {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = number
        .find(|char: char| !char.is_ascii_digit() && char != '.')
        .unwrap_or(number.len());
    let (digits, unit) = number.split_at(end);
    let is_number = digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().filter(|byte| *byte == b'.').count() <= 1;
    is_number && (UNITS.contains(&unit) || is_exponent(unit))
}

fn is_exponent(unit: &str) -> bool {
    let power = unit.strip_prefix(['e', 'E']).unwrap_or_default();
    let power = power.strip_prefix(['+', '-']).unwrap_or(power);
    !power.is_empty() && power.bytes().all(|byte| byte.is_ascii_digit())
}
