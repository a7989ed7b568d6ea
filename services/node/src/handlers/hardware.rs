//! What the node is made of, and what it can give to guests.

use crate::call::Call;
use crate::hardware::Tree;
use crate::hardware::smart::{self, Question};
use crate::router::Router;
use basalt_api::methods::NodePath;
use basalt_api::methods::hardware::{
    Architecture, CapabilityQuery, CpuFeature, CpuFlags, CpuModel, CpuModels, DiskInfo, DiskList,
    DiskQuery, DiskSmart, MachineModel, MachineModels, MdevType, MdevTypes, MigrationAbility,
    MigrationCapabilities, PciDevice, PciIndex, PciList, PciMethod, PciPath, PciQuery, SmartQuery,
    SmartReport, UsbDevice, UsbList,
};
use basalt_api::{Error, Result};
use basalt_model::cpu;
use basalt_model::qemu::hostpci::{PciAddress, PciAddresses, PciMappingId};
use futures_util::future::join_all;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<DiskList, _, _, _>(disks);
    router.on::<DiskSmart, _, _, _>(smart);
    router.on::<PciList, _, _, _>(pci);
    router.on::<PciIndex, _, _, _>(pci_index);
    router.on::<MdevTypes, _, _, _>(mdev_types);
    router.on::<UsbList, _, _, _>(usb);
    router.on::<CpuModels, _, _, _>(async |_, params| Ok(cpus(&params)));
    router.on::<CpuFlags, _, _, _>(async |_, params| Ok(cpu_flags(&params)));
    router.on::<MigrationCapabilities, _, _, _>(migration);
    router.on::<MachineModels, _, _, _>(async |_, params| Ok(machines(&params)));
}

/// Looks at the host's devices where looking may wait.
async fn look<T: Send + 'static>(what: impl FnOnce(Tree) -> T + Send + 'static) -> Result<T> {
    let looking = tokio::task::spawn_blocking(move || what(Tree::default()));
    looking.await.map_err(Error::failed)
}

async fn disks(call: Call, params: DiskQuery) -> Result<Vec<DiskInfo>> {
    call.node.check_name(&params.node)?;
    let partitions = params.include_partitions.unwrap_or(false);
    let mut disks = look(move |tree| tree.disks(params.kind, partitions)).await?;
    if !params.skip_smart.unwrap_or(false) {
        let asking = disks.iter_mut().filter(|disk| disk.parent.is_none());
        join_all(asking.map(|disk| ask(&call, disk))).await;
    }
    Ok(disks)
}

/// Completes what a list says of a disk. One that cannot be asked is listed all the same.
async fn ask(call: &Call, disk: &mut DiskInfo) {
    match smart::ask(&call.node.units, &disk.devpath, Question::Awake).await {
        Ok(report) => {
            disk.health = report.health;
            disk.wearout = smart::wearout(&report);
        }
        Err(error) => tracing::warn!(%error, disk = disk.devpath, "its health is not known"),
    }
}

async fn smart(call: Call, params: SmartQuery) -> Result<SmartReport> {
    call.node.check_name(&params.node)?;
    let disks = look(|tree| tree.disks(None, false)).await?;
    let named = |disk: &DiskInfo| {
        disk.devpath == params.disk || disk.by_id_link.as_ref() == Some(&params.disk)
    };
    let Some(disk) = disks.into_iter().find(named) else {
        let text = format!("'{}' is no disk of this node: see disks/list", params.disk);
        return Err(Error::param("disk", text));
    };
    let question = match params.health_only {
        Some(true) => Question::Health,
        Some(false) | None => Question::All,
    };
    let report = smart::ask(&call.node.units, &disk.devpath, question).await;
    report.map_err(Error::failed)
}

async fn pci(call: Call, params: PciQuery) -> Result<Vec<PciDevice>> {
    call.node.check_name(&params.node)?;
    let verbose = params.verbose.unwrap_or(true);
    look(move |tree| tree.pci(params.pci_class_blacklist.as_deref(), verbose)).await
}

async fn pci_index(call: Call, params: PciPath) -> Result<Vec<PciMethod>> {
    call.node.check_name(&params.node)?;
    addresses(&call, &params.pci_id_or_mapping)?;
    let method = "mdev".to_owned();
    Ok(vec![PciMethod { method }])
}

async fn mdev_types(call: Call, params: PciPath) -> Result<Vec<MdevType>> {
    call.node.check_name(&params.node)?;
    let addresses = addresses(&call, &params.pci_id_or_mapping)?;
    look(move |tree| tree.mdev_types(&addresses)).await
}

/// The devices of this node that an address or a mapping names.
fn addresses(call: &Call, text: &str) -> Result<PciAddresses> {
    const NAME: &str = "pci-id-or-mapping";
    if let Ok(address) = text.parse::<PciAddress>() {
        return Ok(PciAddresses(vec![address]));
    }
    let id = text.parse::<PciMappingId>();
    let id = id.map_err(|error| Error::param(NAME, error))?;
    let Some(mapping) = call.node.pci_mapping(&id)? else {
        let text = format!("there is no device and no mapping '{id}'");
        return Err(Error::param(NAME, text));
    };
    let places = mapping.map.iter().filter_map(|entry| entry.place().ok());
    let here = places.filter(|(node, _)| *node == call.node.name);
    Ok(PciAddresses(
        here.flat_map(|(_, path)| path.0.clone()).collect(),
    ))
}

async fn usb(call: Call, params: NodePath) -> Result<Vec<UsbDevice>> {
    call.node.check_name(&params.node)?;
    look(|tree| tree.usb()).await
}

async fn migration(call: Call, params: NodePath) -> Result<MigrationAbility> {
    call.node.check_name(&params.node)?;
    Ok(MigrationAbility {
        has_dbus_vmstate: false,
    })
}

/// Every model that machines here can have.
fn cpus(params: &CapabilityQuery) -> Vec<CpuModel> {
    let models = cpu::CpuModel::ALL.iter().map(|model| CpuModel {
        name: model.to_string(),
        vendor: "default".to_owned(),
        custom: false,
    });
    here(params, models.collect())
}

fn cpu_flags(params: &CapabilityQuery) -> Vec<CpuFeature> {
    let flags = cpu::CpuFlag::ALL.iter().map(|flag| CpuFeature {
        name: flag.to_string(),
        description: flag.meaning().to_owned(),
    });
    here(params, flags.collect())
}

/// There is one machine; whatever clients ask for, guests get it.
fn machines(params: &CapabilityQuery) -> Vec<MachineModel> {
    let q35 = MachineModel {
        id: "q35".to_owned(),
        kind: "q35".to_owned(),
        version: "1".to_owned(),
    };
    here(params, vec![q35])
}

fn here<T>(params: &CapabilityQuery, what: Vec<T>) -> Vec<T> {
    match params.arch {
        None | Some(Architecture::X86) => what,
        Some(Architecture::Arm) => Vec::new(),
    }
}
