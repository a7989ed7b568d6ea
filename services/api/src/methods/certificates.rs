//! The certificate that a node shows on port 8006.

use super::NodePath;
use crate::endpoints;
use crate::permission::Permission;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Certificate {
    /// Name of its file.
    pub filename: String,
    /// SHA-256, `AB:CD:…`.
    pub fingerprint: String,
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Beginning of its validity in seconds since 1970.
    pub notbefore: u64,
    /// End of its validity in seconds since 1970.
    pub notafter: u64,
    /// Names and addresses that it is for.
    pub san: Vec<String>,
    /// Kind of key.
    pub public_key_type: String,
    /// Size of the key.
    pub public_key_bits: u32,
    /// The certificate itself.
    pub pem: String,
}

endpoints! {
    /// Shows the certificate of a node.
    CertificateInfo: Get "/nodes/{node}/certificates/info" {
        params: NodePath,
        output: Vec<Certificate>,
        permission: Permission::AnyUser,
        cli: "node certificate",
    }
}
