//! The head's links to its workers: made, watched, and made again for ever.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use skiff_proto::{RESTARTED, Request, Response};
use skiff_wire::{Ended, Patience, Session, SessionError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Presence;
use super::table::{Addresses, Table};
use crate::link::{self, DialError, LinkKey};

/// The shortest and the longest time between two attempts.
const BACKOFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// How long one attempt may take: less than it takes to miss a silent worker.
const DIAL: Duration = Duration::from_secs(5);
/// How long the reason of a closed link is looked for: the kubelet starts an ended container anew in about a second.
const REASON: Duration = Duration::from_secs(3);

/// One worker's link.
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// It holds.
    Up(Arc<Session>),
    /// It holds, and the worker is about to leave.
    Leaving {
        /// The conversation over it.
        session: Arc<Session>,
        /// Why.
        why: String,
    },
    /// It does not.
    Down {
        /// Why, as far as known.
        why: String,
        /// Whether more may become known of the reason soon.
        is_fresh: bool,
    },
}

/// All of them, by rank; this node's own place holds nothing.
#[derive(Debug)]
pub(super) struct Links {
    rank: u32,
    boot: String,
    all: watch::Sender<Vec<Link>>,
    presence: watch::Sender<Vec<Presence>>,
}

impl Links {
    /// No link yet, for so many nodes.
    pub(super) fn new(rank: u32, count: u32, boot: &str) -> Self {
        let why = "its address is not known yet".to_owned();
        let down = Link::Down {
            why,
            is_fresh: false,
        };
        let links = Self {
            rank,
            boot: boot.to_owned(),
            all: watch::Sender::new(vec![down; count as usize]),
            presence: watch::Sender::new(Vec::new()),
        };
        links.publish();
        links
    }

    /// Makes and keeps a link to every other node from now on.
    pub(super) fn keep(links: &Arc<Self>, key: &LinkKey, table: &Table) {
        let count = u32::try_from(links.all.borrow().len()).unwrap_or(u32::MAX);
        for rank in (0..count).filter(|rank| *rank != links.rank) {
            let worker = Worker {
                rank,
                links: Arc::clone(links),
                key: key.clone(),
                addresses: table.watch(),
            };
            tokio::spawn(worker.run());
        }
    }

    /// There will be no links.
    pub(super) fn give_up(&self, why: &str) {
        let count = u32::try_from(self.all.borrow().len()).unwrap_or(u32::MAX);
        for rank in 0..count {
            let why = why.to_owned();
            self.set(
                rank,
                Link::Down {
                    why,
                    is_fresh: false,
                },
            );
        }
    }

    /// One link as it is now.
    pub(super) fn link(&self, rank: u32) -> Link {
        let links = self.all.borrow();
        links
            .get(rank as usize)
            .cloned()
            .unwrap_or_else(|| Link::Down {
                why: format!("the cluster has {} nodes", links.len()),
                is_fresh: false,
            })
    }

    /// The conversation over a link that holds.
    pub(super) fn session(&self, rank: u32) -> Option<Arc<Session>> {
        match self.link(rank) {
            Link::Up(session) | Link::Leaving { session, .. } => Some(session),
            Link::Down { .. } => None,
        }
    }

    /// Who is there, now and whenever that changes.
    pub(super) fn presence(&self) -> watch::Receiver<Vec<Presence>> {
        self.presence.subscribe()
    }

    /// Why this conversation came to its end, waiting a little while for the reason to show.
    pub(super) async fn why_lost(&self, rank: u32, lost: &Arc<Session>) -> String {
        let mut links = self.all.subscribe();
        let is_known = |links: &Vec<Link>| match links.get(rank as usize) {
            Some(Link::Up(session) | Link::Leaving { session, .. }) => !Arc::ptr_eq(session, lost),
            Some(Link::Down { is_fresh, .. }) => !is_fresh,
            None => true,
        };
        // A little longer than the reason is looked for.
        let limit = REASON + BACKOFF[1];
        let _ = timeout(limit, links.wait_for(is_known)).await;
        match self.link(rank) {
            Link::Up(session) if session.boot() != lost.boot() => {
                format!("{RESTARTED} (it was killed, perhaps for want of memory)")
            }
            Link::Up(_) => "the connection to it broke".to_owned(),
            Link::Leaving { why, .. } | Link::Down { why, .. } => why,
        }
    }

    fn set(&self, rank: u32, link: Link) {
        self.all.send_modify(|links| {
            if let Some(place) = links.get_mut(rank as usize) {
                *place = link;
            }
        });
        self.publish();
    }

    fn publish(&self) {
        let links = self.all.borrow();
        let here = |boot: &str| Presence::Here {
            boot: boot.to_owned(),
        };
        let now = (0..).zip(links.iter()).map(|(rank, link)| match link {
            _ if rank == self.rank => here(&self.boot),
            Link::Up(session) => here(session.boot()),
            Link::Leaving { why, .. } | Link::Down { why, .. } => {
                Presence::Away { why: why.clone() }
            }
        });
        let now: Vec<Presence> = now.collect();
        self.presence.send_if_modified(|presence| {
            let is_new = *presence != now;
            *presence = now;
            is_new
        });
    }
}

/// What keeps one link.
struct Worker {
    rank: u32,
    links: Arc<Links>,
    key: LinkKey,
    addresses: watch::Receiver<Addresses>,
}

impl Worker {
    async fn run(mut self) {
        let mut backoff = BACKOFF[0];
        // Until when the reason of a closed link is looked for.
        let mut reason_until = None;
        loop {
            let address = self
                .addresses
                .borrow_and_update()
                .get(self.rank as usize)
                .copied();
            if let Some(Some(address)) = address {
                match timeout(DIAL, dial(address, &self.key)).await {
                    Ok(Ok(session)) => {
                        (backoff, reason_until) = (BACKOFF[0], None);
                        if self.hold(Arc::new(session), address).await == Some(Ended::Closed) {
                            reason_until = Some(Instant::now() + REASON);
                        }
                    }
                    Ok(Err(error)) => self.failed(&error, &mut reason_until),
                    Err(_) => self.failed(
                        &DialError::Silent(address, DIAL.as_secs()),
                        &mut reason_until,
                    ),
                }
            }
            let pause = async {
                match address {
                    Some(Some(_)) => sleep(backoff).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => backoff = (backoff * 2).min(BACKOFF[1]),
                changed = self.addresses.changed() => match changed {
                    Ok(()) => backoff = BACKOFF[0],
                    // The table goes with the agent.
                    Err(_) => return,
                },
            }
        }
    }

    /// Keeps a link up until it ends or the worker is said to be elsewhere.
    async fn hold(&mut self, session: Arc<Session>, address: IpAddr) -> Option<Ended> {
        self.set(Link::Up(Arc::clone(&session)));
        let rank = self.rank as usize;
        let moved = |addresses: &Addresses| addresses.get(rank) != Some(&Some(address));
        let links = Arc::clone(&self.links);
        let ended = tokio::select! {
            ended = session.ended() => Some(ended),
            _ = self.addresses.wait_for(moved) => None,
            never = watch_for_leave(links, self.rank, &session) => match never {},
        };
        let (why, is_fresh) = match &ended {
            Some(ended) => (why(ended), *ended == Ended::Closed),
            None => ("its pod was made anew".to_owned(), false),
        };
        self.set(Link::Down { why, is_fresh });
        ended
    }

    /// An attempt failed. One that is refused just after the link was closed tells that the agent has ended, and it may
    /// be there again soon.
    fn failed(&self, error: &DialError, reason_until: &mut Option<Instant>) {
        let is_fresh =
            error.is_refused() && reason_until.is_some_and(|until| Instant::now() < until);
        if !is_fresh {
            *reason_until = None;
        }
        self.set(Link::Down {
            why: error.to_string(),
            is_fresh,
        });
    }

    fn set(&self, link: Link) {
        self.links.set(self.rank, link);
    }
}

/// Makes known when the worker begins to leave: what runs there goes on, and nothing more is started.
async fn watch_for_leave(links: Arc<Links>, rank: u32, session: &Arc<Session>) -> Infallible {
    if let Ok(Response::Leaving { cause }) = session.ask(Request::AwaitLeave).await {
        let session = Arc::clone(session);
        links.set(
            rank,
            Link::Leaving {
                session,
                why: cause,
            },
        );
    }
    // The link's end is heard elsewhere.
    std::future::pending().await
}

async fn dial(address: IpAddr, key: &LinkKey) -> Result<Session, DialError> {
    let (output, input) = tokio::io::split(link::dial(address, key).await?);
    let session = Session::open(input, output, Patience::LINK).await;
    session.map_err(|error| match error {
        SessionError::Version { theirs } => DialError::Version(theirs),
        error => DialError::Session(error),
    })
}

fn why(ended: &Ended) -> String {
    match ended {
        Ended::Silent(time) => format!(
            "it has not answered for {} s: its machine or its network is down",
            time.as_secs()
        ),
        Ended::Closed => "its agent has ended".to_owned(),
        Ended::Broken => "what it sent is not understood".to_owned(),
    }
}
