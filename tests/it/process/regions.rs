//! Regions on one machine: a network namespace for each, and a wire from it to the test's own. They are made and removed here.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use crate::daemon::PATH_OF_ROOT;

/// How the namespaces are called: this, the process that made them, and the region.
const NAME: &str = "switchyard-judge";

/// A region: what runs in it reaches the test at [`Region::outside`], and is reached at [`Region::inside`], and there is nothing else.
#[derive(Debug)]
pub(crate) struct Region {
    name: String,
    wire: String,
    outside: Ipv4Addr,
    inside: Ipv4Addr,
}

impl Region {
    /// A region of a number from 1.
    pub(crate) fn make(number: u8) -> Self {
        let process = std::process::id();
        // A network of four addresses for each region, and other ones for another process: 2^14 of them.
        let [_, _, high, low] = (process % (1 << 14)).to_be_bytes();
        let at = |host: u8| Ipv4Addr::new(10, 64 + high, low, 4 * number + host);
        let region = Self {
            name: format!("{NAME}-{process}-{number}"),
            // The kernel takes 15 letters.
            wire: format!("sy{process}r{number}"),
            outside: at(1),
            inside: at(2),
        };
        let Self { name, wire, outside, inside } = &region;
        let peer = format!("{wire}i");
        ip(&format!("netns add {name}")).unwrap_or_else(|said| {
            panic!(
                "this test makes network namespaces, for which it needs to be root: `ip netns add`: {said}"
            )
        });
        for command in [
            format!("link add {wire} type veth peer name {peer} netns {name}"),
            format!("address add {outside}/30 dev {wire}"),
            format!("link set {wire} up"),
            format!("-n {name} address add {inside}/30 dev {peer}"),
            format!("-n {name} link set {peer} up"),
            format!("-n {name} link set lo up"),
        ] {
            ip(&command).unwrap_or_else(|said| panic!("`ip {command}`: {said}"));
        }
        region
    }

    /// The namespace, as `ip netns exec` takes it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the test is, as the region sees it.
    pub(crate) fn outside(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.outside), port)
    }

    /// Where the region is, as the test sees it.
    pub(crate) fn inside(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.inside), port)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // The wire goes with either of its ends; the namespace when nothing runs in it any more.
        let _ = ip(&format!("link delete {}", self.wire));
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

/// Removes the regions of processes that were killed before they could do it.
pub(crate) fn sweep() {
    let Ok(listed) = ip("netns list") else { return };
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let Some((process, number)) =
            name.strip_prefix(&format!("{NAME}-")).and_then(|rest| rest.split_once('-'))
        else {
            continue;
        };
        // One that has ended and that nobody has waited for has no program any more.
        if fs::read_link(Path::new("/proc").join(process).join("exe")).is_err() {
            let _ = ip(&format!("link delete sy{process}r{number}"));
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

/// Runs iproute2; what it wrote, or why it failed.
fn ip(arguments: &str) -> Result<String, String> {
    let mut command = Command::new("ip");
    command.env("PATH", PATH_OF_ROOT).args(arguments.split(' '));
    let output =
        command.output().map_err(|error| format!("{error}; the package iproute2 has this program"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn what_a_killed_test_left_is_swept_away_and_what_is_used_stays() {
    // No process has this number: the kernel gives none so large.
    let left = format!("{NAME}-4194305-1");
    let own = Region::make(60);
    ip(&format!("netns add {left}")).expect("as `make` has done");
    sweep();
    let listed = ip("netns list").expect("as above");
    assert!(!listed.contains(&left) && listed.contains(own.name()), "{listed}");
    let name = own.name().to_owned();
    drop(own);
    assert!(!ip("netns list").expect("as above").contains(&name));
}
