use super::*;
use crate::plan::PoolPlan;
use crate::terminal::tests::disk;
use basalt_model::host::answer::{GuestStorage, PoolLevel};
use std::collections::VecDeque;

/// Someone who has learned the answers by heart.
struct Script {
    answers: VecDeque<&'static str>,
    heard: String,
}

impl Talk for Script {
    fn say(&mut self, text: &str) -> io::Result<()> {
        self.heard.push_str(text);
        self.heard.push('\n');
        Ok(())
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.say(question)?;
        let answer = self.answers.pop_front();
        answer
            .map(str::to_owned)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn ask_secret(&mut self, question: &str) -> io::Result<String> {
        self.ask(question)
    }
}

/// A machine with a disk in use, a small one and a medium.
struct Fake {
    cards: Vec<(String, MacAddress)>,
    has_tpm: bool,
}

/// The recovery key that it draws.
const KEY: &str = "cccccccc-bbbbbbbb-dddddddd-eeeeeeee-ffffffff-gggggggg-hhhhhhhh-vtcbdefg";

impl Machine for Fake {
    fn disks(&self) -> anyhow::Result<Vec<Disk>> {
        let named = |path: &str| Disk {
            path: path.into(),
            ..disk()
        };
        let small = Disk {
            size: 1 << 30,
            ..named("/dev/vdb")
        };
        let medium = Disk {
            is_medium: true,
            ..named("/dev/vdc")
        };
        Ok(vec![disk(), small, named("/dev/vdd"), medium])
    }

    fn cards(&self) -> &[(String, MacAddress)] {
        &self.cards
    }

    fn existing(&self, disk: &Disk) -> Option<Existing> {
        disk.path.ends_with("vdd").then(|| Existing {
            versions: vec!["0.1.0".parse().unwrap()],
            host: Some("node1".parse().unwrap()),
            storage: None,
            encrypted: None,
        })
    }

    fn has_keyboard(&self, keyboard: &Keyboard) -> bool {
        ["us", "de"].contains(&keyboard.as_str())
    }

    fn use_keyboard(&self, _: &Keyboard) {}

    fn has_time_zone(&self, zone: &TimeZone) -> bool {
        ["UTC", "Europe/Berlin"].contains(&zone.as_str())
    }

    fn recovery_key(&self) -> Option<String> {
        self.has_tpm.then(|| KEY.to_owned())
    }
}

fn run(answers: &[&'static str], cards: usize) -> (anyhow::Result<Plan>, String) {
    run_on(answers, cards, false)
}

fn run_on(answers: &[&'static str], cards: usize, has_tpm: bool) -> (anyhow::Result<Plan>, String) {
    let mut script = Script {
        answers: answers.iter().copied().collect(),
        heard: String::new(),
    };
    let card = |n| {
        let mac = format!("52:54:00:00:00:0{n}").parse().unwrap();
        (format!("eth{n}"), mac)
    };
    let machine = Fake {
        cards: (0..cards).map(card).collect(),
        has_tpm,
    };
    let plan = Dialog::new(&mut script, &machine).run(&"0.1.0".parse().unwrap());
    (plan, script.heard)
}

#[test]
fn defaults_make_a_plan() {
    let (plan, heard) = run(
        &[
            "",
            "",
            "1",
            "",
            "",
            "longenough",
            "longenough",
            "",
            "",
            "",
            "",
            "YES",
        ],
        1,
    );
    let plan = plan.unwrap();
    assert_eq!(plan.disk, disk());
    assert_eq!(plan.pool, None);
    assert_eq!(plan.host.hostname.as_str(), "basalt");
    assert_eq!(plan.host.network, HostNetwork::default());
    assert!(plan.host.root_password_hash.is_some());
    assert!(heard.contains("/dev/vda  32.0 GiB  model, serial serial"));
    assert!(!heard.contains("/dev/vdc"));
    assert!(heard.contains("everything on it is lost: nothing"));
}

#[test]
fn wrong_answers_are_explained_and_asked_again() {
    let answers = [
        "",
        "xx",
        "de",
        "",
        "9",
        "2",
        "1",
        "9",
        "1",
        "2",
        "no",
        "",
        "9",
        "1",
        "short",
        "longenough",
        "otherwise",
        "longenough",
        "longenough",
        "no name",
        "node1.example.org",
        "3",
        "2",
        "192.0.2.10",
        "192.0.2.10/24",
        "198.51.100.1",
        "192.0.2.1",
        "192.0.2.53",
        "",
        "Europe/Berlin",
        "me",
        "me@example.org",
        "yes", //
        "",
        "1",
        "2",
        "ERASE",
        "2",
        "much",
        "1 GiB",
        "30 GiB",
        "8 GiB",
        "longenough",
        "longenough",
        "",
        "",
        "",
        "",
        "",
        "YES",
    ];
    let (plan, heard) = run(&answers, 2);
    let plan = plan.unwrap();
    for words in [
        "/dev/vdb is too small: it has 1.0 GiB, Basalt needs 5.7 GiB",
        "There is no keyboard `xx`",
        "`me` is no e-mail address",
        "E-mail     me@example.org",
        "at least 8 characters",
        "two different passwords",
        "`no name` is no host name",
        "the length of the prefix is missing",
        "198.51.100.1 is not in the network of 192.0.2.10/24",
        "192.0.2.10/24 by way of 192.0.2.1",
        "Starting over",
        "mirror: /dev/vdb is too small",
        "/dev/vdd already holds Basalt 0.1.0 of the host node1",
        "Mirror     /dev/vdd",
        "1) a directory",
        "2) an LVM thin pool",
        "`much` is no size",
        "the system keeps 2.0 GiB at least",
        "give the system less",
        "20.3 GiB beside 8.0 GiB for the system",
    ] {
        assert!(heard.contains(words), "{words}\n{heard}");
    }
    let second = plan.mirror.as_ref();
    assert!(second.is_some_and(|disk| disk.path.ends_with("vdd")));
    let Some(PoolPlan::Beside {
        storage, data_size, ..
    }) = plan.pool
    else {
        panic!("{:?}", plan.pool);
    };
    assert_eq!((storage, data_size), (GuestStorage::LvmThin, 8 << 30));
    assert_eq!(
        plan.host.network.port,
        Port::Mac("52:54:00:00:00:00".parse().unwrap())
    );
}

#[test]
fn zfs_may_have_a_disk_for_itself() {
    let password = ["longenough", "longenough"];
    let rest = ["", "", "", "", "YES"];
    let pool = ["", "3", "7", "1 1", "1", "ERASE"];
    let answers = [&["", "", "1"][..], &pool, &password, &rest].concat();
    let (plan, heard) = run(&answers, 1);
    let Some(PoolPlan::Apart { level, disks, .. }) = plan.unwrap().pool else {
        panic!("{heard}");
    };
    assert_eq!(level, PoolLevel::Single);
    assert!(disks[0].path.ends_with("vdd") && disks.len() == 1);
    for words in [
        "3) a ZFS pool",
        "there is no disk 7",
        "/dev/vdd is there twice",
        "/dev/vdd already holds Basalt 0.1.0 of the host node1",
        "as one disk; everything is lost on /dev/vdd",
    ] {
        assert!(heard.contains(words), "{words}\n{heard}");
    }
}

#[test]
fn a_basalt_that_is_there_can_be_repaired_or_left_alone() {
    let (plan, heard) = run(&["", "", "3", "0", "1", "YES"], 1);
    let plan = plan.unwrap();
    assert_eq!(plan.mode, Mode::Repair);
    assert!(heard.contains("/dev/vdd already holds Basalt 0.1.0 of the host node1"));
    assert!(heard.contains("Type YES to repair"));

    let password = ["longenough", "longenough"];
    let rest = ["", "", "", "", "YES"];
    let answers = [&["", "", "3", "2"][..], &password, &rest].concat();
    let (plan, heard) = run(&answers, 1);
    assert_eq!(plan.unwrap().mode, Mode::KeepData);
    assert!(heard.contains("its data stays"));

    let answers = [&["", "", "3", "4", "1", "", ""][..], &password, &rest].concat();
    let (plan, _) = run(&answers, 1);
    let plan = plan.unwrap();
    assert_eq!(
        (plan.mode, plan.disk.path.to_str()),
        (Mode::Fresh, Some("/dev/vda"))
    );
}

#[test]
fn without_a_network_card_nothing_is_asked() {
    let (plan, _) = run(&[""], 0);
    assert!(plan.unwrap_err().to_string().contains("no network card"));
}

/// A host with a guest, a storage of its own and one elsewhere.
fn content() -> crate::reset::Content {
    let mut host = HostConfig::fallback();
    host.hostname = "node1".parse().unwrap();
    host.email = Some("admin@example.org".parse().unwrap());
    crate::reset::Content {
        host: Some(host),
        guests: vec!["VM 100 (w\x1b[2Jeb)".to_owned()],
        storages: vec!["local (/var/lib/vz)".to_owned()],
        elsewhere: vec!["pool (lvmthin)".to_owned()],
        faults: Vec::new(),
    }
}

fn reset(answers: &[&'static str]) -> (Option<HostConfig>, String) {
    let mut script = Script {
        answers: answers.iter().copied().collect(),
        heard: String::new(),
    };
    let machine = Fake {
        cards: Vec::new(),
        has_tpm: false,
    };
    let patience = std::time::Duration::from_secs(900);
    let choice = Dialog::new(&mut script, &machine)
        .reset(&"0.1.0".parse().unwrap(), &content(), patience)
        .unwrap();
    (choice, script.heard)
}

#[test]
fn a_reset_names_what_goes_and_asks_for_who_is_left() {
    let (choice, heard) = reset(&["", "longenough", "longenough", "fresh", "", "node1"]);
    let host = choice.unwrap();
    assert_eq!(host.hostname.as_str(), "fresh");
    assert!(host.root_password_hash.is_some() && host.email.is_none());
    for words in [
        "factory reset of node1",
        "VM 100 (w[2Jeb)",
        "storage local (/var/lib/vz)",
        "The volumes of storage pool (lvmthin) stay",
        "after 15 minutes",
    ] {
        assert!(heard.contains(words), "{words}: {heard}");
    }
}

#[test]
fn a_reset_needs_the_very_words() {
    let answers = |last| ["", "longenough", "longenough", "", "", last];
    assert!(reset(&answers("RESET")).0.is_some());
    for wrong in ["", "yes", "reset", "node2"] {
        assert_eq!(reset(&answers(wrong)).0, None, "{wrong}");
    }
}

#[test]
fn data_is_encrypted_when_the_key_was_copied() {
    let answers = [
        "",
        "",
        "1",
        "",
        "",
        "perhaps",
        "yes",
        "cccccccc",
        "vtcbdefg",
        "longenough",
        "longenough",
        "",
        "",
        "",
        "",
        "YES",
    ];
    let (plan, heard) = run_on(&answers, 1, true);
    assert_eq!(
        plan.unwrap().encryption,
        EncryptionChoice::Tpm(RecoveryKey::new(KEY).unwrap())
    );
    assert!(heard.contains(KEY) && heard.contains("These are others."));
    assert!(heard.contains("Encrypted  opened by"));
}
