//! Landlock with no rule at all: every kind of access to files and ports is handled, none is
//! allowed. Kernels without Landlock leave this wall out; seccomp alone forbids the same.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope,
};

use super::Error;

/// Restricts the calling thread and all it starts.
pub fn close() -> Result<(), Error> {
    let abi = ABI::V6;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self())
        .map(|_status| ())
        .map_err(|e| Error::Landlock(e.to_string()))
}
