//! Prefixes before lines. Pure.

/// Where in a line a log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    LineStart,
    /// Behind a carriage return, which starts a line of its own unless a line feed follows.
    Return,
    Inside,
}

/// Copies `bytes` to `out` with the prefix at each line's start; returns where in a line that ends.
pub(super) fn prefixed(
    mut position: Position,
    prefix: &[u8],
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Position {
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        if position == Position::LineStart || (position == Position::Return && *first != b'\n') {
            out.extend_from_slice(prefix);
        }
        let end = memchr::memchr2(b'\n', b'\r', rest);
        let (line, next) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        out.extend_from_slice(line);
        position = match line.last() {
            Some(b'\n') => Position::LineStart,
            Some(b'\r') => Position::Return,
            _ => Position::Inside,
        };
        rest = next;
    }
    position
}

/// The length of what is whole lines of `bytes`. A carriage return ends one where it is known that no line feed
/// follows.
pub(super) fn whole_lines(bytes: &[u8]) -> usize {
    let known = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    memchr::memrchr2(b'\n', b'\r', known).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::{Position, prefixed, whole_lines};

    fn whole(pieces: &[&str]) -> String {
        let mut out = Vec::new();
        let mut position = Position::LineStart;
        for piece in pieces {
            position = prefixed(position, b"(p) ", piece.as_bytes(), &mut out);
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_line_gets_one_prefix_however_it_arrives() {
        assert_eq!(whole(&["a\nb\n"]), "(p) a\n(p) b\n");
        assert_eq!(whole(&["a", "b\n", "c"]), "(p) ab\n(p) c");
        assert_eq!(whole(&["\n\n"]), "(p) \n(p) \n");
    }

    #[test]
    fn progress_bars_keep_their_returns() {
        assert_eq!(whole(&["1%\r2%\r", "3%\n"]), "(p) 1%\r(p) 2%\r(p) 3%\n");
        assert_eq!(whole(&["dos\r", "\nline\r\n"]), "(p) dos\r\n(p) line\r\n");
    }

    #[test]
    fn a_return_ends_a_line_once_something_else_than_a_line_feed_follows() {
        assert_eq!(whole_lines(b"a\nb"), 2);
        assert_eq!(whole_lines(b"1%\r"), 0);
        assert_eq!(whole_lines(b"1%\r2%\r"), 3);
        assert_eq!(whole_lines(b"dos\r\n"), 5);
        assert_eq!(whole_lines(b""), 0);
    }
}
