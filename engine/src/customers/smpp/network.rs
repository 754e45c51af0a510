//! Networks from which an account may bind: `192.0.2.0/24`, `2001:db8::/32`, or one address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// A text that is no network, or whose address has bits behind the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network, as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")]
pub struct NoNetwork;

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (first, bits) = text.split_once('/').map_or((text, None), |(first, bits)| (first, Some(bits)));
        let first: IpAddr = first.parse().map_err(|_| NoNetwork)?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| NoNetwork))?;
        let network = Self { first, bits };
        // 10.0.0.1/8 is a mistake of whoever wrote it: one address was meant, or the network 10.0.0.0/8.
        if bits <= most && network.masked(first) == word(first) { Ok(network) } else { Err(NoNetwork) }
    }
}

impl Network {
    /// Whether an address is in it. IPv4 that came over IPv6 counts as IPv4.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && self.masked(address) == word(self.first)
    }

    /// The first bits of an address, and zeros.
    fn masked(&self, address: IpAddr) -> u128 {
        // The 32 bits of IPv4 stand at the upper end, as those of IPv6 do.
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits.min(128))).unwrap_or(0);
        word(address) & mask
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

fn word(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        let check = |network: &str, inside: &[&str], outside: &[&str]| {
            let network: Network = network.parse().unwrap();
            assert!(inside.iter().all(|address| network.has(address.parse().unwrap())), "{network}");
            assert!(!outside.iter().any(|address| network.has(address.parse().unwrap())), "{network}");
        };
        check(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "::a00:0", "a00::"],
        );
        check("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]);
        check("0.0.0.0/0", &["255.255.255.255"], &["::1"]);
        check("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::", "32.1.13.184"]);
        check("::/0", &["2001:db8::"], &["192.0.2.1"]);
        for wrong in
            ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "host", "::/129", "10.0.0.0/-1", "10.0.0/8"]
        {
            assert_eq!(wrong.parse::<Network>(), Err(NoNetwork), "{wrong}");
        }
    }
}
