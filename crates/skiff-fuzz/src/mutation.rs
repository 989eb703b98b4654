//! Changes of real files.

use proptest::prelude::*;
use proptest::sample::Index;

/// What is hard to read, to indent or to show, and what means something in YAML or in a task.
const PIECES: [&[u8]; 64] = [
    b": ",
    b":\n  ",
    b":\n    ",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n  ",
    b"  ",
    b"- ",
    b"\n- ",
    b"[",
    b"]",
    b"{",
    b"}",
    b", ",
    b"&a ",
    b"*a",
    b"<<: *a\n",
    b"\"",
    b"'",
    b"|\n  ",
    b">-\n  ",
    b"# ",
    b"---\n",
    b"\n...\n",
    b"~",
    b"null",
    b"yes",
    b"-1",
    b"0.5",
    b"1e400",
    b".nan",
    b".inf",
    b"010",
    b"1:30",
    b"99999999999999999999",
    b"16GB",
    b"4x",
    b"k8s/ctx",
    b"docker:",
    b"A100:8",
    b"80GB+",
    b"8000-8010",
    b"s3://b",
    b"none",
    b"$A",
    b"${A}",
    b"${",
    b"$$",
    b"2024-13-01",
    b"!!int ",
    b"!!set ",
    b"!!binary ",
    b"%YAML 1.2\n",
    b"? ",
    b"\t",
    b"\0",
    b"\x1b[31m",
    b"\x7f",
    b"\xc2\x85",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xed\xa0\x80",
    "é😀\u{202e}".as_bytes(),
];
/// Repeats make a file no longer than this: a little more than what is read.
const LONGEST: usize = 4 * 1024 * 1024 + 1024;

/// One change of a file.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Remove {
        at: Index,
        length: usize,
    },
    Repeat {
        at: Index,
        length: usize,
        times: usize,
    },
    Insert {
        at: Index,
        piece: usize,
    },
    Replace {
        at: Index,
        byte: u8,
    },
    SwapLines {
        first: Index,
        second: Index,
    },
    Splice {
        at: Index,
        from: Index,
        length: usize,
    },
    Indent {
        line: Index,
        by: usize,
    },
}

/// A text of nothing but pieces.
pub(crate) fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)
        .prop_map(|pieces| pieces.concat())
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        2 => (any::<Index>(), 1..30_usize)
            .prop_map(|(at, length)| Change::Remove { at, length }),
        1 => (any::<Index>(), 1..60_usize, prop_oneof![200 => 2..5_usize, 20 => 2..3000_usize, 1 => 2..LONGEST])
            .prop_map(|(at, length, times)| Change::Repeat { at, length, times }),
        6 => (any::<Index>(), 0..PIECES.len())
            .prop_map(|(at, piece)| Change::Insert { at, piece }),
        2 => (any::<Index>(), any::<u8>())
            .prop_map(|(at, byte)| Change::Replace { at, byte }),
        1 => (any::<Index>(), any::<Index>())
            .prop_map(|(first, second)| Change::SwapLines { first, second }),
        3 => (any::<Index>(), any::<Index>(), 1..200_usize)
            .prop_map(|(at, from, length)| Change::Splice { at, from, length }),
        1 => (any::<Index>(), 1..5_usize)
            .prop_map(|(line, by)| Change::Indent { line, by }),
    ];
    prop::collection::vec(change, 1..6)
}

/// Changes a file; `other` is what is spliced in.
pub(crate) fn apply(changes: &[Change], text: &[u8], other: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for change in changes {
        apply_one(change, &mut text, other);
    }
    text
}

fn apply_one(change: &Change, text: &mut Vec<u8>, other: &[u8]) {
    let place = |index: &Index, length: usize| index.index(length + 1);
    match change {
        Change::Remove { at, length } => {
            let at = place(at, text.len());
            text.drain(at..(at + length).min(text.len()));
        }
        Change::Repeat { at, length, times } => {
            let at = place(at, text.len());
            let part = text[at..(at + length).min(text.len())].to_vec();
            let times = (*times).min(LONGEST.saturating_sub(text.len()) / part.len().max(1));
            text.splice(at..at, part.repeat(times));
        }
        Change::Insert { at, piece } => {
            let at = place(at, text.len());
            text.splice(at..at, PIECES[*piece].iter().copied());
        }
        Change::Replace { at, byte } => {
            let at = place(at, text.len());
            if let Some(place) = text.get_mut(at) {
                *place = *byte;
            }
        }
        Change::SwapLines { first, second } => {
            let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            let count = lines.len();
            lines.swap(first.index(count), second.index(count));
            *text = lines.join(&b'\n');
        }
        Change::Splice { at, from, length } => {
            let at = place(at, text.len());
            let from = place(from, other.len());
            let part = &other[from..(from + length).min(other.len())];
            text.splice(at..at, part.iter().copied());
        }
        Change::Indent { line, by } => {
            let count = text.split(|byte| *byte == b'\n').count();
            let line = line.index(count);
            let lines = text.split(|byte| *byte == b'\n');
            let before: usize = lines.take(line).map(|line| line.len() + 1).sum();
            text.splice(before..before, std::iter::repeat_n(b' ', *by));
        }
    }
}
