//! The cluster IPs and node ports that are in use.

use std::collections::BTreeSet;

/// The cluster IPs of `10.96.0.0/16` and the node ports of 30000–32767 that are in use.
///
/// The server draws free ones at random; here it is the lowest, so that a rehearsal says the same
/// thing twice.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// IPv4 addresses as numbers.
    pub ips: BTreeSet<u32>,
    /// Node ports; TCP and UDP share them here as in the server's own choice.
    pub ports: BTreeSet<u16>,
}
