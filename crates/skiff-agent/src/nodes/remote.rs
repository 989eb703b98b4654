//! A stage on another node: the head's side of [`skiff_proto::Request::Stage`].

use std::sync::Arc;

use skiff_proto::{Frame, Request, Response, StageOrder};
use skiff_wire::{Call, Session, SessionError};
use tokio::sync::watch;

use super::Nodes;
use super::links::Links;
use crate::stages::{Demand, Driver, StageEvent};

/// Drives a stage over a link until it has ended and what it left behind writes no more, or the link is lost.
pub(super) async fn drive(
    links: Arc<Links>,
    rank: u32,
    session: Arc<Session>,
    order: StageOrder,
    driver: Driver,
) {
    let mut remote = Remote {
        driver,
        told: Demand::None,
        has_ended: false,
    };
    let event = match remote.run(&session, order).await {
        Ok(()) => return,
        // What an ended stage has left behind is of no interest to anybody who waits.
        Err(_) if remote.has_ended => return,
        Err(SessionError::Refused(fault)) => StageEvent::NotStarted {
            cause: format!("{}: {fault}", Nodes::name(rank)),
        },
        Err(_) => StageEvent::Lost {
            node: Nodes::name(rank),
            why: links.why_lost(rank, &session).await,
        },
    };
    // Where nobody waits for it any more, there is nobody to tell.
    let _ = remote.driver.events.send(event).await;
}

struct Remote {
    driver: Driver,
    /// What the worker was told of the head's demands.
    told: Demand,
    has_ended: bool,
}

impl Remote {
    async fn run(&mut self, session: &Session, order: StageOrder) -> Result<(), SessionError> {
        let mut call = session.start(Request::Stage { order }).await?;
        loop {
            tokio::select! {
                demand = more(&mut self.driver.demand, self.told), if !self.has_ended => {
                    self.tell(&call, demand).await?;
                }
                frame = call.next() => match frame? {
                    Frame::Data(_, bytes) => {
                        let size = bytes.len();
                        self.happen(StageEvent::Output(bytes)).await;
                        call.credit(size).await?;
                    }
                    Frame::Response(_, Response::StageStarted { pid }) => {
                        self.happen(StageEvent::Started { pid }).await;
                    }
                    Frame::Response(_, Response::StageEnded { end }) => {
                        self.has_ended = true;
                        self.happen(StageEvent::Ended(end)).await;
                    }
                    Frame::End(_) => return Ok(()),
                    _ => return Err(SessionError::Unexpected),
                },
            }
        }
    }

    /// The first end of the request's data means to end, the second to end at once.
    async fn tell(&mut self, call: &Call, demand: Demand) -> Result<(), SessionError> {
        if self.told == Demand::None {
            call.finish().await?;
        }
        if demand == Demand::Kill {
            call.finish().await?;
        }
        self.told = demand;
        Ok(())
    }

    async fn happen(&self, event: StageEvent) {
        // Where nobody takes it, the stage must get on all the same.
        let _ = self.driver.events.send(event).await;
    }
}

/// Waits for more than the worker was told.
async fn more(demand: &mut watch::Receiver<Demand>, told: Demand) -> Demand {
    let more = demand.wait_for(|now| *now > told).await;
    match more.map(|now| *now) {
        Ok(now) => now,
        // Nobody controls the stage any more: that is a demand too.
        Err(_) if told == Demand::None => Demand::Terminate,
        Err(_) => std::future::pending().await,
    }
}
