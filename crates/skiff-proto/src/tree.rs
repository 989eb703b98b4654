//! Trees of files on the wire: a manifest's entries, what a node needs of their contents, and how contents begin.
//!
//! A sync is one request. The client sends a manifest (entries, compressed), the agent answers which contents it needs
//! ([`Need`]s), the client sends these (each a [`ContentHead`] and bytes, compressed). Names are bytes, as on disk.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The BLAKE3 hash of a file's content.
pub type ContentHash = [u8; 32];

/// The base-2 logarithm of the largest window of a compressed stream: what its reader must hold of the past (1 MiB).
pub const WINDOW_LOG: u32 = 20;

/// Where a tree goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "root", rename_all = "snake_case")]
pub enum SyncRoot {
    /// `~/sky_workdir`. The paths of its entries are below it.
    Workdir,
    /// A path that a user named: absolute, below `~/`, or relative to `~/sky_workdir`. The first component of its
    /// entries' paths is the last one of this path.
    Mount {
        /// The path.
        path: String,
    },
}

/// One file, folder or link of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The place of its tree among the roots of the request.
    pub root: u16,
    /// Its path below the root: names joined by `/`.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder {
        /// Its permissions.
        mode: u32,
    },
    /// A file.
    File {
        /// Its permissions.
        mode: u32,
        /// Bytes of its content.
        size: u64,
        /// When its content changed: nanoseconds since 1970.
        modified: i64,
        /// The hash of its content.
        hash: ContentHash,
    },
    /// A symbolic link.
    Link {
        /// Where it leads, as written.
        target: Vec<u8>,
    },
}

/// The bytes are no entry, need or head of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bytes are not what a sync consists of")]
pub struct TreeError;

impl Entry {
    /// Bytes of an entry, its length apart, at most: two paths of the system's greatest length, and the rest.
    pub const MAX: usize = 2 * 4096 + 128;

    const FOLDER: u8 = 0;
    const FILE: u8 = 1;
    const LINK: u8 = 2;

    /// Appends its bytes to `out`: their number (`u32`), then they.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.root.to_le_bytes());
        put_bytes(out, &self.path);
        match &self.kind {
            EntryKind::Folder { mode } => {
                out.push(Self::FOLDER);
                out.extend_from_slice(&mode.to_le_bytes());
            }
            EntryKind::File {
                mode,
                size,
                modified,
                hash,
            } => {
                out.push(Self::FILE);
                out.extend_from_slice(&mode.to_le_bytes());
                out.extend_from_slice(&size.to_le_bytes());
                out.extend_from_slice(&modified.to_le_bytes());
                out.extend_from_slice(hash);
            }
            EntryKind::Link { target } => {
                out.push(Self::LINK);
                put_bytes(out, target);
            }
        }
        let length = u32::try_from(out.len() - start - 4).expect("paths are far below 4 GiB");
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Reads an entry from its bytes, the number of them apart.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut rest = bytes;
        let root = u16::from_le_bytes(take(&mut rest)?);
        let path = take_bytes(&mut rest)?;
        let [kind] = take(&mut rest)?;
        let kind = match kind {
            Self::FOLDER => EntryKind::Folder {
                mode: u32::from_le_bytes(take(&mut rest)?),
            },
            Self::FILE => EntryKind::File {
                mode: u32::from_le_bytes(take(&mut rest)?),
                size: u64::from_le_bytes(take(&mut rest)?),
                modified: i64::from_le_bytes(take(&mut rest)?),
                hash: take(&mut rest)?,
            },
            Self::LINK => EntryKind::Link {
                target: take_bytes(&mut rest)?,
            },
            _ => return Err(TreeError),
        };
        if !rest.is_empty() {
            return Err(TreeError);
        }
        Ok(Self { root, path, kind })
    }

    /// The order of entries in a manifest: by root, then by path, a folder right before what is in it.
    pub fn place(&self, other: &Self) -> Ordering {
        self.root
            .cmp(&other.root)
            .then_with(|| path_order(&self.path, &other.path))
    }
}

/// The order of paths in a tree: as if the names were compared one by one.
pub fn path_order(one: &[u8], other: &[u8]) -> Ordering {
    // No name contains a 0, which sorts a folder's own before whatever has a longer name.
    let key = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    one.iter().map(key).cmp(other.iter().map(key))
}

/// A content that a node lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The number of an entry that has this content, counted from 0 over the whole manifest.
    pub entry: u32,
    /// The first byte that is lacking.
    pub offset: u64,
}

impl Need {
    /// Needs as bytes; they must be in ascending order.
    pub fn encode_all(needs: &[Self]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut last = 0;
        for need in needs {
            put_number(&mut out, u64::from(need.entry - last));
            put_number(&mut out, need.offset);
            last = need.entry;
        }
        out
    }

    /// Reads what [`Need::encode_all`] wrote.
    pub fn decode_all(mut bytes: &[u8]) -> Result<Vec<Self>, TreeError> {
        let mut needs = Vec::new();
        let mut last = 0_u32;
        while !bytes.is_empty() {
            let ahead = u32::try_from(take_number(&mut bytes)?).map_err(|_| TreeError)?;
            last = last.checked_add(ahead).ok_or(TreeError)?;
            let offset = take_number(&mut bytes)?;
            needs.push(Self {
                entry: last,
                offset,
            });
        }
        Ok(needs)
    }
}

/// What goes before a content's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHead {
    /// The number of the entry whose content this is.
    pub entry: u32,
    /// The first byte that follows.
    pub offset: u64,
    /// How many bytes follow.
    pub length: u64,
}

impl ContentHead {
    /// Bytes of a head.
    pub const SIZE: usize = 20;
    /// The number of no entry: it stands where there are no more contents.
    const LAST: u32 = u32::MAX;

    /// Its bytes.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&self.entry.to_le_bytes());
        out[4..12].copy_from_slice(&self.offset.to_le_bytes());
        out[12..].copy_from_slice(&self.length.to_le_bytes());
        out
    }

    /// What stands where there are no more contents.
    pub fn end() -> [u8; Self::SIZE] {
        Self {
            entry: Self::LAST,
            offset: 0,
            length: 0,
        }
        .encode()
    }

    /// Reads a head; None is the end.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let mut rest = bytes.as_slice();
        let head = Self {
            entry: u32::from_le_bytes(take(&mut rest).ok()?),
            offset: u64::from_le_bytes(take(&mut rest).ok()?),
            length: u64::from_le_bytes(take(&mut rest).ok()?),
        };
        (head.entry != Self::LAST).then_some(head)
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("paths are far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TreeError> {
    let (taken, after) = rest.split_first_chunk().ok_or(TreeError)?;
    *rest = after;
    Ok(*taken)
}

fn take_bytes(rest: &mut &[u8]) -> Result<Vec<u8>, TreeError> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let taken = rest.get(..length).ok_or(TreeError)?;
    *rest = &rest[length..];
    Ok(taken.to_vec())
}

/// Seven bits a byte, the lowest first.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn take_number(rest: &mut &[u8]) -> Result<u64, TreeError> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest)?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(TreeError);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(TreeError)
}
