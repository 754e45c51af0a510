#![expect(unsafe_code, reason = "adjtimex and statvfs are raw calls that std does not offer")]
//! Two questions to the kernel that std cannot ask: whether something keeps the clock, and how full a disk is.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What the kernel knows of its wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockState {
    /// Something keeps it right.
    Synchronised,
    /// It runs free.
    Free,
}

/// Asks for the state of the wall clock (adjtimex(2)); `None` when the kernel does not say.
pub(super) fn clock_state() -> Option<ClockState> {
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: the structure is whole (all its bytes are numbers or padding, and zero is one of them), is ours for the
    // time of the call, and with `modes` zero the call only reads.
    let answer = unsafe { libc::adjtimex(state.as_mut_ptr()) };
    match answer {
        libc::TIME_ERROR => Some(ClockState::Free),
        0.. => Some(ClockState::Synchronised),
        _ => None,
    }
}

/// Bytes that this process may still write at `path` (statvfs(3)); `None` when the file system does not say.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut stat = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path ends in a zero byte and lives over the call, and so does the structure that the call fills.
    let answer = unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) };
    if answer != 0 {
        return None;
    }
    // SAFETY: the call has succeeded, so it has filled the structure; it was all zeros before, which is valid too.
    let stat = unsafe { stat.assume_init() };
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_both() {
        assert!(free_bytes(Path::new("/")).is_some());
        assert_eq!(free_bytes(Path::new("/no/such/place")), None);
        // Both states are possible on a machine that tests; a refusal is not.
        assert!(clock_state().is_some());
    }
}
