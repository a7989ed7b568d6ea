//! Nodes of memory and processors that the guest sees, and where on the host they are.

use super::QemuConfig;
use crate::field::{FieldErrors, Int};
use crate::numa::{HostNodes, MAX_HOST_NODES, Node, NodePolicy, Numa};
use crate::numbers::NumberList;
use crate::{propstring, words};
use serde_json::json;
use std::collections::BTreeSet;

propstring! {
    /// A node.
    pub struct NumaNode {
        /// Its processors, by their numbers.
        required cpus "cpus": NumaNumbers,
        /// Nodes of the host that its memory is taken from.
        hostnodes "hostnodes": NumaNumbers,
        /// Its memory in MiB.
        memory "memory": Int<1, 4194304>,
        /// How its memory is taken from them.
        policy "policy": NumaPolicy,
    }
}

words! {
    /// How a node's memory is taken from nodes of the host.
    pub enum NumaPolicy {
        /// From others when they have none.
        Preferred = "preferred",
        /// From no others.
        Bind = "bind",
        /// From each in turn.
        Interleave = "interleave",
    }
}

impl From<NumaPolicy> for NodePolicy {
    fn from(policy: NumaPolicy) -> Self {
        match policy {
            NumaPolicy::Preferred => Self::Preferred,
            NumaPolicy::Bind => Self::Bind,
            NumaPolicy::Interleave => Self::Interleave,
        }
    }
}

/// Numbers of processors or of nodes of the host, e.g. `0-3;8`.
pub type NumaNumbers = NumberList<';', { MAX_HOST_NODES - 1 }>;

crate::text_field!(NumaNumbers, "NumaNumbers", json!({"type": "string"}));

impl QemuConfig {
    /// The nodes that the guest sees, if it sees more than one or they are on certain nodes of the host.
    /// Without `numa[n]` there is one for every socket.
    ///
    /// # Errors
    /// What is wrong with `numa[n]`, by their names.
    pub fn nodes(&self) -> Result<Option<Numa>, FieldErrors> {
        if self.numa != Some(true) {
            return Ok(None);
        }
        let nodes = match self.numa_nodes.is_empty() {
            true => self.even_nodes(),
            false => self.named_nodes()?,
        };
        let matters = nodes.len() > 1 || nodes.iter().any(|node| node.host.is_some());
        let sockets = u8::try_from(self.sockets()).unwrap_or(u8::MAX);
        Ok(matters.then_some(Numa { sockets, nodes }))
    }

    fn even_nodes(&self) -> Vec<Node> {
        let (sockets, memory) = (self.sockets(), self.memory_mib());
        let (vcpus, share) = (self.max_vcpus() / sockets, memory / sockets);
        let node = |index: u64| Node {
            vcpus: (index * vcpus..(index + 1) * vcpus)
                .filter_map(|cpu| u8::try_from(cpu).ok())
                .collect(),
            // The last has what is left.
            memory_mib: match index + 1 == sockets {
                true => memory - share * index,
                false => share,
            },
            host: None,
        };
        (0..sockets).map(node).collect()
    }

    fn named_nodes(&self) -> Result<Vec<Node>, FieldErrors> {
        let mut errors = FieldErrors::default();
        let mut nodes = Vec::new();
        let (mut free, mut sum) = ((0..self.max_vcpus()).collect::<BTreeSet<u64>>(), 0);
        let pages = self.huge_page_sizes()?;
        for (expected, (index, settings)) in (0..).zip(&self.numa_nodes) {
            let key = format!("numa{index}");
            if *index != expected {
                errors.add(
                    &key,
                    format!("there is no numa{expected}: number them from numa0 on"),
                );
            }
            for cpu in settings.cpus.numbers() {
                if !free.remove(&cpu.into()) {
                    errors.add(&key, self.no_such_cpu(cpu));
                }
            }
            match settings.resolve(&pages) {
                Ok(node) => {
                    sum += node.memory_mib;
                    nodes.push(node);
                }
                Err(text) => errors.add(&key, text),
            }
        }
        let last = self.numa_nodes.keys().next_back().copied().unwrap_or(0);
        let memory = self.memory_mib();
        if let Some(cpu) = free.first() {
            let text = format!("processor {cpu} is in no node: add it to cpus");
            errors.add(format!("numa{last}"), text);
        }
        if nodes.len() == self.numa_nodes.len() && sum != memory {
            let text = format!(
                "the nodes have {sum} MiB together, and memory is {memory}: change one of them"
            );
            errors.add(format!("numa{last}"), text);
        }
        errors.or(nodes)
    }

    fn no_such_cpu(&self, cpu: u16) -> String {
        match u64::from(cpu) < self.max_vcpus() {
            true => format!("processor {cpu} is named twice: leave it out of cpus"),
            false => format!(
                "there is no processor {cpu}: cores and sockets make 0 to {}",
                self.max_vcpus() - 1
            ),
        }
    }
}

impl NumaNode {
    /// The node, when huge pages can have the sizes `pages`; or what is wrong.
    fn resolve(&self, pages: &[u64]) -> Result<Node, String> {
        let memory_mib = match self.memory {
            Some(memory) => memory.get(),
            None => return Err("say how much memory it has in MiB, e.g. memory=1024".to_owned()),
        };
        let host = match (&self.hostnodes, self.policy) {
            (None, None) => None,
            (Some(nodes), Some(policy)) => Some(HostNodes {
                nodes: nodes
                    .numbers()
                    .collect::<BTreeSet<u16>>()
                    .into_iter()
                    .collect(),
                policy: policy.into(),
            }),
            (None, Some(_)) => {
                return Err(
                    "policy needs hostnodes: name nodes of the host, or leave it out".to_owned(),
                );
            }
            (Some(_), None) => {
                let text = "hostnodes needs a policy: add policy=preferred, bind or interleave";
                return Err(text.to_owned());
            }
        };
        let whole = |page: &&u64| memory_mib.is_multiple_of(**page);
        if let (Some(_), Some(page)) = (&host, pages.iter().find(|page| !whole(page))) {
            return Err(format!(
                "memory={memory_mib} is not a multiple of {page}, the size of the pages in hugepages"
            ));
        }
        Ok(Node {
            vcpus: self
                .cpus
                .numbers()
                .filter_map(|cpu| u8::try_from(cpu).ok())
                .collect(),
            memory_mib,
            host,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn nodes(value: Value) -> Result<Option<Numa>, FieldErrors> {
        let config: QemuConfig = serde_json::from_value(value).unwrap();
        config.nodes()
    }

    fn shape(value: Value) -> Vec<(Vec<u8>, u64)> {
        let numa = nodes(value).unwrap().unwrap();
        let nodes = numa.nodes.into_iter();
        nodes.map(|node| (node.vcpus, node.memory_mib)).collect()
    }

    #[test]
    fn without_nodes_of_its_own_every_socket_is_one() {
        let three = json!({"numa": 1, "sockets": 3, "cores": 2, "memory": 1000, "vcpus": 1});
        let even = [(vec![0, 1], 333), (vec![2, 3], 333), (vec![4, 5], 334)];
        assert_eq!(shape(three), even);
        assert_eq!(nodes(json!({"numa": 1, "cores": 4})), Ok(None));
        assert_eq!(nodes(json!({"sockets": 2})), Ok(None));
        let off = json!({"sockets": 2, "numa0": "cpus=0,memory=1"});
        assert_eq!(nodes(off), Ok(None));
    }

    #[test]
    fn named_nodes_are_as_they_are_written() {
        let value = json!({
            "numa": 1, "sockets": 2, "cores": 2, "memory": 768,
            "numa0": "cpus=0;2-3,hostnodes=1;0-1,memory=512,policy=interleave",
            "numa1": "cpus=1,memory=256",
        });
        let numa = nodes(value.clone()).unwrap().unwrap();
        assert_eq!(numa.sockets, 2);
        let host = numa.nodes[0].host.clone().unwrap();
        assert_eq!(
            (host.nodes, host.policy),
            (vec![0, 1], NodePolicy::Interleave)
        );
        assert_eq!(shape(value), [(vec![0, 2, 3], 512), (vec![1], 256)]);
        let one =
            json!({"numa": 1, "memory": 64, "numa0": "cpus=0,hostnodes=0,memory=64,policy=bind"});
        assert_eq!(shape(one), [(vec![0], 64)]);
    }

    #[test]
    fn a_node_is_kept_as_it_was_written() {
        let text = "cpus=0;2-3,hostnodes=1,memory=512,policy=bind";
        assert_eq!(text.parse::<NumaNode>().unwrap().to_string(), text);
        assert!("1023".parse::<NumaNumbers>().is_ok() && "1024".parse::<NumaNumbers>().is_err());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let said = |first: &str, second: &str, more: Value| {
            let mut value =
                json!({"numa": 1, "cores": 2, "memory": 512, "numa0": first, "numa1": second});
            value
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let errors = nodes(value).unwrap_err().0;
            errors
                .into_iter()
                .map(|(key, text)| format!("{key}: {text}"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let good = "cpus=0,memory=256";
        let cases = [
            ("cpus=1,memory=128", "numa1: the nodes have 384 MiB"),
            ("cpus=0-1,memory=256", "numa1: processor 0 is named twice"),
            ("cpus=1-2,memory=256", "numa1: there is no processor 2"),
            ("cpus=1", "numa1: say how much memory"),
            (
                "cpus=1,memory=256,policy=bind",
                "numa1: policy needs hostnodes",
            ),
            (
                "cpus=1,memory=256,hostnodes=0",
                "numa1: hostnodes needs a policy",
            ),
        ];
        for (second, text) in cases {
            let said = said(good, second, json!({}));
            assert!(said.contains(text), "{said}");
        }
        let lonely = said(good, "cpus=1,memory=256", json!({"cores": 3}));
        assert!(lonely.contains("processor 2 is in no node"), "{lonely}");
        let gap = json!({"numa": 1, "cores": 2, "memory": 512, "numa0": good, "numa2": "cpus=1,memory=256"});
        assert!(nodes(gap).unwrap_err().0["numa2"].contains("no numa1"));
        let odd = "cpus=1,hostnodes=0,memory=255,policy=bind";
        let huge = said("cpus=0,memory=257", odd, json!({"hugepages": "2"}));
        assert!(huge.contains("multiple of 2"), "{huge}");
    }
}
