//! The zoo: each way in which a customer misbehaves, alone and always, and what becomes of it, of what it asked and of others.
//!
//! ```text
//!   Rude ─────── octets of its own choice ──▶ Customers ──▶ what the brain is asked
//!   Neighbour ── a session that behaves ────▶
//! ```
//!
//! A [`Rude`] customer writes its octets by hand, since no session of ours would misbehave. Its [`Neighbour`] is another bind of
//! the same account: after each story it submits and is answered as if nobody else were there.

mod door;
mod junk;
mod receipts;
mod silence;
mod window;

use wire::smpp::header::{Header, encode_header_only, split_pdu};
use wire::smpp::limits::PDU_BYTES_MAX;

use super::*;

/// The neighbour's connection.
const NEIGHBOUR: u64 = 99;

const OK: CommandStatus = CommandStatus::ESME_ROK;

/// A PDU by its header: what it is, its status, its number.
type Heard = (CommandId, CommandStatus, u32);

/// A customer that misbehaves, on [`CONNECTION`].
struct Rude {
    input: Vec<u8>,
}

impl Rude {
    /// One that has connected and said nothing.
    fn connected(probe: &mut Probe) -> Self {
        probe.accept(CONNECTION, Protocol::Smpp);
        Self { input: Vec::new() }
    }

    /// One that is bound as a transceiver.
    fn bound(probe: &mut Probe) -> Self {
        let mut rude = Self::connected(probe);
        probe.send(&binds(BindKind::Transceiver, 1));
        assert_eq!(rude.hears(probe), [(CommandId::BIND_TRANSCEIVER_RESP, OK, 1)]);
        rude
    }

    /// Takes what there is for it.
    fn hears(&mut self, probe: &mut Probe) -> Vec<Heard> {
        loop {
            probe.settle();
            let more = probe.output();
            if more.is_empty() {
                break;
            }
            self.input.extend(more);
        }
        let mut heard = Vec::new();
        let mut rest = &self.input[..];
        while let Some((Header { command, status, sequence }, body)) = split_pdu(rest, PDU_BYTES_MAX).unwrap()
        {
            heard.push((command, status, sequence.0));
            rest = &rest[16 + body.len()..];
        }
        assert!(rest.is_empty(), "what is sent to a customer is whole");
        self.input.clear();
        heard
    }

    /// The numbers of the receipts that there are for it; it says that it is there, if it is asked.
    fn receipts(&mut self, probe: &mut Probe) -> Vec<u32> {
        let mut numbers = Vec::new();
        for (command, _, number) in self.hears(probe) {
            match command {
                CommandId::DELIVER_SM => numbers.push(number),
                CommandId::ENQUIRE_LINK => probe.send(&bare(CommandId::ENQUIRE_LINK_RESP, OK, number)),
                other => panic!("{other} came"),
            }
        }
        numbers
    }
}

/// Another bind of the account, which behaves.
struct Neighbour(Esme);

impl Neighbour {
    /// One that is told nothing.
    fn bound(probe: &mut Probe) -> Self {
        Self::of_kind(probe, BindKind::Transmitter)
    }

    /// One that is told what its account is told.
    fn that_receives(probe: &mut Probe) -> Self {
        Self::of_kind(probe, BindKind::Transceiver)
    }

    fn of_kind(probe: &mut Probe, kind: BindKind) -> Self {
        let mut esme = Esme::connect(probe, NEIGHBOUR, &bind(kind, b"dev", b"secret"));
        assert_eq!(esme.heard.remove(0), "bound to switchyard");
        Self(esme)
    }

    /// Time passes, in which it answers what it is asked, and takes each receipt as it comes.
    fn lives_for(&mut self, probe: &mut Probe, time: Duration) {
        let end = probe.now.mono.plus(time);
        while probe.now.mono < end {
            probe.wait(end.since(probe.now.mono).min(Duration::from_secs(1)));
            self.takes_receipts(probe);
        }
    }

    fn takes_receipts(&mut self, probe: &mut Probe) {
        self.0.exchange(probe);
        while !self.0.owed.is_empty() {
            self.0.answer(probe, 0, OK);
        }
    }

    /// What it was told since it was asked last.
    fn receipts(&mut self, probe: &mut Probe) -> usize {
        self.takes_receipts(probe);
        self.0.told().len()
    }

    /// It submits and is answered, and its bind stands.
    fn is_undisturbed(&mut self, probe: &mut Probe) {
        self.takes_receipts(probe);
        self.0.told();
        self.0.submit(probe, 7, &hello());
        let origin = *probe.submissions().last().unwrap();
        assert_eq!(origin.connection, NEIGHBOUR);
        probe.accept_message(origin, 900);
        self.0.exchange(probe);
        assert_eq!(self.0.told(), [format!("7: ESME_ROK (0x00) {}", id(900))]);
        assert!(probe.customers.smpp_views().any(|view| view.connection == NEIGHBOUR));
    }
}

/// How the rude customer's connection ends, if it does.
fn end_of(probe: &mut Probe) -> Option<Ending> {
    let mut ends = std::iter::from_fn(|| probe.customers.poll_close());
    let end = ends.find(|(connection, _)| *connection == CONNECTION).map(|(_, ending)| ending);
    assert!(ends.all(|(connection, _)| connection == CONNECTION), "only it ends");
    end
}

/// The submissions of the rude customer that the brain was asked to take.
fn asked_by_it(probe: &Probe) -> Vec<Origin> {
    let origins = probe.submissions().into_iter();
    origins.filter(|origin| origin.connection == CONNECTION).collect()
}

/// A bind of the account, with its password.
fn binds(kind: BindKind, number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    bind(kind, b"dev", b"secret").encode(Sequence(number), &mut out);
    out
}

/// A `submit_sm` that can be taken.
fn submits(number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    hello().encode(CommandId::SUBMIT_SM, Sequence(number), &mut out).unwrap();
    out
}

/// A PDU that is nothing but its header.
fn bare(command: CommandId, status: CommandStatus, number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    encode_header_only(Header { command, status, sequence: Sequence(number) }, &mut out);
    out
}

/// A PDU with a body of any octets.
fn raw(command: CommandId, number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = bare(command, OK, number);
    out.extend_from_slice(body);
    let bytes = u32::try_from(out.len()).unwrap();
    out[..4].copy_from_slice(&bytes.to_be_bytes());
    out
}
