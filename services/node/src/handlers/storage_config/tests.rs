//! Tests of the configuration of storages.

use super::*;

fn new(kind: StorageKind) -> StorageNew {
    StorageNew {
        storage: "tank".parse().unwrap(),
        kind,
        content: None,
        nodes: None,
        disable: None,
        path: None,
        vgname: None,
        thinpool: None,
        pool: None,
        blocksize: None,
        sparse: None,
    }
}

fn wrong(params: &StorageNew) -> Vec<String> {
    settled(params, "n1").unwrap_err().0.into_keys().collect()
}

#[test]
fn what_a_type_needs_is_asked_for_and_no_more() {
    assert_eq!(wrong(&new(StorageKind::LvmThin)), ["thinpool", "vgname"]);
    assert_eq!(wrong(&new(StorageKind::ZfsPool)), ["pool"]);
    let zfs = StorageNew {
        pool: "tank/data".parse().ok(),
        sparse: Some(true),
        ..new(StorageKind::ZfsPool)
    };
    assert!(settled(&zfs, "n1").is_ok());
    let misplaced = StorageNew {
        kind: StorageKind::LvmThin,
        ..zfs
    };
    assert_eq!(wrong(&misplaced), ["pool", "sparse", "thinpool", "vgname"]);
    let mixed = StorageNew {
        path: Some("/etc/x".to_owned()),
        content: Some("iso".to_owned()),
        nodes: Some("n1,n2".to_owned()),
        vgname: "vg".parse().ok(),
        thinpool: "pool".parse().ok(),
        ..new(StorageKind::LvmThin)
    };
    assert_eq!(wrong(&mixed), ["content", "nodes", "path"]);
    let good = StorageNew {
        path: None,
        content: Some("images".to_owned()),
        nodes: Some("n1".to_owned()),
        ..mixed
    };
    let settled_good = settled(&good, "n1").unwrap();
    assert_eq!(settled_good.content.to_string(), "images");
    assert_eq!(join(&settled_good.nodes), "n1");
    let usual = StorageNew {
        content: None,
        ..good
    };
    assert_eq!(
        settled(&usual, "n1").unwrap().content.to_string(),
        "images,rootdir"
    );
}

#[test]
fn a_change_sets_or_puts_back_and_names_what_is_wrong() {
    let mut config = StorageConfig {
        disable: true,
        nodes: ["n1".to_owned()].into(),
        ..basalt_storage::Storages::local_config()
    };
    let mut params = StorageChange {
        storage: "tank".parse().unwrap(),
        content: Some("iso".to_owned()),
        nodes: None,
        disable: None,
        delete: Some("nodes,disable".to_owned()),
        digest: None,
    };
    change(&mut config, &params, "n1").unwrap();
    assert_eq!(config.content.to_string(), "iso");
    assert!(config.nodes.is_empty() && !config.disable);
    params.nodes = Some("n2".to_owned());
    params.delete = Some("path,content".to_owned());
    let wrong = change(&mut config, &params, "n1").unwrap_err();
    let names: Vec<&String> = wrong.0.keys().collect();
    assert_eq!(names, ["content", "delete", "nodes"]);
}

#[test]
fn directories_of_the_host_are_none_for_volumes() {
    for good in ["/mnt/disks", "/srv/a b", "/var/lib/vz2", "/tmp/x"] {
        assert_eq!(check_path(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "/",
        "mnt",
        "/mnt/",
        "/mnt/../etc",
        "/mnt/./x",
        "/mnt//x",
        "/mnt/a\nb",
        "/etc",
        "/usr/share",
        "/var/lib/basalt",
        "/var/lib/basalt/x",
    ] {
        assert!(check_path(bad).is_err(), "{bad:?}");
    }
}
