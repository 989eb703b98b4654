//! A client of syncs: trees made here, sent as a client would, or as one should not.

use std::io::Write;

use skiff_proto::tree::{ContentHead, Entry, EntryKind, Need, SyncRoot};
use skiff_proto::{FaultKind, Frame, Request, Response};

use crate::support::Client;

/// When all files of these tests changed.
pub(crate) const MODIFIED: i64 = 1_700_000_000_123_456_789;

/// Trees on their way: entries in their order, files with their contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trees {
    pub(crate) roots: Vec<SyncRoot>,
    pub(crate) entries: Vec<(Entry, Vec<u8>)>,
}

impl Trees {
    /// One tree for the working folder.
    pub(crate) fn workdir() -> Self {
        Self {
            roots: vec![SyncRoot::Workdir],
            entries: Vec::new(),
        }
    }

    /// Begins a tree for a place.
    pub(crate) fn mount(mut self, path: &str) -> Self {
        self.roots.push(SyncRoot::Mount { path: path.into() });
        self
    }

    pub(crate) fn add(mut self, path: impl AsRef<[u8]>, kind: EntryKind, content: &[u8]) -> Self {
        let entry = Entry {
            root: u16::try_from(self.roots.len() - 1).expect("few"),
            path: path.as_ref().to_vec(),
            kind,
        };
        self.entries.push((entry, content.to_vec()));
        self
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        self.add(path, EntryKind::Folder { mode: 0o755 }, &[])
    }

    pub(crate) fn file(self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.file_of(path, content, 0o644)
    }

    pub(crate) fn file_of(
        self,
        path: impl AsRef<[u8]>,
        content: impl AsRef<[u8]>,
        mode: u32,
    ) -> Self {
        let content = content.as_ref();
        let kind = EntryKind::File {
            mode,
            size: content.len() as u64,
            modified: MODIFIED,
            hash: *blake3::hash(content).as_bytes(),
        };
        self.add(path, kind, content)
    }

    pub(crate) fn link(self, path: &str, target: impl AsRef<[u8]>) -> Self {
        let target = target.as_ref().to_vec();
        self.add(path, EntryKind::Link { target }, &[])
    }

    /// In the order that a manifest must have.
    pub(crate) fn in_order(mut self) -> Self {
        self.entries.sort_by(|one, other| one.0.place(&other.0));
        self
    }

    fn manifest(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (entry, _) in &self.entries {
            entry.encode(&mut bytes);
        }
        zstd::encode_all(bytes.as_slice(), 1).expect("in memory")
    }

    /// The stream of contents that answers these needs.
    pub(crate) fn contents(&self, needs: &[Need]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("in memory");
        encoder.window_log(20).expect("possible");
        for need in needs {
            let content = &self.entries[need.entry as usize].1;
            let rest = &content[usize::try_from(need.offset).expect("small")..];
            let head = ContentHead {
                entry: need.entry,
                offset: need.offset,
                length: rest.len() as u64,
            };
            encoder.write_all(&head.encode()).expect("in memory");
            encoder.write_all(rest).expect("in memory");
        }
        encoder.write_all(&ContentHead::end()).expect("in memory");
        encoder.finish().expect("in memory")
    }
}

/// A sync whose needs are known.
pub(crate) struct Begun {
    pub(crate) id: u32,
    pub(crate) needs: Vec<Need>,
    window: usize,
}

impl Client {
    /// Sends a manifest; gives what is needed, or the agent's refusal.
    pub(crate) fn begin_sync(&mut self, name: &str, trees: &Trees) -> Result<Begun, Box<Response>> {
        let manifest = trees.manifest();
        let id = self.request(Request::Sync {
            sync: name.into(),
            roots: trees.roots.clone(),
            manifest: manifest.len() as u64,
        });
        let mut begun = Begun {
            id,
            needs: Vec::new(),
            window: Frame::WINDOW as usize,
        };
        self.send_data(&mut begun, &manifest)?;
        let mut bytes = Vec::new();
        loop {
            match self.receive().expect("the agent answers") {
                Frame::Credit(of, credit) if of == id => begun.window += credit as usize,
                Frame::Data(of, data) if of == id => bytes.extend(data),
                Frame::Response(of, Response::Needs) if of == id => break,
                Frame::Response(of, response) if of == id => return Err(Box::new(response)),
                _ => {}
            }
        }
        begun.needs = Need::decode_all(&bytes).expect("needs");
        Ok(begun)
    }

    /// Sends data within the window; an answer that comes before its end is the agent's refusal.
    pub(crate) fn send_data(
        &mut self,
        begun: &mut Begun,
        bytes: &[u8],
    ) -> Result<(), Box<Response>> {
        for chunk in bytes.chunks(Frame::CHUNK) {
            while begun.window < chunk.len() {
                match self.receive().expect("the agent answers") {
                    Frame::Credit(of, credit) if of == begun.id => begun.window += credit as usize,
                    Frame::Response(of, response) if of == begun.id => {
                        return Err(Box::new(response));
                    }
                    _ => {}
                }
            }
            begun.window -= chunk.len();
            self.send(&Frame::Data(begun.id, chunk.to_vec()));
        }
        Ok(())
    }

    /// Sends a sync whole; gives what was needed and the answer.
    pub(crate) fn sync_as(&mut self, name: &str, trees: &Trees) -> (Vec<Need>, Response) {
        let mut begun = match self.begin_sync(name, trees) {
            Ok(begun) => begun,
            Err(response) => return (Vec::new(), *response),
        };
        let contents = trees.contents(&begun.needs);
        if let Err(response) = self.send_data(&mut begun, &contents) {
            return (begun.needs, *response);
        }
        self.send(&Frame::End(begun.id));
        let answer = self.answer(begun.id);
        (begun.needs, answer)
    }

    /// A sync that must succeed; gives how many contents were needed.
    pub(crate) fn sync(&mut self, trees: &Trees) -> usize {
        let (needs, answer) = self.sync_as("sync", trees);
        assert_eq!(answer, Response::Done);
        needs.len()
    }

    /// A sync that must be refused.
    pub(crate) fn refused(&mut self, trees: &Trees) -> (FaultKind, String) {
        match self.sync_as("sync", trees).1 {
            Response::Failed { fault } => (fault.kind, fault.message),
            other => panic!("it was taken: {other:?}"),
        }
    }
}
