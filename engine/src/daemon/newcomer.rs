//! The daemon without a configuration file: one account, a sandbox carrier, and a `curl` that can be pasted.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use shards::inbound::Inbound;
use shards::plan::{ClassPolicy, Route};
use wire::id::Class;

use crate::config::{
    Account, AccountKey, ApiKey, Carrier, Config, HostPort, Limits, Listen, Log, LogOutput, Node,
};

use super::DaemonError;

/// The file in the data directory that keeps the account's key.
const KEY_FILE: &str = "dev-key";

/// The name of the account.
const ACCOUNT: &str = "dev";

/// A key, and whether it was made just now.
#[derive(Debug)]
pub(crate) struct DevKey {
    /// The key.
    pub(crate) key: ApiKey,
    /// Whether nobody has seen it yet.
    pub(crate) is_new: bool,
}

/// The key in `data`, made of the system's randomness when there is none.
///
/// # Errors
/// When the file cannot be read or written, or holds no key.
pub(crate) fn dev_key(data: &Path) -> Result<DevKey, DaemonError> {
    let path = data.join(KEY_FILE);
    let failed = |doing, error| DaemonError::File { path: path.clone(), doing, error };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let key =
                ApiKey::new(text.trim_end()).ok_or_else(|| DaemonError::DevKey { path: path.clone() })?;
            Ok(DevKey { key, is_new: false })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let words =
                [random_u64(), random_u64()].map(|word| word.map_err(|error| failed("randomness", error)));
            let [first, second] = words;
            let text = format!("dev-{:016x}{:016x}", first?, second?);
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o600).open(&path);
            file.and_then(|mut file| writeln!(file, "{text}"))
                .map_err(|error| failed("keeping a new key", error))?;
            Ok(DevKey { key: ApiKey::new(&text).expect("36 characters of hexadecimal"), is_new: true })
        }
        Err(error) => Err(failed("reading the key", error)),
    }
}

/// The configuration of a daemon that has no file.
pub(super) fn config(node: Node, key: ApiKey, sandbox: SocketAddr) -> Config {
    let address = HostPort { host: sandbox.ip().to_string(), port: sandbox.port() };
    Config {
        node,
        listen: Listen::default(),
        tls: None,
        cluster: None,
        limits: Limits::default(),
        log: Log::default(),
        log_output: LogOutput::default(),
        classes: Class::ALL.map(ClassPolicy::default_of),
        accounts: vec![Account {
            name: ACCOUNT.to_owned(),
            keys: vec![AccountKey::Plain(key)],
            class: Class::Transactional,
            sender: "Switchyard".to_owned(),
            senders: Vec::new(),
            open_messages: None,
            idempotency_keys: None,
            rate_per_s: None,
            smpp: None,
            webhook: None,
        }],
        carriers: vec![Carrier::new("sandbox", address, "switchyard")],
        routes: vec![Route { prefix: None, carriers: vec![0] }],
        inbound: Inbound::default(),
    }
}

/// What a newcomer can paste. A key that was made before is only named by its file.
pub(super) fn invitation(http: SocketAddr, data: &Path, key: &DevKey) -> String {
    let file = data.join(KEY_FILE).display().to_string();
    let bearer = if key.is_new { key.key.expose().to_owned() } else { format!("$(cat {file})") };
    let kept =
        if key.is_new { format!("The key is shown once; it is kept in {file}.\n") } else { String::new() };
    format!(
        "No configuration: account {ACCOUNT:?}, carrier \"sandbox\". {kept}Send a message:\n\n{}\n\nand ask what became of it, with the id from the answer:\n\n  \
         curl -s http://{http}/v1/messages/ID -H \"Authorization: Bearer {bearer}\"\n",
        curl(http, &bearer)
    )
}

/// A request that submits a message, in two lines of a shell.
pub(crate) fn curl(http: SocketAddr, bearer: &str) -> String {
    format!(
        "  curl -s http://{http}/v1/messages -H \"Authorization: Bearer {bearer}\" \\\n       \
         -d '{{\"to\": \"+4915112345678\", \"text\": \"hello\"}}'"
    )
}

/// 64 bits of the system's randomness.
///
/// # Errors
/// When the system has none to give.
pub(crate) fn random_u64() -> io::Result<u64> {
    let mut bytes = [0; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_kept_for_its_owner_only_and_shown_once() {
        let data = tempfile::tempdir().unwrap();
        let first = dev_key(data.path()).unwrap();
        let again = dev_key(data.path()).unwrap();
        assert!(first.is_new && !again.is_new);
        assert_eq!(first.key, again.key);
        let mode = fs::metadata(data.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let http = "127.0.0.1:8080".parse().unwrap();
        assert!(invitation(http, data.path(), &first).contains(first.key.expose()));
        assert!(!invitation(http, data.path(), &again).contains(first.key.expose()));
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join(KEY_FILE), "short\n").unwrap();
        assert!(matches!(dev_key(data.path()), Err(DaemonError::DevKey { .. })));
    }
}
