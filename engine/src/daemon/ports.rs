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
        if let Some(smpp) = self.smpp {
            writeln!(text, "smpp = \"{smpp}\"").expect("a String takes all");
        }
        let shards: Vec<String> = self.native_shards.iter().map(|address| format!("\"{address}\"")).collect();
        let pid = std::process::id();
        writeln!(text, "native_shards = [{}]\npid = {pid}", shards.join(", ")).expect("a String takes all");
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
        };
        ports.write(data.path()).unwrap();
        let text = fs::read_to_string(data.path().join(PORTS_FILE)).unwrap();
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["http"].as_str(), Some("127.0.0.1:1"));
        assert_eq!(table["smpp"].as_str(), Some("127.0.0.1:5"));
        assert_eq!(table["native_shards"].as_array().unwrap().len(), 2);
        assert_eq!(table["pid"].as_integer(), Some(i64::from(std::process::id())));
        Ports::remove(data.path()).unwrap();
        Ports::remove(data.path()).unwrap();
        assert!(!data.path().join(PORTS_FILE).exists());
    }
}
