//! A call of a method as its handler sees it.

use crate::core::Core;
use crate::state::Node;
use crate::upload::Upload;
use basalt_access::second::webauthn::Origin;
use basalt_access::{Caller, Snapshot};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege;
use basalt_model::userid::Authid;
use hyper::upgrade::OnUpgrade;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// A call of a method: who calls, and what comes with it besides parameters.
pub struct Call {
    /// The managers.
    pub node: Arc<Node>,
    /// What the managers stand on.
    pub core: Arc<Core>,
    /// Who calls.
    pub caller: Caller,
    /// Who may what, as it was when the call came in.
    pub access: Arc<Snapshot>,
    /// The client's address, when the call came through the gateway.
    pub from: Option<IpAddr>,
    /// The page that calls, when its browser says so and it has a name.
    pub page: Option<Origin>,
    /// The file of an upload, or the connection of a console.
    pub(crate) extra: Mutex<Extra>,
}

/// What can come with a call besides parameters; a handler takes it once.
pub(crate) enum Extra {
    None,
    Upload(Box<Upload>),
    Console(OnUpgrade),
}

impl Call {
    /// Who calls: a user or an API token.
    pub fn auth(&self) -> &Authid {
        &self.caller.auth
    }

    /// Whether the caller has at least one of `privileges` on `path`.
    pub fn allows(&self, path: &str, privileges: &[Privilege]) -> bool {
        self.access.allows(self.auth(), path, privileges)
    }

    /// Refuses the call unless the caller has at least one of `privileges` on `path`.
    pub fn require(&self, path: &str, privileges: &[Privilege]) -> Result<()> {
        if self.allows(path, privileges) {
            return Ok(());
        }
        let names: Vec<&str> = privileges.iter().map(|p| p.name()).collect();
        Err(Error::forbidden(format_args!(
            "{path}, {}",
            names.join("|")
        )))
    }

    /// The file of an upload.
    pub fn upload(&self) -> Result<Upload> {
        match self.take() {
            Extra::Upload(upload) => Ok(*upload),
            Extra::None | Extra::Console(_) => Err(Error::new(400, "there is no file")),
        }
    }

    /// The connection of a console, once it became a websocket.
    pub(crate) fn upgrade(&self) -> Result<OnUpgrade> {
        match self.take() {
            Extra::Console(upgrade) => Ok(upgrade),
            Extra::None | Extra::Upload(_) => Err(Error::new(400, "this is no websocket request")),
        }
    }

    fn take(&self) -> Extra {
        let mut extra = self.extra.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut extra, Extra::None)
    }
}
