//! What parameters can be right now, asked over the API: for completion, so quickly, and silently
//! when nobody answers.

use crate::client::{Call, Client, encode, node_name};
use basalt_api::endpoint::Verb;
use serde_json::{Map, Value};
use std::time::Duration;

/// So long an answer may take before there is none.
const PATIENCE: Duration = Duration::from_millis(800);

/// A word that can be typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word {
    /// The word.
    pub word: String,
    /// What it stands for; may be empty.
    pub about: String,
}

/// Which guests are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    Any,
    /// Virtual machines.
    Machines,
    /// Containers.
    Containers,
}

impl Only {
    /// The guests that a path is about.
    pub fn of_path(path: &str) -> Self {
        if path.contains("/qemu") {
            Self::Machines
        } else if path.contains("/lxc") {
            Self::Containers
        } else {
            Self::Any
        }
    }

    fn fits(self, entry: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Machines => entry["type"] == "qemu",
            Self::Containers => entry["type"] == "lxc",
        }
    }
}

/// Where the values of a parameter are listed.
struct Source {
    parameter: &'static str,
    /// Path of the list; `{node}` is this node.
    path: &'static str,
    /// What to ask for.
    query: Option<(&'static str, &'static str)>,
    /// The member that is the value.
    member: &'static str,
    /// The member that says what it stands for.
    about: &'static str,
}

const fn source(
    parameter: &'static str,
    path: &'static str,
    member: &'static str,
    about: &'static str,
) -> Source {
    let query = None;
    Source {
        parameter,
        path,
        query,
        member,
        about,
    }
}

const SOURCES: &[Source] = &[
    Source {
        query: Some(("type", "vm")),
        ..source("vmid", "/cluster/resources", "vmid", "name")
    },
    Source {
        query: Some(("type", "vm")),
        ..source("vms", "/cluster/resources", "vmid", "name")
    },
    source("node", "/nodes", "node", "status"),
    source("storage", "/storage", "storage", "type"),
    source("userid", "/access/users", "userid", "comment"),
    source("users", "/access/users", "userid", "comment"),
    source("realm", "/access/domains", "realm", "comment"),
    source("roleid", "/access/roles", "roleid", ""),
    source("roles", "/access/roles", "roleid", ""),
    source("groupid", "/access/groups", "groupid", "comment"),
    source("groups", "/access/groups", "groupid", "comment"),
    source("poolid", "/pools", "poolid", "comment"),
    source("pool", "/pools", "poolid", "comment"),
    source("upid", "/cluster/tasks", "upid", "status"),
    source("iface", "/nodes/{node}/network", "iface", "type"),
    source("service", "/nodes/{node}/services", "service", "desc"),
];

/// What a parameter can be now; nothing when that is unknown or nobody answers in time.
pub async fn values(client: &Client, parameter: &str, only: Only) -> Vec<Word> {
    let asked = async {
        match parameter {
            "ostemplate" => volumes(client, "vztmpl").await,
            "cdrom" | "volume" => volumes(client, "").await,
            _ => match SOURCES.iter().find(|s| s.parameter == parameter) {
                Some(source) => listed(client, source, only).await,
                None => None,
            },
        }
    };
    let mut found = tokio::time::timeout(PATIENCE, asked)
        .await
        .ok()
        .flatten()
        .unwrap_or_default();
    found.sort();
    found.dedup();
    found
}

async fn listed(client: &Client, source: &Source, only: Only) -> Option<Vec<Word>> {
    let path = source.path.replace("{node}", &encode(&node_name().ok()?));
    let mut query = Map::new();
    if let Some((name, value)) = source.query {
        query.insert(name.to_owned(), value.into());
    }
    let answer = get(client, path, query).await?;
    let word = |entry: &Value| {
        Some(Word {
            word: plain(&entry[source.member])?,
            about: plain(&entry[source.about]).unwrap_or_default(),
        })
    };
    let entries = answer.as_array()?.iter().filter(|entry| only.fits(entry));
    Some(entries.filter_map(word).collect())
}

/// Volumes with this content, or all.
async fn volumes(client: &Client, content: &str) -> Option<Vec<Word>> {
    let base = format!("/nodes/{}/storage", encode(&node_name().ok()?));
    let storages = get(client, base.clone(), Map::new()).await?;
    let mut found = Vec::new();
    for storage in storages
        .as_array()?
        .iter()
        .filter_map(|s| s["storage"].as_str())
    {
        let mut query = Map::new();
        if !content.is_empty() {
            query.insert("content".to_owned(), content.into());
        }
        let path = format!("{base}/{}/content", encode(storage));
        let Some(answer) = get(client, path, query).await else {
            continue;
        };
        found.extend(
            answer
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|volume| {
                    let about = plain(&volume["format"]).unwrap_or_default();
                    let word = plain(&volume["volid"])?;
                    Some(Word { word, about })
                }),
        );
    }
    Some(found)
}

async fn get(client: &Client, path: String, params: Map<String, Value>) -> Option<Value> {
    let call = Call {
        params,
        ..Call::plain(Verb::Get, path)
    };
    client.send(call).await.ok()
}

/// A value as a word: nothing that a shell or terminal could take for more than that.
fn plain(value: &Value) -> Option<String> {
    let text = basalt_api::bag::plain(value)?;
    let line: String = text.chars().filter(|c| !c.is_control()).collect();
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_there_means_nothing_known() {
        let client = Client::new("/nonexistent/node.sock".into());
        assert!(values(&client, "vmid", Only::Any).await.is_empty());
        assert!(
            values(&client, "no-such-parameter", Only::Any)
                .await
                .is_empty()
        );
    }

    #[test]
    fn every_source_is_a_declared_list() {
        for source in SOURCES {
            let declared = crate::leaf::find(Verb::Get, source.path);
            assert!(declared.is_some(), "{}", source.path);
        }
    }

    #[test]
    fn guests_are_told_apart() {
        assert_eq!(Only::of_path("/nodes/n/qemu"), Only::Machines);
        let ct = serde_json::json!({"type": "lxc"});
        assert!(Only::Containers.fits(&ct) && !Only::Machines.fits(&ct) && Only::Any.fits(&ct));
    }
}
