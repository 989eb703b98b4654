//! The channels of a connection: their numbers, their windows, and the messages about them.

mod callers;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::channel::{Channel, End, Input, Output, PACKET, Post, WINDOW};
use super::connection::{Connection, ConnectionError};
use super::forward::{self, Target};
use super::listening::Stream;
use super::session::Session;
use super::wire::{Malformed, Reader, Writer};

/// Channels that one connection may have.
const MAX_CHANNELS: usize = 256;

const OPEN: u8 = 90;
const OPEN_CONFIRMATION: u8 = 91;
const OPEN_FAILURE: u8 = 92;
const WINDOW_ADJUST: u8 = 93;
const DATA: u8 = 94;
const EXTENDED_DATA: u8 = 95;
const EOF: u8 = 96;
const CLOSE: u8 = 97;
const REQUEST: u8 = 98;
const CHANNEL_SUCCESS: u8 = 99;
const CHANNEL_FAILURE: u8 = 100;

/// Why a channel is refused, by RFC 4254.
const PROHIBITED: u32 = 1;
const CONNECT_FAILED: u32 = 2;
const UNKNOWN_KIND: u32 = 3;
const NO_ROOM: u32 = 4;

/// All channels of a connection.
#[derive(Default)]
pub(crate) struct Channels {
    open: HashMap<u32, Entry>,
    last: u32,
}

/// The connection's end of a channel.
struct Entry {
    /// The channel's number on the client's side.
    theirs: u32,
    /// What the client may still send.
    allowance: u32,
    /// What its task has used up and the client was not told yet.
    used: u32,
    input: Option<mpsc::UnboundedSender<Input>>,
    credit: Arc<Semaphore>,
    session: Option<Session>,
    /// Who waits for the client to open the channel.
    caller: Option<Stream>,
    /// This side has said that it is over.
    is_closed: bool,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.credit.close();
    }
}

impl Entry {
    fn grant(&self, bytes: u32) {
        // What the window's number can say is far below what a semaphore can hold; more than that is no use.
        let room = (u32::MAX as usize).saturating_sub(self.credit.available_permits());
        self.credit.add_permits(room.min(bytes as usize));
    }
}

impl Channels {
    fn number(&mut self) -> u32 {
        while self.open.contains_key(&self.last) {
            self.last = self.last.wrapping_add(1);
        }
        self.last
    }

    fn get(&mut self, number: u32) -> Result<&mut Entry, ConnectionError> {
        self.open.get_mut(&number).ok_or(ConnectionError::Protocol(
            "a message for a channel that there is not",
        ))
    }
}

impl Connection {
    /// A new channel of which the client knows, or will.
    fn enter(&mut self, theirs: u32, window: u32, packet: u32) -> Channel {
        let number = self.channels.number();
        let (sender, input) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(window as usize));
        let entry = Entry {
            theirs,
            allowance: WINDOW,
            used: 0,
            input: Some(sender),
            credit: Arc::clone(&credit),
            session: None,
            caller: None,
            is_closed: false,
        };
        self.channels.open.insert(number, entry);
        let output = Output {
            channel: number,
            packet: packet.clamp(1, PACKET) as usize,
            credit,
            posts: self.posts.clone(),
        };
        Channel { input, output }
    }

    /// One of the messages 90 to 100.
    pub(crate) fn take_for_channel(
        &mut self,
        kind: u8,
        payload: Vec<u8>,
    ) -> Result<(), ConnectionError> {
        let mut reader = Reader::new(&payload[1..]);
        if kind == OPEN {
            return self.open_channel(&mut reader);
        }
        let number = reader.u32()?;
        match kind {
            OPEN_CONFIRMATION => self.confirmed(number, &mut reader),
            OPEN_FAILURE => {
                self.channels.open.remove(&number);
                Ok(())
            }
            WINDOW_ADJUST => {
                let bytes = reader.u32()?;
                self.channels.get(number)?.grant(bytes);
                Ok(())
            }
            DATA => {
                let length = reader.bytes()?.len();
                self.data(number, payload, length)
            }
            EXTENDED_DATA => {
                // No channel takes any, but it counts.
                let length = reader.u32().and_then(|_| reader.bytes())?.len();
                let bytes = u32::try_from(length).map_err(|_| Malformed)?;
                self.take_post(Post::Used {
                    channel: number,
                    bytes,
                });
                Ok(())
            }
            EOF => {
                if let Some(input) = &self.channels.get(number)?.input {
                    // A task that has ended needs no end.
                    let _ = input.send(Input::Eof);
                }
                Ok(())
            }
            CLOSE => {
                self.close(number);
                self.channels.open.remove(&number);
                Ok(())
            }
            REQUEST => self.request(number, &mut reader),
            // Answers to requests, of which this side makes none that wants one.
            _ => Ok(()),
        }
    }

    fn open_channel(&mut self, reader: &mut Reader<'_>) -> Result<(), ConnectionError> {
        let kind = reader.text()?;
        let (theirs, window, packet) = (reader.u32()?, reader.u32()?, reader.u32()?);
        if self.channels.open.len() >= MAX_CHANNELS {
            self.refuse(theirs, NO_ROOM, "too many channels");
            return Ok(());
        }
        let target = match kind {
            "session" => {
                let channel = self.enter(theirs, window, packet);
                let number = channel.output.channel;
                self.channels.get(number)?.session = Some(Session::new(channel));
                self.confirm(number);
                return Ok(());
            }
            "direct-tcpip" => {
                let host = reader.text()?.to_owned();
                let port = reader.u32()?;
                u16::try_from(port).ok().map(|port| Target::Tcp(host, port))
            }
            "direct-streamlocal@openssh.com" => {
                let path = PathBuf::from(reader.text()?);
                Some(Target::Unix(path))
            }
            _ => {
                self.refuse(theirs, UNKNOWN_KIND, "unknown kind of channel");
                return Ok(());
            }
        };
        match target {
            Some(target) => {
                let channel = self.enter(theirs, window, packet);
                tokio::spawn(forward::reach(target, channel));
            }
            None => self.refuse(theirs, PROHIBITED, "there is no such port"),
        }
        Ok(())
    }

    fn refuse(&mut self, theirs: u32, reason: u32, why: &str) {
        let mut message = vec![OPEN_FAILURE];
        message.put_u32(theirs);
        message.put_u32(reason);
        message.put_bytes(why.as_bytes());
        message.put_bytes(b"");
        self.outgoing.send(&message);
    }

    fn confirm(&mut self, number: u32) {
        let Some(entry) = self.channels.open.get(&number) else {
            return;
        };
        let mut message = vec![OPEN_CONFIRMATION];
        for field in [entry.theirs, number, WINDOW, PACKET] {
            message.put_u32(field);
        }
        self.outgoing.send(&message);
    }

    fn data(
        &mut self,
        number: u32,
        mut payload: Vec<u8>,
        length: usize,
    ) -> Result<(), ConnectionError> {
        let entry = self.channels.get(number)?;
        let size = u32::try_from(length).map_err(|_| Malformed)?;
        entry.allowance = entry
            .allowance
            .checked_sub(size)
            .ok_or(ConnectionError::Protocol(
                "more data than there is room for",
            ))?;
        // Behind the message's number, the channel's, and the length.
        payload.truncate(9 + length);
        payload.drain(..9);
        let input = entry.input.as_ref();
        let is_taken = input.is_some_and(|input| input.send(Input::Data(payload)).is_ok());
        if !is_taken {
            // Its task has ended; until the client has heard of it, what it sends is dropped.
            self.take_post(Post::Used {
                channel: number,
                bytes: size,
            });
        }
        Ok(())
    }

    fn request(&mut self, number: u32, reader: &mut Reader<'_>) -> Result<(), ConnectionError> {
        let kind = reader.text()?;
        let wants_reply = reader.bool()?;
        let entry = self.channels.get(number)?;
        let theirs = entry.theirs;
        let is_done = match &mut entry.session {
            Some(session) => session.request(kind, reader, &self.host, &self.posts)?,
            None => false,
        };
        if wants_reply {
            let mut message = vec![if is_done {
                CHANNEL_SUCCESS
            } else {
                CHANNEL_FAILURE
            }];
            message.put_u32(theirs);
            self.outgoing.send(&message);
        }
        Ok(())
    }

    /// Says that a channel is over, once.
    fn close(&mut self, number: u32) {
        let Some(entry) = self.channels.open.get_mut(&number) else {
            return;
        };
        entry.input = None;
        if !std::mem::replace(&mut entry.is_closed, true) {
            let mut message = vec![CLOSE];
            message.put_u32(entry.theirs);
            self.outgoing.send(&message);
        }
    }

    /// What a channel's task has to say.
    pub(crate) fn take_post(&mut self, post: Post) {
        match post {
            Post::Arrived(arrival) => self.call(arrival),
            Post::Opened(number) => self.confirm(number),
            Post::Refused { channel, why } => {
                if let Some(entry) = self.channels.open.remove(&channel) {
                    self.refuse(entry.theirs, CONNECT_FAILED, &why);
                }
            }
            Post::Data {
                channel,
                is_error,
                bytes,
            } => self.send_data(channel, is_error, &bytes),
            Post::Used { channel, bytes } => self.renew(channel, bytes),
            Post::Eof(channel) => self.tell(channel, &[EOF], &[]),
            Post::Ended { channel, end } => {
                let mut tail = Vec::new();
                match end {
                    End::Exit(code) => {
                        tail.put_bytes(b"exit-status");
                        tail.put_u8(0);
                        tail.put_u32(code);
                    }
                    End::Signal(name) => {
                        tail.put_bytes(b"exit-signal");
                        tail.put_u8(0);
                        tail.put_bytes(name.as_bytes());
                        tail.put_u8(0);
                        tail.put_bytes(b"");
                        tail.put_bytes(b"");
                    }
                }
                self.tell(channel, &[REQUEST], &tail);
            }
            Post::Close(channel) => self.close(channel),
        }
    }

    /// Sends a message about a channel, unless it is over.
    fn tell(&mut self, number: u32, kind: &[u8], tail: &[u8]) {
        if let Some(entry) = self.channels.open.get(&number)
            && !entry.is_closed
        {
            let mut head = kind.to_vec();
            head.put_u32(entry.theirs);
            self.outgoing.send_parts(&head, tail);
        }
    }

    fn send_data(&mut self, number: u32, is_error: bool, bytes: &[u8]) {
        let Some(entry) = self
            .channels
            .open
            .get(&number)
            .filter(|entry| !entry.is_closed)
        else {
            return;
        };
        let mut head = vec![if is_error { EXTENDED_DATA } else { DATA }];
        head.put_u32(entry.theirs);
        if is_error {
            head.put_u32(1);
        }
        head.put_u32(u32::try_from(bytes.len()).unwrap_or(PACKET));
        self.outgoing.send_parts(&head, bytes);
    }

    fn renew(&mut self, number: u32, bytes: u32) {
        let Some(entry) = self.channels.open.get_mut(&number) else {
            return;
        };
        entry.used += bytes;
        if entry.used >= WINDOW / 4 && !entry.is_closed {
            let used = std::mem::take(&mut entry.used);
            entry.allowance += used;
            let mut message = vec![WINDOW_ADJUST];
            message.put_u32(entry.theirs);
            message.put_u32(used);
            self.outgoing.send(&message);
        }
    }
}
