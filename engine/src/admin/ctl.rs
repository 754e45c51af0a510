//! `switchyard ctl`: asks a daemon over its admin socket, and shows the answer to a person or hands it on as JSON.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::limits::{ANSWER_WAIT, RESPONSE_BYTES_MAX};
use super::show;
use super::socket_path;
use super::words::{Answer, Message, Question, Queue, Reload, Request, Response, Status, VERSION};
use crate::config::show_duration;
use crate::table::Table;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// Nobody listens.
    #[error(
        "{}: no daemon answers here ({error}): it is not running, is still reading its logs, or has another data directory \
         (--data DIR)",
        path.display()
    )]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The socket belongs to somebody else.
    #[error("{}: {error}; only the user that the daemon runs as, and root, may ask it", path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The connection broke.
    #[error("the daemon did not answer: {0}")]
    Broken(io::Error),
    /// The answer is none.
    #[error("the daemon's answer cannot be read: {0}; is it of another release?")]
    Answer(serde_json::Error),
    /// The daemon refuses.
    #[error("{0}")]
    Refused(String),
}

/// Asks the daemon of a data directory. The response is none that refuses.
///
/// # Errors
/// [`CtlError`], whose text is for the operator.
pub fn ask(data: &Path, request: Request) -> Result<Response, CtlError> {
    let mut stream = connect(data)?;
    let text = exchange(&mut stream, request).map_err(CtlError::Broken)?;
    let answer: Answer = serde_json::from_str(&text).map_err(CtlError::Answer)?;
    match answer.response {
        Response::Error(error) => Err(CtlError::Refused(error)),
        response => Ok(response),
    }
}

fn connect(data: &Path) -> Result<UnixStream, CtlError> {
    let path = socket_path(data);
    UnixStream::connect(&path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => CtlError::NotAllowed { path, error },
        _ => CtlError::Nobody { path, error },
    })
}

/// Asks for a trace of the daemon of a data directory, and tells each line of it until the daemon or `tell` ends it.
///
/// # Errors
/// [`CtlError`], whose text is for the operator.
pub fn follow(
    data: &Path,
    request: Request,
    mut tell: impl FnMut(&Response) -> io::Result<()>,
) -> Result<(), CtlError> {
    let mut stream = connect(data)?;
    send(&mut stream, request).map_err(CtlError::Broken)?;
    let mut reader = BufReader::new(&stream);
    loop {
        let mut line = String::new();
        if (&mut reader).take(RESPONSE_BYTES_MAX).read_line(&mut line).map_err(CtlError::Broken)? == 0 {
            return Ok(());
        }
        let answer: Answer = serde_json::from_str(&line).map_err(CtlError::Answer)?;
        let begins = matches!(answer.response, Response::Tracing(_));
        if let Response::Error(error) = answer.response {
            return Err(CtlError::Refused(error));
        }
        if tell(&answer.response).is_err() {
            return Ok(());
        }
        if begins {
            // From now on it may be silent for as long as the peer is.
            stream.set_read_timeout(None).map_err(CtlError::Broken)?;
        }
    }
}

fn send(stream: &mut UnixStream, request: Request) -> io::Result<()> {
    // The daemon serves one connection at a time, so another operator's question may come first.
    stream.set_read_timeout(Some(ANSWER_WAIT * 3))?;
    let mut line = serde_json::to_vec(&Question { version: VERSION, request })?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn exchange(stream: &mut UnixStream, request: Request) -> io::Result<String> {
    send(stream, request)?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    BufReader::new(stream.take(RESPONSE_BYTES_MAX)).read_line(&mut text)?;
    Ok(text)
}

/// A response as JSON, for machines.
#[must_use]
pub fn to_json(response: &Response) -> String {
    let answer = Answer { version: VERSION, response: response.clone() };
    serde_json::to_string(&answer).expect("numbers and texts are JSON") + "\n"
}

/// Two responses as one line of JSON: the second's words beside the first's.
#[must_use]
pub fn to_json_together(one: &Response, other: &Response) -> String {
    let value = |response: &Response| serde_json::to_value(response).expect("numbers and texts are JSON");
    let mut all = serde_json::json!({"version": VERSION});
    for response in [value(one), value(other)] {
        if let (Some(all), serde_json::Value::Object(words)) = (all.as_object_mut(), response) {
            all.extend(words);
        }
    }
    all.to_string() + "\n"
}

/// A response for people, at this time (milliseconds since 1970).
#[must_use]
pub fn to_text(response: &Response, now_ms: u64) -> String {
    match response {
        Response::Status(status) => show_status(status, now_ms),
        Response::Cluster(cluster) => show::cluster(cluster),
        Response::Links(links) => show::links(links, now_ms),
        Response::Customers(customers) => show::customers(customers, now_ms),
        Response::Webhooks(webhooks) => show::webhooks(webhooks, now_ms),
        Response::Tracing(what) => format!("looking at {what}; Ctrl-C ends it\n"),
        Response::Traced(traced) => show::traced(traced),
        Response::Dropped(count) => format!("... {count} PDUs passed faster than they could be shown\n"),
        Response::Queue(queues) => show_queues(queues, now_ms),
        Response::Message(message) => message.as_ref().map_or_else(
            || {
                "no such message is known here: another node's, or over for longer than limits.retention and log.retention\n"
                    .to_owned()
            },
            |message| show_message(message, now_ms),
        ),
        Response::Reload(reload) => show_reload(reload),
        Response::Done(node) => format!(
            "node {node}: done. The partitions follow one step at a time: switchyard ctl cluster status shows them\n"
        ),
        Response::Error(error) => format!("{error}\n"),
    }
}

/// How long ago, in whole seconds.
pub(super) fn ago(now_ms: u64, at_ms: u64) -> String {
    show_duration(Duration::from_secs(now_ms.saturating_sub(at_ms) / 1000))
}

pub(super) fn us(us: u64) -> String {
    match us {
        0..10_000 => format!("{us} us"),
        10_000..10_000_000 => format!("{} ms", us / 1000),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// `half, 99 of 100` of a histogram.
pub(super) fn bounds(bounds: Option<[u64; 2]>) -> String {
    bounds.map_or_else(|| "-".to_owned(), |[half, most]| format!("{} / {}", us(half), us(most)))
}

fn show_status(status: &Status, now_ms: u64) -> String {
    let ready = if status.ready { "ready" } else { "not ready" };
    let config = if status.config.is_empty() { "none (sandbox)" } else { &status.config };
    let free = status.free_bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    let mut out = format!(
        "node {} in {}: {ready}\n  switchyard {}, process {}, up {}\n  configuration {config}, read {} ago\n  \
         free on the data's disk: {free}\n\n",
        status.node,
        status.region,
        status.program,
        status.pid,
        ago(now_ms, status.started_ms),
        ago(now_ms, status.configured_ms),
    );
    let heads =
        ["shard", "core", "", "open", "kept", "keys", "otp", "trans", "notif", "market", "links", "conns"];
    let mut table = Table::new(&heads);
    for shard in &status.shards {
        let [otp, transactional, notification, marketing] = shard.queued.map(|count| count.to_string());
        table.row([
            shard.shard.to_string(),
            shard.core.to_string(),
            if shard.ready { "ready" } else { "not ready" }.to_owned(),
            format!("{}/{}", shard.open, shard.open_limit),
            shard.kept.to_string(),
            format!("{}/{}", shard.keys, shard.keys_limit),
            otp,
            transactional,
            notification,
            marketing,
            format!("{}/{}", shard.links_up, shard.links),
            shard.connections.to_string(),
        ]);
    }
    out += &table.to_string();
    out += "\n  half / 99 of 100 took at most:\n";
    let mut table = Table::new(&[
        "shard",
        "log at",
        "segment",
        "syncs",
        "last sync",
        "sync",
        "answer",
        "response",
        "fate",
    ]);
    for shard in &status.shards {
        table.row([
            shard.shard.to_string(),
            format!("{:#x}", shard.log_place),
            shard.log_segment.to_string(),
            shard.syncs.to_string(),
            us(shard.sync_last_us),
            bounds(shard.sync_us),
            bounds(shard.answer_us),
            bounds(shard.response_us),
            bounds(shard.fate_us),
        ]);
    }
    out + &table.to_string()
}

fn show_queues(queues: &[Queue], now_ms: u64) -> String {
    let mut table = Table::new(&["carrier", "class", "waiting", "oldest"]);
    for queue in queues {
        let oldest = queue.oldest_ms.map_or_else(|| "-".to_owned(), |at| ago(now_ms, at));
        table.row([queue.carrier.clone(), queue.class.clone(), queue.waiting.to_string(), oldest]);
    }
    table.to_string()
}

fn show_message(message: &Message, now_ms: u64) -> String {
    let mut out = format!(
        "message {}: {}\n  to {}, of account {}, class {}, {} segments\n",
        message.id, message.state, message.to, message.account, message.class, message.segments
    );
    out += &match message.send_until_ms.checked_sub(now_ms) {
        Some(left) => {
            format!("  may be sent for another {}\n\n", show_duration(Duration::from_secs(left / 1000)))
        }
        None => format!("  could be sent until {} ago\n\n", ago(now_ms, message.send_until_ms)),
    };
    let start = message.trace.first().map_or(0, |step| step.at_ms);
    let mut table =
        Table::new(&["after", "what", "attempt", "part", "why", "carrier", "code", "carrier's id"]);
    for step in &message.trace {
        table.row([
            show_duration(Duration::from_millis(step.at_ms.saturating_sub(start))),
            step.what.clone(),
            step.attempt.to_string(),
            step.part.to_string(),
            step.why.clone(),
            step.carrier.clone(),
            step.code.to_string(),
            step.carrier_message_id.clone(),
        ]);
    }
    out + &table.to_string()
}

fn show_reload(reload: &Reload) -> String {
    let mut out = String::new();
    for (head, lines) in [("in force now", &reload.applied), ("needs a restart", &reload.needs_restart)] {
        if !lines.is_empty() {
            out += &format!("{head}:\n  {}\n", lines.join("\n  "));
        }
    }
    if out.is_empty() { "nothing has changed\n".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::super::words::{Link, Shard, Step};
    use super::*;

    #[test]
    fn answers_are_tables_for_people() {
        let shard =
            Shard { ready: true, open: 3, open_limit: 10, sync_us: Some([200, 20_000]), ..Shard::default() };
        let status = Status {
            node: 7,
            region: "fra".into(),
            ready: true,
            started_ms: 1000,
            shards: vec![shard],
            ..Status::default()
        };
        let text = to_text(&Response::Status(Box::new(status)), 61_000);
        assert!(text.starts_with("node 7 in fra: ready\n") && text.contains("up 1m\n"), "{text}");
        assert!(text.contains("  3/10  ") && text.contains("200 us / 20 ms"), "{text}");
        let link = Link {
            carrier: "c".into(),
            state: "up".into(),
            trouble: "gone".into(),
            trouble_ms: 1000,
            rate: Some(100),
            learnt_rate: Some(42),
            ..Link::default()
        };
        let text = to_text(&Response::Links(vec![link]), 3000);
        assert!(text.contains("gone, 2s ago") && text.contains("42/s learnt"), "{text}");
        let queue = Queue { carrier: "c".into(), class: "otp".into(), waiting: 5, oldest_ms: Some(1000) };
        let text = to_text(&Response::Queue(vec![queue]), 11_000);
        assert!(text.ends_with("c        otp    5        10s\n"), "{text}");
        let step = Step { at_ms: 1500, what: "accepted".into(), ..Step::default() };
        let message =
            Message { id: "01M".into(), state: "queued".into(), trace: vec![step], ..Message::default() };
        let text = to_text(&Response::Message(Some(Box::new(message))), 2000);
        assert!(text.contains("message 01M: queued") && text.contains("0s     accepted"), "{text}");
    }

    #[test]
    fn a_reload_says_what_is_in_force_and_what_is_not() {
        assert_eq!(show_reload(&Reload::default()), "nothing has changed\n");
        let reload = Reload { applied: vec!["a".into()], needs_restart: vec!["b".into(), "c".into()] };
        assert_eq!(show_reload(&reload), "in force now:\n  a\nneeds a restart:\n  b\n  c\n");
    }

    #[test]
    fn where_nobody_listens_the_error_says_what_to_look_for() {
        let data = tempfile::tempdir().unwrap();
        let said = ask(data.path(), Request::Status).unwrap_err().to_string();
        assert!(said.contains("no daemon answers here"), "{said}");
    }
}
