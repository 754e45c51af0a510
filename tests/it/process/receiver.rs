//! A customer's server in the test's own process: it takes posts, looks at their signatures, remembers what it took, and answers as the test
//! wants.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;

/// What it knows the daemon by.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// With this status.
    With(u16),
    /// As soon as it is told how.
    Held,
    /// It closes the connection instead.
    Never,
}

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) is_signed: bool,
}

/// The server; its threads end with the test's process.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    books: Mutex<Books>,
    changed: Condvar,
}

#[derive(Debug)]
struct Books {
    answers: Answers,
    posts: Vec<Post>,
    /// Events by their ids, of posts that were answered with 2xx.
    taken: BTreeMap<String, Value>,
}

impl Receiver {
    /// Listens on a free port of loopback, and takes everything.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let books = Books { answers: Answers::With(200), posts: Vec::new(), taken: BTreeMap::new() };
        let shared = Arc::new(Shared { books: Mutex::new(books), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&of_thread);
                thread::spawn(move || {
                    if let Err(error) = serve(stream, &shared) {
                        println!("receiver: a connection ended: {error}");
                    }
                });
            }
        });
        Self { address, shared }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/in?token=1", self.address)
    }

    pub(crate) fn answers(&self, answers: Answers) {
        self.shared.books().answers = answers;
        self.shared.changed.notify_all();
    }

    /// All that was posted, in its order.
    pub(crate) fn posts(&self) -> Vec<Post> {
        self.shared.books().posts.clone()
    }

    /// The events that it said it has.
    pub(crate) fn taken(&self) -> BTreeMap<String, Value> {
        self.shared.books().taken.clone()
    }
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no thread of the receiver panics while it holds its books")
    }

    /// Notes a post down, and says how it is answered; `None`: not at all.
    fn take(&self, post: Post) -> Option<u16> {
        let body: Value = serde_json::from_str(&post.body).expect("posts are JSON");
        let mut books = self.books();
        books.posts.push(post);
        while books.answers == Answers::Held {
            books = self.changed.wait(books).expect("as above");
        }
        let Answers::With(status) = books.answers else { return None };
        if (200..300).contains(&status) {
            for event in body["events"].as_array().expect("a post has events") {
                let id = event["id"].as_str().expect("an event has an id").to_owned();
                books.taken.insert(id, event.clone());
            }
        }
        Some(status)
    }
}

/// One connection, with as many posts as come.
fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(post) = read(&mut reader)? {
        let Some(status) = shared.take(post) else { return Ok(()) };
        writer.write_all(format!("HTTP/1.1 {status} As Told\r\nContent-Length: 2\r\n\r\nok").as_bytes())?;
    }
    Ok(())
}

/// The next post; `None` at the end.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Post>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    assert_eq!(line, "POST /in?token=1 HTTP/1.1\r\n");
    let mut fields = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let field = |name: &str| fields.get(name).cloned().unwrap_or_else(|| panic!("no {name} in {fields:?}"));
    assert_eq!(field("content-type"), "application/json");
    let length: u64 = field("content-length").parse().expect("a number");
    assert!(length <= 100_000, "a post of {length} bytes");
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    let (id, timestamp) = (field("webhook-id"), field("webhook-timestamp"));
    let is_signed = is_signed(&field("webhook-signature"), &format!("{id}.{timestamp}.{body}"));
    Ok(Some(Post { id, body, is_signed }))
}

/// Whether one of the signatures was made with our secret.
fn is_signed(signatures: &str, content: &str) -> bool {
    let secret = SECRET.strip_prefix("whsec_").expect("a secret begins so");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).expect("base 64"));
    let is_ours = |signature: &str| {
        let bytes = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        bytes.is_some_and(|bytes| hmac::verify(&key, content.as_bytes(), &bytes).is_ok())
    };
    signatures.split(' ').any(is_ours)
}
