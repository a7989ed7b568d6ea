//! Which huge pages a machine is to have, and which of the host's nodes are to give them.

use basalt_model::field::FieldErrors;
use basalt_model::numa::{NodePolicy, Numa};
use basalt_model::qemu::QemuConfig;
use std::collections::BTreeMap;

/// Huge pages that a machine is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pages {
    /// Sizes in MiB, the wanted one first.
    pub(crate) sizes: Vec<u64>,
    /// Whether the host keeps those that it made.
    pub(crate) keep: bool,
    /// What certain nodes of the host are to give of the memory.
    pub(crate) shares: Vec<Share>,
}

/// A part of a machine's memory, in MiB, that a node of the host is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) node: u16,
    pub(crate) mib: u64,
    /// How much of that no other node may give.
    pub(crate) must: u64,
}

/// Nodes of the host that a part of the memory comes from give equally much of it.
fn shares(numa: &Numa) -> Vec<Share> {
    let mut shares: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    for node in &numa.nodes {
        let Some(host) = &node.host else { continue };
        let must = host.policy != NodePolicy::Preferred;
        let mib = node.memory_mib.div_ceil(host.nodes.len().max(1) as u64);
        for number in &host.nodes {
            let (all, strict) = shares.entry(*number).or_default();
            *all += mib;
            *strict += if must { mib } else { 0 };
        }
    }
    let shares = shares.into_iter();
    let share = |(node, (mib, must))| Share { node, mib, must };
    shares.map(share).collect()
}

impl Pages {
    /// Those of a machine with `config`; none when it has usual ones.
    pub(crate) fn of(config: &QemuConfig) -> std::result::Result<Option<Self>, FieldErrors> {
        let sizes = config.huge_page_sizes()?;
        let keep = config.keephugepages == Some(true);
        let shares = config.nodes()?.iter().flat_map(shares).collect();
        Ok((!sizes.is_empty()).then_some(Self {
            sizes,
            keep,
            shares,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_of_the_host_give_equal_shares() {
        let config = json!({
            "hugepages": "2", "numa": 1, "cores": 2, "memory": 96, "keephugepages": 1,
            "numa0": "cpus=0,hostnodes=0-1,memory=64,policy=interleave",
            "numa1": "cpus=1,hostnodes=1,memory=32,policy=preferred",
        });
        let config: QemuConfig = serde_json::from_value(config).unwrap();
        let pages = Pages::of(&config).unwrap().unwrap();
        let share = |node, mib, must| Share { node, mib, must };
        assert_eq!(pages.shares, [share(0, 32, 32), share(1, 64, 32)]);
        assert_eq!((pages.sizes, pages.keep), (vec![2], true));
        assert_eq!(Pages::of(&QemuConfig::default()), Ok(None));
    }
}
