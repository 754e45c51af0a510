#![expect(unsafe_code, reason = "a thread's priority is set by a raw call")]
//! A thread that is in no hurry leaves the cores to the shards.

use super::limits::NICENESS;

/// Gives the calling thread a low priority. Where the kernel refuses, it keeps the one that it has.
pub(crate) fn step_aside() {
    // SAFETY: setpriority takes no pointers; 0 means the calling thread (setpriority(2), "C library/kernel differences").
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
}
