//! Ports and sockets of the node at which the client listens: its wishes, and a channel to it for each who calls there.

use std::path::PathBuf;

use super::{MAX_CHANNELS, OPEN};
use crate::ssh::channel::{PACKET, WINDOW};
use crate::ssh::connection::{Connection, ConnectionError};
use crate::ssh::listening::{Arrival, Place, Stream};
use crate::ssh::relay::relay;
use crate::ssh::wire::{Reader, Writer};

const SUCCESS: u8 = 81;
const FAILURE: u8 = 82;

impl Connection {
    /// A request that is about no channel.
    pub(crate) fn take_global(&mut self, payload: &[u8]) -> Result<(), ConnectionError> {
        let mut reader = Reader::new(&payload[1..]);
        let (kind, wants_reply) = (reader.text()?, reader.bool()?);
        let mut answer = vec![SUCCESS];
        let is_done = match kind {
            "tcpip-forward" => {
                let (address, port) = (reader.text()?, reader.u32()?);
                let bound = u16::try_from(port)
                    .ok()
                    .and_then(|port| self.listening.tcp(address, port, &self.posts).ok());
                if port == 0
                    && let Some(bound) = bound
                {
                    answer.put_u32(bound.into());
                }
                bound.is_some()
            }
            "cancel-tcpip-forward" => {
                let (address, port) = (reader.text()?.to_owned(), reader.u32()?);
                u16::try_from(port)
                    .is_ok_and(|port| self.listening.stop(&Place::Tcp(address, port)))
            }
            "streamlocal-forward@openssh.com" => {
                let path = PathBuf::from(reader.text()?);
                self.listening.unix(&path, &self.posts).is_ok()
            }
            "cancel-streamlocal-forward@openssh.com" => {
                let path = PathBuf::from(reader.text()?);
                self.listening.stop(&Place::Unix(path))
            }
            _ => false,
        };
        if wants_reply {
            self.outgoing
                .send(if is_done { &answer } else { &[FAILURE] });
        }
        Ok(())
    }

    /// Asks the client to open a channel for somebody who has called.
    pub(super) fn call(&mut self, arrival: Arrival) {
        if self.channels.open.len() >= MAX_CHANNELS {
            // His stream ends here.
            return;
        }
        let channel = self.enter(0, 0, PACKET);
        let number = channel.output.channel;
        if let Some(entry) = self.channels.open.get_mut(&number) {
            entry.caller = Some(arrival.stream);
        }
        let mut message = vec![OPEN];
        message.put_bytes(arrival.kind.as_bytes());
        for field in [number, WINDOW, PACKET] {
            message.put_u32(field);
        }
        message.extend_from_slice(&arrival.details);
        self.outgoing.send(&message);
    }

    /// The client has opened a channel that this side asked for.
    pub(super) fn confirmed(
        &mut self,
        number: u32,
        reader: &mut Reader<'_>,
    ) -> Result<(), ConnectionError> {
        let (theirs, window, packet) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let stream = self.channels.get(number)?.caller.take();
        let stream = stream.ok_or(ConnectionError::Protocol("an answer that nobody asked for"))?;
        self.channels.open.remove(&number);
        self.channels.last = number;
        let channel = self.enter(theirs, window, packet);
        tokio::spawn(async move {
            match stream {
                Stream::Tcp(stream) => {
                    let (from, to) = stream.into_split();
                    relay(channel, from, to).await;
                }
                Stream::Unix(stream) => {
                    let (from, to) = stream.into_split();
                    relay(channel, from, to).await;
                }
            }
        });
        Ok(())
    }
}
