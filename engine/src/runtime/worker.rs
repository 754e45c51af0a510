//! Slow work that is done while the shard goes on: one long-lived task, one request at a time.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use super::park::Signal;

/// The shard's side of a task that takes requests and does them.
#[derive(Debug)]
pub(crate) struct Worker<Request, Done> {
    /// Something is to be looked at by the task: a request, or its end.
    called: Signal,
    request: RefCell<Option<Request>>,
    working: Cell<bool>,
    done: RefCell<Option<Done>>,
    ended: Cell<bool>,
}

impl<Request: 'static, Done: 'static> Worker<Request, Done> {
    /// Starts the task. It raises `ready` when a request is done, and lives until [`Worker::end`].
    pub(crate) fn start(work: impl AsyncFnMut(Request) -> Done + 'static, ready: Rc<Signal>) -> Rc<Self> {
        let worker = Rc::new(Self {
            called: Signal::default(),
            request: RefCell::new(None),
            working: Cell::new(false),
            done: RefCell::new(None),
            ended: Cell::new(false),
        });
        glommio::spawn_local(run(Rc::clone(&worker), work, ready)).detach();
        worker
    }

    /// Asks for something.
    ///
    /// # Panics
    ///
    /// While an earlier request is not done and taken.
    pub(crate) fn ask(&self, request: Request) {
        assert!(!self.is_busy(), "a worker does one thing at a time");
        *self.request.borrow_mut() = Some(request);
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

    /// Whether [`Worker::take`] has something.
    pub(crate) fn is_done(&self) -> bool {
        self.done.borrow().is_some()
    }

    /// What came of the request, once.
    pub(crate) fn take(&self) -> Option<Done> {
        self.done.borrow_mut().take()
    }

    /// Ends the task when it is through with what it does.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.called.raise();
    }
}

async fn run<Request: 'static, Done: 'static>(
    worker: Rc<Worker<Request, Done>>,
    mut work: impl AsyncFnMut(Request) -> Done,
    ready: Rc<Signal>,
) {
    while !worker.ended.get() {
        let request = worker.request.borrow_mut().take();
        let Some(request) = request else {
            worker.called.raised().await;
            continue;
        };
        let done = work(request).await;
        *worker.done.borrow_mut() = Some(done);
        worker.working.set(false);
        ready.raise();
    }
}
