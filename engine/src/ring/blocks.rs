//! Memory for direct IO: whole blocks, aligned to their size.
//!
//! Direct writes need memory, position and length in multiples of the device's block; 4096 suits all devices that we
//! know. The type keeps these by construction, without a line of `unsafe`.

use core::fmt;

/// The unit of direct IO, in bytes.
pub(crate) const BLOCK_BYTES: usize = 4096;

#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Block([u8; BLOCK_BYTES]);

const _: () = assert!(size_of::<Block>() == BLOCK_BYTES && align_of::<Block>() == BLOCK_BYTES);

/// A growable run of blocks. It keeps its memory when it is filled again.
#[derive(Default)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocks({})", self.blocks.len())
    }
}

impl Blocks {
    /// Holds a copy of `bytes`, the last block filled up with zeros.
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        self.blocks.truncate(0);
        let (whole, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        self.blocks.extend(whole.iter().map(|chunk| Block(*chunk)));
        if !rest.is_empty() {
            let mut last = Block([0; BLOCK_BYTES]);
            last.0[..rest.len()].copy_from_slice(rest);
            self.blocks.push(last);
        }
    }

    /// Bytes that it holds; a multiple of [`BLOCK_BYTES`].
    pub(crate) fn len(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }

    /// Where the memory starts. It stays there while the value is not filled again.
    pub(super) fn as_ptr(&self) -> *const u8 {
        self.blocks.as_ptr().cast()
    }
}
