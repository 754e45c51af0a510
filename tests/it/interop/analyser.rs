//! What `tshark` makes of a capture.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::recorder::{Capture, Side};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Analysis {
    /// How many PDUs of each `command_id` (§5.1.2.1).
    pub(crate) pdus: BTreeMap<u32, usize>,
    /// Complaints: malformed PDUs, unknown commands, anything that the analyser warns of.
    pub(crate) complaints: Vec<String>,
}

/// Lets the analyser read a capture.
pub(crate) fn analyse(dir: &Path, capture: &[u8]) -> Analysis {
    let file = dir.join("capture.pcap");
    fs::write(&file, capture).expect("a temporary directory can be written");
    let fields = |filter: &str, fields: &[&str]| {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&file).args(["-d", "tcp.port==2775,smpp", "-Y", filter, "-T", "fields"]);
        command.args(fields.iter().flat_map(|field| ["-e", field]));
        let output = command.output().expect("tshark is there; `tests/run peers` installs it");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "tshark: {words}");
        String::from_utf8(output.stdout).expect("tshark writes UTF-8")
    };
    let mut pdus = BTreeMap::new();
    // Several PDUs in a packet are listed with commas between them.
    for id in fields("smpp", &["smpp.command_id"]).split([',', '\n']).filter(|id| !id.is_empty()) {
        let id = u32::from_str_radix(id.trim_start_matches("0x"), 16);
        *pdus.entry(id.unwrap_or_else(|e| panic!("tshark printed a command {e}"))).or_insert(0) += 1;
    }
    // Severities from a warning upwards (0x600000); the capture's TCP is ours, but the analyser must like it too.
    let wrong = "_ws.malformed || _ws.expert.severity >= 6291456 || (tcp.dstport == 2775 && tcp.len > 0 && !smpp && !tcp.reassembled_in)";
    let complaints = fields(wrong, &["frame.number", "_ws.col.Info", "_ws.expert.message"]);
    Analysis { pdus, complaints: complaints.lines().map(str::to_owned).collect() }
}

#[test]
fn the_analyser_counts_whole_pdus_and_complains_of_a_broken_one() {
    let dir =
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's directory can be written");
    let enquire = [0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut capture = Capture::new();
    let mut conversation = capture.begin();
    capture.record(&mut conversation, Side::Daemon, &[enquire, enquire].concat());
    let (first, second) = enquire.split_at(5);
    capture.record(&mut conversation, Side::Daemon, first);
    capture.record(&mut conversation, Side::Daemon, second);
    let mut answer = enquire;
    answer[4] = 0x80;
    capture.record(&mut conversation, Side::Carrier, &answer);
    let good = Analysis { pdus: BTreeMap::from([(0x15, 3), (0x8000_0015, 1)]), complaints: Vec::new() };
    assert_eq!(analyse(dir.path(), &capture.bytes), good);
    // A submit_sm whose body ends in the middle.
    let broken = [&[0, 0, 0, 20, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2][..], b"\0\x01\x01x"].concat();
    capture.record(&mut conversation, Side::Daemon, &broken);
    assert!(!analyse(dir.path(), &capture.bytes).complaints.is_empty(), "the analyser is blind");
}
