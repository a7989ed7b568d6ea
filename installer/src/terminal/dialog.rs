//! The questions, in their order, each asked until the answer makes sense.

use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::Context;
use basalt_layout::Version;
use basalt_model::host::answer::{After, Enrol, check_password};
use basalt_model::host::{
    Addressing, HostConfig, HostNetwork, Hostname, InterfaceAddress, MacAddress, PasswordHash,
    Port, TimeZone,
};

use crate::disks::Disk;
use crate::plan::{Plan, check_disk};
use crate::{password, plan};

/// Someone to talk to.
pub trait Talk {
    /// Shows a line.
    fn say(&mut self, text: &str) -> io::Result<()>;
    /// Asks for a line.
    fn ask(&mut self, question: &str) -> io::Result<String>;
    /// Asks for a line that is not shown.
    fn ask_secret(&mut self, question: &str) -> io::Result<String>;
}

/// One run through the questions.
pub struct Dialog<'a, L> {
    talk: &'a mut dyn Talk,
    list_disks: L,
    cards: &'a [(String, MacAddress)],
}

impl<'a, L: Fn() -> anyhow::Result<Vec<Disk>>> Dialog<'a, L> {
    /// A dialog about the disks that `list_disks` finds and these network cards.
    pub fn new(talk: &'a mut dyn Talk, list_disks: L, cards: &'a [(String, MacAddress)]) -> Self {
        Self {
            talk,
            list_disks,
            cards,
        }
    }

    /// Asks until there is a plan that was said yes to.
    pub fn run(&mut self, version: &Version) -> anyhow::Result<Plan> {
        self.talk
            .say(&format!("\nBasalt {version}: installation\n"))?;
        self.talk.ask("Press Enter to begin. ")?;
        anyhow::ensure!(
            !self.cards.is_empty(),
            "this machine has no network card; add one, for Basalt is managed over it"
        );
        loop {
            let plan = self.questions()?;
            self.summary(&plan)?;
            let answer = self.talk.ask("Type YES to erase the disk and install: ")?;
            if answer.trim() == "YES" {
                return Ok(plan);
            }
            self.talk.say("Nothing was changed. Starting over.\n")?;
        }
    }

    fn questions(&mut self) -> anyhow::Result<Plan> {
        let disk = self.disk()?;
        let root_password_hash = Some(self.root_password()?);
        let hostname = self.value::<Hostname>("Host name", Some("basalt"))?;
        let network = self.network()?;
        let timezone = self.value::<TimeZone>("Time zone", Some("UTC"))?;
        Ok(Plan {
            disk,
            host: HostConfig {
                hostname,
                network,
                timezone,
                root_password_hash,
                root_ssh_keys: Vec::new(),
            },
            after: After::Reboot,
            secure_boot: Enrol::Auto,
        })
    }

    fn disk(&mut self) -> anyhow::Result<Disk> {
        loop {
            let disks: Vec<Disk> = (self.list_disks)()?
                .into_iter()
                .filter(|disk| !disk.is_medium)
                .collect();
            self.talk.say("Disks:")?;
            for (index, disk) in disks.iter().enumerate() {
                self.talk.say(&format!(
                    "  {}) {}  {}  {}, serial {}\n     holds {}{}",
                    index + 1,
                    disk.path.display(),
                    disk.size_text(),
                    disk.model,
                    disk.serial,
                    disk.content,
                    check_disk(disk)
                        .err()
                        .map_or(String::new(), |_| " (cannot be used)".into())
                ))?;
            }
            let answer = self
                .talk
                .ask("Install on disk number (Enter looks again): ")?;
            let Some(disk) = answer
                .trim()
                .parse::<usize>()
                .ok()
                .and_then(|number| disks.get(number.checked_sub(1)?))
            else {
                continue;
            };
            match check_disk(disk) {
                Ok(()) => return Ok(disk.clone()),
                Err(error) => self.talk.say(&format!("{error:#}"))?,
            }
        }
    }

    fn root_password(&mut self) -> anyhow::Result<PasswordHash> {
        loop {
            let first = self.talk.ask_secret("Password for root: ")?;
            if let Err(reason) = check_password(&first) {
                self.talk.say(&reason)?;
                continue;
            }
            if self.talk.ask_secret("The same again: ")? == first {
                return password::hash(&first);
            }
            self.talk.say("These were two different passwords.")?;
        }
    }

    fn network(&mut self) -> anyhow::Result<HostNetwork> {
        let port = self.port()?;
        let question = "Address, as 192.0.2.10/24 (Enter: by DHCP): ";
        let Some(address) = self.optional::<InterfaceAddress>(question)? else {
            return Ok(HostNetwork {
                port,
                ..HostNetwork::default()
            });
        };
        let gateway = loop {
            let gateway = self.optional::<IpAddr>("Gateway (Enter: none): ")?;
            match gateway {
                Some(router) if !address.contains(&router) => {
                    self.talk
                        .say(&format!("{router} is not in the network of {address}"))?;
                }
                _ => break gateway,
            }
        };
        let mut dns = Vec::new();
        while let Some(server) = self.optional::<IpAddr>("Name server (Enter: no more): ")? {
            dns.push(server);
        }
        let addressing = Addressing::Static {
            address,
            gateway,
            dns,
        };
        Ok(HostNetwork {
            port,
            addressing,
            ..HostNetwork::default()
        })
    }

    fn port(&mut self) -> anyhow::Result<Port> {
        if let [_] = self.cards {
            return Ok(Port::First);
        }
        self.talk.say("Network cards:")?;
        for (index, (name, mac)) in self.cards.iter().enumerate() {
            self.talk.say(&format!("  {}) {name}  {mac}", index + 1))?;
        }
        loop {
            let answer = self.talk.ask("Manage the host over card number [1]: ")?;
            let number = if answer.trim().is_empty() {
                "1"
            } else {
                answer.trim()
            };
            let card = number
                .parse::<usize>()
                .ok()
                .and_then(|number| self.cards.get(number.checked_sub(1)?));
            if let Some((_, mac)) = card {
                return Ok(Port::Mac(*mac));
            }
        }
    }

    fn value<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
        default: Option<&str>,
    ) -> anyhow::Result<T> {
        let hint = default.map_or(String::new(), |text| format!(" [{text}]"));
        loop {
            let answer = self.talk.ask(&format!("{name}{hint}: "))?;
            let text = match (answer.trim(), default) {
                ("", Some(default)) => default,
                (text, _) => text,
            };
            match text.parse() {
                Ok(value) => return Ok(value),
                Err(error) => self.talk.say(&error.to_string())?,
            }
        }
    }

    fn optional<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        question: &str,
    ) -> anyhow::Result<Option<T>> {
        loop {
            let answer = self.talk.ask(question)?;
            if answer.trim().is_empty() {
                return Ok(None);
            }
            match answer.trim().parse() {
                Ok(value) => return Ok(Some(value)),
                Err(error) => self.talk.say(&error.to_string())?,
            }
        }
    }

    fn summary(&mut self, plan: &plan::Plan) -> anyhow::Result<()> {
        let disk = &plan.disk;
        let network = match &plan.host.network.addressing {
            Addressing::Dhcp => "by DHCP".to_owned(),
            Addressing::Static {
                address,
                gateway: Some(gateway),
                ..
            } => {
                format!("{address} by way of {gateway}")
            }
            Addressing::Static { address, .. } => address.to_string(),
        };
        self.talk
            .say(&format!(
                "\n  Disk       {} ({}, {}, serial {})\n             everything on it is lost: {}\n  \
                 Host       {}\n  Network    {network}\n  Time zone  {}\n",
                disk.path.display(),
                disk.size_text(),
                disk.model,
                disk.serial,
                disk.content,
                plan.host.hostname,
                plan.host.timezone,
            ))
            .context("the console is gone")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::tests::disk;
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

    fn run(answers: &[&'static str], cards: usize) -> (anyhow::Result<Plan>, String) {
        let mut script = Script {
            answers: answers.iter().copied().collect(),
            heard: String::new(),
        };
        let cards: Vec<(String, MacAddress)> = (0..cards)
            .map(|n| {
                (
                    format!("eth{n}"),
                    format!("52:54:00:00:00:0{n}").parse().unwrap(),
                )
            })
            .collect();
        let disks = || {
            let small = Disk {
                path: "/dev/vdb".into(),
                size: 1 << 30,
                ..disk()
            };
            let medium = Disk {
                path: "/dev/vdc".into(),
                is_medium: true,
                ..disk()
            };
            Ok(vec![disk(), small, medium])
        };
        let plan = Dialog::new(&mut script, disks, &cards).run(&"0.1.0".parse().unwrap());
        (plan, script.heard)
    }

    #[test]
    fn defaults_make_a_plan() {
        let (plan, heard) = run(&["", "1", "longenough", "longenough", "", "", "", "YES"], 1);
        let plan = plan.unwrap();
        assert_eq!(plan.disk, disk());
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
            "",
            "9",
            "2",
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
            "yes", //
            "1",
            "longenough",
            "longenough",
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
            "at least 8 characters",
            "two different passwords",
            "`no name` is no host name",
            "the length of the prefix is missing",
            "198.51.100.1 is not in the network of 192.0.2.10/24",
            "192.0.2.10/24 by way of 192.0.2.1",
            "Starting over",
        ] {
            assert!(heard.contains(words), "{words}\n{heard}");
        }
        assert_eq!(
            plan.host.network.port,
            Port::Mac("52:54:00:00:00:00".parse().unwrap())
        );
    }

    #[test]
    fn without_a_network_card_nothing_is_asked() {
        let (plan, _) = run(&[""], 0);
        assert!(plan.unwrap_err().to_string().contains("no network card"));
    }
}
