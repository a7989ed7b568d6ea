//! What a caller must be allowed to, as part of a method's declaration.

use basalt_model::access::Privilege;

/// A permission expression. Path templates are filled from the request's parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Permission {
    /// Anybody, without login.
    World,
    /// Anybody who is logged in; the method itself shows only what the caller may see.
    AnyUser,
    /// Only `root@pam`.
    Root,
    /// At least one of the privileges on the path.
    Perm {
        /// Template of the path, e.g. `/vms/{vmid}`.
        path: &'static str,
        /// The privileges, of which one is enough.
        privileges: &'static [Privilege],
    },
    /// The parameter of this name is the caller's own user id; a token with privileges of its own
    /// is not its user.
    Own(&'static str),
    /// At least one of the privileges on `/access/groups`, or on a group of the user that the
    /// parameter `userid` names; and on every group that the parameter `groups` names.
    UserGroup(&'static [Privilege]),
    /// May give permissions on the path of the parameter `path`: `Permissions.Modify`, or
    /// [`delegating`] what lies there.
    Delegate,
    /// All of these.
    All(&'static [Permission]),
    /// One of these.
    Any(&'static [Permission]),
}

/// The privileges that make somebody master of what lies at a path, so that its permissions may be
/// given on: not more of them than one has.
pub fn delegating(path: &str) -> &'static [Privilege] {
    let mut parts = path.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("vms"), Some(_)) => &[Privilege::VmAllocate],
        (Some("storage"), Some(_)) => &[Privilege::DatastoreAllocate],
        (Some("pool"), Some(_)) => &[Privilege::PoolAllocate],
        _ => &[],
    }
}

/// At least one of `privileges` on `path`.
pub const fn perm(path: &'static str, privileges: &'static [Privilege]) -> Permission {
    Permission::Perm { path, privileges }
}

impl Permission {
    /// The expression in words, for documentation and for the message of a refusal.
    pub fn describe(&self) -> String {
        let join = |parts: &[Permission], word: &str| {
            let parts: Vec<String> = parts.iter().map(Permission::describe).collect();
            parts.join(word)
        };
        match self {
            Permission::World => "everybody".into(),
            Permission::AnyUser => "every user".into(),
            Permission::Root => "user == root@pam".into(),
            Permission::Perm { path, privileges } => {
                let names: Vec<&str> = privileges.iter().map(|p| p.name()).collect();
                format!("{path}, {}", names.join("|"))
            }
            Permission::Own(name) => format!("{name} is the caller"),
            Permission::UserGroup(privileges) => {
                let names: Vec<&str> = privileges.iter().map(|p| p.name()).collect();
                let names = names.join("|");
                format!("/access/groups or a group of the user, {names}")
            }
            Permission::Delegate => "{path}, Permissions.Modify, or VM.Allocate, \
                 Datastore.Allocate or Pool.Allocate on what lies there"
                .into(),
            Permission::All(parts) => join(parts, " and "),
            Permission::Any(parts) => join(parts, " or "),
        }
    }
}
