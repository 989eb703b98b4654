//! Ends a stage's processes and containers when it is told to, and waits until they have gone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Demand;
use super::count::Count;
use super::processes::Processes;
use crate::containers::Containers;

/// How long processes and containers have to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
/// How long the kernel has to end them after SIGKILL: one that hangs in it may never go.
const KILLED: Duration = Duration::from_secs(5);

/// Whether the stage was told to end.
pub(super) fn is_told(demand: &watch::Receiver<Demand>) -> bool {
    *demand.borrow() != Demand::None || demand.has_changed().is_err()
}

/// What ends the processes of a stage.
#[derive(Debug)]
pub(super) struct Ending {
    /// The processes.
    pub(super) processes: Processes,
    /// The containers that they have made, where there is Docker.
    pub(super) containers: Option<Containers>,
    /// Changes whenever processes have ended.
    pub(super) ends: watch::Receiver<()>,
    /// Set when all stages have to end.
    pub(super) leaving: watch::Receiver<Option<String>>,
    /// The stages that end because nobody controls them any more.
    pub(super) abandoned: Count,
}

impl Ending {
    /// Waits for a demand, ends the processes and their containers, and returns when none of them is left or the kernel
    /// or Docker does not let them go.
    pub(super) async fn obey(self, mut demand: watch::Receiver<Demand>) {
        let Self {
            processes,
            containers,
            mut ends,
            mut leaving,
            abandoned,
        } = self;
        let told = tokio::select! {
            told = demand.wait_for(|told| *told != Demand::None) => told.ok().map(|told| *told),
            _ = leaving.wait_for(Option::is_some) => Some(Demand::Terminate),
        };
        // Nobody controls the stage any more: that is a demand too.
        let _abandoned = told.is_none().then(|| abandoned.add());
        // Asked while they are there: Compose that is killed leaves what it was about to end.
        let projects = match &containers {
            Some(_) => processes.compose_projects(),
            None => BTreeSet::new(),
        };
        if told != Some(Demand::Kill) {
            processes.signal(Signal::TERM);
            // Compose ends its own by itself.
            let none = BTreeSet::new();
            let gone = async {
                tokio::join!(
                    all_gone(&processes, &mut ends),
                    end_containers(containers.as_ref(), &none, GRACE)
                )
            };
            tokio::select! {
                _ = gone => {}
                () = tokio::time::sleep(GRACE) => {}
                () = kill_demanded(&mut demand) => {}
            }
        }
        processes.signal(Signal::KILL);
        // Processes that are left then are the kernel's.
        let _ = timeout(KILLED, all_gone(&processes, &mut ends)).await;
        // One may have begun since the others were told.
        end_containers(containers.as_ref(), &projects, Duration::ZERO).await;
    }
}

async fn end_containers(
    containers: Option<&Containers>,
    projects: &BTreeSet<PathBuf>,
    grace: Duration,
) {
    if let Some(containers) = containers {
        containers.end(projects, grace).await;
    }
}

async fn kill_demanded(demand: &mut watch::Receiver<Demand>) {
    if demand.wait_for(|told| *told == Demand::Kill).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn all_gone(processes: &Processes, ends: &mut watch::Receiver<()>) {
    loop {
        ends.mark_unchanged();
        if processes.count() == 0 {
            return;
        }
        if ends.changed().await.is_err() {
            // Without a reaper nothing is known of ends: the limits of the wait decide.
            std::future::pending::<()>().await;
        }
    }
}
