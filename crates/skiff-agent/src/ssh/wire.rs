//! How SSH and SFTP write numbers and texts. Must not know what they mean.

use thiserror::Error;

/// A message ends before it should, or holds what it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message is malformed")]
pub(crate) struct Malformed;

/// What is left of a message to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from the first of these bytes on.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next byte as yes or no.
    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        self.u8().map(|byte| byte != 0)
    }

    /// The next 4 bytes as a number.
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next 8 bytes as a number.
    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next string of bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    /// The next string, where it is text.
    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// So many bytes as they are.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }
}

/// Builds a message.
pub(crate) trait Writer {
    /// One byte.
    fn put_u8(&mut self, byte: u8);
    /// A number of 4 bytes.
    fn put_u32(&mut self, number: u32);
    /// A number of 8 bytes.
    fn put_u64(&mut self, number: u64);
    /// A string of bytes, with its length. The callers' strings are bounded far below what a length can say.
    fn put_bytes(&mut self, bytes: &[u8]);
}

impl Writer for Vec<u8> {
    fn put_u8(&mut self, byte: u8) {
        self.push(byte);
    }

    fn put_u32(&mut self, number: u32) {
        self.extend_from_slice(&number.to_be_bytes());
    }

    fn put_u64(&mut self, number: u64) {
        self.extend_from_slice(&number.to_be_bytes());
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Reader, Writer};

    #[test]
    fn what_is_written_is_read() {
        let mut message = Vec::new();
        message.put_u8(7);
        message.put_u32(70_000);
        message.put_u64(1 << 40);
        message.put_bytes(b"text");
        let mut reader = Reader::new(&message);
        assert_eq!(
            (reader.u8(), reader.u32(), reader.u64(), reader.text()),
            (Ok(7), Ok(70_000), Ok(1 << 40), Ok("text"))
        );
        assert_eq!(reader.u8(), Err(Malformed));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]).bytes(),
            Err(Malformed)
        );
    }
}
