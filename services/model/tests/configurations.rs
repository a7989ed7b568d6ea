//! Configurations in and out: round trips over generated values, and what bad input gets.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

use basalt_model::field::FieldErrors;
use basalt_model::lxc::LxcConfig;
use basalt_model::qemu::QemuConfig;
use serde_json::{Map, Value, json};

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("not an object");
    };
    map
}

/// A small generator: the same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.next(of.len() as u64) as usize]
    }

    /// Some of `parts` in their order, after `first`.
    fn property_string(&mut self, first: String, parts: &[&[&str]]) -> String {
        let mut text = first;
        for values in parts {
            if self.next(2) == 1 {
                text = format!("{text},{}", self.pick(values));
            }
        }
        text
    }
}

#[test]
fn disks_and_cards_print_what_they_read() {
    let mut random = Random(1);
    for _ in 0..2000 {
        let source = random.pick(&["local:4", "local:100/vm-100-disk-0.raw", "none", "tank:0.5"]);
        let disk = random.property_string(
            source.to_owned(),
            &[
                &["aio=native"],
                &["backup=0", "backup=1"],
                &["cache=none", "cache=writeback"],
                &["discard=on"],
                &["format=raw"],
                &["import-from=local:import/x.raw"],
                &["iothread=1"],
                &["replicate=0"],
                &["ro=1"],
                &["serial=abc-1"],
                &["size=4G", "size=512M", "size=1000"],
                &["ssd=1"],
                &["media=cdrom", "media=disk"],
            ],
        );
        let model = random.pick(&["virtio", "virtio=BC:24:11:00:00:01"]);
        let net = random.property_string(
            model.to_owned(),
            &[
                &["bridge=vmbr0"],
                &["firewall=1"],
                &["link_down=1"],
                &["mtu=1400"],
                &["queues=1"],
            ],
        );
        let before = map(json!({"virtio3": disk, "net0": net}));
        assert_eq!(QemuConfig::from_map(&before).unwrap().to_map(), before);

        let nic = random.property_string(
            "name=eth0".to_owned(),
            &[
                &["bridge=vmbr0"],
                &["firewall=1"],
                &["gw=192.0.2.1"],
                &["hwaddr=BC:24:11:00:00:01"],
                &["ip=dhcp", "ip=192.0.2.10/24", "ip=manual"],
                &["ip6=auto", "ip6=2001:db8::1/64"],
                &["type=veth"],
            ],
        );
        let volume = random
            .pick(&["local:8", "local:101/vm-101-disk-0.raw"])
            .to_owned();
        let rootfs = random.property_string(
            volume,
            &[&["acl=1"], &["replicate=0"], &["ro=1"], &["size=8G"]],
        );
        let before = map(json!({"rootfs": rootfs, "net1": nic}));
        assert_eq!(LxcConfig::from_map(&before).unwrap().to_map(), before);
    }
}

#[test]
fn no_text_makes_a_field_panic_and_what_is_read_prints_the_same_for_good() {
    let mut random = Random(2);
    let pieces = [
        "local",
        ":",
        "4",
        "100/vm-100-disk-0.raw",
        ",",
        "=",
        "size",
        "G",
        "virtio",
        "BC:24:11",
        "..",
        "/",
        "none",
        "\u{fc}",
        "\0",
        "media",
        "cdrom",
        "name",
        "eth0",
        "ip",
        "dhcp",
        " ",
        ";",
        "order",
        "-1",
        "99999999999999999999",
    ];
    let keys = [
        "virtio0", "net0", "name", "memory", "boot", "tags", "startup", "onboot", "cmdline",
    ];
    for _ in 0..20_000 {
        let text: String = (0..random.next(8)).map(|_| random.pick(&pieces)).collect();
        let given = map(json!({ random.pick(&keys): text }));
        if let Ok(config) = QemuConfig::from_map(&given) {
            let printed = config.to_map();
            assert_eq!(
                QemuConfig::from_map(&printed).unwrap().to_map(),
                printed,
                "{text:?}"
            );
        }
    }
}

#[test]
fn forms_and_json_mean_the_same() {
    let form = map(json!({"memory": "2048", "onboot": "1", "cores": "2", "acpi": "1"}));
    let typed = map(json!({"memory": 2048, "onboot": true, "cores": 2, "acpi": 1}));
    assert_eq!(QemuConfig::from_map(&form), QemuConfig::from_map(&typed));
}

#[test]
fn every_wrong_setting_is_named() {
    let given = map(json!({
        "name": "no_dns",
        "memory": 1,
        "virtio16": "local:4",
        "virtio0": "local:4,colour=red",
        "net0": "e1000,bridge=vmbr0",
        "bios": "coreboot",
    }));
    let FieldErrors(errors) = QemuConfig::from_map(&given).unwrap_err();
    let names: Vec<&str> = errors.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["bios", "memory", "name", "net0", "virtio0", "virtio16"]
    );
    assert!(
        errors["virtio0"].contains("colour"),
        "{}",
        errors["virtio0"]
    );

    let printed = FieldErrors(errors.clone()).to_string();
    assert_eq!(FieldErrors::from_lines(&printed), Some(FieldErrors(errors)));
    assert_eq!(FieldErrors::from_lines("invalid type: map"), None);
}

#[test]
fn a_privileged_container_is_refused_with_the_reason() {
    let given = map(json!({"unprivileged": 0}));
    let errors = LxcConfig::from_map(&given).unwrap_err();
    assert!(errors.0["unprivileged"].contains("not supported"));
    assert!(LxcConfig::from_map(&map(json!({"unprivileged": "1"}))).is_ok());
}

#[test]
fn a_container_asks_addresses_for_names_in_domains() {
    let given = map(json!({"nameserver": "192.0.2.53,::1", "searchdomain": "a.example; b"}));
    let config = LxcConfig::from_map(&given).unwrap().to_map();
    assert_eq!(config["nameserver"], "192.0.2.53 ::1");
    assert_eq!(config["searchdomain"], "a.example b");
    for (field, bad) in [
        ("nameserver", "dns.example"),
        ("nameserver", "192.0.2"),
        ("searchdomain", "a_b"),
        ("searchdomain", "a..b"),
    ] {
        let errors = LxcConfig::from_map(&map(json!({field: bad}))).unwrap_err();
        assert!(errors.0[field].contains(bad), "{errors:?}");
    }
}

#[test]
fn the_first_disk_to_boot_comes_first() {
    let config = QemuConfig::from_map(&map(json!({
        "boot": "order=scsi1;net0",
        "scsi0": "local:100/a.raw",
        "scsi1": "local:100/b.raw",
        "virtio0": "local:100/c.raw",
    })))
    .unwrap();
    let keys: Vec<String> = config.disks().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["scsi1", "virtio0", "scsi0"]);
}
