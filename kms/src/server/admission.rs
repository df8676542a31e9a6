//! Who may connect: so many in all, so many from one network, and of both so many that have not yet finished their handshake.
//!
//! Counted before anything is read. A network's share of the handshakes is small: whoever connects and says nothing holds
//! a place for as long as a handshake may take, and a few such networks must not hold them all. Threats: a caller that
//! holds connections open, one that never begins its handshake, one that opens more than the node can.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections there may be. A network is an IPv4 address, or an IPv6 /64: what one customer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In all.
    pub connections: usize,
    /// From one network.
    pub per_address: usize,
    /// In the midst of their handshake.
    pub handshakes: usize,
    /// In the midst of their handshake, from one network.
    pub handshakes_per_address: usize,
}

/// Which limit leaves no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// There are as many connections as there may be.
    Connections,
    /// This network has its share of them.
    ConnectionsPerAddress,
    /// As many handshakes are under way as may be.
    Handshakes,
    /// This network has its share of them.
    HandshakesPerAddress,
}

impl Crowded {
    /// Every limit.
    pub(crate) const ALL: [Self; 4] =
        [Self::Connections, Self::ConnectionsPerAddress, Self::Handshakes, Self::HandshakesPerAddress];

    /// The key of the configuration that sets it.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Handshakes => "handshakes",
            Self::HandshakesPerAddress => "handshakes_per_address",
        }
    }
}

/// The counts.
pub(crate) struct Gate {
    limits: ConnectionLimits,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    shares: Shares,
}

/// What each network has taken. One that has nothing is not in it.
type Shares = Arc<Mutex<HashMap<IpAddr, Share>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Share {
    connections: usize,
    handshakes: usize,
}

/// A connection's place; given back when it is dropped.
pub(crate) struct Admission {
    _place: OwnedSemaphorePermit,
    _taken: Taken,
}

/// The place of a connection's handshake; given back when it is dropped.
pub(crate) struct HandshakePlace {
    _place: OwnedSemaphorePermit,
    _taken: Taken,
}

/// One of a network's share.
struct Taken {
    what: fn(&mut Share) -> &mut usize,
    network: IpAddr,
    shares: Shares,
}

impl Gate {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            connections: Arc::new(Semaphore::new(limits.connections)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            shares: Arc::default(),
        }
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.limits.connections.saturating_sub(self.connections.available_permits())
    }

    /// A place for a connection, and one for its handshake; or which limit leaves no room for both.
    pub(crate) fn admit(&self, peer: IpAddr) -> Result<(Admission, HandshakePlace), Crowded> {
        let network = network(peer);
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned();
        let connection = take(&self.connections).map_err(|_| Crowded::Connections)?;
        self.take_share(network)?;
        // From here on, whatever is returned early is given back.
        let taken = |what| Taken { what, network, shares: Arc::clone(&self.shares) };
        let admission = Admission { _place: connection, _taken: taken(|share| &mut share.connections) };
        let of_handshake = taken(|share| &mut share.handshakes);
        let handshake = take(&self.handshakes).map_err(|_| Crowded::Handshakes)?;
        Ok((admission, HandshakePlace { _place: handshake, _taken: of_handshake }))
    }

    /// Takes one of both shares of a network, or none.
    fn take_share(&self, network: IpAddr) -> Result<(), Crowded> {
        let mut shares = lock(&self.shares);
        let Share { connections, handshakes } = shares.get(&network).copied().unwrap_or_default();
        if connections >= self.limits.per_address {
            return Err(Crowded::ConnectionsPerAddress);
        }
        if handshakes >= self.limits.handshakes_per_address {
            return Err(Crowded::HandshakesPerAddress);
        }
        shares.insert(network, Share { connections: connections + 1, handshakes: handshakes + 1 });
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut shares = lock(&self.shares);
        if let Some(share) = shares.get_mut(&self.network) {
            *(self.what)(share) -= 1;
            if *share == Share::default() {
                shares.remove(&self.network);
            }
        }
    }
}

fn lock(shares: &Shares) -> MutexGuard<'_, HashMap<IpAddr, Share>> {
    // Nothing panics while it holds the lock; were it so, the counts would still be whole.
    shares.lock().unwrap_or_else(PoisonError::into_inner)
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
        let handshakes_per_address = handshakes;
        Gate::new(ConnectionLimits { connections, per_address, handshakes, handshakes_per_address })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn refusal(gate: &Gate, peer: &str) -> Option<Crowded> {
        gate.admit(ip(peer)).err()
    }

    #[test]
    fn gate__should_count_connections_by_network_and_give_places_back() {
        let gate = gate(4, 2, 4);
        let one = gate.admit(ip("2001:db8::1")).unwrap();
        let _two = gate.admit(ip("2001:db8::ffff:1")).unwrap();
        assert_eq!(refusal(&gate, "2001:db8::3"), Some(Crowded::ConnectionsPerAddress));
        let _other = gate.admit(ip("2001:db8:0:1::3")).unwrap();
        let v4 = gate.admit(ip("::ffff:10.0.0.1")).unwrap();
        assert_eq!((refusal(&gate, "10.0.0.2"), gate.open()), (Some(Crowded::Connections), 4));
        drop(one);
        drop(v4);
        assert_eq!(refusal(&gate, "2001:db8::3"), None);
        assert_eq!((gate.shares.lock().unwrap().len(), gate.open()), (2, 2));
    }

    #[test]
    fn gate__should_bound_handshakes_apart_from_connections() {
        let gate = gate(4, 4, 1);
        let (_admission, handshake) = gate.admit(ip("10.0.0.1")).unwrap();
        assert_eq!(refusal(&gate, "10.0.0.2"), Some(Crowded::Handshakes));
        drop(handshake);
        assert_eq!(refusal(&gate, "10.0.0.2"), None);
    }

    #[test]
    fn gate__should_leave_handshakes_to_others_when_a_network_has_its_share() {
        let limits =
            ConnectionLimits { connections: 9, per_address: 9, handshakes: 3, handshakes_per_address: 2 };
        let gate = Gate::new(limits);
        let held = [gate.admit(ip("2001:db8::1")).unwrap(), gate.admit(ip("2001:db8::2")).unwrap()];
        assert_eq!(refusal(&gate, "2001:db8::3"), Some(Crowded::HandshakesPerAddress));
        assert_eq!(refusal(&gate, "2001:db8:0:1::1"), None);
        drop(held);
        assert_eq!(refusal(&gate, "2001:db8::3"), None);
    }

    #[test]
    fn gate__should_count_a_share_anew_when_a_handshake_is_done() {
        let limits =
            ConnectionLimits { connections: 9, per_address: 3, handshakes: 9, handshakes_per_address: 1 };
        let gate = Gate::new(limits);
        let mut admissions = Vec::new();
        for _ in 0..3 {
            let (admission, handshake) = gate.admit(ip("10.0.0.1")).unwrap();
            assert!(refusal(&gate, "10.0.0.1").is_some(), "one handshake at a time");
            drop(handshake);
            admissions.push(admission);
        }
        assert_eq!(refusal(&gate, "10.0.0.1"), Some(Crowded::ConnectionsPerAddress));
        drop(admissions);
        assert!(gate.shares.lock().unwrap().is_empty(), "nobody is remembered who has nothing");
    }

    #[test]
    fn gate__should_forget_networks_that_it_turned_away() {
        let gate = gate(1, 1, 1);
        let held = gate.admit(ip("10.0.0.1")).unwrap();
        for last in 2..50 {
            assert_eq!(refusal(&gate, &format!("10.0.0.{last}")), Some(Crowded::Connections));
        }
        drop(held);
        assert!(gate.shares.lock().unwrap().is_empty());
    }
}
