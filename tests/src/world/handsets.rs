//! Handsets: they send texts to numbers of ours, whole and in parts, and carriers repeat what was not answered.

use wire::smpp::command::CommandId;
use wire::smpp::fields::{Address, DataCoding, EsmClass};
use wire::smpp::sm::Sm;
use wire::smpp::status::CommandStatus;
use wire::text::{Concatenation, PartHeader};
use wire::time::Instant;

use super::World;
use crate::carrier::HandsetPart;
use crate::event::Act;
use crate::judge::Spoken;
use crate::swarm::{MS, S};

/// How long a carrier waits before it sends again what was not taken.
const AGAIN: u64 = 700 * MS;

impl World {
    /// Somebody writes to a number of ours, and will again.
    pub(super) fn handset_writes(&mut self, carrier: usize) {
        if self.is_healed() || self.judge.spoken.len() as u64 >= self.swarm.handset_texts_max {
            return;
        }
        let dice = &mut self.dice.handsets;
        let source = self.swarm.recipients[dice.index(self.swarm.recipients.len())].clone();
        let source = source.parse().expect("drawn from digits");
        let (destination, word, account) = dice.pick(&[
            ("12345", "hello", Some(0)),
            ("12345", "STOP", Some(1)),
            ("777", "Join!", Some(2)),
            ("777", "leave", None),
            ("999", "hello", None),
        ]);
        let total = if dice.chance(400) { u8::try_from(dice.within((2, 4))).unwrap_or(2) } else { 1 };
        let is_cut_short = total > 1 && dice.chance(150);
        let gaps: Vec<u64> = (0..total).map(|_| dice.skewed((MS, 3 * S))).collect();
        let nonce = self.judge.spoken.len() as u64;
        let texts: Vec<String> = (1..=total)
            .map(|number| match number {
                1 => format!("{word} m{nonce:08} "),
                _ => format!("part {number} of m{nonce:08} "),
            })
            .collect();
        self.judge.spoken.push(Spoken::new(account, texts.clone()));
        for (number, text) in (1_u8..).zip(texts) {
            // The network loses one, for good.
            if is_cut_short && number == total {
                continue;
            }
            let part = HandsetPart { nonce, source, destination, number, total, text, on: None };
            let part = self.carriers[carrier].keep(part);
            self.plan_act(carrier, gaps[usize::from(number - 1)], Act::Handset { part });
        }
        let gap = self.dice.handsets.skewed((10 * MS, S));
        self.plan_act(carrier, gap, Act::Writes);
    }

    pub(super) fn send_handset(&mut self, carrier: usize, number: u64) {
        let bound = &self.carriers[carrier].bound;
        let living: Vec<usize> =
            bound.iter().copied().filter(|&conn| self.conns[conn].carrier_has_it).collect();
        let part = self.carriers[carrier].handsets.get(&number).filter(|part| part.on.is_none()).cloned();
        let Some(part) = part.filter(|_| !living.is_empty()) else { return };
        let conn = self.dice.handsets.pick(&living);
        let mut digits = [0; wire::msisdn::DIGITS_MAX];
        let mut text = Vec::new();
        let reference = u16::try_from(part.nonce % 200).unwrap_or(0);
        let header = PartHeader { reference, total: part.total, number: part.number };
        let has_udh = part.total > 1 && header.put_udh(Concatenation::Udh8, &mut text);
        text.extend_from_slice(part.text.as_bytes());
        let sm = Sm {
            source: Address::international(part.source.write_digits(&mut digits)),
            destination: Address { octets: part.destination.as_bytes(), ..Address::default() },
            esm_class: if has_udh { EsmClass::UDHI } else { EsmClass::DEFAULT },
            // Of all carriers' alphabets the one that needs no packing.
            data_coding: DataCoding::ASCII,
            short_message: &text,
            ..Sm::default()
        };
        if self.conns[conn].session.deliver(Instant(self.now), number, &sm).is_ok() {
            if let Some(part) = self.carriers[carrier].handsets.get_mut(&number) {
                part.on = Some(conn);
            }
            self.pump_carrier(conn);
        } else {
            self.plan_act(carrier, AGAIN, Act::Handset { part: number });
        }
    }

    /// The engine's answer, or none in time: it is sent again then.
    pub(super) fn handset_answered(&mut self, carrier: usize, number: u64, status: Option<CommandStatus>) {
        match status {
            Some(CommandStatus::ESME_ROK) => {
                if let Some(part) = self.carriers[carrier].handsets.remove(&number) {
                    self.judge.spoken_answered(part.nonce, part.number);
                }
            }
            Some(status) if status != CommandStatus::ESME_RX_T_APPN => {
                let what =
                    format!("a handset's text is refused: {:?} to a {:?}", status, CommandId::DELIVER_SM);
                self.judge.fail(self.now, crate::judge::DECENCY, what);
            }
            _ => self.handset_again(carrier, number),
        }
    }

    fn handset_again(&mut self, carrier: usize, number: u64) {
        if let Some(part) = self.carriers[carrier].handsets.get_mut(&number) {
            part.on = None;
            self.plan_act(carrier, AGAIN, Act::Handset { part: number });
        }
    }

    /// A connection is gone: what was not answered on it is sent again elsewhere.
    pub(super) fn handsets_lost(&mut self, conn: usize) {
        let carrier = self.conns[conn].carrier;
        let waiting = self.carriers[carrier].handsets.iter();
        let lost: Vec<u64> =
            waiting.filter(|(_, part)| part.on == Some(conn)).map(|(&number, _)| number).collect();
        lost.into_iter().for_each(|number| self.handset_again(carrier, number));
    }

    /// All that waits is sent, now that there is somebody who takes it.
    pub(super) fn handsets_go_on(&mut self, carrier: usize, after: u64) {
        let waiting = self.carriers[carrier].handsets.iter();
        let waiting: Vec<u64> =
            waiting.filter(|(_, part)| part.on.is_none()).map(|(&number, _)| number).collect();
        for part in waiting {
            self.plan_act(carrier, after, Act::Handset { part });
        }
    }

    /// A text that was answered for, whole, and that its subscribing account was not told, if there is one.
    pub(super) fn unheard(&self) -> Option<String> {
        self.judge.spoken.iter().enumerate().find_map(|(nonce, spoken)| {
            let account = spoken.account.filter(|account| self.listens(*account))?;
            let is_owed = !self.boasts.contains(&account) && !self.swarm.forgets && spoken.is_answered_for();
            (is_owed && !spoken.is_told)
                .then(|| format!("text {nonce} of a handset was never told: {spoken:?}"))
        })
    }
}
