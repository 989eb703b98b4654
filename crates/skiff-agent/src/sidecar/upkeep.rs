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

use super::SidecarError;
use super::disk::{Disk, TIGHT, hundredths, is_tight};
use super::storage::Storage;
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
/// is what the next build needs.
const CLEANINGS: [(u64, u64); 3] = [(TIGHT, 40), (TIGHT, 10), (90, 0)];
/// Of how much of the room the data must be for a cleaning to be worth it, in hundredths: what others fill a
/// disk with is not made less here, and the cache would be missed.
const OWN: u64 = 10;
/// How long the daemon may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it may take to remove things.
const REMOVAL: Duration = Duration::from_mins(5);
/// Storage drivers that copy whole images.
const SLOW: [&str; 2] = ["vfs", "native"];

/// The daemon that is looked after.
pub(super) struct Upkeep<'a> {
    layout: &'a Layout,
    data: PathBuf,
    /// How much the data may take, where that is less than its disk.
    share: Option<u64>,
    may_be_slow: bool,
    is_inherited: bool,
    socket: PathBuf,
}

/// What the daemon says of itself.
#[derive(Debug, Deserialize)]
struct Info {
    #[serde(rename = "Driver")]
    driver: String,
}

impl<'a> Upkeep<'a> {
    pub(super) fn new(layout: &'a Layout, storage: &Storage) -> Self {
        Self {
            layout,
            data: paths::DOCKER_DATA.into(),
            share: storage.share,
            may_be_slow: storage.may_be_slow,
            is_inherited: storage.is_inherited,
            socket: layout.at(paths::DOCKER_SOCKET),
        }
    }

    /// Looks after the daemon as long as it runs; gives why it must not.
    pub(super) async fn run(
        &self,
        tools: Option<oneshot::Receiver<i32>>,
        state: &RefCell<DockerReport>,
    ) -> SidecarError {
        if self.is_inherited {
            self.remove_containers().await;
        }
        if let Some(exit) = tools {
            // A fraction of what the daemon needs to answer. Without them the daemon is there all the same.
            let code = exit.await.unwrap_or(255);
            state.borrow_mut().tools = Some(format!("copied with code {code}"));
        }
        state.borrow_mut().phase = Phase::Started;
        state.borrow().tell(self.layout);
        let driver = self.driver().await;
        if SLOW.contains(&&*driver) && !self.may_be_slow {
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
        let mut disk = Disk::new(&self.data, self.share);
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
                state.borrow().tell(self.layout);
            }
            sleep(ROUND).await;
        }
    }

    /// Removes what nobody has named and nothing uses: images without a name, then the oldest of what the
    /// builder keeps, then all of that.
    async fn make_room(&self, before: DiskUse, disk: &mut Disk) -> DiskUse {
        let own = disk.count().await;
        if own < hundredths(before, OWN) {
            report(&format!(
                "skiff-agent docker: {} of {} are used of the disk with Docker's data, which is {} of it: others \
                 fill it",
                size(before.used),
                size(before.size),
                size(own),
            ));
            return before;
        }
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use skiff_proto::{DiskUse, paths};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::{Upkeep, is_tight};
    use crate::docker_report::{DockerReport, Phase};
    use crate::layout::Layout;
    use crate::sidecar::SidecarError;

    /// A daemon with one container that stores by this driver, and what it was told. A cleaning of its cache leaves
    /// a file of this size as all of its data.
    fn serve(layout: &Layout, driver: &'static str, left: usize) -> Arc<Mutex<Vec<String>>> {
        let socket = layout.at(paths::DOCKER_SOCKET);
        fs::create_dir_all(socket.parent().expect("a parent")).expect("a folder");
        let listener = UnixListener::bind(socket).expect("a socket");
        let told = Arc::new(Mutex::new(Vec::new()));
        let (all, data) = (Arc::clone(&told), layout.root().join("data"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let count = stream.read(&mut request).await.expect("a request");
                let request = String::from_utf8_lossy(&request[..count]);
                let line = request.split(" HTTP").next().unwrap_or_default();
                let body = match line {
                    "GET /info" => format!("{{\"Driver\":\"{driver}\"}}"),
                    "GET /containers/json?all=1" => "[{\"Id\":\"c0ffee\"}]".to_owned(),
                    _ => "{}".to_owned(),
                };
                if line.starts_with("POST /build/prune") {
                    fs::write(data.join("layer"), vec![b'x'; left]).expect("written");
                }
                all.lock().expect("no panic").push(line.to_owned());
                let answer = format!("HTTP/1.0 200 OK\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        told
    }

    fn upkeep(layout: &Layout, share: u64) -> Upkeep<'_> {
        let data = layout.root().join("data");
        fs::create_dir_all(&data).expect("a folder");
        fs::write(data.join("layer"), vec![b'x'; 900_000]).expect("written");
        Upkeep {
            layout,
            data,
            share: Some(share),
            may_be_slow: false,
            is_inherited: false,
            socket: layout.at(paths::DOCKER_SOCKET),
        }
    }

    /// Runs it until the report shows how much is used.
    async fn run(upkeep: &Upkeep<'_>) -> DiskUse {
        let state = RefCell::new(DockerReport::default());
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(10));
        let known = async {
            loop {
                if let Some(disk) = state.borrow().disk {
                    return disk;
                }
                pause.tick().await;
            }
        };
        tokio::select! {
            disk = known => disk,
            error = upkeep.run(None, &state) => panic!("{error}"),
        }
    }

    fn layout(dir: &Path) -> Layout {
        Layout::new(dir.join("skiff"))
    }

    #[tokio::test]
    async fn a_disk_with_room_is_left_alone_and_the_own_pods_containers_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = layout(dir.path());
        let told = serve(&layout, "overlay2", 0);
        let disk = run(&upkeep(&layout, 2_000_000)).await;
        assert_eq!(disk.size, 2_000_000);
        assert_eq!(*told.lock().expect("no panic"), ["GET /info"]);
    }

    #[tokio::test]
    async fn a_disk_without_room_is_cleared_of_the_oldest_first_and_of_no_more_than_it_takes() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = layout(dir.path());
        let told = serve(&layout, "overlay2", 500_000);
        let disk = run(&upkeep(&layout, 1_000_000)).await;
        assert!(disk.used < 600_000, "{disk:?}");
        let oldest = "POST /build/prune?all=1&keep-storage=400000&reserved-space=400000";
        assert_eq!(
            *told.lock().expect("no panic"),
            ["GET /info", "POST /images/prune", oldest]
        );
    }

    #[tokio::test]
    async fn what_cannot_be_removed_is_tried_once_and_not_in_every_round() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = layout(dir.path());
        let told = serve(&layout, "overlay2", 850_000);
        run(&upkeep(&layout, 1_000_000)).await;
        let told = told.lock().expect("no panic").clone();
        let kept: Vec<&str> = told[2..]
            .iter()
            .filter_map(|line| line.rsplit('=').next())
            .collect();
        // The last tenth stays, as less than nine tenths are used.
        assert_eq!(kept, ["400000", "100000"], "{told:?}");
    }

    #[tokio::test]
    async fn a_disk_that_others_have_filled_is_not_cleared_of_the_little_that_is_ours() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let flags = rustix::mount::MountFlags::empty();
        let options = Some(c"size=20m");
        rustix::mount::mount("tmpfs", dir.path(), "tmpfs", flags, options).expect("root may");
        fs::write(dir.path().join("of-others"), vec![b'x'; 19 << 20]).expect("room");
        let layout = layout(dir.path());
        let told = serve(&layout, "overlay2", 0);
        let upkeep = Upkeep {
            share: None,
            ..upkeep(&layout, 0)
        };
        let disk = run(&upkeep).await;
        let flags = rustix::mount::UnmountFlags::DETACH;
        rustix::mount::unmount(dir.path(), flags).expect("it is mounted");
        assert!(is_tight(disk), "{disk:?}");
        assert_eq!(*told.lock().expect("no panic"), ["GET /info"]);
    }

    #[tokio::test]
    async fn the_containers_of_another_pod_are_removed_before_jobs_are_let_in() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = layout(dir.path());
        let told = serve(&layout, "overlay2", 0);
        let upkeep = Upkeep {
            is_inherited: true,
            ..upkeep(&layout, 2_000_000)
        };
        run(&upkeep).await;
        let removed = [
            "GET /containers/json?all=1",
            "DELETE /containers/c0ffee?force=1&v=1",
            "GET /info",
        ];
        assert_eq!(*told.lock().expect("no panic"), removed);
        let report = DockerReport::read(&layout).expect("a report");
        assert_eq!(report.phase, Phase::Started);
    }

    #[tokio::test]
    async fn a_daemon_that_copies_whole_images_unasked_is_not_left_running() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = layout(dir.path());
        let _told = serve(&layout, "vfs", 0);
        let state = RefCell::new(DockerReport::default());
        let mut upkeep = upkeep(&layout, 2_000_000);
        let error = upkeep.run(None, &state).await;
        assert!(
            matches!(&error, SidecarError::SlowDriver(driver) if driver == "vfs"),
            "{error}"
        );
        assert!(
            error.to_string().contains("allow_slow_storage: true"),
            "{error}"
        );
        upkeep.may_be_slow = true;
        run(&upkeep).await;
    }
}
