//! Longest prefix first: from a recipient to the carriers that may take it.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use wire::msisdn::Msisdn;

use crate::plan::Route;

/// A table of routes by prefix. A look-up asks only for the prefix lengths that occur, the longest first.
#[derive(Clone, Debug)]
pub struct Routes {
    by_prefix: HashMap<Msisdn, u16, FixedState>,
    fallback: Option<u16>,
    /// The lengths of prefixes that occur, in digits, the longest first.
    lengths: Vec<u32>,
    routes: Vec<Route>,
}

impl Routes {
    /// Builds the table. Of two routes with the same prefix the later stands: the shell refuses such files.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let mut by_prefix = HashMap::with_hasher(FixedState::default());
        let mut fallback = None;
        let mut lengths = Vec::new();
        for (place, route) in (0_u16..).zip(&routes) {
            match route.prefix {
                None => fallback = Some(place),
                Some(prefix) => {
                    by_prefix.insert(prefix, place);
                    lengths.push(prefix.digits());
                }
            }
        }
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        Self { by_prefix, fallback, lengths, routes }
    }

    /// The place of the route with the longest prefix of `recipient`.
    #[must_use]
    pub fn find(&self, recipient: Msisdn) -> Option<u16> {
        let digits = recipient.digits();
        self.lengths
            .iter()
            .filter(|&&length| length <= digits)
            .find_map(|&length| self.by_prefix.get(&recipient.prefix(length)).copied())
            .or(self.fallback)
    }

    /// The carriers of a route that [`Routes::find`] found, in order.
    #[must_use]
    pub fn carriers(&self, route: u16) -> &[u16] {
        &self.routes[usize::from(route)].carriers
    }

    /// All routes, in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Route] {
        &self.routes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_the_rest_falls_back() {
        let route = |prefix: &str, carrier| Route { prefix: prefix.parse().ok(), carriers: vec![carrier] };
        let routes = Routes::new(vec![route("", 0), route("49", 1), route("49151", 2), route("1", 3)]);
        let carrier =
            |number: &str| routes.find(number.parse().unwrap()).map(|place| routes.carriers(place)[0]);
        assert_eq!(carrier("+4915112345678"), Some(2));
        assert_eq!(carrier("+4917012345678"), Some(1));
        assert_eq!(carrier("+12025550123"), Some(3));
        assert_eq!(carrier("+33612345678"), Some(0));
        assert_eq!(Routes::new(vec![route("49", 0)]).find("+1202".parse().unwrap()), None);
    }
}
