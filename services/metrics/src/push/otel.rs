//! Figures as OpenTelemetry's protocol has them: OTLP 1.0 over HTTP, in the JSON encoding of its
//! protocol buffers, where 64-bit numbers are texts.

use crate::Sample;
use crate::sample::{Figure, Kind, Measured, vmid};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE` (opentelemetry-proto, metrics.proto).
const CUMULATIVE: u32 = 2;

/// Requests with all of a sample, each of at most about `longest` bytes.
pub fn requests(
    sample: &Sample,
    attributes: &BTreeMap<String, String>,
    longest: usize,
) -> Vec<String> {
    let whole = request(sample, &sample.measured, attributes);
    if whole.len() <= longest || sample.measured.len() < 2 {
        return vec![whole];
    }
    let parts = whole.len().div_ceil(longest) + 1;
    let size = sample.measured.len().div_ceil(parts).max(1);
    let parts = sample.measured.chunks(size);
    parts
        .map(|part| request(sample, part, attributes))
        .collect()
}

fn request(sample: &Sample, part: &[Measured], own: &BTreeMap<String, String>) -> String {
    let resource = [
        ("service.name", "basalt"),
        ("host.name", sample.node.as_str()),
    ];
    let own = own
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let resource: Vec<Value> = resource.into_iter().chain(own).map(attribute).collect();
    let scope = json!({"name": "basalt", "version": env!("CARGO_PKG_VERSION")});
    let request = json!({"resourceMetrics": [{
        "resource": {"attributes": resource},
        "scopeMetrics": [{"scope": scope, "metrics": metrics(sample, part)}],
    }]});
    request.to_string()
}

fn attribute((name, value): (&str, &str)) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

/// A metric for each name, with a point for each object that has it.
fn metrics(sample: &Sample, part: &[Measured]) -> Vec<Value> {
    let mut found: BTreeMap<String, (Kind, Vec<Value>)> = BTreeMap::new();
    for Measured { subject, figures } in part {
        let vmid = vmid(subject);
        let labels = sample.labels(subject, &vmid);
        let labels: Vec<Value> = labels.into_iter().map(attribute).collect();
        for figure in figures.iter().filter(|figure| figure.value.is_finite()) {
            let point = json!({
                "attributes": labels,
                "timeUnixNano": format!("{}000000000", sample.time),
                "asDouble": figure.value,
            });
            let (_, points) = found
                .entry(name(figure))
                .or_insert_with(|| (figure.kind, Vec::new()));
            points.push(point);
        }
    }
    let metric = |(name, (kind, points)): (String, (Kind, Vec<Value>))| {
        let mut metric = Map::from_iter([("name".to_owned(), Value::from(name))]);
        match kind {
            Kind::Gauge => metric.insert("gauge".into(), json!({"dataPoints": points})),
            Kind::Counter => metric.insert(
                "sum".into(),
                json!({
                    "aggregationTemporality": CUMULATIVE,
                    "isMonotonic": true,
                    "dataPoints": points,
                }),
            ),
        };
        Value::Object(metric)
    };
    found.into_iter().map(metric).collect()
}

fn name(figure: &Figure) -> String {
    format!("proxmox_{}_{}", figure.group, figure.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::tests::sample;

    #[test]
    fn requests_are_split_and_lose_nothing() {
        let sample = sample();
        let whole = requests(&sample, &BTreeMap::new(), 1 << 20);
        assert_eq!(whole.len(), 1);
        let parts = requests(&sample, &BTreeMap::new(), 1024);
        assert!(parts.len() > 1);
        let points = |texts: &[String]| texts.concat().matches("asDouble").count();
        assert_eq!(points(&parts), points(&whole));
        assert_eq!(points(&whole), 4);
    }
}
