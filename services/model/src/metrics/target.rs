//! What a server's settings come to.

use super::{
    Compression, GraphiteTransport, InfluxTransport, MetricKind, MetricSecrets, MetricServer,
    OtelTransport,
};
use crate::field::FieldErrors;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a web server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// Address.
    pub url: String,
    /// Whether its certificate has to be valid.
    pub verify: bool,
    /// So long it may take.
    pub timeout: Duration,
    /// Most bytes of a request.
    pub longest: usize,
}

/// A server as it is used.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// Lines in packets.
    Udp {
        /// Host and port.
        server: (String, u16),
        /// Most bytes of a packet.
        mtu: usize,
        /// Place in Graphite's tree; none for InfluxDB's lines.
        path: Option<String>,
    },
    /// Graphite's lines over a connection.
    Tcp {
        /// Host and port.
        server: (String, u16),
        /// So long it may take.
        timeout: Duration,
        /// Place in Graphite's tree.
        path: String,
    },
    /// InfluxDB's API.
    Influx {
        /// How it is asked.
        web: Web,
        /// Proves who asks.
        token: Option<String>,
    },
    /// A collector.
    Otel {
        /// How it is asked.
        web: Web,
        /// Headers to send.
        headers: BTreeMap<String, String>,
        /// What else to say of this host.
        attributes: BTreeMap<String, String>,
        /// Whether it is compressed.
        compression: Compression,
    },
}

/// Most that goes into a packet of IPv6 and UDP, of so many bytes.
const HEADERS: u32 = 48;

impl MetricServer {
    /// How the server is used. `decode` reads base64.
    ///
    /// # Errors
    /// Names the fields that are wrong or belong to another kind.
    pub fn target(
        &self,
        secrets: &MetricSecrets,
        decode: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Target, FieldErrors> {
        let mut errors = self.strange(secrets);
        if !is_host(&self.server) {
            errors.add("server", "must be a host's name or address");
        }
        if self.port == 0 {
            errors.add("port", "must be from 1 to 65535");
        }
        let fields = &self.fields;
        let bare = self.server.trim_start_matches('[').trim_end_matches(']');
        let server = (bare.to_owned(), self.port);
        let mtu = fields.mtu.unwrap_or(1500).saturating_sub(HEADERS) as usize;
        let timeout = Duration::from_secs(fields.timeout.unwrap_or(1).max(1));
        let target = match self.kind {
            MetricKind::Graphite => {
                let path = fields.path.clone().unwrap_or_else(|| "proxmox".to_owned());
                if !is_graphite_path(&path) {
                    let text = "has names of letters, digits, '-' and '_', separated by dots";
                    errors.add("path", text);
                }
                match fields.proto.unwrap_or(GraphiteTransport::Udp) {
                    GraphiteTransport::Tcp => Target::Tcp {
                        server,
                        timeout,
                        path,
                    },
                    GraphiteTransport::Udp => Target::Udp {
                        server,
                        mtu,
                        path: Some(path),
                    },
                }
            }
            MetricKind::Influxdb => match fields.influxdbproto.unwrap_or(InfluxTransport::Udp) {
                InfluxTransport::Udp => Target::Udp {
                    server,
                    mtu,
                    path: None,
                },
                InfluxTransport::Http => self.influx("http", timeout, secrets, &mut errors),
                InfluxTransport::Https => self.influx("https", timeout, secrets, &mut errors),
            },
            MetricKind::Opentelemetry => self.otel(secrets, &mut errors, decode),
        };
        if errors.0.is_empty() {
            Ok(target)
        } else {
            Err(errors)
        }
    }

    fn influx(
        &self,
        scheme: &str,
        timeout: Duration,
        secrets: &MetricSecrets,
        errors: &mut FieldErrors,
    ) -> Target {
        let fields = &self.fields;
        let usual = || "proxmox".to_owned();
        let organization = fields.organization.clone().unwrap_or_else(usual);
        let bucket = fields.bucket.clone().unwrap_or_else(usual);
        let prefix = fields.api_path_prefix.as_deref().unwrap_or_default();
        let prefix = prefix.trim_matches('/');
        if !prefix.is_empty() && !is_path(&format!("/{prefix}")) {
            errors.add("api-path-prefix", PATH);
        }
        let slash = if prefix.is_empty() { "" } else { "/" };
        let host = self.host();
        let url = format!(
            "{scheme}://{host}{slash}{prefix}/api/v2/write?org={}&bucket={}",
            encoded(&organization),
            encoded(&bucket)
        );
        if secrets
            .token
            .as_deref()
            .is_some_and(|token| !is_header(token))
        {
            errors.add("token", "must be printable characters of ASCII");
        }
        Target::Influx {
            web: Web {
                url,
                verify: fields.verify_certificate.unwrap_or(true),
                timeout,
                longest: size(fields.max_body_size, 25_000_000),
            },
            token: secrets.token.clone(),
        }
    }

    fn otel(
        &self,
        secrets: &MetricSecrets,
        errors: &mut FieldErrors,
        decode: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Target {
        let fields = &self.fields;
        let path = fields.otel_path.as_deref().unwrap_or("/v1/metrics");
        if !is_path(path) {
            errors.add("otel-path", PATH);
        }
        let scheme = match fields.otel_protocol.unwrap_or(OtelTransport::Https) {
            OtelTransport::Http => "http",
            OtelTransport::Https => "https",
        };
        let mut read = |name: &str, text: &Option<String>| {
            let text = text.as_deref().unwrap_or("{}");
            texts(text, &decode).unwrap_or_else(|| {
                errors.add(name, "must be a JSON object of texts, plain or as base64");
                BTreeMap::new()
            })
        };
        let attributes = read("otel-resource-attributes", &fields.otel_resource_attributes);
        let headers = read("otel-headers", &secrets.headers);
        let good = |(name, value): (&String, &String)| {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !name.is_empty() && name.bytes().all(letters) && is_header(value)
        };
        if !headers.iter().all(good) {
            errors.add(
                "otel-headers",
                "has a name or value that no header can have",
            );
        }
        Target::Otel {
            web: Web {
                url: format!("{scheme}://{}{path}", self.host()),
                verify: fields.otel_verify_ssl.unwrap_or(true),
                timeout: Duration::from_secs(fields.otel_timeout.unwrap_or(5).clamp(1, 10)),
                longest: size(fields.otel_max_body_size, 10_000_000),
            },
            headers,
            attributes,
            compression: fields.otel_compression.unwrap_or(Compression::Gzip),
        }
    }

    /// Host and port as an address of the web has them.
    fn host(&self) -> String {
        match self.server.contains(':') && !self.server.starts_with('[') {
            true => format!("[{}]:{}", self.server, self.port),
            false => format!("{}:{}", self.server, self.port),
        }
    }

    /// The fields that belong to another kind.
    fn strange(&self, secrets: &MetricSecrets) -> FieldErrors {
        use MetricKind::{Graphite, Influxdb, Opentelemetry};
        let f = &self.fields;
        let set: &[(&str, bool, &[MetricKind])] = &[
            ("mtu", f.mtu.is_some(), &[Graphite, Influxdb]),
            ("timeout", f.timeout.is_some(), &[Graphite, Influxdb]),
            ("path", f.path.is_some(), &[Graphite]),
            ("proto", f.proto.is_some(), &[Graphite]),
            ("influxdbproto", f.influxdbproto.is_some(), &[Influxdb]),
            ("organization", f.organization.is_some(), &[Influxdb]),
            ("bucket", f.bucket.is_some(), &[Influxdb]),
            ("api-path-prefix", f.api_path_prefix.is_some(), &[Influxdb]),
            ("max-body-size", f.max_body_size.is_some(), &[Influxdb]),
            (
                "verify-certificate",
                f.verify_certificate.is_some(),
                &[Influxdb],
            ),
            ("token", secrets.token.is_some(), &[Influxdb]),
            ("otel-protocol", f.otel_protocol.is_some(), &[Opentelemetry]),
            ("otel-path", f.otel_path.is_some(), &[Opentelemetry]),
            ("otel-timeout", f.otel_timeout.is_some(), &[Opentelemetry]),
            (
                "otel-verify-ssl",
                f.otel_verify_ssl.is_some(),
                &[Opentelemetry],
            ),
            (
                "otel-max-body-size",
                f.otel_max_body_size.is_some(),
                &[Opentelemetry],
            ),
            (
                "otel-compression",
                f.otel_compression.is_some(),
                &[Opentelemetry],
            ),
            (
                "otel-resource-attributes",
                f.otel_resource_attributes.is_some(),
                &[Opentelemetry],
            ),
            ("otel-headers", secrets.headers.is_some(), &[Opentelemetry]),
        ];
        let mut errors = FieldErrors::default();
        for (name, is_set, kinds) in set {
            if *is_set && !kinds.contains(&self.kind) {
                errors.add(*name, "is for servers of another type");
            }
        }
        errors
    }
}

const PATH: &str = "must be a path of letters, digits and '-._~/'";

fn size(given: Option<u64>, usual: usize) -> usize {
    given.map_or(usual, |bytes| usize::try_from(bytes).unwrap_or(usual))
}

fn is_host(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if inner.unwrap_or(text).parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let good = |label: &str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() < 64 && label.bytes().all(letters)
    };
    text.len() <= 253 && text.trim_end_matches('.').split('.').all(good)
}

fn is_graphite_path(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let part = |part: &str| !part.is_empty() && part.bytes().all(good);
    text.split('.').all(part)
}

fn is_path(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.starts_with('/') && text.bytes().all(good)
}

/// Whether a text can be the value of a header (RFC 9110, section 5.5).
fn is_header(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Encodes a part of a query (RFC 3986, section 2.1).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A JSON object of texts, plain or encoded.
fn texts(text: &str, decode: impl Fn(&str) -> Option<Vec<u8>>) -> Option<BTreeMap<String, String>> {
    let text = text.trim();
    match text.starts_with('{') {
        true => serde_json::from_str(text).ok(),
        false => serde_json::from_slice(&decode(text)?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn target(server: Value, secrets: Value) -> Result<Target, FieldErrors> {
        let server: MetricServer = serde_json::from_value(server).unwrap();
        let secrets: MetricSecrets = serde_json::from_value(secrets).unwrap();
        let decode = |text: &str| (text == "encoded").then(|| br#"{"x-key":"s"}"#.to_vec());
        server.target(&secrets, decode)
    }

    #[test]
    fn servers_are_used_as_they_say() {
        let influx = json!({"type": "influxdb", "server": "2001:db8::1", "port": 8086,
            "influxdbproto": "https", "bucket": "a b", "api-path-prefix": "/proxy/"});
        let Ok(Target::Influx { web, token }) = target(influx, json!({"token": "t"})) else {
            panic!("no InfluxDB");
        };
        let url = "https://[2001:db8::1]:8086/proxy/api/v2/write?org=proxmox&bucket=a%20b";
        assert_eq!((web.url.as_str(), token.as_deref()), (url, Some("t")));
        assert!(web.verify);
        let otel = json!({"type": "opentelemetry", "server": "otel.example.org", "port": 4318,
            "otel-resource-attributes": "{\"site\":\"lab\"}", "otel-verify-ssl": false});
        let Ok(Target::Otel {
            web,
            headers,
            attributes,
            ..
        }) = target(otel, json!({"headers": "encoded"}))
        else {
            panic!("no collector");
        };
        assert_eq!(web.url, "https://otel.example.org:4318/v1/metrics");
        assert!(!web.verify && headers["x-key"] == "s" && attributes["site"] == "lab");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (server, secrets, name) in [
            (json!({"path": "a..b"}), json!({}), "path"),
            (json!({"path": "a b"}), json!({}), "path"),
            (json!({"server": "a/b"}), json!({}), "server"),
            (json!({"bucket": "b"}), json!({}), "bucket"),
            (json!({}), json!({"token": "t"}), "token"),
            (
                json!({"type": "influxdb", "influxdbproto": "http", "api-path-prefix": "a?b"}),
                json!({}),
                "api-path-prefix",
            ),
            (
                json!({"type": "influxdb", "influxdbproto": "http"}),
                json!({"token": "a\r\nb"}),
                "token",
            ),
            (
                json!({"type": "opentelemetry"}),
                json!({"headers": "{\"a\":\"b\\nc\"}"}),
                "otel-headers",
            ),
            (
                json!({"type": "opentelemetry", "otel-resource-attributes": "[]"}),
                json!({}),
                "otel-resource-attributes",
            ),
        ] {
            let mut whole = json!({"type": "graphite", "server": "g", "port": 2003});
            for (key, value) in server.as_object().unwrap() {
                whole[key] = value.clone();
            }
            let errors = target(whole, secrets).err().unwrap();
            assert!(errors.0.contains_key(name), "{name}: {errors:?}");
        }
    }
}
