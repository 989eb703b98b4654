//! Messages of other programs that mean something else than they say.

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Pieces that the text has, all of them.
    pub(crate) pieces: &'static [&'static str],
    /// Why and what to do: a lower-case fragment.
    pub(crate) meaning: &'static str,
}

/// The first of these messages that a text has in it.
pub(crate) fn find(known: &'static [Known], text: &str) -> Option<&'static Known> {
    let fits = |known: &&Known| known.pieces.iter().all(|piece| text.contains(piece));
    known.iter().find(fits)
}
