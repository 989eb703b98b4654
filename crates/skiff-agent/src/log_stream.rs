//! Sends one of a job's logs to one client: from its files, as far as the client has room, woken by the writer.

use std::io;
use std::sync::Arc;

use skiff_proto::{Fault, Frame, Response};

use crate::connection::{Gone, Reply};
use crate::fault;
use crate::job_log::{Found, LogFile, LogReader, RUN_LOG};
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
    let refused = |error: &io::Error, handle: &JobHandle| {
        Ok(Err(fault::of(error, "read the logs", handle.logs.dir())))
    };
    let (log, mut reader) = match open(&handle, wanted) {
        Ok(opened) => opened,
        Err(error) => return refused(&error, &handle),
    };
    let job = handle.view.borrow().record.clone();
    let offset = reader.offset();
    reply.send(Response::LogStart { job, offset }).await?;
    let mut len = log.watch_len();
    loop {
        // Looked at before the files: what the job wrote before it ended is in them then.
        let is_final = handle.view.borrow_and_update().record.status.is_final();
        let end = *len.borrow_and_update();
        let mut chunk = vec![0; Frame::CHUNK];
        match reader.read(&mut chunk) {
            Ok(Found::Bytes(count)) => {
                chunk.truncate(count);
                reply.data(chunk).await?;
                reader.has_got(reader.offset().saturating_sub(reply.on_the_way()));
            }
            Ok(Found::Gap(bytes)) => reply.send(Response::LogGap { bytes }).await?,
            // What was written and is not there was cut off by somebody: nothing more comes at this place.
            Ok(Found::Nothing) if reader.offset() < end || is_final || !wanted.follow => break,
            Ok(Found::Nothing) => {
                tokio::select! {
                    changed = handle.view.changed() => if changed.is_err() { break },
                    _ = len.changed() => {}
                }
            }
            Err(error) => return refused(&error, &handle),
        }
    }
    reader.finish();
    let job = handle.view.borrow().record.clone();
    Ok(Ok(Response::LogEnd { job }))
}

fn open(handle: &JobHandle, wanted: Wanted) -> io::Result<(Arc<LogFile>, LogReader)> {
    let log = handle.logs.log(RUN_LOG)?;
    let offset = match (wanted.offset, wanted.tail) {
        (0, Some(lines)) => log.tail(lines)?.unwrap_or(0),
        (offset, _) => offset,
    };
    let reader = LogReader::new(Arc::clone(&log), offset);
    Ok((log, reader))
}
