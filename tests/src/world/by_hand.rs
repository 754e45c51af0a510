//! What a story does to its world.

use wire::id::Class;

use super::World;
use crate::disk::Crash;
use crate::judge::Intent;
use crate::parcel;

impl World {
    /// A customer submits, with a key.
    pub(crate) fn submit_by_hand(&mut self, customer: usize, class: Class, repetitions: usize) {
        let account = self.customers[customer].traits.account;
        let recipient = self.swarm.recipients[self.judge.intents.len() % self.swarm.recipients.len()].clone();
        let nonce = self.judge.intend(|nonce| Intent {
            account,
            recipient: recipient.parse().expect("drawn from digits"),
            key: Some(format!("story-{nonce}")),
            text: parcel::text_of(nonce, repetitions, false),
            class,
            validity_ms: None,
            rival_of: None,
            is_probe: false,
            first_sent: None,
            sends: 0,
            acked: None,
            refused: None,
        });
        self.submit(customer, nonce);
    }

    pub(crate) fn die_by_hand(&mut self, crash: Crash) {
        self.die(0, crash);
    }

    pub(crate) fn break_links_by_hand(&mut self) {
        for conn in 0..self.conns.len() {
            if self.conns[conn].node_has_it && self.conns[conn].carrier_has_it {
                self.reset(conn);
            }
        }
    }

    pub(crate) fn heal_by_hand(&mut self) {
        self.heal();
    }
}
