//! What guests were at earlier times. Nothing makes snapshots yet, so every guest has only its present.

use crate::call::Call;
use crate::router::Router;
use basalt_api::Result;
use basalt_api::methods::guest::GuestPath;
use basalt_api::methods::snapshots::{CtSnapshotList, SnapshotEntry, VmSnapshotList};
use basalt_model::guest::GuestKind;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<VmSnapshotList, _, _, _>(of_machine);
    router.on::<CtSnapshotList, _, _, _>(of_container);
}

async fn of_machine(call: Call, params: GuestPath) -> Result<Vec<SnapshotEntry>> {
    list(&call, GuestKind::Qemu, params).await
}

async fn of_container(call: Call, params: GuestPath) -> Result<Vec<SnapshotEntry>> {
    list(&call, GuestKind::Lxc, params).await
}

async fn list(call: &Call, kind: GuestKind, params: GuestPath) -> Result<Vec<SnapshotEntry>> {
    call.node.check_name(&params.node)?;
    let guest = call.node.guest(kind, params.vmid)?;
    Ok(vec![SnapshotEntry {
        name: "current".to_owned(),
        description: "the guest as it is now".to_owned(),
        running: Some(call.node.is_running(kind, params.vmid).await?),
        digest: Some(guest.digest),
    }])
}
