//! The nodes' addresses: told by a client, kept in a file so that the head finds its workers again after a restart.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::report;

/// The addresses by rank, as far as they are known.
pub(super) type Addresses = Vec<Option<IpAddr>>;

/// The table. See the module.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    /// This node's own rank and address, which nobody knows better.
    own: Option<(u32, IpAddr)>,
    addresses: watch::Sender<Addresses>,
}

impl Table {
    /// What was kept at this path; nothing where nothing was, or where it is for another number of nodes.
    pub(super) fn load(path: PathBuf, rank: u32, count: u32, own: Option<IpAddr>) -> Self {
        let kept = match read(&path) {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                report(&format!("cannot read {}: {error}", path.display()));
                Vec::new()
            }
        };
        let mut addresses: Addresses = kept.into_iter().map(Some).collect();
        if addresses.len() != count as usize {
            addresses = vec![None; count as usize];
        }
        let table = Self {
            path,
            own: own.map(|address| (rank, address)),
            addresses: watch::Sender::new(Vec::new()),
        };
        table.publish(addresses);
        table
    }

    /// Where it is kept.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The addresses now and whenever they change.
    pub(super) fn watch(&self) -> watch::Receiver<Addresses> {
        self.addresses.subscribe()
    }

    /// Keeps the addresses, then publishes them.
    pub(super) fn learn(&self, addresses: Vec<IpAddr>) -> io::Result<()> {
        write(&self.path, &addresses)?;
        self.publish(addresses.into_iter().map(Some).collect());
        Ok(())
    }

    fn publish(&self, mut addresses: Addresses) {
        if let Some((rank, own)) = self.own
            && let Some(address) = addresses.get_mut(rank as usize)
        {
            *address = Some(own);
        }
        self.addresses.send_if_modified(|known| {
            let is_new = *known != addresses;
            *known = addresses;
            is_new
        });
    }
}

fn read(path: &Path) -> io::Result<Vec<IpAddr>> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn write(path: &Path, addresses: &[IpAddr]) -> io::Result<()> {
    let fresh = path.with_extension("tmp");
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(addresses)?)?;
    file.sync_data()?;
    fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Table;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_was_learnt_is_known_after_a_restart() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("nodes.json");
        let own = address("10.0.0.9");
        let table = Table::load(path.clone(), 0, 2, Some(own));
        assert_eq!(*table.watch().borrow(), [Some(own), None]);
        let told = vec![address("10.0.0.1"), address("10.0.0.2")];
        table.learn(told).expect("written");
        let again = Table::load(path.clone(), 0, 2, Some(own));
        assert_eq!(
            *again.watch().borrow(),
            [Some(own), Some(address("10.0.0.2"))]
        );
        let other = Table::load(path, 0, 3, None);
        assert_eq!(*other.watch().borrow(), [None; 3]);
    }
}
