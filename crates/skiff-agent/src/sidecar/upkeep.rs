//! What goes on beside a daemon that runs: it is cleared of what another pod has left, looked at whether it
//! stores as it should, and kept from filling its disk, for which Kubernetes would end the pod.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use skiff_proto::{DiskUse, paths};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::disk::{Disk, TIGHT, hundredths, is_tight};
use super::storage::Storage;
use super::{SidecarError, write};
use crate::cgroup::size;
use crate::containers::{self, Container};
use crate::docker_report::{DockerReport, Phase};
use crate::layout::Layout;
use crate::report;
use crate::watch_dir::DirWatch;

/// How often the disk is looked at: the kubelet looks about as often.
const ROUND: Duration = Duration::from_secs(10);
/// How long after a cleaning that made no room the next one comes, unless the data has grown meanwhile.
const AGAIN: Duration = Duration::from_mins(5);
/// What the data grows by before it is worth cleaning again, in hundredths of its room.
const GROWN: u64 = 2;
/// From how much use on how much is left to the builder's cache, in hundredths of the room. The newest of it
/// is what the next build needs; and where others fill a disk, little can be done about it here.
const CLEANINGS: [(u64, u64); 3] = [(TIGHT, 40), (TIGHT, 10), (90, 0)];
/// How long the daemon may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it may take to remove things.
const REMOVAL: Duration = Duration::from_mins(5);
/// Storage drivers that copy whole images.
const SLOW: [&str; 2] = ["vfs", "native"];

/// The daemon that is looked after.
pub(super) struct Upkeep<'a> {
    layout: &'a Layout,
    storage: &'a Storage,
    socket: PathBuf,
}

/// What the daemon says of itself.
#[derive(Debug, Deserialize)]
struct Info {
    #[serde(rename = "Driver")]
    driver: String,
}

impl<'a> Upkeep<'a> {
    pub(super) fn new(layout: &'a Layout, storage: &'a Storage) -> Self {
        Self {
            layout,
            storage,
            socket: layout.at(paths::DOCKER_SOCKET),
        }
    }

    /// Looks after the daemon as long as it runs; gives why it must not.
    pub(super) async fn run(
        &self,
        tools: Option<oneshot::Receiver<i32>>,
        state: &RefCell<DockerReport>,
    ) -> SidecarError {
        if self.storage.is_inherited {
            self.remove_containers().await;
        }
        if let Some(exit) = tools {
            // A fraction of what the daemon needs to answer. Without them the daemon is there all the same.
            let code = exit.await.unwrap_or(255);
            state.borrow_mut().tools = Some(format!("copied with code {code}"));
        }
        state.borrow_mut().phase = Phase::Started;
        write(&state.borrow(), self.layout);
        let driver = self.driver().await;
        if SLOW.contains(&&*driver) && !self.storage.may_be_slow {
            return SidecarError::SlowDriver(driver);
        }
        state.borrow_mut().driver = Some(driver);
        self.keep_room(state).await
    }

    /// The containers of another pod are not in this one, and their names would be taken. Their images and
    /// volumes stay.
    async fn remove_containers(&self) {
        let list: Vec<Container> = self.until_answered("/containers/json?all=1").await;
        if list.is_empty() {
            return;
        }
        report(&format!(
            "skiff-agent docker: removing {} containers that an earlier pod left on this volume",
            list.len()
        ));
        for Container { id } in list {
            self.told("DELETE", &format!("/containers/{id}?force=1&v=1"))
                .await;
        }
    }

    async fn driver(&self) -> String {
        let info: Info = self.until_answered("/info").await;
        info.driver
    }

    /// Asks a daemon that starts until it answers. Whether it is there at all, others notice.
    async fn until_answered<T: for<'json> Deserialize<'json>>(&self, path: &str) -> T {
        loop {
            let folder = self.socket.parent().unwrap_or(&self.socket);
            let changes = DirWatch::new(folder);
            let answer = timeout(ANSWER, containers::ask(self.socket.clone(), "GET", path));
            if let Ok(Ok(answer)) = answer.await
                && let Ok(answer) = serde_json::from_slice(&answer)
            {
                return answer;
            }
            // Its socket may be there before it answers.
            let woken = async {
                match changes {
                    Ok(mut changes) => changes.changed().await,
                    Err(error) => Err(error),
                }
            };
            tokio::select! {
                Ok(()) = woken => {}
                () = sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Makes room whenever it is tight, and has the report say how much there is.
    async fn keep_room(&self, state: &RefCell<DockerReport>) -> ! {
        let mut disk = Disk::new(paths::DOCKER_DATA.as_ref(), self.storage.share);
        let mut cleaned: Option<(Instant, u64)> = None;
        loop {
            let mut found = disk.measure().await;
            let is_worth = cleaned.is_none_or(|(at, used)| {
                at.elapsed() > AGAIN || found.used > used + hundredths(found, GROWN)
            });
            if is_tight(found) && is_worth {
                found = self.make_room(found, &mut disk).await;
                cleaned = Some((Instant::now(), found.used));
            }
            // What only the eye of a program sees is not worth a file's writing.
            let shown = |disk: DiskUse| (size(disk.used), size(disk.size));
            if state.borrow().disk.map(shown) != Some(shown(found)) {
                state.borrow_mut().disk = Some(found);
                write(&state.borrow(), self.layout);
            }
            sleep(ROUND).await;
        }
    }

    /// Removes what nobody has named and nothing uses: images without a name, then the oldest of what the
    /// builder keeps, then all of that.
    async fn make_room(&self, before: DiskUse, disk: &mut Disk) -> DiskUse {
        self.told("POST", "/images/prune").await;
        let mut found = before;
        for (from, kept) in CLEANINGS {
            if found.used <= hundredths(found, from) {
                break;
            }
            let kept = hundredths(found, kept);
            // Newer daemons have another name for the same.
            let path = format!("/build/prune?all=1&keep-storage={kept}&reserved-space={kept}");
            self.told("POST", &path).await;
            disk.forget();
            found = disk.measure().await;
        }
        let advice = if is_tight(found) {
            "; the rest is images and containers in use: remove some, or give Docker more `storage`"
        } else {
            ""
        };
        report(&format!(
            "skiff-agent docker: Docker's data took {} of {}; removing unused build cache and unnamed images \
             left {}{advice}",
            size(before.used),
            size(before.size),
            size(found.used),
        ));
        found
    }

    /// Tells the daemon to remove something. What it cannot, it has reasons for, and the next round comes.
    async fn told(&self, method: &str, path: &str) {
        let answer = timeout(REMOVAL, containers::ask(self.socket.clone(), method, path));
        let error = match answer.await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        report(&format!("skiff-agent docker: {method} {path}: {error}"));
    }
}
