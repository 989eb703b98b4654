//! What a use case tells while it works.

use std::io;
use std::time::Duration;

use skiff_proto::JobId;

/// One step of progress.
#[derive(Clone, Debug)]
pub enum Event {
    /// Something was changed of the request; one sentence.
    Note(String),
    /// The cluster's objects are being created.
    Creating {
        /// The cluster's display name.
        cluster: String,
    },
    /// What is being waited for right now, as a fragment: `pulling skiff/base:0.1.0`.
    Waiting(String),
    /// The pod runs.
    PodUp {
        /// The cluster's display name.
        cluster: String,
        /// Whether it had been there before.
        reused: bool,
    },
    /// Files are on their way to the nodes.
    Syncing {
        /// Bytes that have been read and sent.
        sent: u64,
        /// Bytes that the nodes lacked.
        total: u64,
    },
    /// Files are at their places on all nodes.
    Synced {
        /// What they are: `workdir and 2 file mounts`.
        what: String,
        /// Number of files.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// Those of them that the nodes lacked.
        sent: u64,
        /// How long it took.
        elapsed: Duration,
    },
    /// The job is in the queue.
    JobSubmitted {
        /// Its number.
        job: JobId,
    },
    /// The stream broke and is being opened again.
    Reconnecting {
        /// Why it broke.
        reason: String,
    },
    /// The stream is open again.
    Reconnected,
    /// Objects of an interrupted or failed launch are being removed.
    Undoing {
        /// The cluster's display name.
        cluster: String,
    },
    /// A cluster is being stopped.
    Stopping {
        /// The cluster's display name.
        cluster: String,
    },
    /// The hooks of a cluster run, on all of its nodes.
    RunningHooks {
        /// The cluster's display name.
        cluster: String,
        /// How long they may take.
        limit: Duration,
    },
    /// A cluster is being taken down.
    TakingDown {
        /// The cluster's display name.
        cluster: String,
    },
}

/// Takes progress and output.
pub trait Reporter: Send + Sync {
    /// One step of progress.
    fn event(&self, event: Event);

    /// Bytes of a job's log. An error ends the stream.
    fn log(&self, bytes: &[u8]) -> io::Result<()>;
}
