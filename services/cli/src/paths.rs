//! The API as a tree of paths: what lies below one, and which verbs it has.

use crate::client::{Client, encode};
use crate::live;
use basalt_api::endpoint::{Method, Verb};
use basalt_api::registry::registry;
use std::collections::BTreeMap;

/// The last placeholder takes the rest of a path: volume ids have slashes.
const GREEDY: &str = "{volume}";

/// What lies below a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Child {
    /// Verbs that methods of its very path have.
    pub verbs: Vec<Verb>,
    /// Whether more lies below it.
    pub is_folder: bool,
}

/// Whether a path could be one of a template's.
pub fn fits(template: &str, path: &str) -> bool {
    let (mut have, mut want) = (segments(path), segments(template));
    loop {
        match (have.next(), want.next()) {
            (None, None) => return true,
            (Some(_), Some(GREEDY)) => return true,
            (Some(h), Some(w)) if h == w || is_placeholder(w) => {}
            _ => return false,
        }
    }
}

/// The methods of a path, the closest template's only.
pub fn methods(path: &str) -> Vec<&'static Method> {
    let fitting: Vec<&Method> = registry()
        .map(|d| d.method)
        .filter(|method| fits(method.path, path))
        .collect();
    let placeholders = |method: &Method| method.placeholders().count();
    let closest = fitting.iter().map(|method| placeholders(method)).min();
    fitting
        .into_iter()
        .filter(|method| Some(placeholders(method)) == closest)
        .collect()
}

/// What lies below `path` by the declarations alone; placeholders stand in braces.
pub fn declared(path: &str) -> BTreeMap<String, Child> {
    let given: Vec<&str> = segments(path).collect();
    let mut found: BTreeMap<String, Child> = BTreeMap::new();
    for declaration in registry() {
        let template: Vec<&str> = segments(declaration.method.path).collect();
        if template.len() <= given.len() || !leads_to(&template, &given) {
            continue;
        }
        let child = found.entry(template[given.len()].to_owned()).or_default();
        if template.len() == given.len() + 1 {
            child.verbs.push(declaration.method.verb);
        } else {
            child.is_folder = true;
        }
    }
    found
}

/// What lies below `path`, with what placeholders stand for now as far as the node tells.
pub async fn children(client: &Client, path: &str) -> BTreeMap<String, Child> {
    let mut found = BTreeMap::new();
    for (name, child) in declared(path) {
        let Some(parameter) = name.strip_prefix('{').and_then(|n| n.strip_suffix('}')) else {
            found.insert(name, child);
            continue;
        };
        let only = live::Only::of_path(path);
        for value in live::values(client, parameter, only).await {
            found.entry(encode(&value.word)).or_insert(child.clone());
        }
    }
    found
}

/// Whether a template begins with these segments; a literal one beats a placeholder.
fn leads_to(template: &[&str], given: &[&str]) -> bool {
    given.iter().enumerate().all(|(index, segment)| {
        template[index] == *segment
            || (is_placeholder(template[index]) && !is_literal(&given[..index], segment))
    })
}

/// Whether some declared path continues `before` with this very word.
fn is_literal(before: &[&str], word: &str) -> bool {
    registry().any(|declaration| {
        let template: Vec<&str> = segments(declaration.method.path).collect();
        let same = |(have, want): (&&str, &&str)| have == want || is_placeholder(want);
        template.len() > before.len()
            && template[before.len()] == word
            && before.iter().zip(&template).all(same)
    })
}

fn is_placeholder(segment: &str) -> bool {
    segment.starts_with('{')
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_fit_their_paths_alone() {
        assert!(fits("/nodes/{node}/qemu/{vmid}", "/nodes/n1/qemu/100/"));
        assert!(!fits("/nodes/{node}/qemu/{vmid}", "/nodes/n1/qemu"));
        assert!(!fits("/nodes/{node}/qemu", "/nodes/n1/lxc"));
        let content = "/nodes/{node}/storage/{storage}/content/{volume}";
        assert!(fits(
            content,
            "/nodes/n1/storage/local/content/local:iso/a.iso"
        ));
    }

    #[test]
    fn folders_say_what_lies_below() {
        let root = declared("/");
        assert!(root["access"].is_folder && root["nodes"].verbs.contains(&Verb::Get));
        assert!(declared("/nodes").contains_key("{node}"));
        let guest = declared("/nodes/n1/qemu/100");
        assert!(guest["config"].verbs.contains(&Verb::Put) && guest["status"].is_folder);
        assert!(declared("/version").is_empty());
    }

    #[test]
    fn the_closest_template_wins() {
        let named = methods("/version");
        assert_eq!(named.len(), 1);
        assert!(methods("/nodes/n1/qemu/100/config").len() >= 2);
        assert!(methods("/nonsense").is_empty());
    }
}
