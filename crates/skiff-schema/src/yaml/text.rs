//! From bytes to text that the grammar may see: encoding, size, forbidden characters.

use crate::faults::Fault;
use crate::source::Span;

/// The largest file that is read, in bytes. The parser may need a hundred times as much memory.
pub const MAX_TEXT: usize = 4 << 20;

/// Turns a file's bytes into text.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    check_size(bytes.len())?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Fault::new("the file is encoded in UTF-16").help("save it as UTF-8"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        Fault::new(format!(
            "the file is not valid UTF-8: line {line} breaks off"
        ))
        .help("save it as UTF-8, or remove what is not text")
    })
}

/// Refuses what would take too much memory or time.
pub(super) fn check_size(length: usize) -> Result<(), Fault> {
    if length <= MAX_TEXT {
        return Ok(());
    }
    let (size, limit) = (length >> 20, MAX_TEXT >> 20);
    Err(Fault::new(format!(
        "the file is larger than {limit} MiB (it has {size} MiB)"
    ))
    .help("put data into a file beside the task and refer to it"))
}

/// The text without its byte order mark.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The first character that YAML forbids.
pub(super) fn forbidden(text: &str) -> Option<Fault> {
    // Bytes below 0x20 and 0x7f stand for themselves; the others begin with one of these.
    let suspicious = |byte: &u8| {
        (*byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r'))
            || matches!(byte, 0x7f | 0xc2 | 0xef)
    };
    if !text.as_bytes().iter().any(suspicious) {
        return None;
    }
    let is_allowed = |char: char| match char {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        char => !char.is_control(),
    };
    let (at, char) = text.char_indices().find(|(_, char)| !is_allowed(*char))?;
    let code = u32::from(char);
    let name = if code == 0 {
        "a NUL character".to_owned()
    } else {
        format!("the character U+{code:04X}")
    };
    let help = format!("in a double-quoted string write it as \\x{code:02x}");
    let fault = Fault::new(format!("the text holds {name}"))
        .at(Span::new(at, at + char.len_utf8()), "not allowed in YAML");
    Some(if code <= 0xff && code > 0 {
        fault.help(help)
    } else {
        fault.help("is this a text file?")
    })
}
