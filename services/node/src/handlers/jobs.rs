//! What jobs do for guests by themselves.

use crate::call::Call;
use crate::router::Router;
use basalt_api::Result;
use basalt_api::methods::NoParams;
use basalt_api::methods::jobs::{
    NotBackedUp, NotBackedUpList, ReplicationJob, ReplicationList, ReplicationQuery,
};

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<NotBackedUpList, _, _, _>(not_backed_up);
    router.on::<ReplicationList, _, _, _>(replication);
}

async fn not_backed_up(call: Call, _: NoParams) -> Result<Vec<NotBackedUp>> {
    let guests = call.node.guests();
    let entries = guests.iter().map(|guest| NotBackedUp {
        vmid: guest.vmid,
        name: Some(guest.record.config.name(guest.vmid)),
        kind: guest.kind().to_string(),
    });
    Ok(entries.collect())
}

async fn replication(call: Call, params: ReplicationQuery) -> Result<Vec<ReplicationJob>> {
    call.node.check_name(&params.node)?;
    Ok(Vec::new())
}
