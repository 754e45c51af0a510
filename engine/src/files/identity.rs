//! `DIR/identity`: what a data directory belongs to, as a small text that people can read.
//!
//! ```text
//! format_version = 1
//! cluster = 5f3c…
//! node = 1
//! partitions = 16
//! shards = 2
//! deal = 2
//! cluster_name = acme
//! members = 1, 2, 3
//! directory = 5d0c…
//! ```
//!
//! The last three are those of a member of a cluster of several nodes; a node alone has none of them. The members are those with which the cluster began, and
//! the directory's number is drawn when it is made: by it the others know that it is not an empty one in the place of one that was lost.
//!
//! It is written when the directory is new, before anything else in it, and when the number of shards has changed; the
//! version comes first so that a program of any age can tell a directory that it must not touch.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::DirError;

/// The newest format of a data directory that this program reads and writes.
pub const FORMAT_VERSION: u32 = 4;

/// The format of a directory whose partitions are dealt as in the beginning: logs in `shard-N`. One that was dealt anew has
/// [`DEALT_FORMAT`], so that a program which would look for them there refuses it.
const FIRST_FORMAT: u32 = 1;

/// The format of a directory whose partitions were dealt anew.
const DEALT_FORMAT: u32 = 2;

/// The format of a member's directory without a number. A program that knows no members would take its partitions for its own, so it refuses it.
const UNNUMBERED_FORMAT: u32 = 3;

/// The number of the directories that were made without one.
const UNNUMBERED: u64 = 1;

/// The format of a member's directory. A program that knows only the members of the first day would believe who was removed, so it refuses it.
const MEMBER_FORMAT: u32 = 4;

const _: () = assert!(MEMBER_FORMAT == FORMAT_VERSION);

/// What a data directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's number. No white space at its ends, and one line.
    pub cluster: String,
    /// The node's number in the cluster.
    pub node: u32,
    /// How many partitions the cluster has, for its whole life.
    pub partitions: u16,
    /// How many shards wrote the logs in it; another number re-deals them at start.
    pub shards: u16,
    /// How often partitions were dealt to shards, from 1.
    pub deal: u32,
    /// The cluster of several nodes of which this node is a member; `None`: it is alone.
    pub membership: Option<Membership>,
}

/// Of which cluster a node is a member, and with whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The cluster's name. No white space at its ends, and one line.
    pub cluster_name: String,
    /// The members with which it began, by number.
    pub members: Vec<u32>,
    /// The directory's number; never 0.
    pub directory: u64,
}

impl Identity {
    /// Reads a directory's identity; `None` when it has none, which is a new directory.
    ///
    /// # Errors
    ///
    /// [`DirError::OtherVersion`] for a directory of another format, [`DirError::NotIdentity`] for a text that is none.
    pub fn read(dir: &Path) -> Result<Option<Self>, DirError> {
        let path = dir.join("identity");
        match std::fs::read_to_string(&path) {
            Ok(text) => parse(&path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DirError::io(path, "reading the identity", source)),
        }
    }

    /// Writes a new directory's identity, durably: a crash leaves all of it or none.
    ///
    /// # Errors
    ///
    /// When a file operation fails.
    pub fn write(&self, dir: &Path) -> Result<(), DirError> {
        let (path, new) = (dir.join("identity"), dir.join("identity.new"));
        let failed = |source| DirError::io(&path, "writing the identity", source);
        let mut file = File::create(&new).map_err(failed)?;
        file.write_all(self.text().as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&new, &path).map_err(failed)?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)
    }

    fn text(&self) -> String {
        let Self { cluster, node, partitions, shards, deal, membership } = self;
        let version = match (membership, *deal) {
            (Some(_), _) => MEMBER_FORMAT,
            (None, 1) => FIRST_FORMAT,
            (None, _) => DEALT_FORMAT,
        };
        let mut text = format!(
            "format_version = {version}\ncluster = {cluster}\nnode = {node}\npartitions = {partitions}\n\
             shards = {shards}\n"
        );
        if version != FIRST_FORMAT {
            text += &format!("deal = {deal}\n");
        }
        if let Some(Membership { cluster_name, members, directory }) = membership {
            let members: Vec<String> = members.iter().map(u32::to_string).collect();
            text += &format!(
                "cluster_name = {cluster_name}\nmembers = {}\ndirectory = {directory:016x}\n",
                members.join(", ")
            );
        }
        text
    }
}

fn parse(path: &Path, text: &str) -> Result<Identity, DirError> {
    let found: u32 = number(path, text, "format_version", "format_version = (a number)")?;
    if !(FIRST_FORMAT..=FORMAT_VERSION).contains(&found) {
        return Err(DirError::OtherVersion { file: path.to_owned(), found, ours: FORMAT_VERSION });
    }
    Ok(Identity {
        cluster: value(path, text, "cluster", "cluster = (a name)")?.1.to_owned(),
        node: number(path, text, "node", "node = (a number)")?,
        partitions: number(path, text, "partitions", "partitions = (a number)")?,
        shards: number(path, text, "shards", "shards = (a number)")?,
        deal: if found == FIRST_FORMAT { 1 } else { number(path, text, "deal", "deal = (a number)")? },
        membership: if found >= UNNUMBERED_FORMAT { Some(membership(path, text, found)?) } else { None },
    })
}

fn membership(path: &Path, text: &str, version: u32) -> Result<Membership, DirError> {
    let (_, cluster_name) = value(path, text, "cluster_name", "cluster_name = (a name)")?;
    let expected = "members = (numbers with commas between them)";
    let (line, found) = value(path, text, "members", expected)?;
    let members: Result<Vec<u32>, _> = found.split(',').map(|member| member.trim().parse()).collect();
    let members = members.map_err(|_| DirError::NotIdentity {
        file: path.to_owned(),
        line,
        expected,
        found: found.to_owned(),
    })?;
    let directory = if version == UNNUMBERED_FORMAT { UNNUMBERED } else { directory(path, text)? };
    Ok(Membership { cluster_name: cluster_name.to_owned(), members, directory })
}

fn directory(path: &Path, text: &str) -> Result<u64, DirError> {
    let expected = "directory = (16 hexadecimal digits)";
    let (line, found) = value(path, text, "directory", expected)?;
    let number = u64::from_str_radix(found, 16).ok().filter(|&number| number != 0);
    let wrong = || DirError::NotIdentity { file: path.to_owned(), line, expected, found: found.to_owned() };
    number.ok_or_else(wrong)
}

fn value<'a>(
    path: &Path,
    text: &'a str,
    key: &str,
    expected: &'static str,
) -> Result<(usize, &'a str), DirError> {
    let mut pairs =
        (1usize..).zip(text.lines()).filter_map(|(line, text)| Some((line, text.split_once('=')?)));
    let found =
        pairs.find(|(_, (name, _))| name.trim() == key).map(|(line, (_, value))| (line, value.trim()));
    found.ok_or_else(|| DirError::NotIdentity {
        file: path.to_owned(),
        line: 0,
        expected,
        found: text.chars().take(60).collect(),
    })
}

fn number<N: core::str::FromStr>(
    path: &Path,
    text: &str,
    key: &str,
    expected: &'static str,
) -> Result<N, DirError> {
    let (line, found) = value(path, text, key, expected)?;
    found.parse().map_err(|_| DirError::NotIdentity {
        file: path.to_owned(),
        line,
        expected,
        found: found.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let cluster = "acme east".to_owned();
        Identity { cluster, node: 3, partitions: 16, shards: 2, deal: 1, membership: None }
    }

    #[test]
    fn an_identity_survives_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Identity::read(directory.path()).unwrap(), None);
        identity().write(directory.path()).unwrap();
        assert_eq!(Identity::read(directory.path()).unwrap(), Some(identity()));
        let dealt_anew = Identity { shards: 3, deal: 2, ..identity() };
        dealt_anew.write(directory.path()).unwrap();
        assert_eq!(Identity::read(directory.path()).unwrap(), Some(dealt_anew));
        let membership =
            Some(Membership { cluster_name: "acme".to_owned(), members: vec![1, 3], directory: 7 });
        let member = Identity { membership, ..identity() };
        member.write(directory.path()).unwrap();
        assert_eq!(Identity::read(directory.path()).unwrap(), Some(member));
    }

    #[test]
    fn each_directory_has_the_oldest_format_that_says_all_of_it() {
        let membership =
            Some(Membership { cluster_name: "acme".to_owned(), members: vec![1, 2, 3], directory: 0xD1 });
        let first = "cluster = acme east\nnode = 3\npartitions = 16\nshards = 2\n";
        assert_eq!(identity().text(), format!("format_version = 1\n{first}"));
        let dealt_anew = Identity { deal: 2, ..identity() };
        assert_eq!(dealt_anew.text(), format!("format_version = 2\n{first}deal = 2\n"));
        assert_eq!(
            Identity { membership, ..identity() }.text(),
            format!(
                "format_version = 4\n{first}deal = 1\ncluster_name = acme\nmembers = 1, 2, 3\ndirectory = 00000000000000d1\n"
            )
        );
        // One that was made before directories had numbers has the number that they all have.
        let directory = tempfile::tempdir().unwrap();
        let text = format!("format_version = 3\n{first}deal = 1\ncluster_name = acme\nmembers = 1\n");
        std::fs::write(directory.path().join("identity"), text).unwrap();
        let read = Identity::read(directory.path()).unwrap().unwrap();
        assert_eq!(read.membership.unwrap().directory, UNNUMBERED);
    }

    #[test]
    fn a_directory_of_another_version_is_refused_with_both_versions() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("identity"), "format_version = 7\nwhatever comes = later\n")
            .unwrap();
        let refused = Identity::read(directory.path()).unwrap_err();
        assert!(matches!(refused, DirError::OtherVersion { found: 7, ours: FORMAT_VERSION, .. }));
        assert!(refused.to_string().contains("format version 7"), "{refused}");
        let text = "format_version = 3\ncluster = a\nnode = 1\npartitions = 16\nshards = 1\ndeal = 1\ncluster_name = a\n";
        std::fs::write(directory.path().join("identity"), format!("{text}members = 1, b\n")).unwrap();
        let refused = Identity::read(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("line 8: expected members = (numbers with commas"), "{refused}");
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let text = identity().text().replace("partitions = 16", "partitions = many");
        std::fs::write(directory.path().join("identity"), text).unwrap();
        let refused = Identity::read(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("line 4: expected partitions = (a number), found \"many\""), "{refused}");
        std::fs::write(directory.path().join("identity"), "\0\0\0").unwrap();
        assert!(matches!(Identity::read(directory.path()), Err(DirError::NotIdentity { line: 0, .. })));
    }
}
