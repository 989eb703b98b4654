//! The one secret of a cluster, and the keys that its nodes and users make of it.

use std::fmt;

/// Bytes of a key, and of what is made of it.
const LENGTH: usize = 32;

/// What only the nodes of a cluster and its users know: 32 random bytes, as 64 hex digits in the owner Secret and in
/// the pods. Whoever has it can make the same keys.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey([u8; LENGTH]);

impl ClusterKey {
    /// A key of random bytes, which the caller brings.
    pub const fn new(random: [u8; LENGTH]) -> Self {
        Self(random)
    }

    /// Reads the 64 hex digits; white space around them is no part of them.
    pub fn parse(text: &str) -> Option<Self> {
        let hash = blake3::Hash::from_hex(text.trim()).ok()?;
        Some(Self(*hash.as_bytes()))
    }

    /// The 64 hex digits.
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// Seed of the Ed25519 key by which a node of the cluster shows that it is one, to users and to other nodes.
    pub fn host_seed(&self) -> [u8; LENGTH] {
        blake3::derive_key("skiff.dev 2026-11 ssh host key", &self.0)
    }

    /// Seed of the Ed25519 key with which the head logs in to the workers.
    pub fn link_seed(&self) -> [u8; LENGTH] {
        blake3::derive_key("skiff.dev 2026-11 link key", &self.0)
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey")
    }
}

#[cfg(test)]
mod tests {
    use super::ClusterKey;

    #[test]
    fn a_key_survives_its_text_and_makes_different_seeds() {
        let key = ClusterKey::new([7; 32]);
        assert_eq!(
            ClusterKey::parse(&format!("{}\n", key.to_hex())),
            Some(key.clone())
        );
        assert_ne!(key.host_seed(), key.link_seed());
        assert_eq!(ClusterKey::parse("07"), None);
    }
}
