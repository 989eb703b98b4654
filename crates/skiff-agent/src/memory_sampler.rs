//! Remembers which processes are large while memory is short, so that a kill for want of it can name its victim: the kernel
//! counts kills and tells a container nothing more.
//!
//! Looks only while a stage of a job runs: one small file ten times a second, and `/proc` where memory is short.

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::cgroup::{MemoryWatch, size};

/// How often memory is looked at: a process that eats a gigabyte a second grows by 100 MiB in between.
const EVERY: Duration = Duration::from_millis(100);
/// From this share of the limit on, in percent, processes are looked at.
const SHORT: u64 = 30;
/// The largest processes that are remembered.
const REMEMBERED: usize = 8;
/// How often a victim is looked for: a killed process takes a moment to go.
const TRIES: u32 = 20;
/// Kills that are remembered.
const KILLS: usize = 16;

/// A process as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    pid: u32,
    /// When it started, in the kernel's ticks: tells it from a later one with its number.
    started: u64,
    name: String,
    bytes: u64,
}

/// What has been seen.
#[derive(Debug, Default)]
struct Sight {
    /// The largest processes when memory was last short.
    large: Vec<Seen>,
    /// How many kills there had been then.
    kills: u64,
    /// How often the victim of a later one was looked for.
    tries: u32,
    /// Who was killed, newest last, with the number of kills that there were then.
    killed: Vec<(u64, Seen)>,
}

/// The sampler's results. It looks as long as somebody holds a [`Lookout`].
#[derive(Clone, Debug)]
pub(crate) struct MemorySampler {
    watch: MemoryWatch,
    sight: Arc<Mutex<Sight>>,
    lookouts: Arc<Mutex<Weak<()>>>,
    wanted: Arc<Notify>,
}

/// Keeps the sampler looking.
#[derive(Clone, Debug)]
pub(crate) struct Lookout {
    sampler: MemorySampler,
    _held: Arc<()>,
    /// The kills before it.
    before: u64,
}

impl MemorySampler {
    /// Starts one, where the container sees its memory.
    pub(crate) fn start() -> Option<Self> {
        let sampler = Self {
            watch: MemoryWatch::find()?,
            sight: Arc::default(),
            lookouts: Arc::default(),
            wanted: Arc::default(),
        };
        tokio::spawn(sampler.clone().run());
        Some(sampler)
    }

    /// Begins to look, or goes on.
    pub(crate) fn look_out(&self) -> Lookout {
        let mut lookouts = self.lookouts.lock().unwrap_or_else(PoisonError::into_inner);
        let held = lookouts.upgrade().unwrap_or_default();
        *lookouts = Arc::downgrade(&held);
        drop(lookouts);
        self.wanted.notify_one();
        Lookout {
            sampler: self.clone(),
            _held: held,
            before: self.watch.kills().unwrap_or_default(),
        }
    }

    async fn run(self) {
        loop {
            self.wanted.notified().await;
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while self.is_wanted() {
                ticks.tick().await;
                self.look(false);
            }
        }
    }

    fn is_wanted(&self) -> bool {
        let lookouts = self.lookouts.lock().unwrap_or_else(PoisonError::into_inner);
        lookouts.strong_count() > 0
    }

    /// Looks once: who is large now, and who of those before was killed. Where that is asked now, whoever is gone may be it.
    fn look(&self, is_asked: bool) {
        let kills = self.watch.kills().unwrap_or_default();
        let mut sight = self.sight();
        if kills > sight.kills {
            sight.tries += 1;
            let is_last = sight.tries == TRIES;
            if !sight.note_kill(kills, is_asked || is_last, is_alive) && !is_last {
                // Who is large now is of no use: the victim was large before.
                return;
            }
            (sight.kills, sight.tries) = (kills, 0);
        }
        if is_short(&self.watch) {
            sight.large = largest(&self.watch);
        }
    }

    fn sight(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookout {
    /// Why a stage that began with this lookout failed, where the kernel killed a process of the container for want of memory.
    pub(crate) fn cause(&self) -> Option<String> {
        let Self {
            sampler, before, ..
        } = self;
        if sampler.watch.kills().unwrap_or_default() <= *before {
            return None;
        }
        // The kill may have come after the last look.
        sampler.look(true);
        let sight = sampler.sight();
        let victim = sight.killed.iter().rfind(|(kills, _)| kills > before);
        let victim = victim.map_or_else(
            || "a process of the container".to_owned(),
            |(_, seen)| format!("{} (process {}, {})", seen.name, seen.pid, size(seen.bytes)),
        );
        let limit = sampler.watch.at_limit();
        let peak = sampler.watch.peak().map_or_else(String::new, |peak| {
            format!("; {} were used at most", size(peak))
        });
        Some(format!(
            "out of memory: the kernel killed {victim}{limit}{peak}; ask for more with `resources.memory`"
        ))
    }
}

impl Sight {
    /// Somebody was killed: the largest that is not there any more. False where all are there, and as long as it can be
    /// waited: while the largest of all is there, which the kernel prefers. It may be about to go, and smaller ones have
    /// gone by themselves.
    fn note_kill(&mut self, kills: u64, is_last: bool, is_alive: impl Fn(&Seen) -> bool) -> bool {
        let gone = self.large.iter().position(|seen| !is_alive(seen));
        let Some(victim) = gone.filter(|place| is_last || *place == 0) else {
            return false;
        };
        let victim = self.large.remove(victim);
        if self.killed.len() == KILLS {
            self.killed.remove(0);
        }
        self.killed.push((kills, victim));
        true
    }
}

/// Whether memory is short: the container's own where it has a limit, else the node's.
fn is_short(watch: &MemoryWatch) -> bool {
    let of_limit = || Some((watch.usage()?, watch.limit()?));
    let of_node = || {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let value = |word: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(word))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let total = value("MemTotal:")?;
        Some((total.saturating_sub(value("MemAvailable:")?), total))
    };
    of_limit()
        .or_else(of_node)
        .is_some_and(|(used, all)| used.saturating_mul(100) > all.saturating_mul(SHORT))
}

/// The container's largest processes, the largest first. The agent itself is none of them.
fn largest(watch: &MemoryWatch) -> Vec<Seen> {
    let own = std::process::id();
    let others = watch.processes().into_iter().filter(|pid| *pid != own);
    let mut all: Vec<Seen> = others.filter_map(seen).collect();
    all.sort_by_key(|seen| std::cmp::Reverse(seen.bytes));
    all.truncate(REMEMBERED);
    all
}

/// A process as it is now; None where it is gone or dead.
fn seen(pid: u32) -> Option<Seen> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn is_alive(before: &Seen) -> bool {
    seen(before.pid).is_some_and(|now| now.started == before.started && now.bytes > 0)
}

/// Reads a line of `/proc/PID/stat`. The name in parentheses may hold anything.
fn parse(pid: u32, line: &str) -> Option<Seen> {
    let (before, behind) = line.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    // The third field of the line is the first here.
    let mut fields = behind.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let started = fields.nth(18)?.parse().ok()?;
    let pages: u64 = fields.nth(1)?.parse().ok()?;
    let bytes = pages.saturating_mul(rustix::param::page_size() as u64);
    Some(Seen {
        pid,
        started,
        name,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::{Seen, Sight, parse, seen};

    fn process(pid: u32, bytes: u64) -> Seen {
        let name = format!("p{pid}");
        Seen {
            pid,
            started: 1,
            name,
            bytes,
        }
    }

    #[test]
    fn the_largest_that_is_gone_is_the_one_that_was_killed() {
        let mut sight = Sight {
            large: vec![process(1, 900), process(2, 800), process(3, 10)],
            ..Sight::default()
        };
        assert!(!sight.note_kill(1, false, |seen| seen.pid == 1));
        assert!(sight.note_kill(1, true, |seen| seen.pid == 1));
        assert_eq!(sight.killed, [(1, process(2, 800))]);
        assert!(!sight.note_kill(2, true, |_| true));
        assert_eq!(sight.killed.len(), 1, "nobody is missing");
    }

    #[test]
    fn a_process_that_went_by_itself_is_not_taken_for_one_that_is_about_to_go() {
        let mut sight = Sight {
            large: vec![process(1, 900), process(2, 10)],
            ..Sight::default()
        };
        assert!(!sight.note_kill(1, false, |seen| seen.pid == 1));
        assert!(sight.note_kill(1, false, |_| false));
        assert_eq!(sight.killed, [(1, process(1, 900))]);
    }

    #[test]
    fn the_kernels_line_of_a_process_is_read() {
        let line =
            "77 (a) b) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 5000000 100 184467";
        let parsed = parse(77, line).expect("well-formed");
        assert_eq!((parsed.name.as_str(), parsed.started), ("a) b", 4242));
        assert_eq!(parsed.bytes, 100 * rustix::param::page_size() as u64);
        assert_eq!(parse(77, &line.replace(" S ", " Z ")), None);
        assert!(seen(std::process::id()).is_some_and(|own| own.bytes > 0));
    }
}
