use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Found, Limits, LogFile, LogReader};

const LIMITS: Limits = Limits {
    file: 100,
    kept: 300,
    held: 1000,
};

fn open(dir: &Path) -> Arc<LogFile> {
    Arc::new(LogFile::open(dir.join("run.log"), LIMITS).expect("opened"))
}

/// Lines of ten bytes.
fn lines(numbers: std::ops::Range<usize>) -> String {
    let lines: Vec<String> = numbers
        .map(|number| format!("line {number:04}\n"))
        .collect();
    lines.concat()
}

/// All that a reader finds now; a gap is shown by its size.
fn rest(reader: &mut LogReader) -> String {
    let mut text = String::new();
    let mut buffer = [0; 64];
    loop {
        match reader.read(&mut buffer).expect("readable") {
            Found::Bytes(count) => {
                text.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
            }
            Found::Gap(bytes) => text.extend(["<", &bytes.to_string(), ">"]),
            Found::Nothing => return text,
        }
    }
}

fn from(log: &Arc<LogFile>, offset: u64) -> String {
    let mut reader = LogReader::new(Arc::clone(log), offset);
    let text = rest(&mut reader);
    reader.finish();
    text
}

fn append(log: &LogFile, numbers: std::ops::Range<usize>) {
    for number in numbers {
        log.append(lines(number..number + 1).as_bytes());
    }
}

#[test]
fn the_newest_bytes_are_in_the_log_itself_and_the_older_ones_in_numbered_files() {
    let dir = tempfile::tempdir().expect("a folder");
    append(&open(dir.path()), 0..25);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("a file");
    assert_eq!(read("run.log.2"), lines(0..10));
    assert_eq!(read("run.log.1"), lines(10..20));
    assert_eq!(read("run.log"), lines(20..25));
}

#[test]
fn offsets_are_those_of_the_whole_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    append(&log, 0..28);
    for offset in [0, 1, 99, 100, 101, 200, 279, 280] {
        assert_eq!(from(&log, offset as u64), lines(0..28)[offset..]);
    }
    assert_eq!(from(&log, 999), "");
}

#[test]
fn what_is_not_kept_any_more_is_a_gap() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    append(&log, 0..95);
    let (start, end) = log.extent();
    assert_eq!(end, 950);
    assert_eq!(start, 700);
    let first = usize::try_from(start).expect("small") / 10;
    assert_eq!(
        from(&log, 7),
        format!("<{}>{}", start - 7, lines(first..95))
    );
}

#[test]
fn a_reader_that_is_behind_gets_everything_as_long_as_the_disk_can_bear_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    let mut slow = LogReader::new(Arc::clone(&log), 0);
    append(&log, 0..90);
    assert_eq!(rest(&mut slow), lines(0..90));
    // It has read, but nothing has arrived yet: it may have to read again.
    append(&log, 90..95);
    assert_eq!(log.extent().0, 0);
    slow.has_got(900);
    append(&log, 95..105);
    assert!(log.extent().0 > 0);
    append(&log, 105..300);
    let left_out = log.extent().0 - 900;
    assert_eq!(
        rest(&mut slow),
        format!(
            "<{left_out}>{}",
            lines(usize::try_from(90 + left_out / 10).expect("small")..300)
        )
    );
}

#[test]
fn a_reader_whose_connection_broke_is_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    append(&log, 0..5);
    drop(LogReader::new(Arc::clone(&log), 20));
    append(&log, 5..80);
    assert_eq!(from(&log, 20), lines(2..80));
    // One that had all it wanted is not.
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    LogReader::new(Arc::clone(&log), 0).finish();
    append(&log, 0..80);
    assert!(log.extent().0 > 0);
}

#[test]
fn a_restart_changes_no_offset() {
    let dir = tempfile::tempdir().expect("a folder");
    append(&open(dir.path()), 0..95);
    let log = open(dir.path());
    let (start, end) = log.extent();
    assert_eq!(end, 950);
    assert_eq!(
        from(&log, start),
        lines(usize::try_from(start).expect("small") / 10..95)
    );
    append(&log, 95..97);
    assert_eq!(from(&log, 900), lines(90..97));
}

#[test]
fn a_crash_in_the_midst_of_a_rotation_changes_no_offset() {
    let dir = tempfile::tempdir().expect("a folder");
    append(&open(dir.path()), 0..95);
    let (start, end) = open(dir.path()).extent();
    // All files have their new names, and the new one is not there yet.
    let mut numbers = 1;
    while dir.path().join(format!("run.log.{numbers}")).exists() {
        numbers += 1;
    }
    let name = |number: u32| match number {
        0 => dir.path().join("run.log"),
        number => dir.path().join(format!("run.log.{number}")),
    };
    for number in (0..numbers).rev() {
        fs::rename(name(number), name(number + 1)).expect("renamed");
        let log = open(dir.path());
        assert_eq!(log.extent(), (start, end), "{number}");
        assert_eq!(from(&log, 900), lines(90..95), "{number}");
    }
    let log = open(dir.path());
    append(&log, 95..110);
    assert_eq!(from(&log, 900), lines(90..110));
}

#[test]
fn tail_counts_lines_over_all_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    append(&log, 0..25);
    for (count, offset) in [
        (0, 250),
        (1, 240),
        (5, 200),
        (6, 190),
        (24, 10),
        (25, 0),
        (99, 0),
    ] {
        assert_eq!(log.tail(count).expect("readable"), Some(offset), "{count}");
    }
    log.append(b"half");
    assert_eq!(log.tail(1).expect("readable"), Some(250));
    append(&log, 25..95);
    assert_eq!(log.tail(99).expect("readable"), None);
    assert_eq!(
        open(tempfile::tempdir().expect("a folder").path())
            .tail(3)
            .expect("readable"),
        Some(0)
    );
}

#[test]
fn files_begin_at_the_start_of_a_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    log.append(format!("{}half", lines(0..12)).as_bytes());
    log.append(b" a line\n");
    assert_eq!(
        fs::read_to_string(dir.path().join("run.log")).expect("a log"),
        "half a line\n"
    );
    assert_eq!(from(&log, 115), "0011\nhalf a line\n");
}

proptest! {
    /// Readers that come and go at any place of a log that is written in any pieces see each byte once.
    #[test]
    fn readers_that_come_and_go_see_each_byte_once(
        pieces in proptest::collection::vec(1_usize..40, 1..20),
        stops in proptest::collection::vec(1_usize..90, 1..20),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let log = open(dir.path());
        let whole = lines(0..80);
        let (mut written, mut read) = (0, String::new());
        let mut pieces = pieces.iter().cycle();
        for stop in stops.iter().cycle() {
            let piece = (pieces.next().expect("a cycle") + written).min(whole.len());
            log.append(&whole.as_bytes()[written..piece]);
            written = piece;
            let mut reader = LogReader::new(Arc::clone(&log), read.len() as u64);
            let mut buffer = vec![0; *stop];
            match reader.read(&mut buffer).expect("readable") {
                Found::Bytes(count) => read.push_str(std::str::from_utf8(&buffer[..count]).expect("text")),
                Found::Gap(_) => panic!("a gap below what is held"),
                Found::Nothing if written == whole.len() => break,
                Found::Nothing => {}
            }
        }
        prop_assert_eq!(read, whole);
    }
}
