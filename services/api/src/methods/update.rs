//! Updates of a node as one image: slots, installation, roll-back, and where updates come from.

use super::NodePath;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{SysAudit, SysModify};
use basalt_model::upid::Upid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const AUDIT: Permission = perm("/nodes/{node}", &[SysAudit]);
const MODIFY: Permission = perm("/nodes/{node}", &[SysModify]);

/// What the slots of a node hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateStatus {
    /// The version that runs.
    pub version: String,
    /// Both slots.
    pub slots: Vec<UpdateSlot>,
    /// A version that was tried and left behind by itself.
    pub failure: Option<UpdateFailure>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UpdateSlot {
    /// Its letter, a or b.
    pub slot: String,
    /// The version in it.
    pub version: Option<String>,
    /// Whether it runs.
    pub running: bool,
    /// What the boot loader makes of it.
    pub state: SlotState,
    /// Boots left for a version on trial.
    pub tries_left: Option<u32>,
}

/// What the boot loader makes of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SlotState {
    /// Holds nothing, or half of something.
    Empty,
    /// Still has to prove itself.
    Trial,
    /// Has proved itself.
    Good,
    /// Was tried and never became healthy.
    Failed,
}

/// A version that was tried and left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateFailure {
    /// The version.
    pub version: String,
    /// Why; empty when it did not get far enough to say.
    pub reasons: Vec<String>,
}

/// Which releases a node follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpdateChannel {
    /// For nodes that people rely on.
    #[default]
    Stable,
    /// For those who try what will be stable.
    Testing,
}

/// Where updates come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateConfig {
    /// Folder on a web server that has the latest bundle of each channel.
    pub url: Option<String>,
    /// The channel that is followed.
    pub channel: UpdateChannel,
    /// Certificates (PEM) of authorities that vouch for the server, besides the usual ones.
    pub ca: Option<String>,
}

/// Says where updates come from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UpdateConfigSet {
    /// Name of the node.
    pub node: String,
    /// Folder on a web server that has the latest bundle of each channel; empty for none.
    #[schemars(length(max = 1024))]
    pub url: Option<String>,
    /// The channel that is followed.
    pub channel: Option<UpdateChannel>,
    /// Certificates (PEM) of authorities that vouch for the server, besides the usual ones; empty
    /// for none.
    #[schemars(length(max = 65536))]
    pub ca: Option<String>,
}

/// What the channel of a node has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateAvailable {
    /// The channel that is followed.
    pub channel: UpdateChannel,
    /// Its latest version; none when no place is configured that updates come from.
    pub version: Option<String>,
    /// Whether that is newer than what runs.
    pub newer: bool,
}

/// What to install. Without `file` and `url` it is the latest version of the channel.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UpdateInstallParams {
    /// Name of the node.
    pub node: String,
    /// A bundle on the node, by its absolute path.
    #[schemars(length(max = 4096))]
    pub file: Option<String>,
    /// A bundle on a web server.
    #[schemars(length(max = 1024))]
    pub url: Option<String>,
    /// The channel (default the one that is configured).
    pub channel: Option<UpdateChannel>,
    /// Also install a version older than the running one.
    pub allow_downgrade: Option<bool>,
    /// Reboot into it at once.
    pub reboot: Option<bool>,
}

/// A bundle to install. The file itself is the part `filename` of the multipart body.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UpdateUploadParams {
    /// Name of the node.
    pub node: String,
    /// Name of the file; of no consequence.
    #[schemars(length(min = 1, max = 255))]
    pub filename: String,
    /// Also install a version older than the running one.
    pub allow_downgrade: Option<bool>,
    /// Reboot into it at once.
    pub reboot: Option<bool>,
}

/// How to go back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UpdateRollbackParams {
    /// Name of the node.
    pub node: String,
    /// Reboot into it at once.
    pub reboot: Option<bool>,
}

endpoints! {
    /// Shows what is in the slots, and why an update was undone.
    UpdateStatusGet: Get "/nodes/{node}/update/status" {
        params: NodePath,
        output: UpdateStatus,
        permission: AUDIT,
        cli: "update status",
    }

    /// Asks the configured channel for its latest version.
    UpdateAvailableGet: Get "/nodes/{node}/update/available" {
        params: NodePath,
        output: UpdateAvailable,
        permission: AUDIT,
        cli: "update available",
    }

    /// Installs an update into the slot that does not run.
    ///
    /// The next reboot tries it; it is kept when it is healthy and undone when it is not.
    UpdateInstall: Post "/nodes/{node}/update/install" {
        params: UpdateInstallParams,
        output: Upid,
        permission: MODIFY,
        kind: Task,
        cli: "update install",
    }

    /// Uploads a bundle and installs it into the slot that does not run.
    ///
    /// Fields of the multipart body must come before the file.
    UpdateUpload: Post "/nodes/{node}/update/upload" {
        params: UpdateUploadParams,
        output: Upid,
        permission: MODIFY,
        kind: Upload,
        cli: "update upload",
    }

    /// Boots the other slot at the next start; shows its version.
    UpdateRollback: Post "/nodes/{node}/update/rollback" {
        params: UpdateRollbackParams,
        output: String,
        permission: MODIFY,
        cli: "update rollback",
    }

    /// Shows where updates come from.
    UpdateConfigGet: Get "/nodes/{node}/update/config" {
        params: NodePath,
        output: UpdateConfig,
        permission: AUDIT,
        cli: "update config",
    }

    /// Says where updates come from.
    UpdateConfigPut: Put "/nodes/{node}/update/config" {
        params: UpdateConfigSet,
        output: (),
        permission: MODIFY,
        cli: "update configure",
    }
}
