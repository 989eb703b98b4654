//! Base64 as Python's `base64.decodebytes` reads it, for `!!binary`.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The bytes that a text stands for; what is no digit is passed over. None where digits are missing.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut digits, mut padding) = (0_u32, 0_usize, 0_usize);
    for byte in text.bytes() {
        if byte == b'=' {
            padding += usize::from(digits >= 2);
            if padding > 0 && digits + padding >= 4 {
                return Some(bytes);
            }
            continue;
        }
        let Some(digit) = ALPHABET.iter().position(|known| *known == byte) else {
            continue;
        };
        padding = 0;
        bits = bits << 6 | u32::try_from(digit).expect("an alphabet of 64 letters");
        digits = (digits + 1) % 4;
        let kept = match digits {
            0 => 0,
            1 => continue,
            2 => 4,
            _ => 2,
        };
        bytes.push(u8::try_from(bits >> kept & 0xff).expect("one byte"));
    }
    (digits == 0).then_some(bytes)
}
