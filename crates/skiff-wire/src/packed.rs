//! Data frames whose bytes are compressed, each by itself.

use skiff_proto::{Frame, FrameError};
use zstd::bulk;

/// Fewer bytes are sent as they are: they are on their way at once.
const SMALLEST: usize = 512;
/// Fast: a log must not cost the job its processor.
const LEVEL: i32 = 1;

/// Makes data frames, compressed where that makes them smaller.
#[derive(Default)]
pub struct Packer {
    compressor: Option<bulk::Compressor<'static>>,
}

impl Packer {
    /// The frame of these bytes, at most [`Frame::CHUNK`] of them.
    pub fn frame(&mut self, id: u32, bytes: Vec<u8>) -> Frame {
        match self.pack(&bytes) {
            Some(packed) if packed.len() < bytes.len() => {
                let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                Frame::Packed(id, size, packed)
            }
            _ => Frame::Data(id, bytes),
        }
    }

    fn pack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !(SMALLEST..=Frame::CHUNK).contains(&bytes.len()) {
            return None;
        }
        if self.compressor.is_none() {
            self.compressor = bulk::Compressor::new(LEVEL).ok();
        }
        self.compressor.as_mut()?.compress(bytes).ok()
    }
}

/// A frame with its bytes unpacked, if they are packed.
pub fn unpacked(frame: Frame) -> Result<Frame, FrameError> {
    let Frame::Packed(id, size, packed) = frame else {
        return Ok(frame);
    };
    // The decoder has bounded the size, and no more than that is unpacked.
    let bytes = bulk::decompress(&packed, size as usize)
        .ok()
        .filter(|bytes| bytes.len() == size as usize)
        .ok_or(FrameError::Payload("packed", None))?;
    Ok(Frame::Data(id, bytes))
}

#[cfg(test)]
mod tests {
    use skiff_proto::{Decoder, Frame};

    use super::{Packer, unpacked};

    #[test]
    fn text_becomes_small_and_comes_out_as_it_went_in() {
        let text = "step 1 of 9: loss 0.25\n".repeat(2000).into_bytes();
        let frame = Packer::default().frame(7, text.clone());
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        assert!(bytes.len() < text.len() / 10, "{}", bytes.len());
        assert_eq!(unpacked(frame).expect("packed"), Frame::Data(7, text));
    }

    #[test]
    fn what_does_not_become_smaller_is_sent_as_it_is() {
        let mut packer = Packer::default();
        let few = b"name? ".to_vec();
        assert_eq!(packer.frame(7, few.clone()), Frame::Data(7, few));
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_le_bytes()[7]
        });
        let noise: Vec<u8> = noise.take(4096).collect();
        assert_eq!(packer.frame(7, noise.clone()), Frame::Data(7, noise));
    }

    #[test]
    fn few_bytes_that_would_become_many_are_refused() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).expect("compressed");
        for size in [0, 1, 64 << 10] {
            assert!(unpacked(Frame::Packed(7, size, bomb.clone())).is_err());
        }
        let mut bytes = Vec::new();
        Frame::Packed(7, 64 << 20, bomb).encode(&mut bytes);
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        assert!(decoder.next_frame().is_err());
    }
}
