//! What is said to whoever tries things out: where the nodes are, a line to paste, how to kill one and how to start it again.

use std::path::Path;

use super::{ACCOUNT, Started};
use crate::daemon::{DevKey, curl};
use crate::table::Table;

/// What all nodes are, once they listen.
pub(super) fn greeting(program: &Path, data: &Path, nodes: &[Started], key: &DevKey) -> String {
    let mut table = Table::new(&["region", "HTTP", "process", "log"]);
    for node in nodes {
        let (http, log) = (format!("http://{}", node.http), node.log.display().to_string());
        table.row([node.region.clone(), http, node.child.id().to_string(), log]);
    }
    let first = &nodes[0];
    let file = data.join("dev-key").display().to_string();
    let bearer = if key.is_new {
        key.key.expose().to_owned()
    } else {
        format!("$(cat {})", quoted(&data.join("dev-key")))
    };
    let kept =
        if key.is_new { format!(" Its key is shown once; it is kept in {file}.") } else { String::new() };
    format!(
        "{count} nodes of one cluster, and one carrier \"sandbox\" for all. Account {ACCOUNT:?}.{kept} An interrupt (Ctrl-C) stops \
         all that was started here.\n\n{table}\nSend a message:\n\n{send}\n\n\
         Kill a node, and start it again (it is yours to stop then):\n\n  kill -9 {pid}\n  {again}\n",
        count = nodes.len(),
        send = curl(first.http, &bearer),
        pid = first.child.id(),
        again = again(program, first),
    )
}

/// The line that starts a node again.
fn again(program: &Path, node: &Started) -> String {
    let [program, config, data, log] = [program, &node.config, &node.data, &node.log].map(quoted);
    format!("{program} serve --config {config} --data {data} >>{log} 2>&1 &")
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+".contains(char);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A node has ended by itself, or by somebody's hand.
pub(super) fn ended(region: &str, pid: u32, how: &str) -> String {
    format!("The node of {region}, process {pid}, has ended: {how}. The others go on.")
}

/// A node did not stop in order.
pub(super) fn killed(region: &str, pid: u32) -> String {
    format!("The node of {region}, process {pid}, does not stop, and is killed.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_pasted_as_one_word() {
        for (path, word) in [
            ("a/b-1.toml", "a/b-1.toml"),
            ("my dir/x", "'my dir/x'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
