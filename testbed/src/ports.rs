//! Which port each server listens on. A second control plane in the same namespace takes a block of its own.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The ports of one control plane and what belongs to it, all on 127.0.0.1 unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// etcd, for the API server.
    pub etcd_client: u16,
    /// etcd, for its peers: there are none, but it insists.
    pub etcd_peer: u16,
    /// The API server.
    pub api: u16,
    /// kube-controller-manager's health and metrics.
    pub controller_manager: u16,
    /// Prometheus.
    pub prometheus: u16,
    /// The proxy's web entry point, on every address.
    pub proxy_web: u16,
    /// The proxy's ping, API and metrics.
    pub proxy_admin: u16,
}

impl Ports {
    /// The ports these servers usually have: the namespace has a loopback of its own, so they are free.
    pub const STANDARD: Self = Self {
        etcd_client: 2379,
        etcd_peer: 2380,
        api: 6443,
        controller_manager: 10257,
        prometheus: 9090,
        proxy_web: 8000,
        proxy_admin: 9000,
    };

    fn from_base(base: u16) -> Self {
        Self {
            etcd_client: base + 1,
            etcd_peer: base + 2,
            api: base + 3,
            controller_manager: base + 4,
            prometheus: base + 5,
            proxy_web: base + 6,
            proxy_admin: base + 7,
        }
    }
}

/// A block of ports that no other block in this namespace has, as long as it lives.
#[derive(Debug)]
pub struct PortBlock {
    ports: Ports,
    number: u8,
    // The block's first port: bound by its owner, so other processes take another block.
    _claim: TcpListener,
}

/// Below the range from which the kernel takes the ports of outgoing connections.
const FIRST_BASE: u16 = 20_000;
const BLOCK: u16 = 10;

impl PortBlock {
    /// Claims a free block.
    ///
    /// # Errors
    /// When all 200 blocks are taken.
    pub fn claim() -> Result<Self> {
        (1..=200_u8)
            .find_map(|number| {
                let base = FIRST_BASE + u16::from(number) * BLOCK;
                let claim = TcpListener::bind((Ipv4Addr::LOCALHOST, base)).ok()?;
                Some(Self {
                    ports: Ports::from_base(base),
                    number,
                    _claim: claim,
                })
            })
            .context("all 200 port blocks are taken: earlier control planes were not dropped")
    }

    /// The ports of the block.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The number of the block, 1 to 200: a pod subnet of its own follows from it.
    pub fn number(&self) -> u8 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ports: Ports) -> Vec<u16> {
        let values = serde_json::to_value(ports).unwrap();
        values
            .as_object()
            .unwrap()
            .values()
            .map(|port| u16::try_from(port.as_u64().unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn no_port_is_given_twice() {
        let (first, second) = (PortBlock::claim().unwrap(), PortBlock::claim().unwrap());
        let mut given = [
            all(Ports::STANDARD),
            all(first.ports()),
            all(second.ports()),
        ]
        .concat();
        let count = given.len();
        given.sort_unstable();
        given.dedup();
        assert_eq!((given.len(), count), (21, 21));
    }

    #[test]
    fn a_block_is_free_again_when_its_owner_is_gone() {
        let base_of = |block: &PortBlock| block.ports().etcd_client - 1;
        let block = PortBlock::claim().unwrap();
        let base = base_of(&block);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, base)).is_err());
        drop(block);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, base)).is_ok());
    }
}
