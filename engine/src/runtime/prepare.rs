//! Segments that are prepared while the shard works: one long-lived task, one request at a time.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use super::LogDir;
use super::park::Signal;
use crate::files::LogError;

/// The shard's side of the preparing task.
#[derive(Debug, Default)]
pub(crate) struct Preparer {
    /// Something is to be looked at by the task: a request, or its end.
    called: Signal,
    request: RefCell<Option<(u64, Vec<u8>)>>,
    working: Cell<bool>,
    done: RefCell<Option<Result<u64, LogError>>>,
    ended: Cell<bool>,
}

impl Preparer {
    /// Starts the task. It raises `ready` when a segment is there, and lives until [`Preparer::end`].
    pub(crate) fn start(log_dir: LogDir, ready: Rc<Signal>) -> Rc<Self> {
        let preparer = Rc::new(Self::default());
        glommio::spawn_local(work(Rc::clone(&preparer), log_dir, ready)).detach();
        preparer
    }

    /// Asks for a segment.
    ///
    /// # Panics
    ///
    /// While an earlier request is not done and taken.
    pub(crate) fn ask(&self, seq: u64, header: &[u8]) {
        assert!(!self.is_busy(), "one segment is prepared at a time");
        *self.request.borrow_mut() = Some((seq, header.to_owned()));
        self.working.set(true);
        self.called.raise();
    }

    /// Whether a request is not done and taken.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_working() || self.is_done()
    }

    /// Whether the executor has something to do for it.
    pub(crate) fn is_working(&self) -> bool {
        self.working.get()
    }

    /// Whether [`Preparer::take`] has something.
    pub(crate) fn is_done(&self) -> bool {
        self.done.borrow().is_some()
    }

    /// The segment that is ready, once.
    pub(crate) fn take(&self) -> Option<Result<u64, LogError>> {
        self.done.borrow_mut().take()
    }

    /// Ends the task when it is through with what it does.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.called.raise();
    }
}

async fn work(preparer: Rc<Preparer>, log_dir: LogDir, ready: Rc<Signal>) {
    while !preparer.ended.get() {
        let request = preparer.request.borrow_mut().take();
        let Some((seq, header)) = request else {
            preparer.called.raised().await;
            continue;
        };
        let result = log_dir.prepare(seq, &header).await;
        *preparer.done.borrow_mut() = Some(result.map(|()| seq));
        preparer.working.set(false);
        ready.raise();
    }
}
