//! Sends one of a job's logs to one client: from its files, as far as the client has room, woken by the writer.

use std::io;
use std::sync::Arc;

use skiff_proto::{Fault, FaultKind, Frame, LogPart, Response};
use skiff_wire::Packer;

use crate::connection::{Gone, Reply};
use crate::fault;
use crate::job_log::{Found, LogFile, LogReader, RUN_LOG};
use crate::keeper::JobHandle;

/// Which part of a log, and whether to wait for more.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The first byte.
    pub(crate) offset: u64,
    /// Only the last so many lines, where `offset` is 0.
    pub(crate) tail: Option<u64>,
    /// Whether to go on until the job ends.
    pub(crate) follow: bool,
    /// Which of the job's logs.
    pub(crate) part: LogPart,
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
    let name = match named(&mut handle, &wanted).await {
        Ok(Some(name)) => name,
        Ok(None) => return Ok(Err(no_log(&wanted.part))),
        Err(error) => return refused(&error, &handle),
    };
    let (log, mut reader) = match open(&handle, &name, &wanted) {
        Ok(opened) => opened,
        Err(error) => return refused(&error, &handle),
    };
    let mut packer = Packer::default();
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
                reply.packed(&mut packer, chunk).await?;
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

/// The logs of a job.
pub(crate) fn files(handle: &JobHandle) -> Result<Response, Fault> {
    let listed = || -> io::Result<Vec<skiff_proto::LogFile>> {
        let names = handle.logs.names()?.into_iter();
        let file = |name: String| {
            let (start, end) = handle.logs.log(&name)?.extent();
            Ok(skiff_proto::LogFile { name, start, end })
        };
        names.map(file).collect()
    };
    match listed() {
        Ok(files) => Ok(Response::LogFiles {
            job: handle.view.borrow().record.clone(),
            files,
        }),
        Err(error) => Err(fault::of(&error, "read the logs", handle.logs.dir())),
    }
}

/// The name of the log that is wanted; None where there is no such log and none can come.
async fn named(handle: &mut JobHandle, wanted: &Wanted) -> io::Result<Option<String>> {
    let rank = match &wanted.part {
        LogPart::Job => return Ok(Some(RUN_LOG.to_owned())),
        LogPart::File(name) => {
            let names = handle.logs.names()?;
            return Ok(names.into_iter().find(|known| known == name));
        }
        LogPart::Rank(rank) => *rank,
    };
    let mut len = handle.logs.log(RUN_LOG)?.watch_len();
    loop {
        let is_final = handle.view.borrow_and_update().record.status.is_final();
        len.borrow_and_update();
        let found = handle.logs.names()?.into_iter().find(|name| {
            name.strip_prefix("tasks/").is_some_and(|name| {
                (rank == 0 && name == "run.log") || name.starts_with(&format!("{rank}-"))
            })
        });
        if found.is_some() || is_final || !wanted.follow {
            return Ok(found);
        }
        // A process of that rank says so in the job's log sooner or later.
        tokio::select! {
            changed = handle.view.changed() => if changed.is_err() { return Ok(None) },
            _ = len.changed() => {}
        }
    }
}

fn no_log(part: &LogPart) -> Fault {
    let message = match part {
        LogPart::Rank(rank) => format!("the job has written nothing on a node of rank {rank}"),
        LogPart::File(name) => format!("the job has no log {name:?}"),
        LogPart::Job => "the job has no log".to_owned(),
    };
    Fault {
        kind: FaultKind::NotFound,
        message,
    }
}

fn open(handle: &JobHandle, name: &str, wanted: &Wanted) -> io::Result<(Arc<LogFile>, LogReader)> {
    let log = handle.logs.log(name)?;
    let offset = match (wanted.offset, wanted.tail) {
        (0, Some(lines)) => log.tail(lines)?.unwrap_or(0),
        (offset, _) => offset,
    };
    let reader = LogReader::new(Arc::clone(&log), offset);
    Ok((log, reader))
}
