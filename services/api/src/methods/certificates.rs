//! The certificate that a node shows on port 8006.

use super::NodePath;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::SysModify;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MODIFY: Permission = perm("/nodes/{node}", &[SysModify]);

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

/// A certificate to show from now on.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct CertificateNew {
    /// Name of the node.
    pub node: String,
    /// The certificate and those that lead to its root, in PEM, the node's own first.
    #[schemars(length(min = 1, max = 65536))]
    pub certificates: String,
    /// Its private key in PEM (PKCS #8); the key that is there when absent.
    #[schemars(length(max = 32768))]
    pub key: Option<String>,
    /// Replace one that was brought before.
    pub force: Option<bool>,
    /// Show it at once, to new connections, rather than from the gateway's next start on.
    pub restart: Option<bool>,
}

/// How to go back to the node's own certificate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CertificateRemoval {
    /// Name of the node.
    pub node: String,
    /// Show it at once, to new connections, rather than from the gateway's next start on.
    pub restart: Option<bool>,
}

endpoints! {
    /// Brings a certificate for the node to show on port 8006.
    ///
    /// It must be valid now and belong to the key. The node's own stays, to go back to.
    CertificateBring: Post "/nodes/{node}/certificates/custom" {
        params: CertificateNew,
        output: Certificate,
        permission: MODIFY,
        cli: "node certificate-set",
    }

    /// Goes back to the node's own certificate.
    CertificateRemove: Delete "/nodes/{node}/certificates/custom" {
        params: CertificateRemoval,
        output: (),
        permission: MODIFY,
        cli: "node certificate-remove",
    }

    /// Shows the certificate of a node.
    CertificateInfo: Get "/nodes/{node}/certificates/info" {
        params: NodePath,
        output: Vec<Certificate>,
        permission: Permission::AnyUser,
        cli: "node certificate",
    }
}
