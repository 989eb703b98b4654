//! The methods by which both sides come to a secret that nobody else knows: Curve25519 (RFC 8731), alone or together with
//! ML-KEM, so that who records a session today cannot read it with a quantum computer one day.

use ml_kem::{Encapsulate, EncapsulationKey768, TryKeyInit};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::rand::SystemRandom;

use super::exchange::{ExchangeError, digest};
use super::wire::Writer;

/// Bytes of a key for ML-KEM-768.
const KEM_KEY: usize = 1184;

/// How a secret is agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// ML-KEM-768 and Curve25519.
    Hybrid,
    /// Curve25519.
    Curve,
}

impl Method {
    /// All of them with their names in the protocol, the preferred first.
    pub(crate) const ALL: [(&str, Self); 3] = [
        ("mlkem768x25519-sha256", Self::Hybrid),
        ("curve25519-sha256", Self::Curve),
        ("curve25519-sha256@libssh.org", Self::Curve),
    ];

    /// Answers the client's half.
    pub(crate) fn agree(self, theirs: &[u8]) -> Result<Secret, ExchangeError> {
        match self {
            Self::Curve => {
                let (half, shared) = curve(theirs)?;
                let mut encoded = Vec::new();
                encoded.put_bytes(&positive(&shared));
                Ok(Secret { half, encoded })
            }
            Self::Hybrid => {
                let (key, theirs) = theirs.split_at_checked(KEM_KEY).ok_or(ExchangeError::Key)?;
                let key = EncapsulationKey768::new_from_slice(key);
                let (sealed, inner) = key.map_err(|_| ExchangeError::Key)?.encapsulate();
                let (half, outer) = curve(theirs)?;
                let mut encoded = Vec::new();
                encoded.put_bytes(&digest(&[&inner, &outer]));
                let half = [sealed.as_slice(), &half].concat();
                Ok(Secret { half, encoded })
            }
        }
    }
}

/// What both sides have agreed on.
pub(crate) struct Secret {
    /// This side's half, for the client.
    pub(crate) half: Vec<u8>,
    /// The secret as the protocol hashes it.
    pub(crate) encoded: Vec<u8>,
}

/// This side's half of an agreement by Curve25519, and the secret.
fn curve(theirs: &[u8]) -> Result<(Vec<u8>, Vec<u8>), ExchangeError> {
    let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())
        .map_err(|_| ExchangeError::Random)?;
    let half = private.compute_public_key();
    let half = half.map_err(|_| ExchangeError::Random)?.as_ref().to_vec();
    let theirs = UnparsedPublicKey::new(&X25519, theirs);
    let shared = agree_ephemeral(private, &theirs, <[u8]>::to_vec);
    Ok((half, shared.map_err(|_| ExchangeError::Key)?))
}

/// The bytes of a number that the protocol must not take for a negative one.
fn positive(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0);
    let significant = start.map_or(&[][..], |start| &bytes[start..]);
    let mut number = Vec::new();
    if significant.first().is_some_and(|byte| *byte >= 0x80) {
        number.push(0);
    }
    number.extend_from_slice(significant);
    number
}

#[cfg(test)]
mod tests {
    use super::{Method, positive};

    #[test]
    fn a_secret_is_a_positive_number_without_leading_zeros() {
        assert_eq!(positive(&[0, 0, 0x7f, 1]), [0x7f, 1]);
        assert_eq!(positive(&[0x80, 1]), [0, 0x80, 1]);
        assert!(positive(&[0, 0]).is_empty());
    }

    #[test]
    fn halves_that_are_none_are_refused() {
        for (_, method) in Method::ALL {
            for half in [&[][..], &[0; 32], &[0xff; 1184 + 32]] {
                assert!(method.agree(half).is_err(), "{method:?} {}", half.len());
            }
        }
    }
}
