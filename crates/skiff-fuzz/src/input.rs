//! One input of a target: some texts, of which some may be no text at all.

/// What stands between the parts in a file.
const SEPARATOR: &[u8] = b"\n\x1e\n";

/// One input of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Its parts; what they mean is the target's affair.
    pub parts: Vec<Vec<u8>>,
}

impl Input {
    /// An input of these parts.
    pub fn new(parts: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        Self {
            parts: parts.into_iter().map(Into::into).collect(),
        }
    }

    /// One part; nothing where it is not there.
    pub fn part(&self, index: usize) -> &[u8] {
        self.parts.get(index).map_or(&[], Vec::as_slice)
    }

    /// One part as text.
    pub fn text(&self, index: usize) -> String {
        String::from_utf8_lossy(self.part(index)).into_owned()
    }

    /// The input as a file keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.parts.join(SEPARATOR)
    }

    /// The input that a file keeps.
    pub fn from_bytes(mut bytes: &[u8]) -> Self {
        let mut parts = Vec::new();
        let find = |bytes: &[u8]| {
            let mut windows = bytes.windows(SEPARATOR.len());
            windows.position(|window| window == SEPARATOR)
        };
        while let Some(at) = find(bytes) {
            parts.push(bytes[..at].to_vec());
            bytes = &bytes[at + SEPARATOR.len()..];
        }
        parts.push(bytes.to_vec());
        Self { parts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_survives_its_file() {
        for parts in [vec!["run: id\n", "", "A=1\n"], vec![""], vec!["\0\x1e\n"]] {
            let input = Input::new(parts);
            assert_eq!(Input::from_bytes(&input.to_bytes()), input);
        }
    }
}
