//! Who may connect: so many in all, so many from one address, so many that have not yet finished their handshake.
//!
//! Counted before anything is read. Threats: a caller that holds connections open, or opens more than the node can.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In all.
    pub connections: usize,
    /// From one IPv4 address, or one IPv6 /64: what one customer of a network is given.
    pub per_address: usize,
    /// In the midst of their handshake.
    pub handshakes: usize,
}

/// The counts.
pub(crate) struct Gate {
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    per_address: usize,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place; given back when it is dropped.
pub(crate) struct Admission {
    _connection: OwnedSemaphorePermit,
    address: IpAddr,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Gate {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(limits.connections)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            per_address: limits.per_address,
            addresses: Arc::default(),
        }
    }

    /// A place for a connection, and one for its handshake; none where there is no room.
    pub(crate) fn admit(&self, peer: IpAddr) -> Option<(Admission, OwnedSemaphorePermit)> {
        let connection = Arc::clone(&self.connections).try_acquire_owned().ok()?;
        let handshake = Arc::clone(&self.handshakes).try_acquire_owned().ok()?;
        let address = network(peer);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(address).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        let addresses = Arc::clone(&self.addresses);
        Some((Admission { _connection: connection, address, addresses }, handshake))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, per_address: usize, handshakes: usize) -> Gate {
        Gate::new(ConnectionLimits { connections, per_address, handshakes })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn gate__should_count_connections_by_network_and_give_places_back() {
        let gate = gate(4, 2, 4);
        let one = gate.admit(ip("2001:db8::1")).unwrap();
        let _two = gate.admit(ip("2001:db8::ffff:1")).unwrap();
        assert!(gate.admit(ip("2001:db8::3")).is_none());
        let _other = gate.admit(ip("2001:db8:0:1::3")).unwrap();
        let v4 = gate.admit(ip("::ffff:10.0.0.1")).unwrap();
        assert!(gate.admit(ip("10.0.0.2")).is_none(), "four in all");
        drop(one);
        drop(v4);
        assert!(gate.admit(ip("2001:db8::3")).is_some());
        assert_eq!(gate.addresses.lock().unwrap().len(), 2);
    }

    #[test]
    fn gate__should_bound_handshakes_apart_from_connections() {
        let gate = gate(4, 4, 1);
        let (_admission, handshake) = gate.admit(ip("10.0.0.1")).unwrap();
        assert!(gate.admit(ip("10.0.0.1")).is_none());
        drop(handshake);
        assert!(gate.admit(ip("10.0.0.1")).is_some());
    }
}
