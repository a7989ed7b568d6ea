//! Servers elsewhere that are told of figures: their settings as they are configured, and as they are
//! used.

mod target;

pub use target::{Target, Web};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Graphite's plain text protocol.
    Graphite,
    /// InfluxDB's line protocol.
    Influxdb,
    /// OpenTelemetry's protocol over HTTP, in JSON.
    Opentelemetry,
}

/// How a Graphite server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GraphiteTransport {
    /// Packets.
    Udp,
    /// A connection.
    Tcp,
}

/// How an InfluxDB server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InfluxTransport {
    /// Packets.
    Udp,
    /// Its API, in the clear.
    Http,
    /// Its API.
    Https,
}

/// How an OpenTelemetry collector is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OtelTransport {
    /// In the clear.
    Http,
    /// Encrypted.
    Https,
}

/// Whether what is sent is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not.
    None,
    /// By gzip.
    Gzip,
}

/// What can be set of a server; each kind has some of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct MetricFields {
    /// Whether it is told nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable: Option<bool>,
    /// Most bytes of a packet, for udp (default 1500).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 512, max = 65536))]
    pub mtu: Option<u32>,
    /// Seconds it may take, for tcp, and for http to InfluxDB (default 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 60))]
    pub timeout: Option<u64>,
    /// Where in Graphite's tree the figures go (default proxmox).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub path: Option<String>,
    /// How Graphite is reached (default udp).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<GraphiteTransport>,
    /// How InfluxDB is reached (default udp).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influxdbproto: Option<InfluxTransport>,
    /// Organization in InfluxDB, for http and https (default proxmox).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub organization: Option<String>,
    /// Bucket in InfluxDB, for http and https (default proxmox).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub bucket: Option<String>,
    /// What stands before InfluxDB's paths, e.g. behind a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub api_path_prefix: Option<String>,
    /// Most bytes of a request to InfluxDB (default 25000000).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_body_size: Option<u64>,
    /// Whether InfluxDB's certificate has to be valid (default yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_certificate: Option<bool>,
    /// How the collector is reached (default https).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel_protocol: Option<OtelTransport>,
    /// Path of the collector (default /v1/metrics).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub otel_path: Option<String>,
    /// Seconds the collector may take (default 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub otel_timeout: Option<u64>,
    /// Whether the collector's certificate has to be valid (default yes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel_verify_ssl: Option<bool>,
    /// Most bytes of a request to the collector, before compression (default 10000000).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024))]
    pub otel_max_body_size: Option<u64>,
    /// Whether requests to the collector are compressed (default gzip).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel_compression: Option<Compression>,
    /// What else to say of this host: a JSON object of texts, which may be encoded as base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub otel_resource_attributes: Option<String>,
}

/// A server as it is configured, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetricServer {
    /// What it understands.
    #[serde(rename = "type")]
    pub kind: MetricKind,
    /// Its name or address.
    #[schemars(length(min = 1, max = 253))]
    pub server: String,
    /// Its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The rest.
    #[serde(flatten)]
    pub fields: MetricFields,
}

/// What only this node may know of a server.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSecrets {
    /// Token for InfluxDB's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Headers for the collector: a JSON object of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<String>,
}

impl MetricFields {
    /// The names of all of them.
    pub const NAMES: &[&str] = &[
        "disable",
        "mtu",
        "timeout",
        "path",
        "proto",
        "influxdbproto",
        "organization",
        "bucket",
        "api-path-prefix",
        "max-body-size",
        "verify-certificate",
        "otel-protocol",
        "otel-path",
        "otel-timeout",
        "otel-verify-ssl",
        "otel-max-body-size",
        "otel-compression",
        "otel-resource-attributes",
    ];
}

impl MetricServer {
    /// Whether secrets would go to somebody else than before, or to somebody who is believed more
    /// easily.
    pub fn tells_others(&self, before: &Self) -> bool {
        let way = |server: &Self| {
            let fields = &server.fields;
            (
                server.server.clone(),
                server.port,
                fields.influxdbproto,
                fields.verify_certificate,
                fields.otel_protocol,
                fields.otel_verify_ssl,
            )
        };
        way(self) != way(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_name() {
        let schema = schemars::schema_for!(MetricFields).to_value();
        let names = schema["properties"].as_object().unwrap().keys();
        assert!(names.eq(MetricFields::NAMES), "{schema}");
    }
}
