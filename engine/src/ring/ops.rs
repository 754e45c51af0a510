#![expect(
    unsafe_code,
    reason = "entries name memory by address; the slots here own that memory until it is answered"
)]
//! The operations: each takes what the kernel will use into a slot and gives it back with its completion.

use core::ops::Range;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::Instant;

use io_uring::types::{Fd, FsyncFlags, Timespec};
use io_uring::{cqueue, opcode, squeue};
use socket2::SockAddr;

use super::blocks::Blocks;
use super::buffers::{Buffers, Chunk, GROUP};
use super::limits::DROP_WAIT_MS;
use super::queue::{self, Notify, Queue};
use super::{RingError, Tag, What};

/// An operation in flight, for cancelling it. A late cancellation of an operation that is over does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op(u64);

/// What an operation holds for the kernel, and gives back.
#[derive(Debug, Default)]
pub(crate) enum Held {
    /// Nothing.
    #[default]
    Nothing,
    /// The bytes of a send.
    Bytes(Vec<u8>),
    /// The blocks of a write.
    Blocks(Blocks),
    /// A socket that was accepted.
    Socket(OwnedFd),
    /// Where a connection goes to.
    Address(#[expect(dead_code, reason = "the kernel reads it")] Box<SockAddr>),
    /// Where the count of an event goes.
    Count(#[expect(dead_code, reason = "the kernel writes it")] Box<[u8; 8]>),
    /// How long to wait.
    Time(#[expect(dead_code, reason = "the kernel reads it")] Box<Timespec>),
}

/// What became of an operation.
#[derive(Debug)]
pub(crate) struct Completion {
    /// The caller's name for it.
    pub(crate) tag: Tag,
    /// The count that the kernel answered, or the error.
    pub(crate) result: io::Result<u32>,
    /// More completions of the same operation follow.
    pub(crate) more: bool,
    /// Received bytes. To be given back.
    pub(crate) chunk: Option<Chunk>,
    /// What the operation held.
    pub(crate) held: Held,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    tag: Tag,
    held: Held,
    busy: bool,
}

/// A shard's ring. It lives on the shard's thread.
#[derive(Debug)]
pub(crate) struct Ring {
    // Fields are dropped in this order: the queues are closed before the memory that they name is freed.
    queue: Queue,
    buffers: Option<Buffers>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The kernel refused entries; the next turn says so.
    broken: Option<io::Error>,
}

impl Ring {
    /// Makes the ring on the thread that will use it.
    pub(crate) fn new() -> Result<Self, RingError> {
        let queue = Queue::new()?;
        let buffers = Buffers::register(queue.ring())
            .map_err(|source| RingError::Setup { what: "receive buffers", source })?;
        Ok(Self { queue, buffers: Some(buffers), slots: Vec::new(), free: Vec::new(), broken: None })
    }

    /// Completions raise `event` while [`Ring::notify`] has it on.
    pub(crate) fn register_event(&mut self, event: BorrowedFd<'_>) -> Result<(), RingError> {
        self.queue.register_event(event).map_err(|source| RingError::Setup { what: "wake-up event", source })
    }

    /// Switches the event on before a sleep, and off after it.
    pub(crate) fn notify(&mut self, notify: Notify) {
        self.queue.notify(notify);
    }

    /// Submits what was asked and lets completions come. Does not block.
    ///
    /// An error is the ring's end (no memory, or a bug): what was asked since the last turn may be lost.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        self.broken.take().map_or_else(|| self.queue.turn(), Err)
    }

    /// As [`Ring::turn`], and sleeps until something completes or a time passes. It may end for no reason.
    pub(crate) fn wait(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        self.broken.take().map_or_else(|| self.queue.wait(at_most), Err)
    }

    /// Whether [`Ring::next`] has something.
    pub(crate) fn has_completions(&mut self) -> bool {
        self.queue.has_completions()
    }

    /// The next completion.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        let entry = self.queue.pop()?;
        let more = cqueue::more(entry.flags());
        let (tag, held) = self.answered(entry.user_data(), more);
        let result = u32::try_from(entry.result()).map_err(|_| io::Error::from_raw_os_error(-entry.result()));
        let chunk = match (&result, cqueue::buffer_select(entry.flags())) {
            (Ok(count), Some(bid)) => {
                let len = usize::try_from(*count).expect("32 bits fit");
                Some(self.buffers_mut().take(bid, len))
            }
            (Err(error), _) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.buffers_mut().ran_out();
                None
            }
            _ => None,
        };
        let held = match (tag.what, &result) {
            (What::Accept, Ok(fd)) => {
                Held::Socket(queue::own(RawFd::try_from(*fd).expect("a descriptor is an int")))
            }
            _ => held,
        };
        Some(Completion { tag, result, more, chunk, held })
    }

    /// The bytes of a chunk.
    pub(crate) fn bytes(&self, chunk: &Chunk) -> &[u8] {
        self.buffers().bytes(chunk)
    }

    /// The kernel may receive into this buffer again.
    pub(crate) fn give_back(&mut self, chunk: Chunk) {
        self.buffers_mut().give_back(chunk);
    }

    /// Accepts connections, again and again.
    pub(crate) fn accept(&mut self, fd: RawFd, tag: Tag) -> Op {
        let entry = opcode::AcceptMulti::new(Fd(fd)).flags(libc::SOCK_CLOEXEC).build();
        self.submit(entry, tag, Held::Nothing)
    }

    /// Receives, again and again, into the provided buffers.
    pub(crate) fn receive(&mut self, fd: RawFd, tag: Tag) -> Op {
        self.submit(opcode::RecvMulti::new(Fd(fd), GROUP).build(), tag, Held::Nothing)
    }

    /// Sends `range` of `bytes`; the kernel goes on after a short send by itself.
    pub(crate) fn send(&mut self, fd: RawFd, bytes: Vec<u8>, range: Range<usize>, tag: Tag) -> Op {
        let part = &bytes[range];
        let len = u32::try_from(part.len()).expect("a send is bounded far below 4 GiB");
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let entry = opcode::Send::new(Fd(fd), part.as_ptr(), len).flags(flags).build();
        self.submit(entry, tag, Held::Bytes(bytes))
    }

    /// Connects; ECANCELED when it took longer than `at_most`.
    pub(crate) fn connect(&mut self, fd: RawFd, to: SocketAddr, at_most: Duration, tag: Tag) -> Op {
        let address = Box::new(SockAddr::from(to));
        let entry = opcode::Connect::new(Fd(fd), address.as_ptr().cast(), address.len()).build();
        let time = Box::new(Timespec::from(at_most));
        let timer = opcode::LinkTimeout::new(&raw const *time).build();
        let op = self.enlist(tag, Held::Address(address));
        let timer_op = self.enlist(Tag { what: What::Nobody, id: 0 }, Held::Time(time));
        let entries = [entry.user_data(op.0).flags(squeue::Flags::IO_LINK), timer.user_data(timer_op.0)];
        self.push(&entries);
        op
    }

    /// Reads an event: answers when it is raised, and lowers it.
    pub(crate) fn read_event(&mut self, fd: RawFd, tag: Tag) -> Op {
        let mut count = Box::new([0; 8]);
        let entry = opcode::Read::new(Fd(fd), count.as_mut_ptr(), 8).build();
        self.submit(entry, tag, Held::Count(count))
    }

    /// Answers after a while, with ETIME.
    pub(crate) fn timer(&mut self, after: Duration, tag: Tag) -> Op {
        let time = Box::new(Timespec::from(after));
        let entry = opcode::Timeout::new(&raw const *time).build();
        self.submit(entry, tag, Held::Time(time))
    }

    /// Stops an operation; it is answered all the same, with ECANCELED or with what it had done.
    pub(crate) fn cancel(&mut self, op: Op) {
        let entry = opcode::AsyncCancel::new(op.0).build();
        self.submit(entry, Tag { what: What::Nobody, id: 0 }, Held::Nothing);
    }

    /// Writes blocks and then syncs the file's data, as one chain: when the write fails or is short, the sync is not
    /// done and answers ECANCELED. Two completions, [`What::LogWrite`] with the blocks and [`What::LogSync`].
    pub(crate) fn write_and_sync(&mut self, fd: RawFd, blocks: Blocks, offset: u64) {
        let len = u32::try_from(blocks.len()).expect("an append is bounded far below 4 GiB");
        let write = opcode::Write::new(Fd(fd), blocks.as_ptr(), len).offset(offset).build();
        let sync = opcode::Fsync::new(Fd(fd)).flags(FsyncFlags::DATASYNC).build();
        let write_op = self.enlist(Tag { what: What::LogWrite, id: 0 }, Held::Blocks(blocks));
        let sync_op = self.enlist(Tag { what: What::LogSync, id: 0 }, Held::Nothing);
        self.push(&[write.user_data(write_op.0).flags(squeue::Flags::IO_LINK), sync.user_data(sync_op.0)]);
    }

    fn submit(&mut self, entry: squeue::Entry, tag: Tag, held: Held) -> Op {
        let op = self.enlist(tag, held);
        self.push(&[entry.user_data(op.0)]);
        op
    }

    fn push(&mut self, entries: &[squeue::Entry]) {
        // SAFETY: every entry was built above from memory that a slot has taken in (the heap behind a `Vec` or a `Box`
        // does not move with it) and keeps until `answered` sees the final completion; provided buffers live as long as
        // the ring. Descriptors are plain numbers: a closed one answers EBADF, which is not unsound, and owners close
        // theirs only when nothing is in flight on it.
        let pushed = unsafe { self.queue.push(entries) };
        if let Err(error) = pushed {
            self.broken.get_or_insert(error);
        }
    }

    fn enlist(&mut self, tag: Tag, held: Held) -> Op {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, tag, held: Held::Nothing, busy: false });
            u32::try_from(self.slots.len() - 1).expect("operations in flight are bounded by connections")
        });
        let slot = &mut self.slots[index as usize];
        assert!(!slot.busy, "a free slot is free");
        slot.generation = slot.generation.wrapping_add(1);
        (slot.tag, slot.held, slot.busy) = (tag, held, true);
        Op(u64::from(slot.generation) << 32 | u64::from(index))
    }

    fn answered(&mut self, user_data: u64, more: bool) -> (Tag, Held) {
        let index = usize::try_from(user_data & u64::from(u32::MAX)).expect("32 bits fit");
        let slot = &mut self.slots[index];
        assert!(
            slot.busy && u64::from(slot.generation) == user_data >> 32,
            "the kernel answers what was asked, once"
        );
        if more {
            return (slot.tag, Held::Nothing);
        }
        slot.busy = false;
        self.free.push(u32::try_from(index).expect("an index came from 32 bits"));
        (slot.tag, core::mem::take(&mut slot.held))
    }

    fn buffers(&self) -> &Buffers {
        self.buffers.as_ref().expect("present until drop")
    }

    fn buffers_mut(&mut self) -> &mut Buffers {
        self.buffers.as_mut().expect("present until drop")
    }

    fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Cancels everything and waits until the kernel has let go of all memory; `false` when it does not in time.
    fn quiesce(&mut self) -> bool {
        let busy: Vec<Op> = (0u64..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.busy)
            .map(|(index, slot)| Op(u64::from(slot.generation) << 32 | index))
            .collect();
        busy.into_iter().for_each(|op| self.cancel(op));
        let deadline = Instant::now() + Duration::from_millis(DROP_WAIT_MS);
        while self.in_flight() > 0 {
            let time = Instant::now() < deadline;
            if !time || self.broken.is_some() || self.queue.enter(0).is_err() {
                return false;
            }
            while let Some(completion) = self.next() {
                if let Some(chunk) = completion.chunk {
                    self.give_back(chunk);
                }
            }
            std::thread::yield_now();
        }
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !self.quiesce() {
            // A leak is harmless; memory that is freed under the kernel's hands is not.
            core::mem::forget(self.buffers.take());
            core::mem::forget(core::mem::take(&mut self.slots));
        }
    }
}
