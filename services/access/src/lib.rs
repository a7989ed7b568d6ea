//! Users, roles, ACLs, tickets and tokens.
//!
//! Start at [`Snapshot`]: all that is needed to say who a request comes from and what that user
//! may do, without I/O. The node makes it from the store and hands a copy, without passwords, to
//! the gateway; both ask the same [`Snapshot::authenticate`] and [`Snapshot::authorize`], so that
//! the node never has to believe the gateway. [`ticket`] is how logins are proven, [`config`]
//! what is stored, [`realms`] where users come from, [`second`] what they prove besides a
//! password, [`nonce`] what others hand back to us, [`Pools`] what permissions are given on together, [`password`] how passwords and
//! token secrets are kept.

mod authenticate;
mod authorize;
pub mod config;
pub mod nonce;
pub mod password;
mod pools;
pub mod realms;
pub mod second;
mod stored;
pub mod ticket;

pub use authenticate::{Caller, Proof, Refused};
pub use authorize::{Privileges, is_path};
pub use config::AccessConfig;
pub use pools::{Pool, PoolError, Pools};
pub use realms::Realms;
pub use ticket::{TicketError, TicketKey, Verifier};

use serde::{Deserialize, Serialize};

/// Who there is, who may what, and the key that proves logins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// Grows with every change.
    pub revision: u64,
    /// Users, groups, roles and permissions.
    pub config: AccessConfig,
    /// Pools and what is in them.
    pub pools: Pools,
    /// Realms.
    pub realms: Realms,
    /// Verifies tickets.
    pub verifier: Verifier,
}

impl Snapshot {
    /// The same without password hashes, for the gateway.
    pub fn without_passwords(&self) -> Self {
        let mut copy = self.clone();
        for user in copy.config.users.values_mut() {
            user.password = None;
        }
        copy
    }
}
