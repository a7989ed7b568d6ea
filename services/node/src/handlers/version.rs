//! What answers here.

use crate::router::Router;
use basalt_api::methods::version::{NodeVersion, Version, VersionGet};

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<VersionGet, _, _, _>(async |_, _| Ok(version()));
    router.on::<NodeVersion, _, _, _>(async |_, _| Ok(version()));
}

/// The version of the API that clients know; the product has its own.
fn version() -> Version {
    Version {
        version: "8.3.0".into(),
        release: "8.3".into(),
        repoid: "00000000".into(),
        product: format!("Basalt {}", env!("CARGO_PKG_VERSION")),
    }
}
