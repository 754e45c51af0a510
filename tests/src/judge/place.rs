//! Where entries lie, and how far logs reach: what *durable* means when there are several disks.

use std::fmt;

use wal::Lsn;

/// The most nodes of a world.
pub(crate) const NODES_MAX: usize = 7;

/// How far the logs in which a partition lies were durable at a moment, as their disks said: node by node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    ends: [Lsn; NODES_MAX],
    nodes: usize,
    /// On so many disks something must be for a majority to have it.
    majority: usize,
}

impl Reach {
    pub(crate) fn of(majority: usize, ends: impl Iterator<Item = Lsn>) -> Self {
        let mut reach = Self { ends: [Lsn::ZERO; NODES_MAX], nodes: 0, majority };
        for end in ends {
            reach.ends[reach.nodes] = end;
            reach.nodes += 1;
        }
        reach
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends: Vec<_> = self.ends[..self.nodes].iter().map(ToString::to_string).collect();
        f.write_str(&ends.join(", "))
    }
}

/// Where an entry lies: its index, and its batch on each disk that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) index: u64,
    batches: [Option<Lsn>; NODES_MAX],
}

impl Place {
    pub(crate) const fn new(index: u64) -> Self {
        Self { index, batches: [None; NODES_MAX] }
    }

    /// It lies there, too.
    pub(crate) fn note(&mut self, node: usize, batch: Lsn) {
        self.batches[node].get_or_insert(batch);
    }

    /// On how many disks it is, or was.
    pub(crate) fn copies(&self) -> usize {
        self.batches.iter().flatten().count()
    }

    /// Whether it was durable on a majority of the disks.
    pub(crate) fn is_within(&self, reach: &Reach) -> bool {
        let batches = self.batches.iter().zip(&reach.ends).take(reach.nodes);
        let there = batches.filter(|(batch, end)| batch.is_some_and(|batch| batch < **end)).count();
        there >= reach.majority
    }
}
