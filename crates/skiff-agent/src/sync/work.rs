//! The part of a sync that works on this node's disk, on a thread that may wait for it.

use std::collections::HashMap;
use std::io::{self, Read};

use skiff_proto::tree::{ContentHash, ContentHead, Need, SyncRoot};
use tokio::sync::{mpsc, oneshot};

use super::compare::{Comparison, Target, Wanted};
use super::content::{BUFFER, SparseFile};
use super::error::SyncError;
use super::manifest::{Manifest, broken, unpacked};
use super::mounts::{self, Mount};
use super::place::{Placing, time_of};
use super::staging::Staging;
use crate::connection::Piece;
use crate::home::Home;
use crate::layout::Layout;

/// One tree's place.
#[derive(Clone, Debug)]
struct Root {
    target: Target,
    mount: Option<Mount>,
}

/// A sync whose contents are all there, ready to be placed.
#[derive(Debug)]
pub(crate) struct Staged {
    layout: Layout,
    roots: Vec<Root>,
    manifest: Manifest,
    comparison: Comparison,
    staging: Staging,
    /// The lists that the trees were compared with.
    seen: Vec<Option<Seen>>,
}

/// What tells a list from its successor.
type Seen = (u64, std::time::SystemTime);

/// Trees of one sync, at most.
const MOST_ROOTS: usize = 4096;

/// What a sync is about.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) roots: Vec<SyncRoot>,
    /// Bytes of the compressed manifest.
    pub(crate) manifest: u64,
}

/// Takes in a manifest, tells what is needed, and takes in the contents.
pub(crate) fn stage(
    layout: &Layout,
    home: &Home,
    order: &Order,
    pieces: mpsc::Receiver<Piece>,
    needs: oneshot::Sender<Vec<Need>>,
) -> Result<Staged, SyncError> {
    let roots = roots(layout, home, &order.roots)?;
    let mut reader = PieceReader::new(pieces);
    let mut staging = Staging::new(layout)?;
    let is_single: Vec<bool> = roots.iter().map(|root| root.mount.is_some()).collect();
    let mut compressed = (&mut reader).take(order.manifest);
    let manifest = Manifest::receive(&mut compressed, &is_single, &staging.file("manifest"))?;
    // What follows the manifest's own end within its bytes means nothing.
    io::copy(&mut compressed, &mut io::sink()).map_err(broken)?;
    let seen = roots.iter().map(seen).collect();
    let mut comparison = Comparison::default();
    for (index, root) in roots.iter().enumerate() {
        if let (Some(mount), Some(is_folder)) = (&root.mount, manifest.is_folder(index)) {
            mount.check(is_folder)?;
        }
        comparison.add(&root.target, manifest.entries(index)?)?;
    }
    let targets: Vec<&Target> = roots.iter().map(|root| &root.target).collect();
    let result = staging
        .gather(&mut comparison, &targets)
        .and_then(|lacking| {
            let mut contents = Contents::new(&comparison, &staging, &lacking);
            // Where nobody waits for it any more, the reader meets the same end.
            let _ = needs.send(lacking);
            contents.receive(&mut reader)?;
            contents.end(&manifest)
        });
    if let Err(error) = &result
        && error.is_full()
    {
        staging.give_up();
    }
    result?;
    Ok(Staged {
        layout: layout.clone(),
        roots,
        manifest,
        comparison,
        staging,
        seen,
    })
}

impl Staged {
    /// Puts all trees into their places. One sync may do that at a time.
    pub(crate) fn place(mut self) -> Result<(), SyncError> {
        let result = self.place_all();
        match &result {
            Ok(()) => self.staging.finish(),
            Err(error) if error.is_full() => self.staging.give_up(),
            Err(_) => {}
        }
        result
    }

    fn place_all(&self) -> Result<(), SyncError> {
        if self.roots.iter().map(seen).ne(self.seen.iter().copied()) {
            return Err(SyncError::Overtaken);
        }
        let placings: Vec<_> = self
            .roots
            .iter()
            .enumerate()
            .map(|(index, root)| Placing {
                target: &root.target,
                entries: move || self.manifest.entries(index),
                first: self.manifest.first(index),
                comparison: &self.comparison,
                staging: &self.staging,
            })
            .collect();
        let mut prepared = Vec::new();
        for placing in &placings {
            prepared.push(placing.prepare()?);
        }
        for (placing, prepared) in placings.iter().zip(&prepared) {
            placing.place(prepared)?;
        }
        let mut mounts: Vec<&Mount> = self
            .roots
            .iter()
            .filter_map(|root| root.mount.as_ref())
            .collect();
        mounts.sort_by_key(|mount| mount.depth());
        for mount in mounts {
            mount.appear(&self.layout)?;
            mount.remember()?;
        }
        if let Some(workdir) = self.roots.iter().find(|root| root.mount.is_none())
            && self.comparison.has_changes
        {
            mounts::restore(&self.layout, Some(&workdir.target.dir));
        }
        Ok(())
    }
}

fn roots(layout: &Layout, home: &Home, roots: &[SyncRoot]) -> Result<Vec<Root>, SyncError> {
    if roots.len() > MOST_ROOTS {
        return Err(SyncError::Malformed(io::ErrorKind::InvalidData.into()));
    }
    let mut found: Vec<Root> = Vec::new();
    for root in roots {
        let root = match root {
            SyncRoot::Workdir => Root {
                target: Target {
                    dir: home.workdir.clone(),
                    skipped: 0,
                    records: layout
                        .at(skiff_proto::paths::SYNC)
                        .join("records")
                        .join("workdir"),
                },
                mount: None,
            },
            SyncRoot::Mount { path } => {
                let mount = Mount::new(layout, home, path)?;
                Root {
                    target: mount.store.clone(),
                    mount: Some(mount),
                }
            }
        };
        if found
            .iter()
            .any(|other| other.target.records == root.target.records)
        {
            let why = "it is named twice".to_owned();
            return Err(SyncError::Destination(root.target.dir, why));
        }
        found.push(root);
    }
    for root in &found {
        std::fs::create_dir_all(&root.target.dir).map_err(SyncError::write(&root.target.dir))?;
    }
    Ok(found)
}

fn seen(root: &Root) -> Option<Seen> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(&root.target.records).ok()?;
    Some((metadata.ino(), metadata.modified().ok()?))
}

/// The contents that a sync waits for.
struct Contents<'a> {
    staging: &'a Staging,
    /// By the entry under which each comes.
    waiting: HashMap<u32, Waiting>,
}

/// A content that has not come yet.
struct Waiting {
    hash: ContentHash,
    wanted: Wanted,
    /// How much of it there is.
    there: u64,
}

impl<'a> Contents<'a> {
    fn new(comparison: &Comparison, staging: &'a Staging, needs: &[Need]) -> Self {
        let offsets: HashMap<u32, u64> =
            needs.iter().map(|need| (need.entry, need.offset)).collect();
        let waiting = comparison
            .wanted
            .iter()
            .filter_map(|(hash, wanted)| {
                let waiting = Waiting {
                    hash: *hash,
                    wanted: *wanted,
                    there: *offsets.get(&wanted.entry)?,
                };
                Some((wanted.entry, waiting))
            })
            .collect();
        Self { staging, waiting }
    }

    /// Reads the stream of contents to its end.
    fn receive(&mut self, reader: &mut PieceReader) -> Result<(), SyncError> {
        let mut unpacked = unpacked(&mut *reader)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let mut head = [0; ContentHead::SIZE];
            unpacked.read_exact(&mut head).map_err(broken)?;
            let Some(head) = ContentHead::decode(&head) else {
                break;
            };
            self.content(head, &mut unpacked, &mut buffer)?;
        }
        drop(unpacked);
        // The client's word that this was all.
        io::copy(reader, &mut io::sink()).map_err(broken)?;
        Ok(())
    }

    fn content(
        &mut self,
        head: ContentHead,
        reader: &mut impl Read,
        buffer: &mut [u8],
    ) -> Result<(), SyncError> {
        // Another node needs it, or more of it.
        let Some(waiting) = self.waiting.remove(&head.entry) else {
            return skip(reader, head.length, buffer);
        };
        let Waiting {
            hash,
            wanted,
            there,
        } = waiting;
        if head.offset > there || head.offset.checked_add(head.length) != Some(wanted.size) {
            return Err(SyncError::Malformed(io::ErrorKind::InvalidData.into()));
        }
        skip(reader, there - head.offset, buffer)?;
        let path = self.staging.content(&hash);
        let mut file = SparseFile::append(&path).map_err(SyncError::write(&path))?;
        let mut hasher = blake3::Hasher::new();
        if there > 0 {
            file.hash_into(&mut hasher)
                .map_err(SyncError::read(&path))?;
        }
        let mut left = wanted.size - there;
        while left > 0 {
            let bytes = read_some(reader, left, buffer)?;
            hasher.update(bytes);
            file.write(bytes).map_err(SyncError::write(&path))?;
            left -= bytes.len() as u64;
        }
        file.finish().map_err(SyncError::write(&path))?;
        if *hasher.finalize().as_bytes() == hash {
            let furnished = file.furnish(wanted.mode, time_of(wanted.modified));
            return furnished.map_err(SyncError::write(&path));
        }
        // It is of no use to anybody.
        drop(file);
        std::fs::remove_file(&path).map_err(SyncError::write(&path))?;
        let there = 0;
        let waiting = Waiting {
            hash,
            wanted,
            there,
        };
        self.waiting.insert(head.entry, waiting);
        Ok(())
    }

    /// Whether everything has come. One that came otherwise than it was announced is still waited for.
    fn end(self, manifest: &Manifest) -> Result<(), SyncError> {
        match self.waiting.iter().min_by_key(|(entry, _)| **entry) {
            None => Ok(()),
            Some((entry, Waiting { there: 0, .. })) => {
                Err(SyncError::Content(manifest.path_of(*entry)))
            }
            Some((entry, _)) => Err(SyncError::Lacking(manifest.path_of(*entry))),
        }
    }
}

fn read_some<'b>(
    reader: &mut impl Read,
    left: u64,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], SyncError> {
    let room = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
    match reader.read(&mut buffer[..room]).map_err(broken)? {
        0 => Err(SyncError::Malformed(io::ErrorKind::UnexpectedEof.into())),
        count => Ok(&buffer[..count]),
    }
}

fn skip(reader: &mut impl Read, mut left: u64, buffer: &mut [u8]) -> Result<(), SyncError> {
    while left > 0 {
        left -= read_some(reader, left, buffer)?.len() as u64;
    }
    Ok(())
}

/// What a client sends as a stream of bytes; an error where the connection breaks before its end.
struct PieceReader {
    pieces: mpsc::Receiver<Piece>,
    current: Vec<u8>,
    at: usize,
    is_at_end: bool,
}

impl PieceReader {
    fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self {
            pieces,
            current: Vec::new(),
            at: 0,
            is_at_end: false,
        }
    }
}

impl Read for PieceReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            if self.is_at_end {
                return Ok(0);
            }
            match self.pieces.blocking_recv() {
                Some(Piece::Data(bytes)) => (self.current, self.at) = (bytes, 0),
                Some(Piece::End) => self.is_at_end = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let count = out.len().min(self.current.len() - self.at);
        out[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
