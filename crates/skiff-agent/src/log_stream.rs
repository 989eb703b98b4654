//! Sends a job's log to one client: from the file, as far as the client has room, woken by the writer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use skiff_proto::{Fault, Frame, Response};

use crate::connection::{Gone, Reply};
use crate::fault;
use crate::keeper::JobHandle;

/// Which part of a log, and whether to wait for more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The first byte.
    pub(crate) offset: u64,
    /// Only the last so many lines, where `offset` is 0.
    pub(crate) tail: Option<u64>,
    /// Whether to go on until the job ends.
    pub(crate) follow: bool,
}

/// Sends the log; gives the last answer, or fails where the client has gone.
pub(crate) async fn send(
    mut handle: JobHandle,
    wanted: Wanted,
    reply: &Reply,
) -> Result<Result<Response, Fault>, Gone> {
    let (mut file, mut offset) = match open(&handle, wanted) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(fault::of(&error, "read the log", &handle.log))),
    };
    let job = handle.view.borrow().record.clone();
    reply.send(Response::LogStart { job, offset }).await?;
    loop {
        // Looked at before the file: what the job wrote before it ended is in the file then.
        let (is_final, log_len) = {
            let view = handle.view.borrow_and_update();
            (view.record.status.is_final(), view.log_len)
        };
        let mut chunk = vec![0; Frame::CHUNK];
        let count = match file.read(&mut chunk) {
            Ok(count) => count,
            Err(error) => return Ok(Err(fault::of(&error, "read the log", &handle.log))),
        };
        if count > 0 {
            offset += count as u64;
            chunk.truncate(count);
            reply.data(chunk).await?;
        // What was written and is not there was cut off by somebody: nothing more comes at this place.
        } else if offset < log_len
            || is_final
            || !wanted.follow
            || handle.view.changed().await.is_err()
        {
            break;
        }
    }
    let job = handle.view.borrow().record.clone();
    Ok(Ok(Response::LogEnd { job }))
}

fn open(handle: &JobHandle, wanted: Wanted) -> io::Result<(File, u64)> {
    let mut file = File::open(&handle.log)?;
    let offset = match (wanted.offset, wanted.tail) {
        (0, Some(lines)) => tail_offset(&mut file, lines)?,
        (offset, _) => offset.min(file.metadata()?.len()),
    };
    file.seek(SeekFrom::Start(offset))?;
    Ok((file, offset))
}

/// Where the last so many lines of the file begin.
fn tail_offset(file: &mut (impl Read + Seek), lines: u64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut left = lines;
    let mut position = end;
    let mut buffer = vec![0; 16 << 10];
    while position > 0 {
        let size = position.min(buffer.len() as u64);
        position -= size;
        file.seek(SeekFrom::Start(position))?;
        let piece = &mut buffer[..usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact(piece)?;
        for (at, byte) in piece.iter().enumerate().rev() {
            let behind = position + at as u64 + 1;
            // The line feed that ends the file ends its last line; it begins none.
            if *byte == b'\n' && behind < end {
                left = left.saturating_sub(1);
            }
            if left == 0 {
                return Ok(behind);
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::tail_offset;

    fn tail(text: &str, lines: u64) -> String {
        let offset = tail_offset(&mut Cursor::new(text.as_bytes()), lines).expect("in memory");
        text[usize::try_from(offset).expect("small")..].to_owned()
    }

    #[test]
    fn tail_counts_lines_from_the_end() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(tail("a\nb\nc", 1), "c");
        assert_eq!(tail("a\nb\n", 9), "a\nb\n");
        assert_eq!(tail("a\nb\n", 0), "");
        assert_eq!(tail("", 3), "");
    }

    #[test]
    fn tail_reads_long_lines_across_pieces() {
        let long = "x".repeat(40_000);
        assert_eq!(tail(&format!("a\n{long}\nz\n"), 2), format!("{long}\nz\n"));
    }
}
