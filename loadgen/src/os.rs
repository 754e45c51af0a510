//! What std does not reach: pinning, another process's CPU clock, signals, a timer with a descriptor.
//!
//! All `unsafe` of this room is here. Each call is one libc function whose arguments are values that live in this frame.
#![allow(
    unsafe_code,
    reason = "std has no affinity, no CPU clock of another process, no SIGTERM and no timerfd"
)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// A set of cores, as the kernel takes it.
#[derive(Clone, Copy)]
pub(crate) struct Cores(libc::cpu_set_t);

impl Cores {
    /// The set of these cores; `None` when one of them is beyond what the kernel can name.
    pub(crate) fn of(cores: &[usize]) -> Option<Self> {
        // SAFETY: a cpu_set_t is an array of integers, for which zero is a value.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        for &core in cores {
            if core >= 8 * size_of::<libc::cpu_set_t>() {
                return None;
            }
            // SAFETY: the index was checked against the set's size, which is all that CPU_SET touches.
            unsafe { libc::CPU_SET(core, &mut set) };
        }
        Some(Self(set))
    }

    /// The cores that this thread may run on.
    pub(crate) fn allowed() -> io::Result<Vec<usize>> {
        let mut set = Self::of(&[]).map(|cores| cores.0).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: the set is as large as the size that is passed, and lives until the call returns.
        check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) })?;
        let bits = 8 * size_of::<libc::cpu_set_t>();
        // SAFETY: the index stays below the set's size in bits.
        Ok((0..bits).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
    }

    /// Lets this thread, and the children it will have, run on these cores only.
    pub(crate) fn pin_this_thread(&self) -> io::Result<()> {
        // SAFETY: the set is as large as the size that is passed; 0 is the calling thread.
        check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.0) })
    }
}

/// Makes a child run on these cores, and end (SIGTERM) when this thread does, so that no daemon outlives its judge.
pub(crate) fn tie_child(command: &mut Command, cores: Cores) {
    let hook = move || {
        cores.pin_this_thread()?;
        // SAFETY: prctl with PR_SET_PDEATHSIG reads one integer.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })
    };
    // SAFETY: between fork and exec the hook makes two system calls, both of which are async-signal-safe, and
    // allocates nothing.
    unsafe { command.pre_exec(hook) };
}

/// Asks a child that is not yet reaped to stop.
pub(crate) fn terminate(pid: u32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: kill takes two integers. The caller holds the unreaped child, so the number is still its own.
    check(unsafe { libc::kill(pid, libc::SIGTERM) })
}

/// The CPU time that a process has used in all its threads, those that ended included, to the nanosecond.
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the clock's id is written to a place that lives until the call returns.
    let error = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as above, for the time.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    let negative = |_| io::Error::from(io::ErrorKind::InvalidData);
    Ok(Duration::new(
        u64::try_from(time.tv_sec).map_err(negative)?,
        u32::try_from(time.tv_nsec).map_err(negative)?,
    ))
}

/// A timer that wakes an epoll: mio's own time-outs are whole milliseconds, and arrivals come by the microsecond.
#[derive(Debug)]
pub(crate) struct Timer(File);

impl Timer {
    /// A timer that is not set.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: timerfd_create takes two integers.
        let fd =
            unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        check(fd)?;
        // SAFETY: the descriptor was just made and has no other owner.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// Wakes once, after `pause` (which is not zero).
    pub(crate) fn set(&self, pause: Duration) -> io::Result<()> {
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let value = libc::timespec {
            tv_sec: libc::time_t::try_from(pause.as_secs()).map_err(invalid)?,
            tv_nsec: libc::c_long::from(i32::try_from(pause.subsec_nanos()).map_err(invalid)?),
        };
        let once =
            libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // SAFETY: the descriptor is ours and open, the time lives until the call returns, and no old time is asked for.
        check(unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const once, std::ptr::null_mut()) })
    }

    /// Takes note that it fired, so that it can fire again.
    pub(crate) fn clear(&self) {
        // It may not have fired at all, which a read that would block says; both are fine.
        _ = (&self.0).read(&mut [0; 8]);
    }

    /// For the epoll.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_s_clock_runs_with_its_work() {
        let before = cpu_time(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while cpu_time(std::process::id()).unwrap() < before + Duration::from_millis(2) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time(u32::MAX).is_err());
    }

    #[test]
    fn this_thread_runs_where_it_was_put() {
        let all = Cores::allowed().unwrap();
        assert!(!all.is_empty());
        let one = all[..1].to_vec();
        Cores::of(&one).unwrap().pin_this_thread().unwrap();
        assert_eq!(Cores::allowed().unwrap(), one);
        assert!(Cores::of(&[1 << 20]).is_none());
    }
}
