//! The daemon's end of `DIR/admin.sock`: a thread that reads a line, has the control thread answer, and writes a line.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::limits::{ANSWER_WAIT, ASKED_MAX, REQUEST_BYTES_MAX, SILENCE_MAX, TRACES_MAX};
use super::pdu::Reveal;
use super::socket_path;
use super::trace::Reader;
use super::words::{Answer, Question, Request, Response, VERSION};

/// A request that waits for its response.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What is asked.
    pub(crate) request: Request,
    /// Where the response goes, and the trace that begins with it.
    pub(crate) answer: Sender<(Response, Option<Reader>)>,
}

/// The socket, as long as the value lives.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    path: PathBuf,
    /// What is asked, one at a time.
    pub(crate) asked: Receiver<Asked>,
}

impl AdminSocket {
    /// Listens in a data directory whose lock is held: a socket that is there is an earlier process's.
    ///
    /// # Errors
    /// When the socket or its thread is not to be had.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let path = socket_path(data);
        let unfinished = data.join("admin.sock.new");
        for left in [&path, &unfinished] {
            match fs::remove_file(left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let listener = UnixListener::bind(&unfinished)?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))?;
        // It appears under its name only once nobody else may use it.
        fs::rename(&unfinished, &path)?;
        let (to_control, asked) = bounded(ASKED_MAX);
        thread::Builder::new().name("admin".to_owned()).spawn(move || {
            let traces = Arc::<()>::default();
            for stream in listener.incoming().flatten() {
                // Whoever hangs up has had its answer, or does not want it.
                let _ = serve(stream, &to_control, &traces);
            }
        })?;
        Ok(Self { path, asked })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Answers the lines of one connection until it ends, falls silent, or goes to a thread of its own, which has one of `traces`.
fn serve(owned: UnixStream, to_control: &Sender<Asked>, traces: &Arc<()>) -> io::Result<()> {
    let stream = &owned;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let count = reader.by_ref().take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line)?;
        if count == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n");
        let (response, begins) = match whole {
            true => respond(&line, to_control, Arc::strong_count(traces) <= TRACES_MAX),
            false => (too_long(), None),
        };
        let mut text = serde_json::to_vec(&Answer { version: VERSION, response })?;
        text.push(b'\n');
        (&mut &*stream).write_all(&text)?;
        if let Some((reader, reveal)) = begins {
            let counted = Arc::clone(traces);
            thread::Builder::new().name("trace".to_owned()).spawn(move || {
                // It ends with its reader.
                let _ = reader.serve(&owned, reveal);
                drop(counted);
            })?;
            return Ok(());
        }
        if !whole {
            return Ok(());
        }
    }
}

fn too_long() -> Response {
    Response::Error(format!("expected a line of at most {REQUEST_BYTES_MAX} bytes"))
}

fn respond(line: &[u8], to_control: &Sender<Asked>, has_room: bool) -> (Response, Option<(Reader, Reveal)>) {
    let question: Question = match serde_json::from_slice(line) {
        Ok(question) => question,
        Err(error) => return refused(format!("expected a request of the admin protocol: {error}")),
    };
    if question.version != VERSION {
        let found = question.version;
        return refused(format!("this daemon speaks version {VERSION} of the admin protocol, not {found}"));
    }
    let reveal = match question.request {
        Request::Trace { .. } if !has_room => {
            return refused(format!("there are {TRACES_MAX} traces already; end one"));
        }
        Request::Trace { texts, numbers, .. } => Reveal { texts, numbers },
        _ => Reveal::default(),
    };
    let (answer, answered) = bounded(1);
    let stopping = || refused("the daemon is stopping, and answers no more questions".to_owned());
    if to_control.send_timeout(Asked { request: question.request, answer }, ANSWER_WAIT).is_err() {
        return stopping();
    }
    match answered.recv_timeout(ANSWER_WAIT) {
        Ok((response, reader)) => (response, reader.map(|reader| (reader, reveal))),
        Err(_) => stopping(),
    }
}

fn refused(why: String) -> (Response, Option<(Reader, Reveal)>) {
    (Response::Error(why), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(data: &Path, lines: &str) -> Vec<String> {
        let mut stream = UnixStream::connect(socket_path(data)).unwrap();
        stream.write_all(lines.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        BufReader::new(stream).lines().map(Result::unwrap).collect()
    }

    #[test]
    fn lines_are_answered_in_their_order_and_what_is_none_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let socket = AdminSocket::open(data.path()).unwrap();
        let mode = fs::metadata(socket_path(data.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let asked = socket.asked.clone();
        let control = thread::spawn(move || {
            let one = asked.recv().unwrap();
            assert_eq!(one.request, Request::Links);
            one.answer.send((Response::Links(Vec::new()), None)).unwrap();
        });
        let lines = "{\"version\":1,\"request\":\"links\"}\n{\"version\":2,\"request\":\"links\"}\nhello\n";
        let answers = exchange(data.path(), lines);
        control.join().unwrap();
        assert_eq!(answers[0], "{\"version\":1,\"links\":[]}");
        assert!(answers[1].contains("speaks version 1 of the admin protocol, not 2"), "{answers:?}");
        assert!(answers[2].contains("expected a request of the admin protocol"), "{answers:?}");
        let long = exchange(data.path(), &"x".repeat(5000));
        assert!(long[0].contains("at most 4096 bytes"), "{long:?}");
        drop(socket);
        assert!(!socket_path(data.path()).exists());
    }

    #[test]
    fn a_socket_that_an_earlier_process_left_is_replaced() {
        let data = tempfile::tempdir().unwrap();
        std::mem::forget(AdminSocket::open(data.path()).unwrap());
        let second = AdminSocket::open(data.path()).unwrap();
        drop(second.asked.clone());
        assert!(socket_path(data.path()).exists());
    }
}
