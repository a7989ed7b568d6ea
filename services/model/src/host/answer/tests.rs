use super::*;

const GOOD: &str = r#"
hostname = "node1"
root_password = "longenough"
after = "poweroff"

[network]
port = "52:54:00:12:34:56"
address = "192.0.2.10/24"
gateway = "192.0.2.1"
dns = ["192.0.2.1", "2001:db8::1"]

[disk]
serial = "BASALT0"
"#;

fn error(text: &str) -> String {
    AnswerFile::parse(text).unwrap_err().to_string()
}

#[test]
fn whole_file_is_read() {
    let answers = AnswerFile::parse(GOOD).unwrap();
    assert_eq!(answers.hostname.as_str(), "node1");
    assert_eq!(
        answers.root_password,
        RootPassword::Plain("longenough".to_owned())
    );
    assert_eq!(answers.after, After::Poweroff);
    assert_eq!(answers.disk, DiskChoice::Serial("BASALT0".to_owned()));
    assert!(matches!(answers.network.port, Port::Mac(_)));
    assert!(matches!(
        answers.network.addressing,
        Addressing::Static { .. }
    ));
}

#[test]
fn least_file_takes_defaults() {
    let answers = AnswerFile::parse("hostname = \"n\"\nroot_password = \"longenough\"").unwrap();
    assert_eq!(answers.network, HostNetwork::default());
    assert_eq!(answers.disk, DiskChoice::Only);
    assert_eq!(answers.after, After::Reboot);
    assert_eq!(answers.secure_boot, Enrol::Auto);
    assert_eq!(answers.timezone, TimeZone::default());
}

#[test]
fn errors_name_line_and_key() {
    let cases = [
        (
            GOOD.replace("hostname =", "hostnam ="),
            "line 2, column 1, `hostnam`: unknown key; did you mean `hostname`?",
        ),
        (
            GOOD.replace("\"node1\"", "\"no de\""),
            "line 2, column 12, `hostname`: `no de` is no host name",
        ),
        (
            GOOD.replace("longenough", "short"),
            "line 3, column 17, `root_password`: the password needs",
        ),
        (
            GOOD.replace("poweroff", "sleep"),
            "line 4, column 9, `after`: unknown variant `sleep`",
        ),
        (
            GOOD.replace("10/24", "10"),
            "line 8, column 11, `network.address`: `192.0.2.10`: the length",
        ),
        (
            GOOD.replace("\"192.0.2.1\"\ndns", "\"198.51.100.1\"\ndns"),
            "line 9, column 11, `network.gateway`: lies outside",
        ),
        (
            GOOD.replace("address =", "# address ="),
            "line 9, column 11, `network.gateway`: only used with",
        ),
        (
            GOOD.replace("serial =", "serail ="),
            "line 13, column 1, `disk.serail`: unknown key; did you mean `disk.serial`?",
        ),
        (
            GOOD.replace("[disk]", "[disk]\ndevice = \"/dev/vda\""),
            "line 14, column 10, `disk.serial`",
        ),
        (
            GOOD.replace("serial = \"B", "device = \"B"),
            "line 13, column 10, `disk.device`: expected a path",
        ),
        (
            GOOD.replace("root_password", "#"),
            "`root_password`: nobody could log in",
        ),
        (
            GOOD.replace("hostname = \"node1\"", "hostname = node1"),
            "line 2, column 12",
        ),
    ];
    for (text, expected) in cases {
        let error = error(&text);
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    }
    assert!(error("root_password = \"longenough\"").contains("`hostname`: missing"));
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = "hostname = \"no de\"\nroot_passwort = \"longenough\"\ngateway = \"192.0.2.1\"\n\
                [network]\ndns = 3\n[disk]\nmin_size = \"1\"\ncolour = \"red\"\n";
    let errors = AnswerFile::parse(text).unwrap_err();
    let lines: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
    let expected = [
        "line 1, column 12, `hostname`: `no de` is no host name",
        "line 2, column 1, `root_passwort`: unknown key; did you mean `root_password`?",
        "line 3, column 1, `gateway`: unknown key here; did you mean `network.gateway`?",
        "line 5, column 7, `network.dns`: invalid type",
        "line 7, column 12, `disk.min_size`: `1` is no size",
        "line 8, column 1, `disk.colour`: unknown key; known are device, ",
    ];
    for (line, words) in lines.iter().zip(expected) {
        assert!(line.contains(words), "{line}\nexpected: {words}");
    }
    assert!(lines[6].contains("nobody could log in"), "{lines:?}");
    assert_eq!(lines.len(), 7, "{lines:#?}");
}

#[test]
fn disks_are_chosen_by_rule() {
    let text = "hostname = \"n\"\nroot_password = \"longenough\"\n[disk]\nmodel = \"ACME\"\n\
                min_size = \"100 GB\"\nmax_size = \"1 TiB\"\ntake = \"smallest\"\n";
    let DiskChoice::Rule(rule) = AnswerFile::parse(text).unwrap().disk else {
        panic!("no rule");
    };
    assert!(rule.fits("Acme Disk 3000", 100_000_000_000));
    assert!(!rule.fits("Acme Disk 3000", 99_999_999_999));
    assert!(!rule.fits("Acme Disk 3000", (1 << 40) + 1));
    assert!(!rule.fits("Other", 200_000_000_000));
    assert_eq!(rule.take, Some(Take::Smallest));
    for (size, bytes) in [("1.5 GiB", 3 << 29), ("2MB", 2_000_000)] {
        assert_eq!(size.parse::<Size>().unwrap().bytes(), bytes);
    }
    for size in [
        "",
        "1",
        "GB",
        "-1 GB",
        "1 XB",
        "0 GB",
        "1..5 GB",
        "9999999 TB",
    ] {
        assert!(size.parse::<Size>().is_err(), "{size}");
    }
}

#[test]
fn an_existing_basalt_is_safe_unless_the_file_says_otherwise() {
    let least = "hostname = \"n\"\nroot_password = \"longenough\"\n";
    assert_eq!(AnswerFile::parse(least).unwrap().existing, Existing::Refuse);
    let text = format!("{least}[existing]\naction = \"keep-data\"\n");
    assert_eq!(
        AnswerFile::parse(&text).unwrap().existing,
        Existing::KeepData
    );
}

#[test]
fn guests_disks_lie_where_the_file_says() {
    let with = |table: &str| format!("{GOOD}\n[data]\n{table}\n");
    let data = |table: &str| AnswerFile::parse(&with(table)).unwrap().data;
    assert_eq!(AnswerFile::parse(GOOD).unwrap().data, DataChoice::default());
    for storage in GuestStorage::ALL {
        let found = data(&format!("storage = \"{}\"", storage.as_str()));
        assert_eq!(found.storage, Some(storage));
    }
    let sized = data("storage = \"lvm-thin\"\nsystem_size = \"16 GiB\"");
    assert_eq!(sized.system_size.map(Size::bytes), Some(16 << 30));
    for (table, expected) in [
        (
            "storage = \"lvm\"",
            "line 16, column 11, `data.storage`: unknown variant `lvm`",
        ),
        (
            "system_size = \"16 GiB\"",
            "line 16, column 15, `data.system_size`: only used with a pool",
        ),
        (
            "storage = \"directory\"\nsystem_size = \"16 GiB\"",
            "line 17, column 15, `data.system_size`: only used with a pool",
        ),
        (
            "storage = \"lvm-thin\"\nsystem_size = \"1 GiB\"",
            "line 17, column 15, `data.system_size`: too small: the system keeps 2 GiB at least",
        ),
        (
            "storage = \"lvm-thin\"\nsize = \"1 GiB\"",
            "line 17, column 1, `data.size`: unknown key",
        ),
    ] {
        let said = error(&with(table));
        assert!(said.contains(expected), "{said}\nexpected: {expected}");
    }
}

#[test]
fn a_pool_of_zfs_may_have_disks_for_itself() {
    let with = |table: &str| format!("{GOOD}\n[data]\n{table}");
    let three = "disks = [{ serial = \"A\" }, { device = \"/dev/sdb\" }, { serial = \"B\" }]";
    let found = AnswerFile::parse(&with(&format!(
        "storage = \"zfs\"\nlevel = \"raidz\"\n{three}"
    )));
    let apart = found.unwrap().data.apart.unwrap();
    assert_eq!(apart.level, PoolLevel::Raidz);
    assert_eq!(apart.disks[1], DiskChoice::Device("/dev/sdb".to_owned()));
    assert_eq!(apart.disks.len(), 3);
    let one = AnswerFile::parse(&with("storage = \"zfs\"\ndisks = [{ serial = \"A\" }]"));
    let one = one.unwrap().data.apart.unwrap();
    assert_eq!(one.level, PoolLevel::Single);
    for (table, expected) in [
        (three, "`data.disks`: only a pool of ZFS"),
        (
            "storage = \"zfs\"\nlevel = \"raidz\"",
            "`data.level`: only used with `data.disks`",
        ),
        (
            &format!("storage = \"zfs\"\n{three}"),
            "`data.level`: missing: with 3 disks it may be mirror, raidz",
        ),
        (
            &format!("storage = \"zfs\"\nlevel = \"raidz2\"\n{three}"),
            "`data.disks`: `raidz2` needs four disks or more",
        ),
        (
            &format!("storage = \"zfs\"\nlevel = \"raidz\"\nsystem_size = \"16 GiB\"\n{three}"),
            "`data.system_size`: only used with a pool beside the system",
        ),
        (
            "storage = \"zfs\"\nlevel = \"mirror\"\ndisks = [{ serial = \"A\" }, { serial = \"A\" }]",
            "`data.disks`: one of them is there twice",
        ),
        (
            "storage = \"zfs\"\ndisks = [{ serial = \"BASALT0\" }]",
            "`data.disks`: one of them is a disk of the system already",
        ),
        (
            "storage = \"zfs\"\ndisks = [{}]",
            "give each disk either a `device` or a `serial`",
        ),
        (
            "storage = \"zfs\"\ndisks = [{ device = \"sdb\" }]",
            "expected a path below /dev",
        ),
        (
            "storage = \"zfs\"\ndisks = [{ model = \"A\" }]",
            "`data.disks`: unknown field `model`",
        ),
    ] {
        let said = error(&with(table));
        assert!(said.contains(expected), "{said}\nexpected: {expected}");
    }
}

#[test]
fn data_is_encrypted_only_with_a_key_that_somebody_keeps() {
    let with = |table: &str| format!("{GOOD}\n[data]\n{table}\n");
    let key = "an owner's own key, kept in a safe place";
    let table = format!("encryption = \"tpm\"\nrecovery_key = \"{key}\"");
    let EncryptionChoice::Tpm(found) = AnswerFile::parse(&with(&table)).unwrap().data.encryption
    else {
        panic!("not encrypted");
    };
    assert_eq!(found.as_str(), key);
    assert!(!format!("{found:?}").contains(key));
    for (table, expected) in [
        ("encryption = \"tpm\"", "`data.recovery_key`: missing"),
        (
            "encryption = \"tpm\"\nrecovery_key = \"short\"",
            "`data.recovery_key`: too short",
        ),
        (
            &format!(
                "encryption = \"tpm\"\nrecovery_key = \"{}\"",
                "long".repeat(65)
            ),
            "`data.recovery_key`: too long",
        ),
        (
            "encryption = \"tpm\"\nrecovery_key = \"überaus gut verwahrt und lang genug dafür\"",
            "`data.recovery_key`: only letters",
        ),
        (
            "recovery_key = \"an owner's own key, kept in a safe place\"",
            "`data.recovery_key`: only used with",
        ),
        (
            "encryption = \"luks\"",
            "`data.encryption`: unknown variant `luks`",
        ),
    ] {
        let said = error(&with(table));
        assert!(said.contains(expected), "{said}\nexpected: {expected}");
    }
}

#[test]
fn the_shipped_schema_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/answer.schema.json");
    let now = format!("{:#}\n", schema());
    if std::env::var_os("BASALT_WRITE_SCHEMA").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let shipped = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        shipped, now,
        "run BASALT_WRITE_SCHEMA=1 cargo nextest run -p basalt-model schema"
    );
    assert_eq!(schema()["required"], serde_json::json!(["hostname"]));
}

#[test]
fn the_example_in_the_readme_is_good() {
    let readme = include_str!("../../../../../README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    AnswerFile::parse(example).unwrap();
}

#[test]
fn passwords_are_not_printed() {
    let answers = AnswerFile::parse(GOOD).unwrap();
    assert!(!format!("{answers:?}").contains("longenough"));
}

#[test]
fn a_second_disk_is_chosen_like_the_first() {
    let with = |table: &str| format!("{GOOD}\n[mirror]\n{table}\n");
    let mirror = |table: &str| AnswerFile::parse(&with(table)).unwrap().mirror;
    assert_eq!(AnswerFile::parse(GOOD).unwrap().mirror, None);
    assert_eq!(mirror(""), Some(DiskChoice::Only));
    let other = DiskChoice::Serial("OTHER".to_owned());
    assert_eq!(mirror("serial = \"OTHER\""), Some(other));
    for (text, expected) in [
        (
            with("serial = \"BASALT0\""),
            "`mirror.serial`: BASALT0 is also `disk.serial`",
        ),
        (with("device = \"sda\""), "`mirror.device`: expected a path"),
        (
            with("serial = \"X\"\nsize = 1"),
            "`mirror.size`: unknown key",
        ),
        (
            with("serial = \"X\"\n[existing]\naction = \"repair\""),
            "`mirror`: made only by an installation that keeps nothing",
        ),
    ] {
        let said = error(&text);
        assert!(said.contains(expected), "{said}\nexpected: {expected}");
    }
}
