//! Nodes of the host that a machine's memory is to come from.

use basalt_model::field::FieldErrors;
use basalt_model::processors::CpuSet;
use basalt_model::qemu::QemuConfig;

/// Where the kernel lists the nodes that have memory.
const WITH_MEMORY: &str = "/sys/devices/system/node/has_memory";

/// Says what is wrong with `numa[n]`, by their names: the nodes must fit the machine, and those of the host
/// must be there.
pub fn check_nodes(config: &QemuConfig) -> Result<(), FieldErrors> {
    if config
        .nodes()?
        .is_none_or(|numa| numa.nodes.iter().all(|node| node.host.is_none()))
    {
        return Ok(());
    }
    let there = std::fs::read_to_string(WITH_MEMORY).map_err(|error| error.to_string());
    let there = there.and_then(|text| text.trim().parse());
    let there = there.map_err(|text| FieldErrors::one("numa", format!("{WITH_MEMORY}: {text}")))?;
    missing(config, &there)
}

fn missing(config: &QemuConfig, there: &CpuSet) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    for (index, node) in &config.numa_nodes {
        let mut wanted = node.hostnodes.iter().flat_map(|nodes| nodes.numbers());
        if let Some(number) = wanted.find(|number| !there.contains(*number)) {
            let text = format!("the host has no node {number} with memory: it has {there}");
            errors.add(format!("numa{index}"), text);
        }
    }
    errors.or(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_that_the_host_lacks_is_named() {
        let config: QemuConfig = serde_json::from_value(json!({
            "numa": 1, "cores": 2, "memory": 512,
            "numa0": "cpus=0,hostnodes=0,memory=256,policy=bind",
            "numa1": "cpus=1,hostnodes=1-3,memory=256,policy=preferred",
        }))
        .unwrap();
        let there = |text: &str| missing(&config, &text.parse().unwrap());
        assert_eq!(there("0-3"), Ok(()));
        let errors = there("0-1").unwrap_err().0;
        assert_eq!(errors.len(), 1);
        let text = &errors["numa1"];
        assert!(text.contains("no node 2") && text.contains("0-1"), "{text}");
    }
}
