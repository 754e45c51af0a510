//! Who is at the other end of each connection of a shard.

use replication::stream::LineId;
use shards::LinkId;

use crate::net::ConnId;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    /// A customer, of whichever protocol.
    Customer,
    /// A carrier.
    Link(LinkId),
    /// A shard of another node.
    Peer(LineId),
}

/// All connections of a shard, by their place, which is small and used again.
#[derive(Debug, Default)]
pub(super) struct Parties {
    places: Vec<Option<(ConnId, Party)>>,
    links: Vec<Option<ConnId>>,
}

impl Parties {
    /// A connection came into being.
    pub(super) fn insert(&mut self, conn: ConnId, party: Party) {
        put(&mut self.places, conn.index(), (conn, party));
        if let Party::Link(link) = party {
            put(&mut self.links, usize::from(link.0), conn);
        }
    }

    /// Who is at the other end.
    pub(super) fn party(&self, conn: ConnId) -> Option<Party> {
        let (known, party) = self.places.get(conn.index()).copied().flatten()?;
        (known == conn).then_some(party)
    }

    /// A connection is gone: who was at its other end.
    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Party> {
        let party = self.party(conn)?;
        self.places[conn.index()] = None;
        if let Party::Link(link) = party {
            self.links[usize::from(link.0)] = None;
        }
        Some(party)
    }

    /// The connection of a link.
    pub(super) fn of_link(&self, link: LinkId) -> Option<ConnId> {
        self.links.get(usize::from(link.0)).copied().flatten()
    }

    /// The connection with this number ([`ConnId::as_u64`]).
    pub(super) fn numbered(&self, number: u64) -> Option<ConnId> {
        let index = usize::try_from(number & u64::from(u32::MAX)).ok()?;
        let (conn, _) = self.places.get(index).copied().flatten()?;
        (conn.as_u64() == number).then_some(conn)
    }
}

fn put<T>(places: &mut Vec<Option<T>>, index: usize, value: T) {
    if places.len() <= index {
        places.resize_with(index + 1, || None);
    }
    let before = places[index].replace(value);
    assert!(before.is_none(), "place {index} is used again before its connection was closed");
}
