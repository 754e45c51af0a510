//! Carriers at work: they let links in, take messages, answer, and send receipts until these are acknowledged.

use wire::msisdn::Msisdn;
use wire::smpp::ReceiptOut;
use wire::smpp::bind::BindKind;
use wire::smpp::command::{CommandId, Sequence};
use wire::smpp::fields::{Address, EsmClass};
use wire::smpp::header::{Header, encode_header_only};
use wire::smpp::query::QuerySmResp;
use wire::smpp::session::Event as Told;
use wire::smpp::sm::Sm;
use wire::smpp::state::MessageState;
use wire::smpp::status::CommandStatus;
use wire::smpp::tlv::Tlvs;
use wire::time::{Instant, WallMs};

use super::World;
use crate::carrier::capacity::Counts;
use crate::carrier::manners::{About, Answer, Echo, Then, Treatment};
use crate::carrier::{Job, Known, Scope};
use crate::event::{Act, End, Event, Way};
use crate::parcel::Parcel;
use crate::swarm::{MS, S};

/// How long a carrier waits before it sends a receipt again.
const RECEIPT_AGAIN: u64 = 700 * MS;
/// Room in the kernel for a carrier's bytes.
const KERNEL_BYTES: usize = 16 << 10;

/// What a session told, without its borrow.
enum Heard {
    Bind(BindKind),
    Submit(Sequence, Parcel),
    Strange(String),
    Question(Sequence, Vec<u8>),
    ReceiptTaken(u64, CommandStatus),
    ReceiptLost(u64),
    Handset(u64, Option<CommandStatus>),
    Closed,
    Nothing,
}

impl World {
    /// Lets a carrier's session tell what it has, and acts on it.
    pub(super) fn pump_carrier(&mut self, conn: usize) {
        let now = Instant(self.now);
        let narrow = self.carriers[self.conns[conn].carrier].profile.texts.style.narrow;
        while let Some(told) = self.conns[conn].session.poll_event(now) {
            let heard = match told {
                Told::BindRequested { bind } => Heard::Bind(bind.kind),
                Told::SubmitRequest { sequence, sm } => match Parcel::read(&sm, narrow) {
                    Some(parcel) => Heard::Submit(sequence, parcel),
                    None => Heard::Strange(format!("{sm:?}")),
                },
                Told::DeliverAnswer { token, status } => match self.is_of_handset(conn, token) {
                    true => Heard::Handset(token, Some(status)),
                    false => Heard::ReceiptTaken(token, status),
                },
                Told::Timeout { token, .. } => match self.is_of_handset(conn, token) {
                    true => Heard::Handset(token, None),
                    false => Heard::ReceiptLost(token),
                },
                Told::QueryRequest { sequence, query } => {
                    Heard::Question(sequence, query.message_id.to_vec())
                }
                Told::Closed { .. } => Heard::Closed,
                _ => Heard::Nothing,
            };
            self.heard(conn, heard);
        }
        self.flush_carrier(conn);
        self.arm_carrier_timer(conn);
    }

    fn is_of_handset(&self, conn: usize, token: u64) -> bool {
        self.carriers[self.conns[conn].carrier].handsets.contains_key(&token)
    }

    fn heard(&mut self, conn: usize, heard: Heard) {
        let carrier = self.conns[conn].carrier;
        match heard {
            Heard::Bind(kind) => self.decide_bind(conn, kind),
            Heard::Submit(sequence, parcel) => self.take_submission(conn, sequence, parcel),
            Heard::Strange(sm) => {
                let what = format!("a carrier was given what no customer wrote: {sm}");
                self.judge.fail(self.now, crate::judge::DECENCY, what);
            }
            Heard::ReceiptTaken(job, CommandStatus::ESME_ROK) => {
                let done = self.carriers[carrier].jobs.remove(&job);
                if let Some((job, parcel)) = done.and_then(|job| Some((job.state, job.about?))) {
                    let wall = self.nodes[0].clock.read(self.now).wall;
                    self.judge.confirmed(wall, parcel, job);
                }
            }
            Heard::ReceiptTaken(job, _) | Heard::ReceiptLost(job) => self.receipt_again(carrier, job),
            Heard::Handset(part, status) => self.handset_answered(carrier, part, status),
            Heard::Question(sequence, id) => self.answer_question(conn, sequence, &id),
            Heard::Closed => {
                self.carriers[carrier].bound.retain(|&bound| bound != conn);
                self.queue.at(self.now + 20 * MS, Event::Broken { conn, end: End::Carrier });
                self.queue.at(self.now + 200 * MS, Event::Broken { conn, end: End::Node });
            }
            Heard::Nothing => {}
        }
    }

    fn decide_bind(&mut self, conn: usize, kind: BindKind) {
        let carrier = self.conns[conn].carrier;
        let refuses = self.carriers[carrier].refuses_bind(&mut self.dice.carriers);
        if refuses && !self.is_healed() {
            return self.conns[conn].session.refuse_bind(CommandStatus::ESME_RBINDFAIL);
        }
        self.conns[conn].session.accept_bind();
        if !kind.delivers() {
            return;
        }
        self.carriers[carrier].bound.push(conn);
        let waiting: Vec<u64> = self.carriers[carrier]
            .jobs
            .iter()
            .filter(|(_, job)| job.on.is_none())
            .map(|(&job, _)| job)
            .collect();
        for job in waiting {
            self.plan_act(carrier, 50 * MS, Act::Receipt { job });
        }
        self.handsets_go_on(carrier, 50 * MS);
    }

    pub(super) fn plan_act(&mut self, carrier: usize, after: u64, act: Act) {
        self.queue.at(self.now + after, Event::Carrier { carrier, act });
    }

    fn take_submission(&mut self, conn: usize, sequence: Sequence, parcel: Parcel) {
        let carrier = self.conns[conn].carrier;
        self.hash.number(parcel.nonce << 8 | u64::from(parcel.part));
        self.part_came(conn, parcel);
        let mut treatment = self.carriers[carrier].treat(&mut self.dice.carriers);
        let (now, is_probe) = (self.now, self.judge.intent(parcel.nonce).is_probe);
        let counts = if is_probe { Counts::No } else { Counts::Yes };
        if let Some(status) = self.carriers[carrier].capacity.as_mut().and_then(|of| of.refuses(now, counts))
        {
            (treatment.answer, treatment.receipts) = (Answer::Refuses(status), Vec::new());
        }
        let scope = self.carriers[carrier].scope((self.conns[conn].core, self.conns[conn].bind));
        let number = self.carriers[carrier].name(parcel.recipient, scope);
        let response_id = self.carriers[carrier].response_id(number);
        if treatment.answer.takes() {
            self.judge.taken(self.now, parcel);
            self.carriers[carrier].taken_on.insert(parcel.nonce, conn);
            let last = treatment.receipts.iter().filter(|receipt| receipt.state.is_final());
            let (state, after) =
                last.map(|last| (last.state, last.after)).next().unwrap_or((MessageState::Delivered, 0));
            let known = Known { parcel, state, since: self.now + after.max(treatment.answer_after) };
            self.carriers[carrier].known.insert(response_id.clone(), known);
            self.sights.taken += 1;
        }
        let answer = |status: CommandStatus, id: Vec<u8>| Some(Act::Answer { conn, sequence, status, id });
        let act = match treatment.answer {
            Answer::Takes => answer(CommandStatus::ESME_ROK, response_id),
            Answer::TakesNameless => answer(CommandStatus::ESME_ROK, Vec::new()),
            Answer::Refuses(status) => {
                let verdict = self.carriers[carrier].profile.verdict(status);
                if verdict == wire::smpp::status::Verdict::Permanent {
                    self.judge.refused_for_good(parcel);
                }
                answer(status, Vec::new())
            }
            Answer::Nacks => {
                self.judge.refused_for_good(parcel);
                Some(Act::Nack { conn, sequence })
            }
            Answer::NacksWithoutNumber => Some(Act::Nack { conn, sequence: Sequence(0) }),
            Answer::TakesSilently | Answer::Drops => None,
        };
        if let Some(act) = act {
            self.plan_echo(carrier, &treatment, &act);
            self.plan_act(carrier, treatment.answer_after, act);
        }
        match treatment.then {
            Then::Nothing => {}
            Then::Unbinds => self.plan_act(carrier, treatment.answer_after / 2, Act::Unbind { conn }),
            Then::Breaks => self.plan_act(carrier, treatment.answer_after / 2, Act::Break { conn }),
        }
        for receipt in treatment.receipts {
            let mut job = self.receipt_job((carrier, scope), parcel, number, (receipt.about, receipt.state));
            let is_named = treatment.answer == Answer::Takes && receipt.about == About::This;
            job.about = is_named.then_some(parcel);
            let job = self.carriers[carrier].owe(job);
            self.plan_act(carrier, receipt.after, Act::Receipt { job });
        }
    }

    /// What is said beside an answer.
    fn plan_echo(&mut self, carrier: usize, treatment: &Treatment, act: &Act) {
        let Act::Answer { conn, sequence, status, id } = act.clone() else { return };
        match treatment.echo {
            Echo::Nothing => {}
            Echo::Again(after) => self.plan_act(carrier, treatment.answer_after + after, act.clone()),
            Echo::ToNothing => {
                // Far beyond what a session of ours has drawn, and not the number of its bind.
                let sequence = Sequence(sequence.0 + 1_000_000);
                self.plan_act(carrier, 0, Act::Answer { conn, sequence, status, id });
            }
        }
    }

    /// Says what became of a message; while the world is ill, perhaps of another one.
    fn answer_question(&mut self, conn: usize, sequence: Sequence, asked: &[u8]) {
        let carrier = self.conns[conn].carrier;
        let wrong = self.swarm.wrong_answers_per_mille;
        let is_wrong = !self.is_healed() && self.dice.carriers.chance(wrong);
        let known = &self.carriers[carrier].known;
        let found = if is_wrong {
            let all: Vec<_> = known.iter().collect();
            Some(self.dice.carriers.pick(&all)).map(|(id, known)| (id.clone(), *known))
        } else {
            known.get(asked).map(|known| (asked.to_vec(), *known))
        };
        let Some((id, known)) = found else {
            let nothing = QuerySmResp {
                message_id: asked,
                final_date: b"",
                message_state: MessageState::Unknown,
                error_code: 0,
            };
            return self.conns[conn].session.answer_query(sequence, CommandStatus::ESME_RQUERYFAIL, &nothing);
        };
        let state = if self.now < known.since { MessageState::Enroute } else { known.state };
        if id == asked && state.is_final() {
            self.judge.reported(known.parcel, state);
            self.sights.answered_questions += 1;
        }
        let answer = QuerySmResp { message_id: &id, final_date: b"", message_state: state, error_code: 0 };
        self.conns[conn].session.answer_query(sequence, CommandStatus::ESME_ROK, &answer);
    }

    /// Writes a receipt down, and tells the judge what the carrier says of whom.
    fn receipt_job(
        &mut self,
        (carrier, scope): (usize, Scope),
        parcel: Parcel,
        number: u64,
        (about, state): (About, MessageState),
    ) -> Job {
        let job = Job { recipient: parcel.recipient, number, scope, state, about: None, on: None };
        match about {
            About::This => {
                // What a state means is the profile's to say; the judge is told what it comes to.
                let is_final = self.carriers[carrier].profile.final_states.has(state);
                let is_last = is_final && state == MessageState::Accepted;
                self.judge.reported(parcel, if is_last { MessageState::Delivered } else { state });
                job
            }
            About::Unknown => Job { number: number + 500_000, ..job },
            About::AnotherRecipient => {
                let stranger = Msisdn::parse(format!("3361{:07}", number % 10_000_000).as_bytes());
                Job { recipient: stranger.unwrap_or(parcel.recipient), ..job }
            }
        }
    }

    pub(super) fn act(&mut self, carrier: usize, act: Act) {
        // What was planned by a carrier that behaved badly is not done by one that behaves.
        let is_bad = match &act {
            Act::Unbind { .. } | Act::Break { .. } => true,
            Act::Nack { sequence, .. } => *sequence == Sequence(0),
            Act::Answer { .. } | Act::Receipt { .. } | Act::Handset { .. } | Act::Writes => false,
        };
        if is_bad && self.is_healed() {
            return;
        }
        match act {
            Act::Answer { conn, sequence, status, id } => {
                if self.conns[conn].carrier_has_it {
                    self.conns[conn].session.answer_submit(sequence, status, &id);
                    self.pump_carrier(conn);
                }
            }
            Act::Nack { conn, sequence } => self.nack(conn, sequence),
            Act::Receipt { job } => self.send_receipt(carrier, job),
            Act::Handset { part } => self.send_handset(carrier, part),
            Act::Writes => self.handset_writes(carrier),
            Act::Unbind { conn } => {
                if self.conns[conn].carrier_has_it {
                    self.conns[conn].session.unbind(Instant(self.now));
                    self.pump_carrier(conn);
                }
            }
            Act::Break { conn } => {
                if self.conns[conn].carrier_has_it {
                    self.reset(conn);
                }
            }
        }
    }

    fn nack(&mut self, conn: usize, sequence: Sequence) {
        let connection = &mut self.conns[conn];
        if !connection.carrier_has_it || connection.dead {
            return;
        }
        self.flush_carrier(conn);
        let connection = &mut self.conns[conn];
        // Between two PDUs, or not at all.
        if connection.session.pending().is_empty() {
            let mut bytes = Vec::new();
            let header =
                Header { command: CommandId::GENERIC_NACK, status: CommandStatus::ESME_RINVCMDID, sequence };
            encode_header_only(header, &mut bytes);
            connection.to_node.push(&bytes);
            self.arm_arrival(conn, Way::ToNode);
        }
    }

    fn send_receipt(&mut self, carrier: usize, number: u64) {
        let living: Vec<usize> = self.carriers[carrier]
            .bound
            .iter()
            .copied()
            .filter(|&conn| self.conns[conn].carrier_has_it)
            .collect();
        let Some(job) = self.carriers[carrier].jobs.get(&number).filter(|job| job.on.is_none()).cloned()
        else {
            return;
        };
        if living.is_empty() {
            return;
        }
        let fits =
            |conn: &usize| job.scope.is_none_or(|of| of == (self.conns[*conn].core, self.conns[*conn].bind));
        let fitting: Vec<usize> = living.into_iter().filter(fits).collect();
        if fitting.is_empty() {
            return;
        }
        let conn = self.dice.carriers.pick(&fitting);
        let (tlv_id, text_id) = self.carriers[carrier].receipt_ids(job.number);
        let wall = self.nodes[0].clock.read(self.now).wall;
        let receipt = ReceiptOut {
            id: &text_id,
            state: job.state,
            error: 0,
            submitted: WallMs(wall.0.saturating_sub(1_000)),
            done: wall,
            text: b"",
        };
        let (mut text, mut tlvs) = (Vec::new(), Vec::new());
        receipt.put_text(&mut text);
        ReceiptOut { id: &tlv_id, ..receipt }.put_tlvs(&mut tlvs);
        let mut digits = [0; wire::msisdn::DIGITS_MAX];
        let sm = Sm {
            source: Address::international(job.recipient.write_digits(&mut digits)),
            destination: Address::alphanumeric(b"Sim"),
            esm_class: EsmClass::RECEIPT,
            short_message: &text,
            tlvs: Tlvs::new(&tlvs).expect("just written"),
            ..Sm::default()
        };
        let sent = self.conns[conn].session.deliver(Instant(self.now), number, &sm).is_ok();
        if sent {
            if let Some(job) = self.carriers[carrier].jobs.get_mut(&number) {
                job.on = Some(conn);
            }
            self.pump_carrier(conn);
        } else {
            self.plan_act(carrier, RECEIPT_AGAIN, Act::Receipt { job: number });
        }
    }

    fn receipt_again(&mut self, carrier: usize, number: u64) {
        if let Some(job) = self.carriers[carrier].jobs.get_mut(&number) {
            job.on = None;
            self.plan_act(carrier, RECEIPT_AGAIN, Act::Receipt { job: number });
        }
    }

    /// A carrier's end of a connection is gone: receipts without an answer are sent again elsewhere.
    pub(super) fn carrier_lost(&mut self, conn: usize) {
        let carrier = self.conns[conn].carrier;
        let state = &mut self.carriers[carrier];
        state.bound.retain(|&bound| bound != conn);
        let lost: Vec<u64> =
            state.jobs.iter().filter(|(_, job)| job.on == Some(conn)).map(|(&number, _)| number).collect();
        for number in lost {
            self.receipt_again(carrier, number);
        }
        self.handsets_lost(conn);
    }

    /// The kernel takes what a carrier's session has to say.
    pub(super) fn flush_carrier(&mut self, conn: usize) {
        let connection = &mut self.conns[conn];
        if !connection.carrier_has_it {
            return;
        }
        let room = KERNEL_BYTES.saturating_sub(connection.to_node.bytes.len());
        let pending = connection.session.pending();
        let count = pending.len().min(room);
        connection.to_node.push(&pending[..count]);
        connection.session.consume(count);
        self.arm_arrival(conn, Way::ToNode);
    }

    fn arm_carrier_timer(&mut self, conn: usize) {
        let connection = &mut self.conns[conn];
        let Some(due) = connection.session.timeout().filter(|_| connection.carrier_has_it) else { return };
        let due = due.0.max(self.now + 1_000);
        if connection.timer_at.is_none_or(|armed| due < armed || armed <= self.now) {
            connection.timer_at = Some(due);
            self.queue.at(due, Event::CarrierTimer { conn });
        }
    }

    pub(super) fn carrier_timer(&mut self, conn: usize) {
        let connection = &mut self.conns[conn];
        if connection.carrier_has_it && connection.timer_at == Some(self.now) {
            connection.timer_at = None;
            connection.session.handle_timeout(Instant(self.now));
            self.pump_carrier(conn);
        }
    }

    /// Carriers behave from now on.
    pub(super) fn heal_carriers(&mut self) {
        for carrier in 0..self.carriers.len() {
            self.carriers[carrier].habits.clear();
            let jobs: Vec<u64> = self.carriers[carrier].jobs.keys().copied().collect();
            for (place, job) in (0_u64..).zip(jobs) {
                self.plan_act(carrier, place * MS + S / 10, Act::Receipt { job });
            }
            self.handsets_go_on(carrier, S / 10);
        }
    }
}
