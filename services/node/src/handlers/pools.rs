//! Pools: guests and storages that permissions are given on together.

use super::cluster;
use crate::call::Call;
use crate::router::Router;
use basalt_access::Pools;
use basalt_api::methods::cluster::{Resource, ResourceFilter, ResourceKind};
use basalt_api::methods::pools::{
    MemberKind, Pool, PoolChange, PoolCreate, PoolDelete, PoolDeleteByPath, PoolEntry, PoolGet,
    PoolList, PoolNew, PoolPath, PoolQuery, PoolShow, PoolUpdate, PoolUpdateByPath,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::{
    self, DatastoreAllocate, PermissionsModify, PoolAllocate, PoolAudit, VmAllocate,
};
use basalt_model::pool::PoolId;
use basalt_model::storage::StorageId;
use basalt_model::vmid::Vmid;
use basalt_store::Transaction;
use std::str::FromStr;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<PoolList, _, _, _>(async |call, params| list(&call, params).await);
    router.on::<PoolGet, _, _, _>(async |call, params| get(&call, params).await);
    router.on::<PoolCreate, _, _, _>(async |call, params| create(&call, params).await);
    router.on::<PoolUpdate, _, _, _>(async |call, params| update(&call, params).await);
    router.on::<PoolUpdateByPath, _, _, _>(async |call, params| update(&call, params).await);
    router.on::<PoolDelete, _, _, _>(async |call, params| delete(&call, params).await);
    router.on::<PoolDeleteByPath, _, _, _>(async |call, params| delete(&call, params).await);
}

async fn list(call: &Call, query: PoolQuery) -> Result<Vec<PoolEntry>> {
    let Some(poolid) = query.poolid else {
        if query.kind.is_some() {
            return Err(Error::param("type", "needs poolid"));
        }
        let pools = call.access.pools.iter();
        let seen = pools.filter(|(id, _)| call.allows(&id.acl_path(), &[PoolAudit]));
        let entry = |(id, pool): (&PoolId, &basalt_access::Pool)| PoolEntry {
            poolid: id.clone(),
            comment: pool.comment.clone(),
            members: None,
        };
        return Ok(seen.map(entry).collect());
    };
    call.require(&poolid.acl_path(), &[PoolAudit])?;
    let show = PoolShow {
        poolid: poolid.clone(),
        kind: query.kind,
    };
    let pool = get(call, show).await?;
    Ok(vec![PoolEntry {
        poolid,
        comment: pool.comment,
        members: Some(pool.members),
    }])
}

async fn get(call: &Call, params: PoolShow) -> Result<Pool> {
    let id = &params.poolid;
    let pool = call.access.pools.get(id).map_err(Error::failed)?;
    let wants = |kind| params.kind.is_none_or(|wanted| wanted == kind);
    let mut members = Vec::new();
    if wants(MemberKind::Qemu) || wants(MemberKind::Lxc) {
        let mut guests = cluster::visible(call, Some(ResourceFilter::Vm)).await?;
        guests.retain(|guest| {
            let kind = match guest.kind {
                ResourceKind::Lxc => MemberKind::Lxc,
                _ => MemberKind::Qemu,
            };
            guest.pool.as_ref() == Some(id) && wants(kind)
        });
        members.append(&mut guests);
    }
    if wants(MemberKind::Storage) && !pool.storages.is_empty() {
        let mut storages = cluster::visible(call, Some(ResourceFilter::Storage)).await?;
        storages.retain(|found| names_one_of(found, &pool.storages));
        members.append(&mut storages);
    }
    Ok(Pool {
        comment: pool.comment.clone(),
        members,
    })
}

fn names_one_of(found: &Resource, storages: &std::collections::BTreeSet<StorageId>) -> bool {
    let name = found.storage.as_deref().unwrap_or_default();
    storages.iter().any(|storage| storage.as_str() == name)
}

/// Changes pools.
async fn change(
    call: &Call,
    id: PoolId,
    change: impl FnOnce(&PoolId, &mut Pools) -> Result<()>,
) -> Result<()> {
    let access = &call.core.access;
    let done = access.change_with(Transaction::new(), |_, pools| change(&id, pools));
    done.await?;
    Ok(())
}

async fn create(call: &Call, new: PoolNew) -> Result<()> {
    change(call, new.poolid, |id, pools| {
        pools.create(id.clone(), new.comment).map_err(Error::failed)
    })
    .await
}

async fn delete(call: &Call, path: PoolPath) -> Result<()> {
    let done = call
        .core
        .access
        .change_with(Transaction::new(), |config, pools| {
            pools.remove(&path.poolid).map_err(Error::failed)?;
            config.forget_path(&path.poolid.acl_path());
            Ok(())
        });
    done.await?;
    Ok(())
}

/// The items of a list, each once; what is none names the parameter.
fn items<T: FromStr<Err = String>>(name: &str, text: Option<&str>) -> Result<Vec<T>> {
    let words = text.unwrap_or_default().split([',', ';', ' ']);
    let words = words.filter(|word| !word.is_empty());
    words
        .map(|word| word.parse().map_err(|error| Error::param(name, error)))
        .collect()
}

/// Who puts something into a pool gives everybody there rights on it, so it takes the right to.
fn may_give(call: &Call, path: &str, master: Privilege) -> Result<()> {
    call.require(path, &[PermissionsModify, master])
}

async fn update(call: &Call, params: PoolChange) -> Result<()> {
    let vms: Vec<Vmid> = items("vms", params.vms.as_deref())?;
    let storages: Vec<StorageId> = items("storage", params.storage.as_deref())?;
    let delete = params.delete == Some(true);
    let moves = params.allow_move == Some(true);
    for vmid in &vms {
        may_give(call, &format!("/vms/{vmid}"), VmAllocate)?;
        if !delete && call.node.find_guest(*vmid)?.is_none() {
            return Err(Error::param(
                "vms",
                format_args!("VM {vmid} does not exist"),
            ));
        }
        if let Some(other) = call
            .access
            .pools
            .of_guest(*vmid)
            .filter(|_| !delete && moves)
        {
            call.require(&other.acl_path(), &[PoolAllocate])?;
        }
    }
    for storage in &storages {
        may_give(call, &format!("/storage/{storage}"), DatastoreAllocate)?;
        if !delete && call.node.storages.get(storage).is_err() {
            let text = format!("storage '{storage}' does not exist");
            return Err(Error::param("storage", text));
        }
    }
    let comment = params.comment;
    change(call, params.poolid, |id, pools| {
        pools.get(id).map_err(Error::failed)?;
        if let Some(comment) = comment {
            pools.describe(id, comment).map_err(Error::failed)?;
        }
        for vmid in vms {
            let done = match delete {
                true => pools.remove_guest(id, vmid),
                false => pools.add_guest(id, vmid, moves),
            };
            done.map_err(Error::failed)?;
        }
        for storage in storages {
            let done = match delete {
                true => pools.remove_storage(id, &storage),
                false => pools.add_storage(id, storage),
            };
            done.map_err(Error::failed)?;
        }
        Ok(())
    })
    .await
}
