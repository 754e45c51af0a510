//! What is taken, and what each mistake is told.

mod cluster;

use super::{AccountKey, Config, Cores, Host};
use crate::customers::credentials::KeyDigest;
use crate::customers::passwords::{Password, SlowHash};
use crate::customers::smpp::exchange::{Keys, Receipts};
use crate::logging::LogFormat;
use shards::plan::{Binds, Doubt};
use wire::id::{Class, PartitionCount, ShardId};
use wire::smpp::carrier_id::IdForm;
use wire::smpp::fields::{Npi, Ton};
use wire::smpp::profile::{self, Letters, LettersRule, NumberForm, Profile, ShortCodes};
use wire::smpp::receipt::{ReceiptSign, ReceiptSource};
use wire::smpp::state::MessageState;
use wire::smpp::status::{CommandStatus, Verdict};
use wire::text::{Alphabet, Concatenation, Narrow, Style, Typography};

/// The least file, after which a test puts its own lines.
const LEAST: &str = r#"
[[account]]
name = "acme"
key = "0123456789abcdef"
sender = "Acme"

[[carrier]]
name = "alpha"
address = "127.0.0.1:2775"
system_id = "me"

[[route]]
prefix = ""
carriers = ["alpha"]
"#;

/// The error of a file that is not taken.
fn complaint(text: &str) -> String {
    Config::parse("switchyard.toml", text).map(|_| ()).unwrap_err().to_string()
}

/// The error of the least file with `from` replaced by `to`.
fn complaint_with(from: &str, to: &str) -> String {
    assert!(LEAST.contains(from), "{from}");
    complaint(&LEAST.replacen(from, to, 1))
}

fn host(shards: u16) -> Host {
    Host { shards, partitions: PartitionCount::new(16).unwrap(), memory_bytes: 1 << 30 }
}

#[test]
fn the_least_file_leaves_everything_else_at_its_default() {
    let config = Config::parse("x", LEAST).unwrap();
    assert_eq!(config.node.cores, Cores::All);
    assert_eq!(config.listen.http.to_string(), "127.0.0.1:8080");
    let plan = config.plan(host(2));
    assert_eq!(plan.accounts[0].class, Class::Transactional);
    assert_eq!(
        (plan.carriers[0].profile.clone(), plan.carriers[0].binds),
        (Profile::GENERIC, Binds::PerShard(1))
    );
    assert_eq!(plan.keys_max, (1 << 30) / 4 / 64 / 2);
    assert_eq!(plan.open_messages_max, 500_000);
    assert!(plan.routes.find("+4915112345678".parse().unwrap()).is_some());
}

#[test]
fn every_key_is_read_into_its_type() {
    let text = LEAST.replace(
        "system_id = \"me\"",
        "system_id = \"me\"\npassword = \"p\"\nsystem_type = \"t\"\nbinds_per_shard = 4\nwindow = 256\n\
         rate = 1001\nresponse_timeout = \"5s\"\nenquire_after = \"1m\"\nresponse_ids = \"hex\"\nreceipt_ids = \"decimal\"",
    ) + "[node]\nid = 7\nregion = \"fra\"\ncores = [1, 0]\ndata = \"there\"\n\
         [listen]\nhttp = \"[::1]:0\"\nnative = \"127.0.0.1:0\"\n\
         [limits]\nopen_messages = 2000\nkeys = 4000\nretention = \"1h\"\nfinished = 1600\n\
         [log]\nsegment_mib = 4\nsnapshot_mib = 9\nretention = \"7d\"\nretained_gib = 3\n[log_output]\nformat = \"json\"\nfilter = \"warn\"\n\
         [classes.marketing]\nvalidity = \"1h\"\nreceipt_wait = \"2h\"\ndoubt_wait = \"500ms\"\ndoubt = \"send-again\"\n";
    let config = Config::parse("x", &text).unwrap();
    assert_eq!(config.node.cores, Cores::Listed(vec![1, 0]));
    assert_eq!((config.node.region.as_str(), config.log.segment_bytes), ("fra", 4 << 20));
    assert_eq!(config.log.snapshot_every_bytes, 9 << 20);
    assert_eq!((config.log_output.format, config.log_output.filter.as_str()), (LogFormat::Json, "warn"));
    assert_eq!((config.log.retention.as_secs(), config.log.retained_bytes), (7 * 86_400, 3 << 30));
    let plan = config.plan(host(2));
    assert_eq!((plan.node.0, plan.keys_max, plan.finished_max), (7, 2000, 1600));
    let carrier = &plan.carriers[0];
    let profile = &carrier.profile;
    assert_eq!(
        (carrier.binds, profile.window_pdus, profile.rate_per_s),
        (Binds::PerShard(4), 256, Some(1001))
    );
    assert_eq!((profile.timers.response.as_secs(), profile.timers.enquire_link_idle.as_secs()), (5, 60));
    let ids = (profile.ids.response, profile.ids.receipt_tlv, profile.ids.receipt_text);
    assert_eq!(ids, (IdForm::Hexadecimal, IdForm::Decimal, IdForm::Decimal));
    let marketing = plan.class(Class::Marketing);
    assert_eq!((marketing.doubt, marketing.doubt_wait.as_millis()), (Doubt::SendAgain, 500));
    assert_eq!(plan.class(Class::Otp).validity.as_secs(), 300);
}

#[test]
fn a_wrong_value_is_named_with_line_key_and_what_was_expected() {
    assert_eq!(
        complaint_with("\"0123456789abcdef\"", "\"short\""),
        "switchyard.toml:4: account.key: expected 16 to 255 characters of ASCII without spaces, \
         found something else (not shown, since it is a secret)"
    );
    assert_eq!(
        complaint_with("\"127.0.0.1:2775\"", "\"localhost\""),
        "switchyard.toml:9: carrier.address: expected a host and a port, as \"smpp.example.net:2775\", \
         found \"localhost\""
    );
    assert_eq!(
        complaint(&(LEAST.to_owned() + "[classes.otp]\nvalidity = 300\n")),
        "switchyard.toml:16: classes.otp.validity: expected a duration from \"1s\" to \"2d\", written as \
         \"500ms\", \"60s\", \"5m\", \"12h\" or \"7d\", found 300"
    );
    assert_eq!(
        complaint_with("system_id = \"me\"", "system_id = \"me\"\nwindow = 0"),
        "switchyard.toml:11: carrier.window: expected a whole number from 1 to 4096, found 0"
    );
}

#[test]
fn an_account_says_which_senders_it_may_name() {
    let with = |senders: &str| LEAST.replacen("sender = \"Acme\"", senders, 1);
    let file = with("sender = \"Acme\"\nsenders = [\"Acme 2\", \"+4930123*\"]");
    let plan = Config::parse("x", &file).unwrap().plan(host(1));
    for named in ["", "Acme", "Acme 2", "493012345"] {
        assert!(plan.accounts[0].may_name(named), "{named}");
    }
    assert!(!plan.accounts[0].may_name("Other") && !plan.accounts[0].may_name("49301"));
    assert!(Config::parse("x", LEAST).unwrap().plan(host(1)).accounts[0].may_name("Other"));
    let many = format!("[{}]", "\"A\",".repeat(65));
    for wrong in
        ["[\"*\"]", "[\"a*b\"]", "[\"a**\"]", "[]", "\"Acme\"", "[1]", "[\"A name too long\"]", &many]
    {
        let said = complaint(&with(&format!("sender = \"Acme\"\nsenders = {wrong}")));
        assert!(said.contains("account.senders: expected a list of 1 to 64 senders, each whole"), "{said}");
    }
}

#[test]
fn an_unknown_key_and_an_unknown_section_are_refused_with_what_is_known() {
    assert_eq!(
        complaint_with("sender = \"Acme\"", "sender = \"Acme\"\nsendr = \"Acme\""),
        "switchyard.toml:6: account.sendr: expected one of name, key, key_hash, keys, class, sender, senders, open_messages, idempotency_keys, rate, smpp_password, \
         smpp_password_hash, smpp_passwords, smpp_system_id, smpp_addresses, smpp_system_types, smpp_binds_max, \
         smpp_transmitters_max, smpp_receivers_max, smpp_transceivers_max, smpp_window, smpp_bind_rate, smpp_receipts, \
         smpp_keys, smpp_default_alphabet, smpp_priorities, webhook, webhook_secret, webhook_secrets, webhook_ca, found a key that is not known"
    );
    assert_eq!(
        complaint(&(LEAST.to_owned() + "[nod]\nid = 1\n")),
        "switchyard.toml:15: nod: expected one of node, listen, tls, cluster, limits, log, log_output, classes, account, profile, carrier, route, \
         inbound, handsets, found a key that is not known"
    );
}

#[test]
fn rules_for_messages_of_handsets_name_accounts_and_each_number_and_word_once() {
    let rules = "[[inbound]]\nto = \"12345\"\naccount = \"acme\"\n\
                 [[inbound]]\nto = \"12345\"\nkeyword = \"Stop All\"\naccount = \"acme\"\ncarriers = [\"alpha\"]\n";
    let handsets = "[handsets]\nunrouted = \"refuse\"\nparts_wait = \"1m\"\nrepeats_known = \"0s\"\n";
    let config = Config::parse("x", &[LEAST, rules, handsets].concat()).unwrap();
    let inbound = config.plan(host(1)).inbound;
    let (carrier, to) = (config.carriers[0].id(), "12345".parse().unwrap());
    assert_eq!(inbound.rules().len(), 2);
    assert_eq!(inbound.find(carrier, to, "STOP all"), Some(config.accounts[0].id()));
    assert_eq!(inbound.unrouted, shards::inbound::Unrouted::Refuse);
    assert_eq!((inbound.parts_wait.as_secs(), inbound.known_for.as_secs()), (60, 0));
    let twice = complaint(&[LEAST, rules, "[[inbound]]\nto = \"+12345\"\naccount = \"acme\"\n"].concat());
    assert!(twice.contains("inbound.to: expected each number and keyword once"), "{twice}");
    let unknown = complaint(&[LEAST, "[[inbound]]\nto = \"1\"\naccount = \"b\"\n"].concat());
    assert!(unknown.contains("inbound.account: expected the name of an account"), "{unknown}");
    let loud =
        complaint(&[LEAST, "[[inbound]]\nto = \"1\"\nkeyword = \"stop!\"\naccount = \"acme\"\n"].concat());
    assert!(loud.contains("inbound.keyword: expected a word or some, without punctuation"), "{loud}");
}

#[test]
fn a_missing_key_is_named_with_its_section() {
    assert_eq!(
        complaint_with("sender = \"Acme\"\n", ""),
        "switchyard.toml:2: account.sender: expected the sender of messages that name none, \
         found nothing: the key is missing in this section"
    );
    assert_eq!(
        complaint(""),
        "switchyard.toml:1: account: expected at least one section [[account]], found none"
    );
}

#[test]
fn what_does_not_fit_together_is_refused_with_both_lines() {
    let second = "[[account]]\nname = \"acme\"\nkey = \"fedcba9876543210\"\nsender = \"Acme\"\n";
    assert_eq!(
        complaint(&(LEAST.to_owned() + second)),
        "switchyard.toml:16: account.name: expected a name that is used once, found \"acme\" again, as in line 3"
    );
    assert_eq!(
        complaint(&(LEAST.to_owned() + "[[route]]\nprefix = \"\"\ncarriers = [\"alpha\"]\n")),
        "switchyard.toml:16: route.prefix: expected each prefix once, found the prefix of line 13 again"
    );
    assert_eq!(
        complaint_with("[\"alpha\"]", "[\"beta\"]"),
        "switchyard.toml:14: route.carriers: expected only carriers that have a section: alpha, found [\"beta\"]"
    );
    assert_eq!(
        complaint(&(LEAST.to_owned() + "[listen]\nhttp = \"127.0.0.1:7701\"\n")),
        "switchyard.toml:16: listen.native: expected ports 7700 to 7701 for itself and the 1 shards, \
         found http on 7701"
    );
}

#[test]
fn an_account_with_a_password_may_bind_and_its_other_keys_have_defaults() {
    let config = Config::parse("x", LEAST).unwrap();
    assert_eq!((config.listen.smpp, &config.accounts[0].smpp), (None, &None));
    let with = |lines: &str| LEAST.replace("sender = \"Acme\"\n", &format!("sender = \"Acme\"\n{lines}\n"));
    let text = with("smpp_password = \"pw\"") + "[listen]\nsmpp = \"127.0.0.1:2776\"\n";
    let config = Config::parse("x", &text).unwrap();
    assert_eq!(config.listen.smpp.map(|address| address.port()), Some(2776));
    let smpp = config.accounts[0].smpp.as_ref().unwrap();
    assert_eq!((smpp.binds_max.all, smpp.window_pdus, smpp.receipts), (8, 256, Receipts::Asked));
    assert_eq!((smpp.binds_max.receivers, smpp.bind_rate_per_s, &*smpp.system_id), (8, None, "acme"));
    assert!(smpp.addresses.is_empty() && smpp.system_types.is_empty());
    assert_eq!((smpp.keys, smpp.default_alphabet), (Keys::None, Alphabet::Gsm7));
    let text = with(
        "smpp_password = \"pw\"\nsmpp_binds_max = 2\nsmpp_window = 10\nsmpp_receipts = \"all\"\n\
         smpp_keys = \"user-message-reference\"\nsmpp_default_alphabet = \"latin1\"\n\
         smpp_priorities = [\"marketing\", \"notification\", \"transactional\", \"otp\"]",
    );
    let smpp = Config::parse("x", &text).unwrap().accounts[0].smpp.clone().unwrap();
    assert_eq!((smpp.binds_max.all, smpp.window_pdus, smpp.receipts), (2, 10, Receipts::All));
    assert_eq!((smpp.keys, smpp.default_alphabet), (Keys::UserMessageReference, Alphabet::Latin1));
    assert_eq!(smpp.priorities.map(|classes| classes[3]), Some(Class::Otp));
    let said = complaint(&with("smpp_password = \"pw\"\nsmpp_priorities = [\"otp\"]"));
    assert!(said.contains("expected a list of four classes, the first that of priority_flag 0"), "{said}");
    assert!(!format!("{:?}", Config::parse("x", &text)).contains("\"pw\""));
    assert_eq!(
        complaint(&with("smpp_window = 10")),
        "switchyard.toml:6: account.smpp_password: expected a password wherever another key of SMPP is, \
         found none: this account cannot bind"
    );
    assert_eq!(
        complaint(&(LEAST.to_owned() + "[listen]\nsmpp = \"127.0.0.1:8080\"\n")),
        "switchyard.toml:16: listen.smpp: expected a port that neither HTTP nor the native protocol has, \
         found 127.0.0.1:8080"
    );
}

/// The least file with these lines in its account.
fn with_lines(lines: &str) -> String {
    LEAST.replace("sender = \"Acme\"\n", &format!("sender = \"Acme\"\n{lines}\n"))
}

#[test]
fn an_account_says_who_may_bind_and_how_often() {
    let text = with_lines(
        "smpp_password = \"pw\"\nsmpp_system_id = \"acme-1\"\nsmpp_addresses = [\"10.0.0.0/8\", \"2001:db8::1\"]\n\
         smpp_system_types = [\"\", \"SMPP\"]\nsmpp_binds_max = 4\nsmpp_receivers_max = 1\nsmpp_transceivers_max = 0\n\
         smpp_bind_rate = 50\nsmpp_keys = \"tlv:0x1501\"",
    );
    let smpp = Config::parse("x", &text).unwrap().accounts[0].smpp.clone().unwrap();
    assert_eq!((&*smpp.system_id, smpp.addresses.len(), smpp.system_types.len()), ("acme-1", 2, 2));
    let limits = smpp.binds_max;
    assert_eq!((limits.all, limits.transmitters, limits.receivers, limits.transceivers), (4, 4, 1, 0));
    assert_eq!((smpp.bind_rate_per_s, smpp.keys), (Some(50), Keys::Tlv(0x1501)));
    let said = |lines: &str| complaint(&with_lines(&format!("smpp_password = \"pw\"\n{lines}")));
    assert!(said("smpp_addresses = [\"10.0.0.1/8\"]").contains("without bits behind the prefix"));
    assert!(
        said("smpp_keys = \"tlv:0x0424\"").contains("a tag")
            || said("smpp_keys = \"tlv:0x0424\"").contains("the tag")
    );
    assert!(said("smpp_keys = \"guess\"").contains("or a TLV as \"tlv:0x1501\""));
    let second = "[[account]]\nname = \"acme-1\"\nkey = \"fedcba9876543210\"\nsender = \"B\"\nsmpp_password = \"pw\"\n";
    let said = complaint(&(text + second));
    assert!(
        said.contains(
            "account.smpp_system_id: expected a system_id of its own, found that of the account in line 3"
        ),
        "{said}"
    );
}

#[test]
fn a_password_is_kept_as_a_slow_hash_or_with_a_warning() {
    let hash = SlowHash::with_cost(b"secret12", [1; 16], 8, 1).to_string();
    let costly = SlowHash::make(b"secret12", [1; 16]).to_string();
    let read = |lines: &str| Config::parse("x", &with_lines(lines)).unwrap();
    let passwords = |lines: &str| read(lines).accounts[0].smpp.clone().unwrap().passwords;
    let warned = |lines: &str| {
        read(lines).warnings().iter().filter(|line| line.contains("switchyard password")).count()
    };
    let hashed = format!("smpp_password_hash = \"{costly}\"");
    assert!(matches!(&passwords(&hashed)[..], [Password::Hashed(_)]));
    assert_eq!(warned(&hashed), 0);
    assert_eq!(warned(&format!("smpp_password_hash = \"{hash}\"")), 1, "it costs little");
    let both = format!("smpp_passwords = [\"old\", \"{costly}\"]");
    assert!(matches!(&passwords(&both)[..], [Password::Plain(_), Password::Hashed(_)]));
    assert_eq!(warned(&both), 1);
    let said = complaint(&with_lines("smpp_password_hash = \"secret12\""));
    assert!(said.contains("as `switchyard password` prints") && !said.contains("secret12"), "{said}");
    let said = complaint(&with_lines(&format!("smpp_password = \"{costly}\"")));
    assert!(said.contains("a hash of one stands under smpp_password_hash"), "{said}");
    let five = "smpp_passwords = [\"a\", \"b\", \"c\", \"d\", \"e\"]";
    assert!(complaint(&with_lines(five)).contains("expected at most 4 passwords, found 5"));
}

#[test]
fn two_accounts_with_one_key_are_refused() {
    let second = "[[account]]\nname = \"other\"\nkey = \"0123456789abcdef\"\nsender = \"Acme\"\n";
    assert_eq!(
        complaint(&(LEAST.to_owned() + second)),
        "switchyard.toml:17: account.key: expected a key of its own, found the key of the account in line 4"
    );
}

#[test]
fn an_account_has_keys_in_plain_text_or_hashed_or_several_of_either() {
    let hash = KeyDigest::from("0123456789abcdef").to_string();
    let keys = |lines: &str| {
        let text = LEAST.replace("key = \"0123456789abcdef\"", lines);
        Config::parse("x", &text).map(|config| config.accounts[0].keys.clone())
    };
    let plain = keys("key = \"0123456789abcdef\"").unwrap();
    let hashed = keys(&format!("key_hash = \"{hash}\"")).unwrap();
    assert_eq!(plain[0].digest(), hashed[0].digest());
    let both = keys(&format!("keys = [\"fedcba9876543210\", \"{hash}\"]")).unwrap();
    assert_eq!(both.len(), 2);
    assert!(matches!(both[0], AccountKey::Plain(_)) && matches!(both[1], AccountKey::Hashed(_)));
    let said = |lines: &str| keys(lines).unwrap_err().to_string();
    assert_eq!(
        said(&format!("key = \"0123456789abcdef\"\nkey_hash = \"{hash}\"")),
        "x:5: account.key_hash: expected a key of its own, found the key of the account in line 4"
    );
    assert_eq!(
        said("key_hash = \"sha256:12\""),
        "x:4: account.key_hash: expected \"sha256:\" and 64 hexadecimal digits, as `switchyard key` prints, \
         found something else (not shown, since it is a secret)"
    );
    assert!(said(&format!("key = \"{hash}\"")).contains("a hash of one stands under key_hash"));
    assert!(said("").starts_with("x:2: account.key: expected the account's secret"), "{}", said(""));
    let nine: Vec<String> = (0..9).map(|n| format!("\"0123456789abcde{n}\"")).collect();
    assert!(said(&format!("keys = [{}]", nine.join(", "))).contains("expected at most 8 keys, found 9"));
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    let said = complaint("[node]\nid = \n");
    assert!(said.starts_with("switchyard.toml:2: expected TOML, but: "), "{said}");
}

#[test]
fn binds_of_the_node_are_dealt_to_the_shards_one_by_one() {
    let text = LEAST.replace("system_id = \"me\"", "system_id = \"me\"\nbinds = 3\nrate = 1");
    let plan = Config::parse("x", &text).unwrap().plan(host(2));
    assert_eq!(plan.carriers[0].profile.rate_per_s, Some(1));
    assert_eq!([0, 1].map(|shard| plan.binds_of(0, ShardId(shard))), [2, 1]);
    let both = text.replace("binds = 3", "binds = 3\nbinds_per_shard = 1");
    let said = Config::parse("x", &both).unwrap_err().to_string();
    assert!(
        said.contains("carrier.binds: expected either binds, of the node, or binds_per_shard, found both"),
        "{said}"
    );
}

#[test]
fn secrets_are_not_in_a_debug_print() {
    let text = LEAST.replace("system_id = \"me\"", "system_id = \"me\"\npassword = \"hunter2\"");
    let config = Config::parse("x", &text).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("0123456789abcdef"), "{shown}");
}

/// The profile of the least file's carrier, with a section before the carriers and keys in its own.
fn profile_of(sections: &str, keys: &str) -> Profile {
    let text = LEAST.replace("system_id = \"me\"", &format!("system_id = \"me\"\n{keys}")) + sections;
    Config::parse("x", &text).unwrap().carriers[0].profile.clone()
}

#[test]
fn a_carrier_has_a_shipped_profile_and_keys_that_change_it() {
    assert_eq!(profile_of("", ""), Profile::GENERIC);
    assert_eq!(profile_of("", "profile = \"v33\""), Profile::v33());
    let changed = profile_of("", "profile = \"hex-responses\"\nwindow = 3\nreceipt_text_ids = \"exact\"");
    let mut expected = Profile { window_pdus: 3, ..Profile::hex_responses() };
    expected.ids.receipt_text = IdForm::Exact;
    assert_eq!(changed, expected);
    let ids = profile_of("", "response_ids = \"hex\"").ids;
    assert_eq!((ids.receipt_tlv, ids.receipt_text), (IdForm::Hexadecimal, IdForm::Hexadecimal));
}

/// An own profile with every key, and one made of it.
const OWN: &str = r#"
[[profile]]
name = "house"
base = "vendor-statuses"
interface_version = "5.0"
bind = "pair"
window = 7
rate = 9
response_timeout = "7s"
enquire_after = "8s"
bind_timeout = "9s"
response_ids = "decimal"
receipt_ids = "exact"
receipt_tlv_ids = "hex"
id_scope = "bind"
receipt_sign = "esm-class-or-body"
receipt_source = "text"
receipts = "final-and-intermediate"
final_states = ["delivered", "accepted"]
alphabet = "latin1"
concatenation = "udh16"
data_coding = 3
ucs2_data_coding = 24
typography = "plain"
recipient_ton = 0
recipient_npi = 2
recipient_spelling = "zeros"
sender_ton = 2
sender_npi = 3
sender_spelling = "plus"
short_code_digits = 5
short_code_ton = 6
short_code_npi = 8
letters = "plain"
letters_max = 10
service_type = "CMT"
validity = "absolute"
tlvs = "1403 0002 0001"
statuses = { "0x45" = "throttled", "0x500-0x5FF" = "permanent" }
other_statuses = "permanent"

[[profile]]
name = "yard"
base = "house"
window = 8
"#;

#[test]
fn an_operators_own_profile_says_every_field() {
    let house = profile_of(OWN, "profile = \"house\"");
    let mut expected = Profile::vendor_statuses();
    expected.name = "house".into();
    (expected.interface_version, expected.binds) = (0x50, profile::Binds::Pair);
    (expected.window_pdus, expected.rate_per_s) = (7, Some(9));
    let seconds = std::time::Duration::from_secs;
    expected.timers.response = seconds(7);
    expected.timers.enquire_link_idle = seconds(8);
    expected.timers.session_init = seconds(9);
    expected.ids = profile::Ids {
        response: IdForm::Decimal,
        receipt_tlv: IdForm::Hexadecimal,
        receipt_text: IdForm::Exact,
        scope: profile::IdScope::Bind,
    };
    expected.receipts.sign = ReceiptSign::EsmClassOrBody;
    expected.receipts.source = ReceiptSource::Text;
    expected.registered_delivery.0 = 0x11;
    expected.final_states = house.final_states;
    let is_final = [MessageState::Delivered, MessageState::Accepted, MessageState::Undeliverable];
    assert_eq!(is_final.map(|state| house.final_states.has(state)), [true, true, false]);
    expected.texts.style = Style { narrow: Narrow::Latin1, concatenation: Concatenation::Udh16 };
    (expected.texts.narrow_coding.0, expected.texts.wide_coding.0) = (3, 24);
    expected.texts.typography = Typography::Plain;
    let (zeros, plus) = (profile::Spelling::DoubleZero, profile::Spelling::Plus);
    expected.recipient = NumberForm { ton: Ton(0), npi: Npi(2), spelling: zeros };
    expected.sender.number = NumberForm { ton: Ton(2), npi: Npi(3), spelling: plus };
    expected.sender.short_codes = Some(ShortCodes { digits_max: 5, ton: Ton(6), npi: Npi(8) });
    expected.sender.letters = Some(LettersRule { chars_max: 10, letters: Letters::Plain });
    expected.service_type = b"CMT".to_vec().into();
    expected.validity = profile::Validity::Absolute;
    expected.tlvs = vec![0x14, 3, 0, 2, 0, 1].into();
    expected.statuses = house.statuses.clone();
    assert_eq!(house, expected);
    let verdicts = [0x45, 0x5AB, 0x402, 0x999].map(|status| house.verdict(CommandStatus(status)));
    assert_eq!(verdicts, [Verdict::Throttled, Verdict::Permanent, Verdict::Temporary, Verdict::Permanent]);
    let yard = profile_of(OWN, "profile = \"yard\"");
    assert_eq!(yard, Profile { name: "yard".into(), window_pdus: 8, ..house });
}

#[test]
fn a_profile_that_cannot_be_is_refused_with_the_reason() {
    let with = |keys: &str| complaint_with("system_id = \"me\"", &format!("system_id = \"me\"\n{keys}"));
    let error = with("profile = \"no-such\"");
    assert!(
        error.contains("carrier.profile: expected one of the profiles generic, hex-responses"),
        "{error}"
    );
    let error = with("interface_version = \"3.3\"");
    assert!(error.contains("SMPP 3.3 has no bind_transceiver"), "{error}");
    let error = with("tlvs = \"1403 0003 0001\"");
    assert!(error.contains("carrier.tlvs: expected whole parameters"), "{error}");
    for statuses in [
        "\"45\" = \"permanent\"",
        "\"0x2-0x1\" = \"permanent\"",
        "\"0x45\" = \"ok\"",
        "\"0x0\" = \"permanent\"",
    ] {
        let error = with(&format!("statuses = {{ {statuses} }}"));
        assert!(error.contains("carrier.statuses: expected a table of statuses"), "{error}");
    }
    let error = with("statuses = { \"0x45-0x47\" = \"permanent\", \"0x46\" = \"temporary\" }");
    assert!(error.contains("that do not meet"), "{error}");
    let again = "[[profile]]\nname = \"v33\"\n";
    let error = complaint(&(LEAST.to_owned() + again));
    assert!(error.contains("a name that no other profile has, found \"v33\""), "{error}");
}
