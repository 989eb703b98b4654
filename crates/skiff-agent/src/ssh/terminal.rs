//! A session's pseudo-terminal: its size, its modes, its bytes.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
    Winsize, tcgetattr, tcsendbreak, tcsetattr, tcsetwinsize,
};
use tokio::net::unix::pipe;

use super::wire::{Malformed, Reader};

/// What a client says of its terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The value of `TERM`.
    pub(crate) term: OsString,
    /// The window.
    pub(crate) size: Size,
    /// The modes, by their numbers in the protocol.
    modes: Vec<(u8, u32)>,
}

/// A window's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    columns: u16,
    rows: u16,
    width: u16,
    height: u16,
}

impl Size {
    /// Reads columns, rows, and both in pixels.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut number = || reader.u32().map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        Ok(Self {
            columns: number()?,
            rows: number()?,
            width: number()?,
            height: number()?,
        })
    }
}

impl Wish {
    /// Reads a `pty-req`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let term = OsString::from_vec(reader.bytes()?.to_vec());
        let size = Size::read(reader)?;
        let mut encoded = Reader::new(reader.bytes()?);
        let mut modes = Vec::new();
        // The list ends with 0, and what is above 159 has no number behind it.
        while let Ok(code @ 1..160) = encoded.u8() {
            modes.push((code, encoded.u32()?));
        }
        Ok(Self { term, size, modes })
    }
}

/// The agent's end of a terminal. No pipe, but read and written like one.
#[derive(Debug)]
pub(crate) struct Terminal {
    reader: pipe::Receiver,
    writer: pipe::Sender,
}

impl Terminal {
    /// Opens a terminal; gives its other end, for the session's process, and its name.
    pub(crate) fn open(wish: &Wish) -> io::Result<(Self, OwnedFd, OsString)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let own = openpt(flags)?;
        grantpt(&own)?;
        unlockpt(&own)?;
        let name = ptsname(&own, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let other = rustix::fs::open(&name, flags, Mode::empty())?;
        let mut termios = tcgetattr(&other)?;
        for (code, value) in &wish.modes {
            set_mode(&mut termios, *code, *value);
        }
        tcsetattr(&other, OptionalActions::Now, &termios)?;
        // Both share what is set here.
        rustix::io::ioctl_fionbio(&own, true)?;
        let terminal = Self {
            reader: pipe::Receiver::from_file_unchecked(File::from(own.try_clone()?))?,
            writer: pipe::Sender::from_file_unchecked(File::from(own))?,
        };
        terminal.resize(wish.size)?;
        Ok((terminal, other, OsString::from_vec(name.into_bytes())))
    }

    /// Gives the window another size, which the foreground processes are told.
    pub(crate) fn resize(&self, size: Size) -> io::Result<()> {
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: size.width,
            ws_ypixel: size.height,
        };
        Ok(tcsetwinsize(&self.reader, size)?)
    }

    /// Interrupts as the break key does.
    pub(crate) fn send_break(&self) -> io::Result<()> {
        Ok(tcsendbreak(&self.reader)?)
    }

    /// The processes that read from it: a signal to the session goes to them.
    pub(crate) fn foreground(&self) -> Option<rustix::process::Pid> {
        rustix::termios::tcgetpgrp(&self.reader).ok()
    }

    /// Reads what was written; fails once nobody holds the other end any more.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.reader.readable().await?;
            match self.reader.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Writes what was typed.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.writer.writable().await?;
            match self.writer.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => bytes = &bytes[result?..],
            }
        }
        Ok(())
    }
}

/// RFC 4254, section 8: special characters.
const CHARACTERS: [(u8, SpecialCodeIndex); 14] = [
    (1, SpecialCodeIndex::VINTR),
    (2, SpecialCodeIndex::VQUIT),
    (3, SpecialCodeIndex::VERASE),
    (4, SpecialCodeIndex::VKILL),
    (5, SpecialCodeIndex::VEOF),
    (6, SpecialCodeIndex::VEOL),
    (7, SpecialCodeIndex::VEOL2),
    (8, SpecialCodeIndex::VSTART),
    (9, SpecialCodeIndex::VSTOP),
    (10, SpecialCodeIndex::VSUSP),
    (12, SpecialCodeIndex::VREPRINT),
    (13, SpecialCodeIndex::VWERASE),
    (14, SpecialCodeIndex::VLNEXT),
    (18, SpecialCodeIndex::VDISCARD),
];
const INPUT: [(u8, InputModes); 13] = [
    (30, InputModes::IGNPAR),
    (31, InputModes::PARMRK),
    (32, InputModes::INPCK),
    (33, InputModes::ISTRIP),
    (34, InputModes::INLCR),
    (35, InputModes::IGNCR),
    (36, InputModes::ICRNL),
    (37, InputModes::IUCLC),
    (38, InputModes::IXON),
    (39, InputModes::IXANY),
    (40, InputModes::IXOFF),
    (41, InputModes::IMAXBEL),
    (42, InputModes::IUTF8),
];
const LOCAL: [(u8, LocalModes); 13] = [
    (50, LocalModes::ISIG),
    (51, LocalModes::ICANON),
    (52, LocalModes::XCASE),
    (53, LocalModes::ECHO),
    (54, LocalModes::ECHOE),
    (55, LocalModes::ECHOK),
    (56, LocalModes::ECHONL),
    (57, LocalModes::NOFLSH),
    (58, LocalModes::TOSTOP),
    (59, LocalModes::IEXTEN),
    (60, LocalModes::ECHOCTL),
    (61, LocalModes::ECHOKE),
    (62, LocalModes::PENDIN),
];
const OUTPUT: [(u8, OutputModes); 6] = [
    (70, OutputModes::OPOST),
    (71, OutputModes::OLCUC),
    (72, OutputModes::ONLCR),
    (73, OutputModes::OCRNL),
    (74, OutputModes::ONOCR),
    (75, OutputModes::ONLRET),
];
const CONTROL: [(u8, ControlModes); 4] = [
    (90, ControlModes::CS7),
    (91, ControlModes::CS8),
    (92, ControlModes::PARENB),
    (93, ControlModes::PARODD),
];

fn set_mode(termios: &mut Termios, code: u8, value: u32) {
    fn find<T: Copy>(table: &[(u8, T)], code: u8) -> Option<T> {
        table
            .iter()
            .find(|(of, _)| *of == code)
            .map(|(_, mode)| *mode)
    }
    let on = value != 0;
    if let Some(index) = find(&CHARACTERS, code) {
        // 255 is the protocol's word for none; Linux' is 0.
        termios.special_codes[index] = match u8::try_from(value) {
            Ok(255) | Err(_) => 0,
            Ok(character) => character,
        };
    } else if let Some(mode) = find(&INPUT, code) {
        termios.input_modes.set(mode, on);
    } else if let Some(mode) = find(&LOCAL, code) {
        termios.local_modes.set(mode, on);
    } else if let Some(mode) = find(&OUTPUT, code) {
        termios.output_modes.set(mode, on);
    } else if let Some(mode) = find(&CONTROL, code) {
        termios.control_modes.set(mode, on);
    }
}
