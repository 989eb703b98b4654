//! What a client has open, by the names that it knows it by.

use std::collections::HashMap;
use std::fs::{File, ReadDir};
use std::path::PathBuf;

use super::Refusal;
use crate::ssh::wire::Reader;

/// What one client may have open.
const MAX_OPEN: usize = 512;

/// Something open.
pub(super) enum Handle {
    /// A file, and whether all writes go to its end.
    File { file: File, appends: bool },
    /// A folder.
    Folder {
        entries: ReadDir,
        path: PathBuf,
        /// Nothing was told of it yet.
        is_fresh: bool,
    },
}

/// Everything that is open.
#[derive(Default)]
pub(super) struct Handles {
    open: HashMap<u32, Handle>,
    last: u32,
}

impl Handles {
    /// Keeps something open; gives its name.
    pub(super) fn insert(&mut self, handle: Handle) -> Result<[u8; 4], Refusal> {
        if self.open.len() >= MAX_OPEN {
            return Err(rustix::io::Errno::MFILE.into());
        }
        while self.open.contains_key(&self.last) {
            self.last = self.last.wrapping_add(1);
        }
        self.open.insert(self.last, handle);
        Ok(self.last.to_be_bytes())
    }

    /// Closes what a request names.
    pub(super) fn close(&mut self, reader: &mut Reader<'_>) -> Result<(), Refusal> {
        let number = number(reader)?;
        self.open
            .remove(&number)
            .map(drop)
            .ok_or(Refusal::Malformed)
    }

    /// The file that a request names, and whether it is only appended to.
    pub(super) fn file(&self, reader: &mut Reader<'_>) -> Result<(&File, bool), Refusal> {
        match self.open.get(&number(reader)?) {
            Some(Handle::File { file, appends }) => Ok((file, *appends)),
            _ => Err(Refusal::Malformed),
        }
    }

    /// The folder that a request names.
    pub(super) fn folder(&mut self, reader: &mut Reader<'_>) -> Result<&mut Handle, Refusal> {
        match self.open.get_mut(&number(reader)?) {
            Some(folder @ Handle::Folder { .. }) => Ok(folder),
            _ => Err(Refusal::Malformed),
        }
    }
}

fn number(reader: &mut Reader<'_>) -> Result<u32, Refusal> {
    let name = reader.bytes()?;
    let name = <[u8; 4]>::try_from(name).map_err(|_| Refusal::Malformed)?;
    Ok(u32::from_be_bytes(name))
}
