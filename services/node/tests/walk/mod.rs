//! Every method of the API by its rights: as nobody, as a user without any, and as a user with
//! exactly the one that is declared.
//!
//! Each call carries a parameter that no method has. Parameters are looked at after the permission
//! and before the method's own code, so a call that was let in answers 400 and does nothing.

use crate::rig::{JO, ROOT, Rig};
use basalt_api::permission::delegating;
use basalt_api::surface;
use basalt_api::{Method, Permission, registry};
use basalt_model::access::Privilege;
use std::collections::BTreeMap;

/// A parameter that no method has.
const UNKNOWN: &str = "walk=1";

/// What one has to be given to be let in.
#[derive(Debug, Clone, PartialEq)]
enum Grant {
    /// A privilege on a path.
    Right(String, Privilege),
    /// The parameter of this name is the caller.
    Own(&'static str),
}

/// Something that a parameter could be.
fn sample(name: &str) -> &'static str {
    match name {
        "node" => "n1",
        "vmid" => "100",
        "newid" => "101",
        "snapname" => "first",
        "storage" => "local",
        "volume" => "local:iso/a.iso",
        "userid" => "root@pam",
        "realm(userid)" => "pam",
        "upid" => "UPID:n1:00000001:00000001:00000001:x:100:root@pam:",
        "path" => "/vms/100",
        "poolid" | "pool" => "dev/web",
        _ => "x1",
    }
}

/// Fills the placeholders of a template.
fn filled(template: &str, value: impl Fn(&str) -> String) -> String {
    let parts = template.split('/').map(|segment| {
        let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        name.map_or_else(|| segment.to_owned(), &value)
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The ways to be let in: each is a list of what one needs together. Nobody but the superuser has
/// a way where there is none.
fn ways(permission: &Permission) -> Vec<Vec<Grant>> {
    let each = |path: &str, privileges: &[Privilege]| {
        let path = filled(path, |name| sample(name).to_owned());
        let right = |p: &Privilege| vec![Grant::Right(path.clone(), *p)];
        privileges.iter().map(right).collect::<Vec<_>>()
    };
    match permission {
        Permission::World | Permission::AnyUser => vec![Vec::new()],
        Permission::Root => Vec::new(),
        Permission::Perm { path, privileges } => each(path, privileges),
        Permission::Own(name) => vec![vec![Grant::Own(name)]],
        Permission::UserGroup(privileges) => each("/access/groups", privileges),
        Permission::Delegate => {
            let path = sample("path");
            let mut ways = each(path, &[Privilege::PermissionsModify]);
            ways.extend(each(path, delegating(path)));
            ways
        }
        Permission::Any(parts) => parts.iter().flat_map(ways).collect(),
        Permission::All(parts) => parts.iter().fold(vec![Vec::new()], |sofar, part| {
            let more = ways(part);
            let both = |way: &Vec<Grant>| {
                let join = |next: &Vec<Grant>| [way.as_slice(), next].concat();
                more.iter().map(join).collect::<Vec<_>>()
            };
            sofar.iter().flat_map(both).collect()
        }),
    }
}

/// Names of parameters that a permission is about, without those of the path.
fn asked(permission: &Permission, method: &Method, names: &mut BTreeMap<String, String>) {
    let mut note = |name: &str| {
        let name = name.trim_start_matches("realm(").trim_end_matches(')');
        if !method.placeholders().any(|known| known == name) {
            names.insert(name.to_owned(), sample(name).to_owned());
        }
    };
    match permission {
        Permission::World | Permission::AnyUser | Permission::Root => {}
        Permission::Perm { path, .. } => {
            let segments = path.split('/');
            segments
                .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
                .for_each(note);
        }
        Permission::Own(name) => note(name),
        Permission::UserGroup(_) => note("userid"),
        Permission::Delegate => note("path"),
        Permission::All(parts) | Permission::Any(parts) => {
            parts.iter().for_each(|part| asked(part, method, names));
        }
    }
}

/// The request of a method, with the caller's own id for the parameter `own`.
fn request(method: &Method, own: Option<&str>) -> (String, String) {
    let value = |name: &str| match own {
        Some(own) if own == name => "jo@pve".to_owned(),
        _ => sample(name).to_owned(),
    };
    let path = filled(method.path, |name| basalt_api::bag::encode(&value(name)));
    let mut names = BTreeMap::new();
    asked(&method.permission, method, &mut names);
    let form = names.keys().map(|name| {
        let value = basalt_api::bag::encode(&value(name));
        format!("{name}={value}&")
    });
    let form = form.collect::<String>() + UNKNOWN;
    (format!("{} {path}", method.verb), form)
}

#[tokio::test]
async fn every_method_is_closed_to_whom_nobody_gave_rights() {
    let rig = Rig::start().await;
    let mut refused = 0;
    for declaration in registry() {
        let method = declaration.method;
        let (line, form) = request(method, None);
        let anonymous = rig.ask(&line, "", &form).await;
        if method.permission != Permission::World {
            assert_eq!(anonymous.status(), 401, "{line}: {anonymous:?}");
        }
        let open = matches!(method.permission, Permission::World | Permission::AnyUser);
        if !open {
            let answer = rig.ask(&line, JO, &form).await;
            assert_eq!(answer.status(), 403, "{line}: {answer:?}");
            let text = "Permission check failed";
            assert!(answer.line.contains(text), "{answer:?}");
            refused += 1;
        }
    }
    assert!(refused > 60, "only {refused} methods ask for a right");
}

#[tokio::test]
async fn exactly_the_declared_right_lets_in() {
    let rig = Rig::start().await;
    for privilege in Privilege::ALL {
        let name = privilege.name();
        let form = format!("roleid=Only.{name}&privs={name}");
        rig.ask("POST /access/roles", ROOT, &form).await.data();
    }
    for declaration in registry() {
        let method = declaration.method;
        let ways = ways(&method.permission);
        if ways.is_empty() {
            let (line, form) = request(method, None);
            let answer = rig.ask(&line, ROOT, &form).await;
            assert_eq!(answer.status(), 403, "a token is not the superuser: {line}");
        }
        for way in ways {
            let own = way.iter().find_map(|grant| match grant {
                Grant::Own(name) => Some(*name),
                Grant::Right(..) => None,
            });
            let (line, form) = request(method, own);
            give(&rig, &way, 0).await;
            let answer = rig.ask(&line, JO, &form).await;
            give(&rig, &way, 1).await;
            assert_eq!(answer.status(), 400, "{line} with {way:?}: {answer:?}");
        }
    }
}

async fn give(rig: &Rig, way: &[Grant], delete: u8) {
    for grant in way {
        if let Grant::Right(path, privilege) = grant {
            let role = format!("roles=Only.{}&propagate=0", privilege.name());
            let form = format!("path={path}&users=jo%40pve&{role}&delete={delete}");
            rig.ask("PUT /access/acl", ROOT, &form).await.data();
        }
    }
}

#[tokio::test]
async fn what_is_not_there_yet_says_so_to_users_only() {
    let rig = Rig::start().await;
    let routes = basalt_api::route::Routes::new();
    let mut missing = 0;
    for method in surface::methods() {
        if surface::state(&routes, method) != surface::State::NotYet {
            continue;
        }
        let path = filled(method.path, |name| basalt_api::bag::encode(sample(name)));
        let line = format!("{} {path}", method.verb);
        assert_eq!(rig.ask(&line, "", "").await.status(), 401, "{line}");
        let answer = rig.ask(&line, JO, "").await;
        assert_eq!(answer.status(), 501, "{answer:?}");
        assert!(
            answer.line.contains("is not there yet in Basalt"),
            "{answer:?}"
        );
        missing += 1;
    }
    assert!(missing > 0);
    let nonsense = rig.ask("GET /nonsense", JO, "").await;
    let line = "HTTP/1.1 501 Method 'GET /nonsense' not implemented";
    assert_eq!(nonsense.line, line);
}
