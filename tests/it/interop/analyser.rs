//! What `tshark` makes of a capture.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::differences::agree;
use crate::recorder::{ACK, Capture, PUSH, Side};

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
        let columns = fields.iter().flat_map(|field| ["-e", field]);
        let options = ["-d", "tcp.port==2775,smpp", "-Y", filter, "-T", "fields"];
        tshark(&file, options.into_iter().chain(columns))
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

/// Lets the analyser open a capture of TLS with the keys that a peer has written down, and read what was in it. It looks for
/// SMPP on TCP only, so what it has opened goes into a capture again.
pub(crate) fn analyse_guarded(dir: &Path, capture: &[u8], keys: &Path) -> Analysis {
    let file = dir.join("guarded.pcap");
    fs::write(&file, capture).expect("a temporary directory can be written");
    let keylog = format!("tls.keylog_file:{}", keys.display());
    let guarded = ["-o", &keylog, "-d", "tcp.port==2775,tls"];
    let streams = tshark(&file, guarded.into_iter().chain(["-T", "fields", "-e", "tcp.stream"]));
    let streams: BTreeSet<&str> = streams.lines().collect();
    let mut opened = Capture::new();
    for stream in streams {
        let mut conversation = opened.begin();
        let follow = format!("follow,tls,raw,{stream}");
        let said = tshark(&file, guarded.into_iter().chain(["-q", "-z", &follow]));
        // Lines of hexadecimal digits; those of whoever was called begin with a tab.
        for line in said.lines() {
            let side = if line.starts_with('\t') { Side::Carrier } else { Side::Daemon };
            let digits = line.trim();
            let octets = (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16));
            if let Ok(octets) = octets.collect::<Result<Vec<u8>, _>>()
                && !octets.is_empty()
            {
                opened.record(&mut conversation, side, &octets);
            }
        }
    }
    analyse(dir, &opened.bytes)
}

/// What the analyser prints of a capture.
fn tshark<'a>(file: &Path, options: impl Iterator<Item = &'a str>) -> String {
    let output = Command::new("tshark").arg("-r").arg(file).args(options).output();
    let output = output.expect("tshark is there; `tests/run peers` installs it");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "tshark: {words}");
    String::from_utf8(output.stdout).expect("tshark writes UTF-8")
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

    let mut cut = Capture::new();
    let mut conversation = cut.begin();
    cut.packet(&mut conversation, Side::Daemon, PUSH | ACK, &enquire[..9]);
    cut.packet(&mut conversation, Side::Daemon, PUSH | ACK, &enquire[9..]);
    let is_lost = analyse(dir.path(), &cut.bytes).pdus.is_empty();
    agree("`tshark`", &[("tshark-needs-headers", is_lost)]);
}
