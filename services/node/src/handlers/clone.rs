//! Copies of guests, and templates that guests are copied from.

use crate::call::Call;
use crate::guests::clone::{self, Naming, Wish};
use crate::guests::{Report, features, template};
use crate::router::Router;
use basalt_api::methods::clone::{
    CtClone, CtCloneParams, CtFeature, CtTemplate, FeatureAnswer, FeatureParams, VmClone,
    VmCloneParams, VmFeature, VmTemplate,
};
use basalt_api::methods::guest::GuestPath;
use basalt_api::{Error, Result};
use basalt_model::guest::GuestKind;
use basalt_model::upid::Upid;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<VmClone, _, _, _>(clone_machine);
    router.on::<VmTemplate, _, _, _>(machine_to_template);
    router.on::<VmFeature, _, _, _>(of_machine);
    router.on::<CtClone, _, _, _>(clone_container);
    router.on::<CtTemplate, _, _, _>(container_to_template);
    router.on::<CtFeature, _, _, _>(of_container);
}

async fn clone_machine(call: Call, params: VmCloneParams) -> Result<Upid> {
    check_target(&call, &params.node, params.target.as_deref())?;
    let wish = Wish {
        vmid: params.vmid,
        newid: params.newid,
        naming: Naming {
            name: params.name,
            description: params.description,
        },
        pool: params.pool,
        snapshot: params.snapname,
        full: params.full,
        storage: params.storage,
        format: params.format,
        limit: params.bwlimit.and_then(bytes_a_second),
    };
    clone::clone(&call, GuestKind::Qemu, wish).await
}

async fn clone_container(call: Call, params: CtCloneParams) -> Result<Upid> {
    check_target(&call, &params.node, params.target.as_deref())?;
    let wish = Wish {
        vmid: params.vmid,
        newid: params.newid,
        naming: Naming {
            name: params.hostname,
            description: params.description,
        },
        pool: params.pool,
        snapshot: params.snapname,
        full: params.full,
        storage: params.storage,
        format: None,
        limit: params.bwlimit.and_then(bytes_a_second),
    };
    clone::clone(&call, GuestKind::Lxc, wish).await
}

fn check_target(call: &Call, node: &str, target: Option<&str>) -> Result<()> {
    call.node.check_name(node)?;
    match target {
        Some(target) if call.node.check_name(target).is_err() => {
            let text = "a clone stays on the node of its guest: leave target out";
            Err(Error::param("target", text))
        }
        _ => Ok(()),
    }
}

/// From KiB a second; none for no limit.
fn bytes_a_second(kibibytes: u64) -> Option<u64> {
    (kibibytes > 0).then(|| kibibytes.saturating_mul(1024))
}

async fn machine_to_template(call: Call, params: GuestPath) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    template::spawn(&call.node, call.auth(), GuestKind::Qemu, params.vmid).await
}

async fn container_to_template(call: Call, params: GuestPath) -> Result<()> {
    call.node.check_name(&params.node)?;
    let kind = GuestKind::Lxc;
    let _lock = call.node.lock_guest(kind, params.vmid, "template")?;
    let guest = template::check(&call.node, kind, params.vmid).await?;
    call.node.make_template(&guest, &Report::Journal).await
}

async fn of_machine(call: Call, params: FeatureParams) -> Result<FeatureAnswer> {
    let has_feature = has(&call, GuestKind::Qemu, params).await?;
    let nodes = has_feature.then(|| vec![call.node.name.clone()]);
    Ok(FeatureAnswer {
        has_feature,
        nodes: Some(nodes.unwrap_or_default()),
    })
}

async fn of_container(call: Call, params: FeatureParams) -> Result<FeatureAnswer> {
    Ok(FeatureAnswer {
        has_feature: has(&call, GuestKind::Lxc, params).await?,
        nodes: None,
    })
}

async fn has(call: &Call, kind: GuestKind, params: FeatureParams) -> Result<bool> {
    call.node.check_name(&params.node)?;
    let guest = call.node.guest(kind, params.vmid)?;
    let snapshot = params.snapname.as_ref();
    features::has(&call.node, &guest, params.feature, snapshot).await
}
