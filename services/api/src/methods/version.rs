//! What answers here, and which version of the API it speaks.

use super::{NoParams, NodePath};
use crate::endpoints;
use crate::permission::Permission;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the API and of the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// Version of the API; clients read its first number.
    pub version: String,
    /// The first two numbers of the version.
    pub release: String,
    /// Identifies the build, in hexadecimal.
    pub repoid: String,
    /// Name and version of the product.
    pub product: String,
}

endpoints! {
    /// Shows the version of the API.
    VersionGet: Get "/version" {
        params: NoParams,
        output: Version,
        permission: Permission::AnyUser,
        cli: "version",
    }

    /// Shows the version of a node.
    NodeVersion: Get "/nodes/{node}/version" {
        params: NodePath,
        output: Version,
        permission: Permission::AnyUser,
    }
}
