//! One order to many guests.

use crate::call::Call;
use crate::guests::Guest;
use crate::guests::bulk::{Order, Target, bulk};
use crate::guests::suspend::usual_storage;
use crate::router::Router;
use basalt_api::methods::bulk::{
    BulkShutdown, BulkShutdownParams, BulkStart, BulkStartParams, BulkSuspend, BulkSuspendParams,
    StartAll, StartAllParams, StopAll, StopAllParams, SuspendAll, SuspendAllParams,
};
use basalt_api::{Error, Result};
use basalt_model::access::Privilege::{DatastoreAllocateSpace, VmPowerMgmt};
use basalt_model::guest::{GuestConfig, GuestKind};
use basalt_model::storage::StorageId;
use basalt_model::upid::Upid;
use basalt_model::vmid::Vmid;
use std::time::Duration;

/// So many at the same time unless the caller says.
const WORKERS: u8 = 4;
/// So many seconds each guest has to shut down unless the caller says.
const PATIENCE: u32 = 180;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<StartAll, _, _, _>(start_all);
    router.on::<StopAll, _, _, _>(stop_all);
    router.on::<SuspendAll, _, _, _>(suspend_all);
    router.on::<BulkStart, _, _, _>(start);
    router.on::<BulkShutdown, _, _, _>(shutdown);
    router.on::<BulkSuspend, _, _, _>(suspend);
}

/// A list of numbers as clients write it; none when it names none.
fn numbers(text: Option<&str>) -> Result<Option<Vec<Vmid>>> {
    let words = text.unwrap_or_default().split([',', ';', ' ']);
    let words = words.filter(|word| !word.is_empty());
    let numbers = words.map(|word| word.parse().map_err(|e| Error::param("vms", e)));
    let numbers: Vec<Vmid> = numbers.collect::<Result<_>>()?;
    Ok(Some(numbers).filter(|numbers| !numbers.is_empty()))
}

/// The guests that are named, or all; the caller must be allowed to each, or to all.
fn chosen(call: &Call, vms: Option<Vec<Vmid>>) -> Result<Vec<Guest>> {
    let Some(vms) = vms.filter(|vms| !vms.is_empty()) else {
        call.require("/", &[VmPowerMgmt])?;
        let all = call.node.guests();
        return Ok(all.iter().map(|guest| Guest::clone(guest)).collect());
    };
    let one = |vmid: Vmid| {
        call.require(&format!("/vms/{vmid}"), &[VmPowerMgmt])?;
        let found = call.node.find_guest(vmid)?;
        found.ok_or_else(|| Error::param("vms", format_args!("VM {vmid} does not exist")))
    };
    vms.into_iter().map(one).collect()
}

fn give(call: &Call, order: Order, guests: Vec<Guest>, workers: Option<u8>) -> Result<Upid> {
    let target = |guest| Target {
        guest,
        storage: StorageId::local(),
    };
    let targets = guests.into_iter().map(target).collect();
    let workers = usize::from(workers.unwrap_or(WORKERS));
    bulk(&call.node, call.auth(), order, targets, workers)
}

fn down(timeout: Option<u32>, force: Option<bool>) -> Order {
    Order::Shutdown {
        patience: Duration::from_secs(timeout.unwrap_or(PATIENCE).into()),
        force: force.unwrap_or(true),
    }
}

async fn start_all(call: Call, params: StartAllParams) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let vms = numbers(params.vms.as_deref())?;
    let all = vms.is_some() || params.force == Some(true);
    let mut guests = chosen(&call, vms)?;
    guests.retain(|guest| all || guest.record.config.autostart().is_some());
    give(&call, Order::Start, guests, params.max_workers)
}

async fn stop_all(call: Call, params: StopAllParams) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let guests = chosen(&call, numbers(params.vms.as_deref())?)?;
    let order = down(params.timeout, params.force_stop);
    give(&call, order, guests, params.max_workers)
}

async fn suspend_all(call: Call, params: SuspendAllParams) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let mut guests = chosen(&call, numbers(params.vms.as_deref())?)?;
    guests.retain(|guest| guest.kind() == GuestKind::Qemu);
    give(&call, Order::Pause, guests, params.max_workers)
}

async fn start(call: Call, params: BulkStartParams) -> Result<Upid> {
    let guests = chosen(&call, params.vms)?;
    let workers = params.max_workers.or(params.old_max_workers);
    give(&call, Order::Start, guests, workers)
}

async fn shutdown(call: Call, params: BulkShutdownParams) -> Result<Upid> {
    let guests = chosen(&call, params.vms)?;
    let workers = params.max_workers.or(params.old_max_workers);
    let order = down(params.timeout, params.force_stop);
    give(&call, order, guests, workers)
}

async fn suspend(call: Call, params: BulkSuspendParams) -> Result<Upid> {
    let guests = chosen(&call, params.vms)?;
    let workers = params.max_workers.or(params.old_max_workers);
    let workers = usize::from(workers.unwrap_or(WORKERS));
    if params.to_disk != Some(true) && params.state_storage.is_some() {
        return Err(Error::param("statestorage", "needs to-disk=1"));
    }
    let mut targets = Vec::new();
    for guest in guests {
        // Containers cannot be suspended.
        let GuestConfig::Qemu(config) = &guest.record.config else {
            continue;
        };
        let asked = params.state_storage.clone();
        let storage = asked.unwrap_or_else(|| usual_storage(config));
        if params.to_disk == Some(true) {
            let path = format!("/storage/{storage}");
            call.require(&path, &[DatastoreAllocateSpace])?;
        }
        targets.push(Target { guest, storage });
    }
    let order = match params.to_disk {
        Some(true) => Order::Save,
        _ => Order::Pause,
    };
    bulk(&call.node, call.auth(), order, targets, workers)
}
