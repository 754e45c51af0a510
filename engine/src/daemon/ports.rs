//! `DIR/ports`: where the daemon listens, for whoever started it with port 0. It appears whole, by a rename, once
//! everything listens, and goes at an orderly stop.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::DaemonError;

/// The file in the data directory.
const PORTS_FILE: &str = "ports";

/// All addresses of a daemon that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    /// HTTP.
    pub(super) http: SocketAddr,
    /// The native protocol, any shard.
    pub(super) native: SocketAddr,
    /// The native protocol, shard by shard.
    pub(super) native_shards: Vec<SocketAddr>,
    /// SMPP.
    pub(super) smpp: Option<SocketAddr>,
    /// HTTP over TLS.
    pub(super) https: Option<SocketAddr>,
    /// The native protocol over TLS, any shard.
    pub(super) native_tls: Option<SocketAddr>,
    /// The same, shard by shard.
    pub(super) native_tls_shards: Vec<SocketAddr>,
    /// SMPP over TLS.
    pub(super) smpp_tls: Option<SocketAddr>,
    /// The other nodes of the cluster, shard by shard; none of a node alone.
    pub(super) peers: Vec<SocketAddr>,
}

impl Ports {
    /// Writes the file.
    pub(super) fn write(&self, data: &Path) -> Result<(), DaemonError> {
        let path = data.join(PORTS_FILE);
        let unfinished = data.join(format!("{PORTS_FILE}.new"));
        fs::write(&unfinished, self.to_text())
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|error| DaemonError::File { path, doing: "saying where the daemon listens", error })
    }

    /// Removes the file of this or an earlier process.
    pub(super) fn remove(data: &Path) -> Result<(), DaemonError> {
        let path: PathBuf = data.join(PORTS_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DaemonError::File { path, doing: "removing the file of an earlier process", error })
            }
            _ => Ok(()),
        }
    }

    fn to_text(&self) -> String {
        let mut text = format!("http = \"{}\"\nnative = \"{}\"\n", self.http, self.native);
        let mut put = |line: String| writeln!(text, "{line}").expect("a String takes all");
        let one_by_one = |shards: &[SocketAddr]| {
            let shards: Vec<String> = shards.iter().map(|address| format!("\"{address}\"")).collect();
            shards.join(", ")
        };
        let named = [
            ("smpp", self.smpp),
            ("https", self.https),
            ("native_tls", self.native_tls),
            ("smpp_tls", self.smpp_tls),
        ];
        for (name, address) in named {
            address.into_iter().for_each(|address| put(format!("{name} = \"{address}\"")));
        }
        if !self.native_tls_shards.is_empty() {
            put(format!("native_tls_shards = [{}]", one_by_one(&self.native_tls_shards)));
        }
        if !self.peers.is_empty() {
            put(format!("peers = [{}]", one_by_one(&self.peers)));
        }
        put(format!("native_shards = [{}]\npid = {}", one_by_one(&self.native_shards), std::process::id()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_toml_and_comes_and_goes() {
        let data = tempfile::tempdir().unwrap();
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let ports = Ports {
            http: address(1),
            native: address(2),
            native_shards: vec![address(3), address(4)],
            smpp: Some(address(5)),
            https: Some(address(6)),
            native_tls: Some(address(7)),
            native_tls_shards: vec![address(8), address(9)],
            smpp_tls: None,
            peers: vec![address(10), address(11)],
        };
        ports.write(data.path()).unwrap();
        let text = fs::read_to_string(data.path().join(PORTS_FILE)).unwrap();
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["http"].as_str(), Some("127.0.0.1:1"));
        assert_eq!(table["smpp"].as_str(), Some("127.0.0.1:5"));
        assert_eq!(table["https"].as_str(), Some("127.0.0.1:6"));
        assert_eq!(table["native_tls_shards"].as_array().unwrap().len(), 2);
        assert!(table.get("smpp_tls").is_none());
        assert_eq!(table["peers"].as_array().unwrap()[1].as_str(), Some("127.0.0.1:11"));
        assert_eq!(table["native_shards"].as_array().unwrap().len(), 2);
        assert_eq!(table["pid"].as_integer(), Some(i64::from(std::process::id())));
        Ports::remove(data.path()).unwrap();
        Ports::remove(data.path()).unwrap();
        assert!(!data.path().join(PORTS_FILE).exists());
    }
}
