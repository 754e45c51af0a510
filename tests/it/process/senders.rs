//! An account whose senders are named: over each protocol it is nobody else, and a reload changes who it may be.

use serde_json::{Value, json};

use crate::bound::Customer;
use crate::carrier::Carrier;
use crate::daemon::{KEY, Setup, temporary_dir};
use crate::http;
use crate::operator::asked;
use crate::pdu::BIND_TRANSMITTER;

/// `command_status` of answers to `submit_sm` (SMPP 3.4 §5.1.3).
const ROK: u32 = 0;
const RINVSRCADR: u32 = 0x0A;

#[test]
fn an_account_submits_as_its_senders_and_as_nobody_else() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(place.path(), carrier.address()).with_smpp();
    let setup = setup.with_line("senders = [\"Acme\", \"+4930123*\"]", "sender =");
    let mut daemon = setup.start();
    let http = daemon.http;
    let submit = |sender: &str, key: &str| {
        let message = json!({"to": "+4915112345678", "from": sender, "text": "hello", "key": key});
        let answer = http::post(http, "/v1/messages", KEY, &message).expect("the daemon takes requests");
        let body = answer.json();
        (answer.status, if body["id"].is_string() { body["known"].clone() } else { body["type"].clone() })
    };
    let (new, known) = ((202, Value::Bool(false)), (202, Value::Bool(true)));
    let forbidden = (403, Value::from("/problems/sender-forbidden"));
    for (key, sender) in ["", "Judge", "Acme", "+49301234"].into_iter().enumerate() {
        assert_eq!(submit(sender, &format!("own {key}")), new, "{sender:?}");
    }
    for (key, sender) in ["acme", "Other", "+49301", "4930123Taxi"].into_iter().enumerate() {
        assert_eq!(submit(sender, &format!("other {key}")), forbidden, "{sender:?}");
    }
    let mut customer = Customer::bind(daemon.smpp(), BIND_TRANSMITTER);
    assert_eq!((customer.submit_as(*b"Acme"), customer.submit_as(*b"Evil")), (ROK, RINVSRCADR));

    let setup = setup.with("senders = [\"Acme\", \"+4930123*\"]", "senders = [\"Evil\"]");
    let told = asked(&setup, &["reload"]).to_string();
    assert!(told.contains("account judge: class or senders changed"), "{told}");
    daemon.until("the senders are others", || (customer.submit_as(*b"Evil") == ROK).then_some(()));
    assert_eq!(customer.submit_as(*b"Acme"), RINVSRCADR);
    assert_eq!(submit("Acme", "own 2"), known, "what was taken before has its first answer");
    assert_eq!(submit("Acme", "another"), forbidden);
}
