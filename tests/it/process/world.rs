//! Three regions behind a wide area network: one node in each, with its customers and its connection to the carrier beside it, and all that is
//! between the nodes on the network of [`crate::wan`].

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use serde_json::Value;

use crate::carrier::Carrier;
use crate::daemon::{Daemon, Place, Setup, temporary_dir};
use crate::kill::PATIENCE;
use crate::ledger::Ledger;
use crate::operator::asked;
use crate::prober::{ACCOUNT, KEY};
use crate::regions::{Region, sweep};
use crate::wan::{Wan, Way};

/// From one region to another, 80 ms there and back: as between Frankfurt and Virginia.
pub(crate) const ONE_WAY: Duration = Duration::from_millis(40);
/// How many regions there are.
pub(crate) const REGIONS: usize = 3;
/// Where nodes hear each other, each in a network of its own.
const PORT: u16 = 7900;
/// Messages that the carrier may have of each node without an answer. That and no more may leave a node that is cut off.
pub(crate) const WINDOW: usize = 64;

/// The regions, in the order in which they are taken apart.
pub(crate) struct World {
    pub(crate) daemons: [Option<Daemon>; REGIONS],
    pub(crate) setups: Vec<Setup>,
    pub(crate) wan: Wan,
    /// It has a door in each region, with the region's place as its number.
    pub(crate) carrier: Carrier,
    _regions: Vec<Region>,
    _place: Place,
}

impl World {
    /// Starts all of them, and waits until each serves.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same, with one more line about the carrier.
    pub(crate) fn start_with(of_carrier: &str) -> Self {
        let place = temporary_dir();
        sweep();
        let regions: Vec<Region> = (1..).take(REGIONS).map(Region::make).collect();
        let bind =
            |region: &Region| TcpListener::bind(region.outside(0)).expect("the test has an end of the wire");
        let wan = Wan::new(ONE_WAY);
        let carrier = Carrier::at(bind(&regions[0]));
        let setups = regions.iter().enumerate().map(|(at, region)| {
            let door = if at == 0 { carrier.address() } else { carrier.open(bind(region)) };
            let dir = place.path().join(format!("node-{}", at + 1));
            fs::create_dir(&dir).expect("a temporary directory can be written");
            let members: String = (0..REGIONS).map(|of| member(&wan, &regions, (at, of))).collect();
            let (node, own) = (at + 1, region.inside(PORT));
            let cluster = format!("[cluster]\nname = \"judged\"\nlisten = \"{own}\"\n{members}");
            let prober = format!("[[account]]\nname = \"{ACCOUNT}\"\nkey = \"{KEY}\"\nsender = \"Prober\"\n");
            let own = region.inside(0);
            Setup::new(&dir, door)
                .in_namespace(region.name())
                .with_cores(&format!("{}", at % 2))
                .with("http = \"127.0.0.1:0\"", &format!("http = \"{own}\""))
                .with("native = \"127.0.0.1:0\"", &format!("native = \"{own}\""))
                .with_line(&format!("id = {node}\nregion = \"r{node}\""), "[node]")
                .with_line(&format!("window = {WINDOW}\n{of_carrier}"), "system_id")
                .with("[[account]]", &format!("{cluster}{prober}[[account]]"))
        });
        let setups: Vec<Setup> = setups.collect();
        let started: Vec<_> = setups.iter().map(Setup::spawn).collect();
        let mut started = setups.iter().zip(started).map(|(setup, process)| setup.serves(process));
        let daemons = [(); REGIONS].map(|()| started.next());
        drop(started);
        Self { daemons, setups, wan, carrier, _regions: regions, _place: place }
    }

    /// The node in a place, which is there.
    pub(crate) fn daemon(&self, place: usize) -> &Daemon {
        self.daemons[place].as_ref().expect("this node is there")
    }

    /// Takes the node in a place away.
    pub(crate) fn take(&mut self, place: usize) -> Daemon {
        self.daemons[place].take().expect("this node is there")
    }

    /// Starts the node in a place again.
    pub(crate) fn put_back(&mut self, place: usize) {
        self.daemons[place] = Some(self.setups[place].start());
    }

    /// The customer talks to this node from now on.
    pub(crate) fn turn(&self, ledger: &Ledger, place: usize) {
        let native = self.daemon(place).native;
        ledger.write(|pages| pages.daemon = Some(native));
    }

    /// What leaves a region, and what arrives there.
    pub(crate) fn ways(place: usize) -> (Vec<Way>, Vec<Way>) {
        let others = || (0..REGIONS).filter(move |other| *other != place);
        (others().map(|other| (place, other)).collect(), others().map(|other| (other, place)).collect())
    }

    /// The two places beside this one.
    pub(crate) fn others(place: usize) -> [usize; 2] {
        [(place + 1) % REGIONS, (place + 2) % REGIONS]
    }

    /// Where each node takes requests.
    pub(crate) fn https(&self) -> [SocketAddr; REGIONS] {
        [0, 1, 2].map(|place| self.daemon(place).http)
    }

    /// Waits until each node speaks with all others and has been told what they have, and every partition has a home.
    pub(crate) fn whole(&mut self) {
        for place in 0..REGIONS {
            self.until_seen(place, "the cluster is whole", |seen, others| {
                let is_level = |member: &Value| member["unheard"].is_null() || member["unheard"] == 0;
                let is_there = |member: &&Value| member["shards_up"] == 1 && is_level(member);
                seen["without_home"] == 0 && others.iter().filter(is_there).count() == REGIONS - 1
            });
        }
    }

    /// Waits until a node does not speak with another any more.
    pub(crate) fn until_unheard(&mut self, place: usize, other: usize) {
        self.until_seen(place, "it is given up", |_, others| {
            others.iter().any(|member| member["node"] == other + 1 && member["shards_up"] == 0)
        });
    }

    fn until_seen(&mut self, place: usize, what: &str, is_so: impl Fn(&Value, &[Value]) -> bool) {
        let setup = &self.setups[place];
        let daemon = self.daemons[place].as_mut().expect("all are there");
        daemon.until(what, || {
            let seen = asked(setup, &["cluster"]);
            let mut others = seen["members"].as_array().expect("members").clone();
            others.retain(|member| member["is_this"] == false);
            is_so(&seen, &others).then_some(())
        });
    }
}

/// What the file of the first region of the way says of the second: its address is the network's end of the way there.
fn member(wan: &Wan, regions: &[Region], (at, of): Way) -> String {
    let address = if at == of {
        regions[at].inside(PORT)
    } else {
        let listener = TcpListener::bind(regions[at].outside(0)).expect("the test has an end of the wire");
        let address = listener.local_addr().expect("a listener has an address");
        wan.listen(listener, (at, of), regions[of].inside(PORT));
        address
    };
    let number = of + 1;
    format!("[[cluster.member]]\nnode = {number}\nregion = \"r{number}\"\naddress = \"{address}\"\n")
}

/// Waits for so many more acknowledgements.
pub(crate) fn more(ledger: &Ledger, count: usize, what: &str) {
    let enough = ledger.pages().acknowledged.len() + count;
    ledger.wait_for(what, PATIENCE, |pages| pages.acknowledged.len() >= enough);
}
