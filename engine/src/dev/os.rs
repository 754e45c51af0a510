#![expect(
    unsafe_code,
    reason = "a signal to a child, and its end with its parent's, are raw calls that std does not offer"
)]
//! What binds the nodes to whoever has started them.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

/// Makes a child hear no keys of our terminal, and end (SIGTERM) when this thread does.
pub(super) fn tie(command: &mut Command) {
    // An interrupt from the terminal goes to us alone: a second signal would end the nodes at once.
    command.process_group(0);
    let hook = || {
        // SAFETY: prctl with PR_SET_PDEATHSIG reads one integer.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })
    };
    // SAFETY: between fork and exec the hook makes one system call, which is async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(hook) };
}

/// Asks a child that is not reaped yet to stop.
pub(super) fn terminate(child: &Child) -> io::Result<()> {
    let pid = libc::pid_t::try_from(child.id()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: kill takes two integers. The child is borrowed and not reaped, so the number is still its own.
    check(unsafe { libc::kill(pid, libc::SIGTERM) })
}

fn check(answer: libc::c_int) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
