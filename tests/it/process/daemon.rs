//! One daemon as a child process: started on a directory, watched, killed by its own id, and always reaped.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http;
use crate::programs::programs;

/// How long a process may take to serve, to get somewhere, or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// The account's key.
pub(crate) const KEY: &str = "a-key-of-the-judge";
/// How often readiness is asked for.
const PACE: Duration = Duration::from_millis(10);

/// The account that a customer uses.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) account: String,
    pub(crate) key: String,
}

/// A directory beside the build, on a real disk (a system's own may be memory, which has no direct IO), removed when dropped.
/// It is also the turn of its test: daemons pin their threads to cores, so tests of one process take turns.
#[derive(Debug)]
pub(crate) struct Place {
    dir: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Waits for the test's turn, and makes its directory.
pub(crate) fn temporary_dir() -> Place {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has had its turn.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let dir =
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's directory can be written");
    Place { dir, _turn: turn }
}

/// What a test says about a daemon before it starts.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The directory with the configuration, the faults, and `data/`.
    dir: PathBuf,
    faults: bool,
    /// The sizes of a disk of its own and of the ballast on it, in MiB.
    disk: Option<(u32, u32)>,
    /// The network namespace that it runs in.
    namespace: Option<String>,
}

/// What a shell does before it becomes the daemon: a file system of $1 MiB at $3, with a file of $2 MiB that can be removed.
const MAKE_DISK: &str = r#"
size=$1 ballast=$2 disk=$3; shift 3
mkdir -p "$disk" && mount -t tmpfs -o size="${size}m" tmpfs "$disk" &&
head -c "${ballast}M" /dev/zero >"$disk/ballast" && exec "$@"
"#;

/// Where Debian keeps `ip`, also for who is not root.
pub(crate) const PATH_OF_ROOT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Setup {
    /// One account, one carrier, two cores where there are two, listeners on free ports, and doubts that are settled soon.
    pub(crate) fn new(dir: &Path, carrier: SocketAddr) -> Self {
        let cores =
            if thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) { "0, 1" } else { "0" };
        let config = format!(
            r#"
[node]
cores = [{cores}]
[listen]
http = "127.0.0.1:0"
native = "127.0.0.1:0"
[classes.transactional]
doubt_wait = "2s"
[classes.notification]
doubt_wait = "2s"
[classes.marketing]
doubt_wait = "2s"
[[account]]
name = "judge"
key = "{KEY}"
sender = "Judge"
[[carrier]]
name = "reliable"
address = "{carrier}"
system_id = "judge"
password = "secret"
enquire_after = "1s"
[[route]]
prefix = ""
carriers = ["reliable"]
"#
        );
        fs::write(dir.join("switchyard.toml"), config).expect("a temporary directory can be written");
        Self { dir: dir.to_owned(), faults: false, disk: None, namespace: None }
    }

    /// Other cores for the next start, as the configuration writes them: `0, 1`.
    pub(crate) fn with_cores(self, cores: &str) -> Self {
        let line = |line: &str| {
            if line.starts_with("cores = ") { format!("cores = [{cores}]") } else { line.to_owned() }
        };
        let text = self.config().lines().map(line).collect::<Vec<_>>().join("\n");
        fs::write(self.dir.join("switchyard.toml"), text).expect("a temporary directory can be written");
        self
    }

    /// A `[log]` section of these lines.
    pub(crate) fn with_log(self, lines: &str) -> Self {
        let text = format!("[log]\n{lines}\n{}", self.config());
        fs::write(self.dir.join("switchyard.toml"), text).expect("a temporary directory can be written");
        self
    }

    /// A `[limits]` section of these lines.
    pub(crate) fn with_limits(self, lines: &str) -> Self {
        let text = format!("[limits]\n{lines}\n{}", self.config());
        fs::write(self.dir.join("switchyard.toml"), text).expect("a temporary directory can be written");
        self
    }

    /// The data lies on a file system in memory, in a mount namespace of the daemon's own, of which a part is taken already.
    pub(crate) fn on_a_disk_of(mut self, mib: u32, taken_mib: u32) -> Self {
        self.disk = Some((mib, taken_mib));
        self
    }

    /// It runs in this network namespace.
    pub(crate) fn in_namespace(mut self, name: &str) -> Self {
        self.namespace = Some(name.to_owned());
        self
    }

    /// Makes room on the disk of a running daemon.
    pub(crate) fn make_room(&self, daemon: &Daemon) {
        let ballast = self.seen_by(daemon.id()).join("ballast");
        fs::remove_file(ballast).expect("the ballast was put there before the start");
    }

    /// The faults file, in its own words.
    pub(crate) fn with_faults(mut self, faults: &str) -> Self {
        fs::write(self.dir.join("faults.toml"), faults).expect("a temporary directory can be written");
        self.faults = true;
        self
    }

    /// The same, with nothing broken.
    pub(crate) fn without_faults(mut self) -> Self {
        self.faults = false;
        self
    }

    /// Adds a line to the configuration, behind the first that begins like this.
    pub(crate) fn with_line(self, line: &str, behind: &str) -> Self {
        let lines: Vec<String> = self.config().lines().map(str::to_owned).collect();
        let at = lines.iter().position(|l| l.starts_with(behind)).expect("the configuration has such a line");
        let text = [&lines[..=at], &[line.to_owned()], &lines[at + 1..]].concat().join("\n");
        fs::write(self.dir.join("switchyard.toml"), text).expect("a temporary directory can be written");
        self
    }

    /// Changes a text in the configuration, which has it.
    pub(crate) fn with(self, from: &str, to: &str) -> Self {
        let config = self.config();
        assert!(config.contains(from), "no {from:?} in {config}");
        let text = config.replacen(from, to, 1);
        fs::write(self.dir.join("switchyard.toml"), text).expect("a temporary directory can be written");
        self
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join("switchyard.toml")
    }

    /// Lets the account bind over SMPP, with the password `secret12`.
    pub(crate) fn with_smpp(self) -> Self {
        self.with_line("smpp = \"127.0.0.1:0\"", "native =")
            .with_line("smpp_password = \"secret12\"", "sender =")
    }

    /// The number of a line of the configuration, from 1.
    pub(crate) fn line_of(&self, line: &str) -> usize {
        1 + self.config().lines().position(|l| l == line).expect("the configuration has this line")
    }

    fn config(&self) -> String {
        fs::read_to_string(self.dir.join("switchyard.toml")).expect("it was written by `new`")
    }

    /// Where the daemon keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The same directory as a process sees it, which may have mounted something there.
    fn seen_by(&self, id: u32) -> PathBuf {
        let data = self.data();
        let inside = data.strip_prefix("/").expect("temporary directories have absolute paths");
        Path::new("/proc").join(id.to_string()).join("root").join(inside)
    }

    pub(crate) fn credentials() -> Credentials {
        Credentials { account: "judge".to_owned(), key: KEY.to_owned() }
    }

    /// Starts a daemon and waits until it serves.
    pub(crate) fn start(&self) -> Daemon {
        self.serves(self.spawn())
    }

    /// Waits until a daemon that was started here serves: one of a cluster does with others.
    pub(crate) fn serves(&self, mut process: Process) -> Daemon {
        let id = process.child.id();
        let data = self.seen_by(id);
        let Addresses { http, native, smpp } = process.until("the daemon serves", |_| serving(&data, id));
        Daemon { process, http, native, smpp }
    }

    /// Starts a daemon that is expected to refuse, and gives its status and all that it said.
    pub(crate) fn refusal(&self) -> (ExitStatus, String) {
        let mut process = self.spawn();
        let status = process.wait();
        (status, process.log())
    }

    /// Starts a daemon.
    pub(crate) fn spawn(&self) -> Process {
        let mut command = Command::new(&programs().switchyard);
        if let Some((mib, taken_mib)) = self.disk {
            command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MAKE_DISK, "sh"]);
            command.args([mib.to_string(), taken_mib.to_string()]).arg(self.data());
            command.arg(&programs().switchyard);
        }
        if let Some(name) = &self.namespace {
            // It becomes the daemon, under the same process id.
            command = Command::new("ip");
            command.env("PATH", PATH_OF_ROOT);
            command.args(["netns", "exec", name]).arg(&programs().switchyard);
        }
        command
            .arg("serve")
            .arg("--config")
            .arg(self.dir.join("switchyard.toml"))
            .arg("--data")
            .arg(self.data());
        if self.faults {
            command.arg("--faults").arg(self.dir.join("faults.toml"));
        }
        Process::spawn(command)
    }
}

/// A daemon that serves.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Process,
    pub(crate) http: SocketAddr,
    pub(crate) native: SocketAddr,
    smpp: Option<SocketAddr>,
}

impl Daemon {
    /// Where customers bind, if [`Setup::with_smpp`] asked for it.
    pub(crate) fn smpp(&self) -> SocketAddr {
        self.smpp.expect("the daemon says where it listens for SMPP")
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Waits until it has said something; it must live on.
    pub(crate) fn until_said(&mut self, words: &str) {
        self.process.until(words, |log| log.contains(words).then_some(()));
    }

    /// Sends it a signal, by its own id.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().expect("`kill` is there");
        assert!(status.success(), "our own child can be signalled");
    }

    /// `kill -9`: by its own id, while it is our child, so no other process can be meant.
    pub(crate) fn kill(mut self) {
        self.process.child.kill().expect("our own child can be killed");
        self.process.wait();
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        (self.process.wait(), self.process.log())
    }

    /// Asks it to stop, as an operator does, and waits until it has.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        (self.process.terminate(), self.process.log())
    }

    /// Probes until there is something; the daemon must live on.
    pub(crate) fn until<T>(&mut self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        self.process.until(what, |_| probe())
    }

    /// Waits until a message is delivered, and gives what a query says of it.
    pub(crate) fn delivered(&mut self, id: &str) -> Value {
        self.reaches(id, "delivered")
    }

    /// Waits until a message is in this state, and gives what a query says of it.
    pub(crate) fn reaches(&mut self, id: &str, state: &str) -> Value {
        let (http, path) = (self.http, format!("/v1/messages/{id}"));
        self.until(&format!("{id} is {state}"), || {
            let answer = http::get(http, &path, Some(KEY)).expect("the daemon takes requests");
            assert_eq!(answer.status, 200, "{answer:?}");
            let message = answer.json();
            (message["state"] == state).then_some(message)
        })
    }
}

/// A child process and what it says. Dropped, it is killed and reaped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: Arc<Log>,
}

#[derive(Debug, Default)]
struct Log {
    said: Mutex<Said>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    text: String,
    /// Pipes that have not ended.
    open: usize,
}

impl Log {
    fn change(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().expect("no thread panics while it appends"));
        self.grown.notify_all();
    }

    /// Until something is said, at most so long.
    fn wait(&self, at_most: Duration) {
        let said = self.said.lock().expect("as above");
        drop(self.grown.wait_timeout(said, at_most).expect("as above"));
    }

    /// Until both pipes of a process that has ended are empty.
    fn ended(&self) {
        let mut said = self.said.lock().expect("as above");
        while said.open > 0 {
            said = self.grown.wait(said).expect("as above");
        }
    }
}

impl Process {
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let log = Arc::new(Log::default());
        let streams: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|s| Box::new(s) as _), child.stderr.take().map(|s| Box::new(s) as _)];
        log.change(|said| said.open = streams.len());
        for stream in streams.into_iter().flatten() {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    log.change(|said| said.text += &(line + "\n"));
                }
                log.change(|said| said.open -= 1);
            });
        }
        Self { child, log }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().expect("`kill` is there");
        assert!(status.success(), "our own child can be told to stop");
        self.wait()
    }

    /// Probes until there is something, each time something is said and at least every [`PACE`]. The process must live on.
    pub(crate) fn until<T>(&mut self, what: &str, mut probe: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = probe(&self.log()) {
                return found;
            }
            if let Some(status) = self.child.try_wait().expect("our own child can be asked") {
                panic!("{what}: the process ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}:\n{}", self.log());
            self.log.wait(PACE);
        }
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child can be asked") {
                self.log.ended();
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end:\n{}", self.log());
            self.log.wait(PACE);
        }
    }

    pub(crate) fn log(&self) -> String {
        self.log.said.lock().expect("as above").text.clone()
    }
}

/// Where a daemon listens.
struct Addresses {
    http: SocketAddr,
    native: SocketAddr,
    smpp: Option<SocketAddr>,
}

/// The addresses of the daemon with this process id, once it is ready. A killed one leaves its file behind.
fn serving(data: &Path, id: u32) -> Option<Addresses> {
    let ports = fs::read_to_string(data.join("ports")).ok()?;
    let value = |name: &str| {
        let mut pairs = ports.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    if value("pid")? != id.to_string() {
        return None;
    }
    let (http, native) = (value("http")?.parse().ok()?, value("native")?.parse().ok()?);
    let ready = http::get(http, "/readyz", None).is_ok_and(|response| response.status == 200);
    let smpp = value("smpp").and_then(|address| address.parse().ok());
    ready.then_some(Addresses { http, native, smpp })
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; either way it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
