//! Ends a stage's processes when it is told to, and waits until they have gone.

use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Demand;
use super::processes::Processes;

/// How long processes have to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
/// How long the kernel has to end them after SIGKILL: one that hangs in it may never go.
const KILLED: Duration = Duration::from_secs(5);

/// Whether the stage was told to end.
pub(super) fn is_told(demand: &watch::Receiver<Demand>) -> bool {
    *demand.borrow() != Demand::None || demand.has_changed().is_err()
}

/// Waits for a demand, ends the processes, and returns when none of them is left or the kernel does not let them go.
/// `ends` changes whenever processes have ended.
pub(super) async fn obey(
    mut demand: watch::Receiver<Demand>,
    processes: Processes,
    mut ends: watch::Receiver<()>,
) {
    // Nobody controls the stage any more: that is a demand too.
    let told = demand.wait_for(|told| *told != Demand::None).await;
    let told = told.map_or(Demand::Terminate, |told| *told);
    if told == Demand::Terminate {
        processes.signal(Signal::TERM);
        tokio::select! {
            () = all_gone(&processes, &mut ends) => return,
            () = tokio::time::sleep(GRACE) => {}
            () = kill_demanded(&mut demand) => {}
        }
    }
    processes.signal(Signal::KILL);
    // Those that are left then are the kernel's.
    let _ = timeout(KILLED, all_gone(&processes, &mut ends)).await;
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
