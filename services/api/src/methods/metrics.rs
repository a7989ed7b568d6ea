//! Servers elsewhere that are told of figures, and figures for those that ask.

use super::NoParams;
use crate::endpoints;
use crate::permission::{Permission, perm};
use basalt_model::access::Privilege::{SysAudit, SysModify};
use basalt_model::metrics::{MetricFields, MetricKind, MetricServer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const AUDIT: Permission = perm("/", &[SysAudit]);
const MODIFY: Permission = perm("/", &[SysModify]);

/// A server by its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MetricServerPath {
    /// Its name.
    pub id: String,
}

/// A server in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetricServerEntry {
    /// Its name.
    pub id: String,
    /// What it understands.
    #[serde(rename = "type")]
    pub kind: MetricKind,
    /// Its name or address on the network.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// Whether it is told nothing.
    pub disable: bool,
}

/// A server as it is configured; its secrets stay here.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MetricServerShown {
    /// Its name.
    pub id: String,
    /// The settings.
    #[serde(flatten)]
    pub server: MetricServer,
    /// Changes whenever the settings do.
    pub digest: String,
}

/// A new server.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MetricServerNew {
    /// Its name: a letter, then letters, digits, `-` and `_`.
    pub id: String,
    /// The settings.
    #[serde(flatten)]
    pub server: MetricServer,
    /// Token for InfluxDB's API; it is never shown.
    #[schemars(length(max = 1024))]
    pub token: Option<String>,
    /// Headers for the collector, a JSON object of texts, which may be encoded as base64; they are
    /// never shown, for they may prove who asks.
    #[schemars(length(max = 1024))]
    pub otel_headers: Option<String>,
}

/// Changed settings of a server; what is absent stays.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MetricServerChange {
    /// Its name.
    pub id: String,
    /// Its name or address on the network.
    #[schemars(length(min = 1, max = 253))]
    pub server: Option<String>,
    /// Its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Other settings to set.
    #[serde(flatten)]
    pub fields: MetricFields,
    /// Token for InfluxDB's API; it is never shown.
    #[schemars(length(max = 1024))]
    pub token: Option<String>,
    /// Headers for the collector, a JSON object of texts, which may be encoded as base64; they are
    /// never shown, for they may prove who asks.
    #[schemars(length(max = 1024))]
    pub otel_headers: Option<String>,
    /// Settings to put back to their defaults, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub delete: Option<String>,
    /// Refuse the change if the settings have another digest.
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
}

/// Which figures to show.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MetricExportQuery {
    /// Show those of the last half hour, not only the last.
    pub history: Option<bool>,
    /// Only those of this node, which is the only one.
    pub local_only: Option<bool>,
    /// Only those of these nodes, separated by commas.
    #[schemars(extend("format" = "list"))]
    pub node_list: Option<String>,
    /// Only those that are newer, in seconds since 1970.
    pub start_time: Option<u64>,
}

/// How a figure behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricType {
    /// It is as it is now.
    Gauge,
    /// It counts.
    Counter,
    /// It grows since the object began; its growth is what says something.
    Derive,
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// Whose it is, e.g. `qemu/100`.
    pub id: String,
    /// Its name.
    pub metric: String,
    /// When it was, in seconds since 1970.
    pub timestamp: u64,
    /// How it behaves.
    #[serde(rename = "type")]
    pub kind: MetricType,
    /// The value.
    pub value: f64,
}

/// Figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricExport {
    /// The figures.
    pub data: Vec<Metric>,
}

endpoints! {
    /// Lists the servers that are told of figures.
    MetricServerList: Get "/cluster/metrics/server" {
        params: NoParams,
        output: Vec<MetricServerEntry>,
        permission: AUDIT,
        cli: "metrics list",
    }

    /// Shows a server that is told of figures.
    MetricServerGet: Get "/cluster/metrics/server/{id}" {
        params: MetricServerPath,
        output: MetricServerShown,
        permission: AUDIT,
        cli: "metrics show",
    }

    /// Adds a server that is told of figures.
    MetricServerCreate: Post "/cluster/metrics/server/{id}" {
        params: MetricServerNew,
        output: (),
        permission: MODIFY,
        cli: "metrics create",
    }

    /// Changes a server that is told of figures.
    MetricServerUpdate: Put "/cluster/metrics/server/{id}" {
        params: MetricServerChange,
        output: (),
        permission: MODIFY,
        cli: "metrics set",
    }

    /// Removes a server that is told of figures.
    MetricServerDelete: Delete "/cluster/metrics/server/{id}" {
        params: MetricServerPath,
        output: (),
        permission: MODIFY,
        cli: "metrics delete",
    }

    /// Shows the last figures of everything.
    MetricExportGet: Get "/cluster/metrics/export" {
        params: MetricExportQuery,
        output: MetricExport,
        permission: AUDIT,
    }
}
