#![expect(
    unsafe_code,
    reason = "the kernel writes into this memory by itself, which no safe type can express"
)]
//! The buffers that the kernel receives into: a ring of descriptors that both sides see.
//!
//! ```text
//!   descriptors  [bid 3][bid 0][bid 7]…   we write at the tail, the kernel takes from the head
//!                    │
//!   memory       |  0  |  1  |  2  |  3  |…   BUFFER_BYTES each
//! ```
//!
//! A buffer belongs to the kernel (it is in the ring), to the reserve, or to exactly one [`Chunk`], which cannot be copied
//! and is consumed by [`Buffers::give_back`]. Nothing here reads memory that the kernel may be writing.
//!
//! The kernel takes buffers in turn, so each of them goes cold before it is used again. Therefore only a few are offered,
//! and more only once the kernel has run out: the copy out of the socket is the dearest part of a receive.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering};
use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use std::io;

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use super::limits::{BUFFER_BYTES, BUFFERS, BUFFERS_AT_FIRST};

/// The only group of provided buffers.
pub(super) const GROUP: u16 = 1;
const PAGE_BYTES: usize = 4096;

/// Received bytes, still in the buffer that the kernel put them in.
#[derive(Debug)]
#[must_use = "a chunk that is not given back is a buffer lost"]
pub(crate) struct Chunk {
    bid: u16,
    len: usize,
}

impl Chunk {
    /// How many bytes came.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// The descriptors and the memory.
#[derive(Debug)]
pub(super) struct Buffers {
    descriptors: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    tail: u16,
    /// Buffers that the kernel has, and how many it shall have.
    offered: u16,
    wanted: u16,
    reserve: Vec<u16>,
}

impl Buffers {
    /// Allocates the buffers and hands all of them to the kernel.
    ///
    /// The caller keeps the value until the ring is closed: the kernel writes into it until then.
    pub(super) fn register(ring: &IoUring) -> io::Result<Self> {
        let mut buffers = Self {
            descriptors: allocate(descriptors_layout()).cast(),
            memory: allocate(memory_layout()),
            tail: 0,
            offered: 0,
            wanted: BUFFERS_AT_FIRST,
            reserve: (0..BUFFERS).rev().collect(),
        };
        // SAFETY: the descriptors are BUFFERS entries long, aligned to a page, zeroed, and freed only by `drop`, which
        // the ring's owner runs after the ring is closed.
        unsafe {
            let address = buffers.descriptors.as_ptr().expose_provenance() as u64;
            ring.submitter().register_buf_ring_with_flags(address, BUFFERS, GROUP, 0)?;
        }
        buffers.refill();
        Ok(buffers)
    }

    /// The chunk that a completion speaks of.
    pub(super) fn take(&mut self, bid: u16, len: usize) -> Chunk {
        assert!(bid < BUFFERS && len <= BUFFER_BYTES, "the kernel names a buffer that it was given");
        self.offered -= 1;
        Chunk { bid, len }
    }

    /// The bytes of a chunk.
    pub(super) fn bytes(&self, chunk: &Chunk) -> &[u8] {
        // SAFETY: the chunk was made by `take` for a buffer that the kernel has handed over, it is the only one for its
        // buffer, and the buffer goes back to the kernel only by consuming it; so nobody writes these `len` bytes while
        // the chunk is borrowed. They were written by the kernel (and zeroed before).
        unsafe {
            core::slice::from_raw_parts(
                self.memory.as_ptr().add(usize::from(chunk.bid) * BUFFER_BYTES),
                chunk.len,
            )
        }
    }

    /// The chunk's buffer may be used again.
    pub(super) fn give_back(&mut self, chunk: Chunk) {
        self.reserve.push(chunk.bid);
        self.refill();
    }

    /// The kernel ran out of buffers: it gets more from here on.
    pub(super) fn ran_out(&mut self) {
        self.wanted = self.wanted.saturating_mul(2).min(BUFFERS);
        self.refill();
    }

    fn refill(&mut self) {
        while self.offered < self.wanted {
            let Some(bid) = self.reserve.pop() else { break };
            self.offer(bid);
            self.offered += 1;
        }
        self.publish();
    }

    fn offer(&mut self, bid: u16) {
        let slot = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: `slot` is below BUFFERS, the length of the descriptors; the kernel reads a descriptor only once
        // `publish` has moved the tail past it, and the address lies within `memory`. The first descriptor shares its
        // last two bytes with the tail, which the setters leave alone.
        unsafe {
            let descriptor = &mut *self.descriptors.as_ptr().add(slot);
            let buffer = self.memory.as_ptr().add(usize::from(bid) * BUFFER_BYTES);
            descriptor.set_addr(buffer.expose_provenance() as u64);
            descriptor.set_len(u32::try_from(BUFFER_BYTES).expect("a buffer is smaller than 4 GiB"));
            descriptor.set_bid(bid);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the tail lies inside the first descriptor, aligned to two bytes, valid as long as `self`; we are its
        // only writer, and the release store orders the descriptors before it for the kernel.
        unsafe {
            let tail = BufRingEntry::tail(self.descriptors.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: both were allocated with these layouts, and the ring that used them is closed and idle (its owner
        // leaks this value when it is not).
        unsafe {
            dealloc(self.descriptors.as_ptr().cast(), descriptors_layout());
            dealloc(self.memory.as_ptr(), memory_layout());
        }
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: neither layout is of size zero.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}

fn descriptors_layout() -> Layout {
    Layout::from_size_align(usize::from(BUFFERS) * size_of::<BufRingEntry>(), PAGE_BYTES)
        .expect("a page-aligned layout of a few KiB is valid")
}

fn memory_layout() -> Layout {
    Layout::from_size_align(usize::from(BUFFERS) * BUFFER_BYTES, PAGE_BYTES)
        .expect("a page-aligned layout of a few MiB is valid")
}
