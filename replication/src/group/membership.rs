//! Who belongs to a group, who is to be home after this node, and how long a member waits before it stands for election.

use core::ops::RangeInclusive;

use wire::id::NodeId;

use super::{Group, Proposed, Refused};
use crate::config::raft_id;
use crate::members::{Change, Members};

impl Group {
    /// The members as of the last entry that [`Group::poll_committed`] has told.
    #[must_use]
    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// The members as of an entry that is held, whether it is committed or not: for a snapshot that ends there and counts when it is.
    #[must_use]
    pub fn members_at(&self, index: u64) -> Members {
        let changes = (self.told_index + 1..=index).filter_map(|index| self.change_at(index));
        changes.fold(self.members.clone(), |members, change| members.after(change).unwrap_or(members))
    }

    fn change_at(&self, index: u64) -> Option<Change> {
        self.raw.store().held(index).and_then(Change::of_entry)
    }

    /// Makes a change of members the next entry. It takes effect when it is committed, here as everywhere.
    ///
    /// # Errors
    /// When this node may not decide, another change is under way, or it changes nothing. Nothing has happened then.
    pub fn propose_change(&mut self, change: Change) -> Result<Proposed, Refused> {
        self.may_propose(0)?;
        let is_home = matches!(change, Change::Leave(node) if node == self.node());
        if self.raw.raft.has_pending_conf() || is_home || self.members.after(change).is_none() {
            return Err(Refused::NotYet);
        }
        Ok(self.propose_entry(change.to_entry()))
    }

    /// Entries are committed: the changes among them take effect.
    pub(super) fn follow_changes(&mut self, told: RangeInclusive<u64>) {
        for index in told {
            let Some(change) = self.change_at(index) else { continue };
            // Every member finds the same of it, so that one which changes nothing does so everywhere.
            let Some(next) = self.members.after(change) else { continue };
            let state = self
                .raw
                .apply_conf_change(&change.to_raft())
                .expect("a simple change that was looked through");
            self.raw.mut_store().set_members(state);
            self.members = next;
            if self.is_home() && !self.members.contains(self.node()) {
                // The home before this one has taken it out; whoever follows knows it when it is elected.
                self.step_down();
            }
        }
    }

    /// Whether a member is heard of, and has all that this home has told as committed.
    #[must_use]
    pub fn is_level(&self, node: NodeId) -> bool {
        let progress = self.raw.raft.prs().get(raft_id(node));
        progress.is_some_and(|progress| progress.recent_active && progress.matched >= self.told_index)
    }

    /// The voter that is to be home after this one: of those that were heard of lately and that `may` be home, the one that has most of the log.
    #[must_use]
    pub fn heir(&self, may: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let others = self.members.voters.iter().copied().filter(|&node| node != self.node() && may(node));
        let heard = others.filter_map(|node| Some((node, self.raw.raft.prs().get(raft_id(node))?)));
        let heard = heard.filter(|(_, progress)| progress.recent_active);
        // Of equals the one with the least number.
        heard
            .max_by_key(|(node, progress)| (progress.matched, core::cmp::Reverse(*node)))
            .map(|(node, _)| node)
    }

    /// Hands leadership on. Nothing is decided meanwhile; if the other does not take it within an election's time, this node goes on.
    pub fn hand_on(&mut self, to: NodeId) {
        self.raw.transfer_leader(raft_id(to));
    }

    /// This node leads no more, until it is elected again.
    pub fn step_down(&mut self) {
        let term = self.term();
        self.raw.raft.become_follower(term, raft::INVALID_ID);
    }

    /// Whether leadership is being handed on.
    #[must_use]
    pub fn is_handing_on(&self) -> bool {
        self.raw.raft.lead_transferee.is_some()
    }

    /// This node's place among the members in the order of preference, in ticks: so much longer than the first it waits before it stands for election.
    /// Two members with the same would stand in each other's way.
    pub fn set_rank(&mut self, ticks: usize) {
        self.patience_ticks = self.election_ticks + ticks.min(self.rank_ticks_max);
    }

    /// The library draws another patience whenever its role changes.
    pub(super) fn keep_patience(&mut self) {
        if self.raw.raft.randomized_election_timeout() != self.patience_ticks {
            self.raw.raft.set_randomized_election_timeout(self.patience_ticks);
        }
    }
}
