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
    /// The parameter of this name is the caller's own user id.
    Own(&'static str),
    /// All of these.
    All(&'static [Permission]),
    /// One of these.
    Any(&'static [Permission]),
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
            Permission::All(parts) => join(parts, " and "),
            Permission::Any(parts) => join(parts, " or "),
        }
    }
}
