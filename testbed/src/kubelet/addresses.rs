//! Which pod gets which address. Pure; does not bind anything.

use std::collections::{HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// Last octets given to pods: 250 per /24.
const HOSTS: RangeInclusive<u8> = 2..=251;

/// The pod addresses `10.244.<subnet>.<host>` of one node.
///
/// A released address goes to the end of the queue: a proxy may still hold the old endpoint, and must
/// meet a refused connection there, not another pod.
#[derive(Debug)]
pub struct Addresses {
    free: VecDeque<Ipv4Addr>,
    taken: HashSet<Ipv4Addr>,
}

impl Addresses {
    /// All addresses of the given third octets.
    pub fn new(subnets: RangeInclusive<u8>) -> Self {
        Self {
            free: subnets
                .flat_map(|subnet| HOSTS.map(move |host| Ipv4Addr::new(10, 244, subnet, host)))
                .collect(),
            taken: HashSet::new(),
        }
    }

    /// The address longest out of use, or `wanted` when it is free. `None` when all are taken.
    pub fn take(&mut self, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let place = wanted.and_then(|wanted| self.free.iter().position(|free| *free == wanted));
        let address = match place {
            Some(place) => self.free.remove(place),
            None => self.free.pop_front(),
        }?;
        self.taken.insert(address);
        Some(address)
    }

    /// Gives an address back. Addresses that were not taken are ignored.
    pub fn release(&mut self, address: Ipv4Addr) {
        if self.taken.remove(&address) {
            self.free.push_back(address);
        }
    }

    /// How many pods fit on the node in all.
    pub fn capacity(&self) -> usize {
        self.free.len() + self.taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_distinct_until_all_are_taken() {
        let mut addresses = Addresses::new(1..=2);
        let mut given = HashSet::new();
        while let Some(address) = addresses.take(None) {
            assert!(given.insert(address), "{address} was given twice");
        }
        assert_eq!(given.len(), 500);
    }

    #[test]
    fn a_released_address_is_reused_last() {
        let mut addresses = Addresses::new(1..=1);
        let first = addresses.take(None).expect("a fresh node has addresses");
        addresses.release(first);
        let next: Vec<_> = std::iter::from_fn(|| addresses.take(None)).collect();
        assert_eq!(next.last(), Some(&first));
    }

    #[test]
    fn a_pod_keeps_the_address_it_already_published() {
        let mut addresses = Addresses::new(1..=1);
        let published = Ipv4Addr::new(10, 244, 1, 77);
        assert_eq!(addresses.take(Some(published)), Some(published));
        assert_ne!(addresses.take(Some(published)), Some(published));
    }

    #[test]
    fn releasing_twice_does_not_make_an_address_free_twice() {
        let mut addresses = Addresses::new(1..=1);
        let first = addresses.take(None).expect("a fresh node has addresses");
        addresses.release(first);
        addresses.release(first);
        assert_eq!(addresses.capacity(), 250);
    }
}
