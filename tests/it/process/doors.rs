//! Who may bind at a daemon over SMPP: passwords at rest as slow hashes and changed under a bind that goes on, addresses that
//! guess, and connections whose customer is gone.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use crate::bound::Customer;
use crate::carrier::Carrier;
use crate::daemon::{Daemon, Setup, temporary_dir};
use crate::http;
use crate::operator::asked;
use crate::pdu::BIND_TRANSCEIVER;
use crate::programs::programs;

/// `command_status` of answers to binds (SMPP 3.4 §5.1.3).
const RALYBND: u32 = 0x05;
const RBINDFAIL: u32 = 0x0D;
const RINVPASWD: u32 = 0x0E;

#[test]
fn a_password_that_the_program_made_lets_in_and_is_changed_under_a_bind_that_goes_on() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let (old, old_line) = new_password();
    let (new, new_line) = new_password();
    let setup = Setup::new(place.path(), carrier.address()).with_smpp();
    let setup = setup.with("smpp_password = \"secret12\"", &old_line);
    let daemon = setup.start();
    let mut customer =
        Customer::bind_as(daemon.smpp(), BIND_TRANSCEIVER, &old).expect("its password is right");
    let first = customer.submit("before", 1);
    assert_eq!(customer.receipt(), first);
    assert_eq!(Customer::bind_as(daemon.smpp(), BIND_TRANSCEIVER, "other").err(), Some(RINVPASWD));

    let setup = setup.with(&old_line, &new_line);
    asked(&setup, &["reload"]);
    let second = customer.submit("after", 1);
    assert_eq!(customer.receipt(), second, "the bind goes on");
    assert_eq!(Customer::bind_as(daemon.smpp(), BIND_TRANSCEIVER, &old).err(), Some(RINVPASWD));
    Customer::bind_as(daemon.smpp(), BIND_TRANSCEIVER, &new).expect("its password is right").unbind();
    customer.unbind();
}

#[test]
fn an_address_that_guesses_is_held_off() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let mut daemon = Setup::new(place.path(), carrier.address()).with_smpp().start();
    let mut customer = Customer::bind(daemon.smpp(), BIND_TRANSCEIVER);
    let smpp = daemon.smpp();
    let guess = |n: u32| Customer::bind_as(smpp, BIND_TRANSCEIVER, &format!("guess{n}")).err();
    // Ten are free, and the next holds the address off.
    let answers: Vec<_> = (0..11).map(guess).collect();
    assert_eq!(answers, [Some(RINVPASWD); 11]);
    let held_off = daemon
        .until("the address is held off", || Some(guess(99)).filter(|answer| *answer == Some(RBINDFAIL)));
    assert_eq!(held_off, Some(RBINDFAIL));
    // Who is bound already is not touched.
    let id = customer.submit("still here", 1);
    assert_eq!(customer.receipt(), id);
    counted(&mut daemon, "smpp_binds_held_off", 1);
}

#[test]
fn a_connection_whose_customer_is_gone_makes_room_and_one_that_answers_does_not() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(place.path(), carrier.address()).with_smpp();
    let mut daemon = setup.with_line("smpp_binds_max = 1", "smpp_password").start();
    let first = Customer::bind(daemon.smpp(), BIND_TRANSCEIVER);
    let (smpp, mut first) = (daemon.smpp(), first);
    let another = thread::spawn(move || Customer::bind_as(smpp, BIND_TRANSCEIVER, "secret12").err());
    first.gather();
    while !another.is_finished() {
        assert_eq!(first.try_receipt(), None, "it only answers whether it is there");
    }
    assert_eq!(another.join().ok(), Some(Some(RALYBND)));
    // Nobody reads what it is asked now, and its connection stays.
    let mut second = daemon
        .until("the silent bind makes room", || Customer::bind_as(smpp, BIND_TRANSCEIVER, "secret12").ok());
    let id = second.submit("from the second", 1);
    assert_eq!(second.receipt(), id);
    counted(&mut daemon, "smpp_binds_taken_over", 1);
    drop(first);
}

/// A password that the program made, and its line for the configuration.
fn new_password() -> (String, String) {
    let output = Command::new(&programs().switchyard).arg("password").output().expect("it was built");
    let text = String::from_utf8(output.stdout).expect("it writes ASCII");
    let (password, line) = text.trim_end().split_once('\n').expect("two lines");
    let password = password.strip_prefix("password: ").expect("the password first").to_owned();
    // The same hash is made of a password that is given.
    let mut given = Command::new(&programs().switchyard)
        .args(["password", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built");
    writeln!(given.stdin.take().expect("it is piped"), "{password}").expect("it reads");
    let again = given.wait_with_output().expect("it ends").stdout;
    assert!(String::from_utf8_lossy(&again).starts_with("smpp_password_hash = \"$argon2id$"));
    (password, line.to_owned())
}

/// Waits until a counter of the customers' side is at least so high.
fn counted(daemon: &mut Daemon, name: &str, least: u64) {
    let (http, name) = (daemon.http, format!("switchyard_customers_{name}_total"));
    daemon.until(&name, || {
        let answer = http::get(http, "/metrics", None).expect("the daemon takes requests");
        let text = answer.body;
        let lines = text.lines().filter(|line| line.starts_with(&name));
        let sum: u64 = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        (sum >= least).then_some(())
    });
}
