//! Storages of a node and the volumes on them.

use crate::call::Call;
use crate::guests::names_volume;
use crate::router::Router;
use crate::state::Node;
use crate::upload::Upload;
use basalt_api::methods::storage::{
    ChecksumAlgorithm, ContentQuery, NodeStorageList, NodeStoragePath, NodeStorageQuery,
    NodeStorageStatus, StorageStatus, StorageUpload, UploadParams, VolumeCreate, VolumeDelete,
    VolumeEntry, VolumeGet, VolumeInfo, VolumeList, VolumeNew, VolumePath, parse_size,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege;
use basalt_model::guest::GuestKind;
use basalt_model::storage::{ContentKind, ContentKinds, StorageConfig, StorageId, VolumeId};
use basalt_model::upid::Upid;
use basalt_storage::{Checksum, Storage, StorageError, Upload as Target};
use basalt_tasks::NewTask;
use std::sync::Arc;

/// Who may see a storage.
pub const LOOK: &[Privilege] = &[Privilege::DatastoreAudit, Privilege::DatastoreAllocateSpace];

/// Says how the methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<NodeStorageList, _, _, _>(node_list);
    router.on::<NodeStorageStatus, _, _, _>(node_status);
    router.on::<VolumeList, _, _, _>(volumes);
    router.on::<VolumeCreate, _, _, _>(create_volume);
    router.on::<VolumeGet, _, _, _>(volume);
    router.on::<VolumeDelete, _, _, _>(delete_volume);
    router.on::<StorageUpload, _, _, _>(upload);
}

/// State and room of a storage; one that cannot be asked is shown as not active.
pub async fn status(
    id: StorageId,
    config: &StorageConfig,
    storage: &Arc<dyn Storage>,
) -> StorageStatus {
    let space = match config.disable {
        true => None,
        false => storage.space().await.ok(),
    };
    let (total, used, avail) = space.map_or((0, 0, 0), |space| {
        (space.total, space.used, space.available)
    });
    let used_fraction = if total == 0 {
        0.0
    } else {
        used as f64 / total as f64
    };
    StorageStatus {
        storage: id,
        kind: config.driver.kind(),
        content: config.content.to_string(),
        active: space.is_some(),
        enabled: !config.disable,
        shared: false,
        total,
        used,
        avail,
        used_fraction,
        metadata_fraction: space.and_then(|space| space.metadata),
    }
}

async fn node_list(call: Call, params: NodeStorageQuery) -> Result<Vec<StorageStatus>> {
    call.node.check_name(&params.node)?;
    let wanted = params
        .content
        .as_deref()
        .unwrap_or_default()
        .parse::<ContentKinds>();
    let wanted = wanted.map_err(|text| Error::param("content", text))?;
    let mut list = Vec::new();
    for (id, config, storage) in call.node.storages.all() {
        let fits = wanted.0.is_empty() || !wanted.0.is_disjoint(&config.content.0);
        let named = params.storage.as_ref().is_none_or(|name| *name == id);
        let on = params.enabled != Some(true) || !config.disable;
        if fits && named && on && call.allows(&format!("/storage/{id}"), LOOK) {
            list.push(status(id, &config, &storage).await);
        }
    }
    Ok(list)
}

async fn node_status(call: Call, params: NodeStoragePath) -> Result<StorageStatus> {
    call.node.check_name(&params.node)?;
    let (config, storage) = call
        .node
        .storages
        .get(&params.storage)
        .map_err(Error::failed)?;
    Ok(status(params.storage, &config, &storage).await)
}

async fn volumes(call: Call, params: ContentQuery) -> Result<Vec<VolumeEntry>> {
    call.node.check_name(&params.node)?;
    let (config, storage) = call
        .node
        .storages
        .get(&params.storage)
        .map_err(Error::failed)?;
    if config.disable {
        return Err(Error::failed(StorageError::Disabled(params.storage)));
    }
    // Disks and roots look the same on the storage; who owns one says which it is.
    let looked_for = match params.content {
        Some(ContentKind::Rootdir) => Some(ContentKind::Images),
        other => other,
    };
    let found = storage.list(looked_for).await.map_err(Error::failed)?;
    let is_container = |id: &VolumeId| {
        let owner = id
            .owner()
            .and_then(|vmid| call.node.find_guest(vmid).ok().flatten());
        owner.is_some_and(|guest| guest.kind() == GuestKind::Lxc)
    };
    let entries = found.into_iter().map(|volume| {
        let is_disk = volume.content == ContentKind::Images;
        let content = match is_disk && is_container(&volume.id) {
            true => ContentKind::Rootdir,
            false => volume.content,
        };
        VolumeEntry {
            vmid: volume.id.owner(),
            volid: volume.id.to_string(),
            content,
            format: volume.format.to_owned(),
            size: volume.size,
            used: Some(volume.used),
            ctime: Some(volume.changed),
        }
    });
    let wanted = entries.filter(|entry| {
        params
            .content
            .is_none_or(|content| entry.content == content)
            && params.vmid.is_none_or(|vmid| entry.vmid == Some(vmid))
    });
    Ok(wanted.collect())
}

/// The volume that a path names, with or without its storage before it.
fn volume_id(storage: &StorageId, text: &str) -> Result<VolumeId> {
    let id = match text.contains(':') {
        true => text
            .parse::<VolumeId>()
            .map_err(|text| Error::param("volume", text))?,
        false => VolumeId::new(storage.clone(), text)
            .ok_or_else(|| Error::param("volume", format_args!("'{text}' is no volume")))?,
    };
    if id.storage() != storage {
        return Err(Error::param(
            "volume",
            format_args!("'{id}' is not on '{storage}'"),
        ));
    }
    Ok(id)
}

async fn create_volume(call: Call, params: VolumeNew) -> Result<String> {
    let node = &call.node;
    node.check_name(&params.node)?;
    let size = parse_size(&params.size).map_err(|text| Error::param("size", text))?;
    if size.bytes() == 0 {
        return Err(Error::param("size", "a volume needs a size, e.g. 4G"));
    }
    let storage = node.storages.holding(&params.storage, ContentKind::Images);
    let storage = storage.map_err(Error::failed)?;
    let id = storage
        .named(params.vmid, &params.filename)
        .ok_or_else(|| {
            let text = "call it like vm-100-disk-0, after its guest; in a directory, with .raw";
            Error::param("filename", text)
        })?;
    match storage.create(&id, size).await {
        Ok(()) => Ok(id.to_string()),
        Err(StorageError::Unfit { reason, .. }) => Err(Error::param("filename", reason)),
        Err(error) => Err(Error::failed(error)),
    }
}

async fn volume(call: Call, params: VolumePath) -> Result<VolumeInfo> {
    call.node.check_name(&params.node)?;
    let id = volume_id(&params.storage, &params.volume)?;
    let storage = call.node.storages.of(&id).map_err(Error::failed)?;
    let volume = storage.volume(&id).await.map_err(Error::failed)?;
    Ok(VolumeInfo {
        path: storage
            .path(&id)
            .map_err(Error::failed)?
            .to_string_lossy()
            .into_owned(),
        format: volume.format.to_owned(),
        size: volume.size,
        used: volume.used,
    })
}

async fn delete_volume(call: Call, params: VolumePath) -> Result<Upid> {
    let node = Arc::clone(&call.node);
    node.check_name(&params.node)?;
    let id = volume_id(&params.storage, &params.volume)?;
    let storage = node.storages.of(&id).map_err(Error::failed)?;
    storage.volume(&id).await.map_err(Error::failed)?;
    let text = id.to_string();
    let task = NewTask {
        kind: "imgdel",
        id: text,
        user: call.auth(),
        lock: None,
    };
    let work = async move {
        // Asked here, so that a guest that began to use it meanwhile is seen.
        if let Some(user) = user_of(&node, &id) {
            return Err(Error::failed(format_args!(
                "volume '{id}' is used by {user}: remove it there"
            )));
        }
        storage.remove(&id).await.map_err(Error::failed)
    };
    call.node.tasks.spawn(task, |_| work).map_err(Error::failed)
}

/// The guest whose configuration names a volume.
fn user_of(node: &Node, volume: &VolumeId) -> Option<String> {
    node.guests()
        .iter()
        .find(|guest| names_volume(&guest.record, &|named| named == volume))
        .map(|guest| guest.title())
}

async fn upload(call: Call, params: UploadParams) -> Result<Upid> {
    let mut file = call.upload()?;
    let target = match begin_upload(&call, params).await {
        Ok(target) => target,
        Err(error) => {
            // Who still sends does not listen: the answer is read after the last byte.
            while file.chunk().await?.is_some() {}
            return Err(error);
        }
    };
    let target = receive(file, target).await?;
    let node = &call.node;
    // The bytes are here; what is left, and can still fail, is the task that the answer names.
    let task = NewTask {
        kind: "imgcopy",
        id: String::new(),
        user: call.auth(),
        lock: None,
    };
    let spawned = node.tasks.spawn(task, |context| async move {
        context.log(format_args!(
            "received {} bytes for '{}'",
            target.size(),
            target.volume()
        ));
        let finished = tokio::task::spawn_blocking(move || target.finish()).await;
        let volume = finished.map_err(Error::failed)?.map_err(Error::failed)?;
        context.log(format_args!("stored as '{volume}'"));
        Ok::<_, Error>(())
    });
    spawned.map_err(Error::failed)
}

/// Checks what can be checked before the first byte.
async fn begin_upload(call: &Call, params: UploadParams) -> Result<Target> {
    let node = &call.node;
    node.check_name(&params.node)?;
    let storage = node
        .storages
        .holding(&params.storage, params.content)
        .map_err(Error::failed)?;
    let mut target = match storage.upload(params.content, &params.filename).await {
        Err(StorageError::FileName { reason, .. }) => {
            return Err(Error::param("filename", reason));
        }
        result => result.map_err(Error::failed)?,
    };
    match (params.checksum, params.checksum_algorithm) {
        (Some(sum), Some(ChecksumAlgorithm::Sha256)) => target.expect(Checksum::Sha256(sum)),
        (Some(sum), Some(ChecksumAlgorithm::Sha512)) => target.expect(Checksum::Sha512(sum)),
        (None, None) => {}
        (Some(_), None) => {
            let text = "say what the checksum is: sha256 or sha512";
            return Err(Error::param("checksum-algorithm", text));
        }
        (None, Some(_)) => return Err(Error::param("checksum", "the checksum itself is missing")),
    }
    Ok(target)
}

/// Writes the file as it comes in.
async fn receive(mut file: Upload, mut target: Target) -> Result<Target> {
    while let Some(bytes) = file.chunk().await? {
        let written = tokio::task::spawn_blocking(move || {
            target.write(&bytes)?;
            Ok::<_, StorageError>(target)
        });
        target = written
            .await
            .map_err(Error::failed)?
            .map_err(Error::failed)?;
    }
    Ok(target)
}
