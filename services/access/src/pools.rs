//! Pools: guests and storages that permissions are given on together.
//!
//! A guest is in one pool at most, a storage can be in several. Whoever has a role on `/pool/name`
//! has it on what is in the pool, too.

use basalt_model::pool::PoolId;
use basalt_model::storage::StorageId;
use basalt_model::vmid::Vmid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All pools and what is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pools {
    pools: BTreeMap<PoolId, Pool>,
    guests: BTreeMap<Vmid, PoolId>,
}

/// A pool without its guests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Its storages.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub storages: BTreeSet<StorageId>,
}

/// Why a change of pools was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There is no such pool.
    #[error("pool '{0}' does not exist")]
    Missing(PoolId),
    /// There is such a pool.
    #[error("pool '{0}' already exists")]
    Exists(PoolId),
    /// The pool that a new one lies in does not exist.
    #[error("parent pool '{0}' does not exist")]
    NoParent(PoolId),
    /// The pool has something in it, which is named.
    #[error("pool '{0}' is not empty: it contains {1}")]
    NotEmpty(PoolId, String),
    /// The guest is in another pool.
    #[error("VM {0} is already a member of pool '{1}': allow-move=1 moves it")]
    Taken(Vmid, PoolId),
    /// What is to be taken out is not in the pool.
    #[error("{0} is not a member of pool '{1}'")]
    NoMember(String, PoolId),
}

type Result<T> = std::result::Result<T, PoolError>;

impl Pools {
    /// All pools in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&PoolId, &Pool)> {
        self.pools.iter()
    }

    /// A pool by its name.
    pub fn get(&self, id: &PoolId) -> Result<&Pool> {
        let missing = || PoolError::Missing(id.clone());
        self.pools.get(id).ok_or_else(missing)
    }

    /// The pool of a guest.
    pub fn of_guest(&self, vmid: Vmid) -> Option<&PoolId> {
        self.guests.get(&vmid)
    }

    /// The guests of a pool.
    pub fn guests<'a>(&'a self, id: &'a PoolId) -> impl Iterator<Item = Vmid> + 'a {
        let inside = self.guests.iter().filter(move |(_, pool)| *pool == id);
        inside.map(|(vmid, _)| *vmid)
    }

    /// The pools that what a path of permissions names is in.
    pub fn of_path(&self, path: &str) -> Vec<&PoolId> {
        if let Some(vmid) = path.strip_prefix("/vms/") {
            let pool = vmid.parse().ok().and_then(|vmid| self.of_guest(vmid));
            return pool.into_iter().collect();
        }
        let Some(Ok(storage)) = path.strip_prefix("/storage/").map(str::parse::<StorageId>) else {
            return Vec::new();
        };
        let holding = self.pools.iter();
        let holding = holding.filter(|(_, pool)| pool.storages.contains(&storage));
        holding.map(|(id, _)| id).collect()
    }

    /// Paths of permissions of everything that is in a pool, and of the pools.
    pub fn paths(&self) -> impl Iterator<Item = String> + '_ {
        let guests = self.guests.keys().map(|vmid| format!("/vms/{vmid}"));
        let storages = self.pools.values().flat_map(|pool| &pool.storages);
        let storages = storages.map(|storage| format!("/storage/{storage}"));
        let pools = self.pools.keys().map(PoolId::acl_path);
        pools.chain(guests).chain(storages)
    }

    /// Adds a pool; the one it lies in must be there.
    pub fn create(&mut self, id: PoolId, comment: Option<String>) -> Result<()> {
        if self.pools.contains_key(&id) {
            return Err(PoolError::Exists(id));
        }
        if let Some(parent) = id
            .parent()
            .filter(|parent| !self.pools.contains_key(parent))
        {
            return Err(PoolError::NoParent(parent));
        }
        let pool = Pool {
            comment,
            ..Pool::default()
        };
        self.pools.insert(id, pool);
        Ok(())
    }

    /// Sets the description of a pool.
    pub fn describe(&mut self, id: &PoolId, comment: String) -> Result<()> {
        self.get_mut(id)?.comment = Some(comment);
        Ok(())
    }

    /// Removes a pool that has nothing in it.
    pub fn remove(&mut self, id: &PoolId) -> Result<()> {
        let storage = self.get(id)?.storages.first();
        let storage = storage.map(|storage| format!("storage '{storage}'"));
        let guest = self.guests(id).next().map(|vmid| format!("VM {vmid}"));
        let below = self.pools.keys().find(|other| other.is_below(id));
        let below = below.map(|other| format!("pool '{other}'"));
        if let Some(what) = guest.or(storage).or(below) {
            return Err(PoolError::NotEmpty(id.clone(), what));
        }
        self.pools.remove(id);
        Ok(())
    }

    /// Puts a guest into a pool; out of another only when `may_move`.
    pub fn add_guest(&mut self, id: &PoolId, vmid: Vmid, may_move: bool) -> Result<()> {
        self.get(id)?;
        if let Some(other) = self.guests.get(&vmid).filter(|_| !may_move) {
            return Err(PoolError::Taken(vmid, other.clone()));
        }
        self.guests.insert(vmid, id.clone());
        Ok(())
    }

    /// Takes a guest out of a pool.
    pub fn remove_guest(&mut self, id: &PoolId, vmid: Vmid) -> Result<()> {
        if self.guests.get(&vmid) != Some(id) {
            return Err(PoolError::NoMember(format!("VM {vmid}"), id.clone()));
        }
        self.guests.remove(&vmid);
        Ok(())
    }

    /// Puts a storage into a pool, where it may be already.
    pub fn add_storage(&mut self, id: &PoolId, storage: StorageId) -> Result<()> {
        self.get_mut(id)?.storages.insert(storage);
        Ok(())
    }

    /// Takes a storage out of a pool.
    pub fn remove_storage(&mut self, id: &PoolId, storage: &StorageId) -> Result<()> {
        if self.get_mut(id)?.storages.remove(storage) {
            return Ok(());
        }
        let what = format!("storage '{storage}'");
        Err(PoolError::NoMember(what, id.clone()))
    }

    /// Forgets a guest that is no more.
    pub fn forget_guest(&mut self, vmid: Vmid) {
        self.guests.remove(&vmid);
    }

    /// Forgets every guest that is not there.
    pub fn retain_guests(&mut self, is_there: impl Fn(Vmid) -> bool) {
        self.guests.retain(|vmid, _| is_there(*vmid));
    }

    /// Forgets a storage that is no more.
    pub fn forget_storage(&mut self, storage: &StorageId) {
        for pool in self.pools.values_mut() {
            pool.storages.remove(storage);
        }
    }

    fn get_mut(&mut self, id: &PoolId) -> Result<&mut Pool> {
        let missing = || PoolError::Missing(id.clone());
        self.pools.get_mut(id).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PoolId {
        text.parse().unwrap()
    }

    fn vm(number: u32) -> Vmid {
        Vmid::new(number).unwrap()
    }

    #[test]
    fn a_guest_is_in_one_pool_and_a_storage_in_many() {
        let mut pools = Pools::default();
        pools.create(id("a"), None).unwrap();
        pools.create(id("b"), Some("second".into())).unwrap();
        pools.add_guest(&id("a"), vm(100), false).unwrap();
        let taken = pools.add_guest(&id("b"), vm(100), false).unwrap_err();
        assert_eq!(taken, PoolError::Taken(vm(100), id("a")));
        pools.add_guest(&id("b"), vm(100), true).unwrap();
        assert_eq!(pools.of_path("/vms/100"), [&id("b")]);
        for pool in ["a", "b"] {
            pools.add_storage(&id(pool), StorageId::local()).unwrap();
        }
        assert_eq!(pools.of_path("/storage/local"), [&id("a"), &id("b")]);
        assert!(pools.of_path("/storage").is_empty() && pools.of_path("/").is_empty());
        let json = serde_json::to_string(&pools).unwrap();
        assert_eq!(serde_json::from_str::<Pools>(&json).unwrap(), pools);
        pools.forget_guest(vm(100));
        pools.forget_storage(&StorageId::local());
        pools.remove(&id("b")).unwrap();
    }

    #[test]
    fn a_pool_with_something_in_it_stays() {
        let mut pools = Pools::default();
        assert_eq!(
            pools.create(id("a/b"), None),
            Err(PoolError::NoParent(id("a")))
        );
        pools.create(id("a"), None).unwrap();
        pools.create(id("a/b"), None).unwrap();
        let error = pools.remove(&id("a")).unwrap_err();
        assert!(error.to_string().contains("pool 'a/b'"), "{error}");
        pools.add_guest(&id("a/b"), vm(101), false).unwrap();
        assert!(pools.remove(&id("a/b")).is_err());
        assert!(pools.remove_guest(&id("a"), vm(101)).is_err());
        pools.remove_guest(&id("a/b"), vm(101)).unwrap();
        pools.remove(&id("a/b")).unwrap();
        assert_eq!(pools.remove(&id("x")), Err(PoolError::Missing(id("x"))));
    }
}
