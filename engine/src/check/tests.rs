//! What a report says of small files, and what it does not say.

use super::*;
use crate::net::tls::tests::Papers;

const FILE: &str = "[node]\ncores = [0]\n[limits]\nkeys = 4320000\n\
    [[account]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nsender = \"A\"\n\
    [[carrier]]\nname = \"c\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\npassword = \"hunter2\"\nrate = 100\n\
    [[route]]\nprefix = \"+49151\"\ncarriers = [\"c\"]\n";

fn told(text: &str) -> Result<String, DaemonError> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("switchyard.toml");
    std::fs::write(&file, text).unwrap();
    explain(&file, Some(place.path().join("data")))
}

#[test]
fn a_file_is_told_with_all_that_it_leaves_out_and_without_its_secrets() {
    let told = told(FILE).unwrap();
    let lines = [
        "1, on cores 0",
        "16, about 16 to a shard",
        "127.0.0.1:7700, and shard by shard on 7701 to 7701",
        "a        transactional  A       any   any   any          1 in plain text",
        "c        127.0.0.1:2775  1 in all, 1 a shard  64 a bind, 64 in all  100/s",
        "+49151…     c",
        "all others  none: refused as no-route",
        "otp            5m        12h           0s          send again            12h5m      ",
        // 12 h 5 m and the 2 h of a generation are 50,700 s.
        "85/s sustained",
        "kept for queries  log of 1d, at most 16 GiB a shard",
        // 16 GiB and a tenth.
        "log kept for queries, and its indexes              18022 MiB",
        "account a: key in plain text",
    ];
    for line in lines {
        assert!(told.contains(line), "no {line:?} in\n{told}");
    }
    assert!(told.contains(" are there for it: "), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("0123456789abcdef"), "{told}");
}

#[test]
fn a_cluster_is_told_with_its_members_and_whether_they_are_known() {
    let papers = Papers::new();
    papers.issue("node", "fra.example", |_| {});
    let file = |name: &str| format!("{:?}", papers.path(name).display().to_string());
    let files =
        format!("certificate = {}\nkey = {}\nca = {}\n", file("node.pem"), file("node.key"), file("ca.pem"));
    let head = "[cluster]\nname = \"acme\"\nlisten = \"127.0.0.1:7900\"\npartitions = 32\n";
    let members = "[[cluster.member]]\nnode = 1\nregion = \"local\"\naddress = \"fra.example:7900\"\n\
        [[cluster.member]]\nnode = 2\nregion = \"sin\"\naddress = \"10.0.0.2:7900\"\n";
    let named = members.replace("10.0.0.2:7900\"\n", "10.0.0.2:7900\"\ntls_name = \"sin.example\"\n");
    // However wide the columns are.
    let told_of = |parts: &[&str]| {
        let told = told(&parts.concat()).unwrap();
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let secured = told_of(&[head, &files, &named, FILE]);
    for line in [
        "cluster acme partitions 32 hears the others at 127.0.0.1:7900 between nodes TLS, both sides show a certificate",
        "1 (this node) local fra.example:7900 fra.example 2 sin 10.0.0.2:7900 sin.example",
        "32, about 32 to a shard",
        "cluster fra.example CN=The judge's CA",
    ] {
        assert!(secured.contains(line), "no {line:?} in\n{secured}");
    }
    let plain = told_of(&[head, members, FILE]);
    assert!(plain.contains("between nodes no TLS member"), "{plain}");
    assert!(plain.contains(" cluster: without TLS, what goes to fra.example:7900 "), "{plain}");
    assert!(!told(FILE).unwrap().contains("member"));
}

#[test]
fn a_webhook_is_told_without_what_may_be_a_token() {
    let lines = "sender = \"A\"\nwebhook = \"http://127.0.0.1:9/in?token=hunter2\"\n\
         webhook_secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
    let told = told(&FILE.replace("sender = \"A\"\n", lines)).unwrap();
    assert!(told.contains("a           http://127.0.0.1:9/in?…  1 secret     anybody: no TLS\n"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("MfKQ"), "{told}");
}

#[test]
fn the_disk_of_a_log_that_is_kept_is_told_and_whether_it_is_there() {
    let config =
        Config::parse("test", &FILE.replace("[limits]", "[log]\nretained_gib = 2\n[limits]")).unwrap();
    let partitions = PartitionCount::new(16).unwrap();
    let plan = config.plan(Host { shards: 2, partitions, memory_bytes: 8 << 30 });
    let verdict = |config: &Config, free: u64| {
        let mut out = String::new();
        disk(config, &plan, Some(free), &mut out);
        out
    };
    let plenty = verdict(&config, 1 << 50);
    assert!(plenty.contains("it fits") && plenty.contains(" 4505 MiB\n"), "{plenty}");
    let all = plenty.lines().find_map(|line| line.trim().strip_prefix("in all")).unwrap().trim();
    let all: u64 = all.strip_suffix(" MiB").unwrap().parse().unwrap();
    assert!(verdict(&config, (all - 1) << 20).contains("lower log.retained_gib"));
    assert!(verdict(&config, 1 << 20).contains("too little"));
    let mut none = config;
    none.log.retention = Duration::ZERO;
    assert!(verdict(&none, (all - 4504) << 20).contains("it fits"));
}

#[test]
fn a_wrong_file_is_refused_with_its_line_as_serve_refuses_it() {
    let error = told(&FILE.replace("rate = 100", "rate = 0")).unwrap_err();
    assert!(error.is_configuration());
    assert!(error.to_string().contains("switchyard.toml:14: carrier.rate: expected"), "{error}");
    let error = told(&FILE.replace("[0]", "[1000]")).unwrap_err();
    assert!(error.is_configuration(), "{error}");
}
