//! The shards' threads: one pinned executor to a core, each running one long-lived task.

use core::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use glommio::{GlommioError, LocalExecutorBuilder, Placement};

use super::event::WakeHandle;
use super::limits::{EXECUTOR_MEMORY_BYTES, HEARTBEAT};

/// A shard's place: which it is, where it runs, and how to wake it and the others.
#[derive(Clone, Debug)]
pub struct ShardSeat {
    /// The shard's number on this node, from 0.
    pub shard: u16,
    /// The core that its thread is pinned to.
    pub core: usize,
    /// One handle to a shard of this node, its own included, by number.
    pub wakers: Arc<[WakeHandle]>,
}

impl ShardSeat {
    /// The handle that wakes this shard.
    #[must_use]
    pub fn waker(&self) -> &WakeHandle {
        &self.wakers[usize::from(self.shard)]
    }
}

/// The threads of a node's shards.
#[derive(Debug)]
pub struct Shards<T> {
    threads: Vec<JoinHandle<Result<T, RuntimeError>>>,
    wakers: Arc<[WakeHandle]>,
}

/// A shard's thread could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Its executor was not to be had.
    #[error(
        "shard {shard} on core {core}: {said}. Look at `ulimit -l` (locked memory, at least 8192), and at \
             whether this process may use that core (`taskset -p`)"
    )]
    Executor {
        /// Which shard.
        shard: u16,
        /// On which core.
        core: usize,
        /// What glommio said.
        said: String,
    },
    /// The thread was not to be had.
    #[error("shard {shard}: no thread: {source}")]
    Thread {
        /// Which shard.
        shard: u16,
        /// What the kernel said.
        source: io::Error,
    },
    /// An event to wake it by was not to be had.
    #[error("no event descriptor: {source}; look at `ulimit -n`")]
    Event {
        /// What the kernel said.
        source: io::Error,
    },
}

/// Starts one thread `shard-N` for each core and runs `main` on it until it ends. `main` makes the future on the thread,
/// so the future may hold what belongs to the thread.
///
/// # Errors
///
/// When a thread or its event is not to be had. An executor that does not start is an error of [`Shards::join`].
///
/// # Panics
///
/// With more cores than 65,535.
pub fn spawn_shards<T, F, M>(cores: &[usize], main: M) -> Result<Shards<T>, RuntimeError>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
    M: Fn(ShardSeat) -> F + Clone + Send + 'static,
{
    let wakers: Result<Vec<_>, _> = cores.iter().map(|_| WakeHandle::new()).collect();
    let wakers: Arc<[WakeHandle]> = wakers.map_err(|source| RuntimeError::Event { source })?.into();
    let seats = (0u16..).zip(cores).map(|(shard, core)| ShardSeat {
        shard,
        core: *core,
        wakers: Arc::clone(&wakers),
    });
    let threads = seats.map(|seat| {
        let (main, shard) = (main.clone(), seat.shard);
        std::thread::Builder::new()
            .name(format!("shard-{shard}"))
            .spawn(move || run(seat, main))
            .map_err(|source| RuntimeError::Thread { shard, source })
    });
    let threads = threads.collect::<Result<Vec<_>, _>>()?;
    Ok(Shards { threads, wakers })
}

fn run<T, F, M>(seat: ShardSeat, main: M) -> Result<T, RuntimeError>
where
    T: 'static,
    F: Future<Output = T> + 'static,
    M: Fn(ShardSeat) -> F + 'static,
{
    let (shard, core) = (seat.shard, seat.core);
    let executor = LocalExecutorBuilder::new(Placement::Fixed(core))
        .io_memory(EXECUTOR_MEMORY_BYTES)
        .make()
        .map_err(|error: GlommioError<()>| RuntimeError::Executor { shard, core, said: error.to_string() })?;
    Ok(executor.run(async move {
        glommio::spawn_local(heartbeat()).detach();
        main(seat).await
    }))
}

/// See the traps in the head of this folder.
async fn heartbeat() {
    loop {
        glommio::timer::sleep(HEARTBEAT).await;
    }
}

impl<T> Shards<T> {
    /// The shards' handles, by number, for threads that are none.
    #[must_use]
    pub fn wakers(&self) -> Arc<[WakeHandle]> {
        Arc::clone(&self.wakers)
    }

    /// Whether a thread has ended, as one whose executor was not to be had: it could tell nobody.
    #[must_use]
    pub fn any_has_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Waits until all shards have ended.
    ///
    /// # Errors
    ///
    /// The first that could not begin.
    ///
    /// # Panics
    ///
    /// When a shard panicked (the programs abort instead; tests do not).
    pub fn join(self) -> Result<Vec<T>, RuntimeError> {
        self.threads.into_iter().map(|thread| thread.join().expect("a shard does not panic")).collect()
    }
}
