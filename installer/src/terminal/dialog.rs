//! The questions, in their order, each asked until the answer makes sense.

mod pool;
mod reset;

use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::Context;
use basalt_layout::Version;
use basalt_model::host::answer::{
    After, EncryptionChoice, Enrol, Existing as Wish, RecoveryKey, check_password,
};
use basalt_model::host::{
    Addressing, Email, HostConfig, HostNetwork, Hostname, InterfaceAddress, Keyboard, MacAddress,
    PasswordHash, Port, TimeZone,
};

use crate::disks::Disk;
use crate::existing::Existing;
use crate::password;
use crate::plan::{Mode, Plan, check_disk, check_mirror, choose_mode};

/// Someone to talk to.
pub trait Talk {
    /// Shows a line.
    fn say(&mut self, text: &str) -> io::Result<()>;
    /// Asks for a line.
    fn ask(&mut self, question: &str) -> io::Result<String>;
    /// Asks for a line that is not shown.
    fn ask_secret(&mut self, question: &str) -> io::Result<String>;
}

/// What the questions are about.
pub trait Machine {
    /// Its disks.
    fn disks(&self) -> anyhow::Result<Vec<Disk>>;
    /// Names and addresses of its network cards.
    fn cards(&self) -> &[(String, MacAddress)];
    /// The Basalt on one of its disks.
    fn existing(&self, disk: &Disk) -> Option<Existing>;
    /// Whether there is a map for this keyboard.
    fn has_keyboard(&self, keyboard: &Keyboard) -> bool;
    /// Makes its keyboard this one.
    fn use_keyboard(&self, keyboard: &Keyboard);
    /// Whether there is this time zone.
    fn has_time_zone(&self, zone: &TimeZone) -> bool;
    /// A fresh recovery key, where data can be encrypted.
    fn recovery_key(&self) -> Option<String>;
}

/// One run through the questions.
pub struct Dialog<'a> {
    talk: &'a mut dyn Talk,
    machine: &'a dyn Machine,
}

impl<'a> Dialog<'a> {
    /// A dialog about this machine.
    pub fn new(talk: &'a mut dyn Talk, machine: &'a dyn Machine) -> Self {
        Self { talk, machine }
    }

    /// Asks until there is a plan that was said yes to.
    pub fn run(&mut self, version: &Version) -> anyhow::Result<Plan> {
        self.talk
            .say(&format!("\nBasalt {version}: installation\n"))?;
        self.talk.ask("Press Enter to begin. ")?;
        anyhow::ensure!(
            !self.machine.cards().is_empty(),
            "this machine has no network card; add one, for Basalt is managed over it"
        );
        loop {
            let plan = self.questions(version)?;
            self.summary(&plan)?;
            let question = match plan.mode {
                Mode::Fresh => "Type YES to erase the disk and install: ",
                Mode::KeepData => "Type YES to install and keep the data: ",
                Mode::Repair => "Type YES to repair: ",
            };
            let answer = self.talk.ask(question)?;
            if answer.trim() == "YES" {
                return Ok(plan);
            }
            self.talk.say("Nothing was changed. Starting over.\n")?;
        }
    }

    fn questions(&mut self, version: &Version) -> anyhow::Result<Plan> {
        let keyboard = self.keyboard()?;
        let (disk, mode) = self.disk(version)?;
        let mirror = match mode {
            Mode::Fresh => self.mirror(&disk)?,
            Mode::KeepData | Mode::Repair => None,
        };
        let pool = match mode {
            Mode::Fresh => self.pool(&disk, mirror.as_ref())?,
            Mode::KeepData | Mode::Repair => None,
        };
        let encryption = match mode {
            Mode::Fresh => self.encryption()?,
            Mode::KeepData | Mode::Repair => EncryptionChoice::None,
        };
        let host = match mode {
            // It stays what it was.
            Mode::Repair => HostConfig::fallback(),
            Mode::Fresh | Mode::KeepData => self.host(keyboard)?,
        };
        Ok(Plan {
            disk,
            mirror,
            mode,
            pool,
            encryption,
            host,
            after: After::Reboot,
            secure_boot: Enrol::Auto,
        })
    }

    fn host(&mut self, keyboard: Keyboard) -> anyhow::Result<HostConfig> {
        let root_password_hash = Some(self.root_password()?);
        Ok(HostConfig {
            hostname: self.value::<Hostname>("Host name", Some("basalt"))?,
            network: self.network()?,
            dns: None,
            timezone: self.time_zone()?,
            keyboard,
            email: self.optional::<Email>("Administrator's e-mail address (Enter: none): ")?,
            root_password_hash,
            root_ssh_keys: Vec::new(),
            pool: None,
        })
    }

    fn time_zone(&mut self) -> anyhow::Result<TimeZone> {
        loop {
            let zone = self.value::<TimeZone>("Time zone, as Europe/Berlin", Some("UTC"))?;
            if self.machine.has_time_zone(&zone) {
                return Ok(zone);
            }
            self.talk.say(&format!("There is no time zone `{zone}`."))?;
        }
    }

    fn keyboard(&mut self) -> anyhow::Result<Keyboard> {
        loop {
            let keyboard = self.value::<Keyboard>("Keyboard, as us, de, fr", Some("us"))?;
            if self.machine.has_keyboard(&keyboard) {
                self.machine.use_keyboard(&keyboard);
                return Ok(keyboard);
            }
            self.talk
                .say(&format!("There is no keyboard `{keyboard}`."))?;
        }
    }

    fn disk(&mut self, version: &Version) -> anyhow::Result<(Disk, Mode)> {
        loop {
            let disks: Vec<Disk> = self
                .machine
                .disks()?
                .into_iter()
                .filter(|disk| !disk.is_medium)
                .collect();
            self.list(&disks)?;
            let answer = self
                .talk
                .ask("Install on disk number (Enter looks again): ")?;
            let Some(disk) = numbered(&answer, &disks) else {
                continue;
            };
            if let Err(error) = check_disk(disk) {
                self.talk.say(&format!("{error:#}"))?;
                continue;
            }
            if let Some(mode) = self.mode(disk, version)? {
                return Ok((disk.clone(), mode));
            }
        }
    }

    /// A second disk, where there is one that could be it.
    fn mirror(&mut self, disk: &Disk) -> anyhow::Result<Option<Disk>> {
        loop {
            let others: Vec<Disk> = self
                .machine
                .disks()?
                .into_iter()
                .filter(|other| !other.is_medium && other.path != disk.path)
                .collect();
            if !others.iter().any(|other| check_mirror(disk, other).is_ok()) {
                return Ok(None);
            }
            self.talk
                .say("A second disk can hold everything once more.")?;
            self.list(&others)?;
            let answer = self.talk.ask("Second disk number (Enter: none): ")?;
            if answer.trim().is_empty() {
                return Ok(None);
            }
            let Some(second) = numbered(&answer, &others) else {
                continue;
            };
            if let Err(error) = check_mirror(disk, second) {
                self.talk.say(&format!("{error:#}"))?;
            } else if let Some(found) = self.machine.existing(second) {
                let path = second.path.display();
                self.talk.say(&format!("{path} already holds {found}."))?;
                if self.talk.ask("Type ERASE to use it all the same: ")?.trim() == "ERASE" {
                    return Ok(Some(second.clone()));
                }
            } else {
                return Ok(Some(second.clone()));
            }
        }
    }

    /// Whether all this is encrypted, where the machine has a TPM; the key is shown here and nowhere else.
    fn encryption(&mut self) -> anyhow::Result<EncryptionChoice> {
        let Some(key) = self.machine.recovery_key() else {
            return Ok(EncryptionChoice::None);
        };
        loop {
            let question = "Encrypt the data, and open it by this machine's TPM? yes or no [no]: ";
            match self.talk.ask(question)?.trim() {
                "" | "no" => return Ok(EncryptionChoice::None),
                "yes" => break,
                _ => self.talk.say("Answer yes or no.")?,
            }
        }
        self.talk.say(&format!(
            "\nWhen the TPM does not open the data, this key does. Write it down: it is not shown \
             again, and without it the data is lost.\n\n  {key}\n"
        ))?;
        // Whoever has it on paper can tell its last letters.
        let end = key.rsplit('-').next().unwrap_or_default();
        while self.talk.ask("Its last eight letters: ")?.trim() != end {
            self.talk.say("These are others.")?;
        }
        Ok(EncryptionChoice::Tpm(
            RecoveryKey::new(&key).map_err(anyhow::Error::msg)?,
        ))
    }

    fn list(&mut self, disks: &[Disk]) -> anyhow::Result<()> {
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
        Ok(())
    }

    /// What to do with a disk; `None` means another one.
    fn mode(&mut self, disk: &Disk, version: &Version) -> anyhow::Result<Option<Mode>> {
        let Some(found) = self.machine.existing(disk) else {
            return Ok(Some(Mode::Fresh));
        };
        self.talk.say(&format!(
            "{} already holds {found}.\n  \
             1) Repair it: boot files and system anew; configuration and guests stay\n  \
             2) Install and keep the data: the host is configured anew; guests stay\n  \
             3) Erase everything\n  \
             4) Choose another disk",
            disk.path.display()
        ))?;
        let wishes = [
            Some(Wish::Repair),
            Some(Wish::KeepData),
            Some(Wish::Wipe),
            None,
        ];
        loop {
            let answer = self.talk.ask("What to do, by number: ")?;
            match numbered(&answer, &wishes) {
                None => continue,
                Some(None) => return Ok(None),
                Some(Some(wish)) => match choose_mode(*wish, disk, Some(&found), version) {
                    Ok(mode) => return Ok(Some(mode)),
                    Err(error) => self.talk.say(&format!("{error:#}"))?,
                },
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
        let cards = self.machine.cards();
        if let [_] = cards {
            return Ok(Port::First);
        }
        self.talk.say("Network cards:")?;
        for (index, (name, mac)) in cards.iter().enumerate() {
            self.talk.say(&format!("  {}) {name}  {mac}", index + 1))?;
        }
        loop {
            let answer = self.talk.ask("Manage the host over card number [1]: ")?;
            let number = if answer.trim().is_empty() {
                "1"
            } else {
                answer.trim()
            };
            if let Some((_, mac)) = numbered(number, cards) {
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

    fn summary(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let disk = &plan.disk;
        let what = match plan.mode {
            Mode::Fresh => format!("everything on it is lost: {}", disk.content),
            Mode::KeepData => "boot files and system anew; its data stays".to_owned(),
            Mode::Repair => "boot files and system anew; configuration and data stay".to_owned(),
        };
        self.talk.say(&format!(
            "\n  Disk       {} ({}, {}, serial {})\n             {what}",
            disk.path.display(),
            disk.size_text(),
            disk.model,
            disk.serial,
        ))?;
        if let Some(second) = &plan.mirror {
            self.talk.say(&format!(
                "  Mirror     {} ({}, {}, serial {})\n             everything on it is lost: {}",
                second.path.display(),
                second.size_text(),
                second.model,
                second.serial,
                second.content,
            ))?;
        }
        if let Some(pool) = &plan.pool {
            self.talk
                .say(&format!("  Guests     {}", pool.describe()))?;
        }
        if plan.encryption != EncryptionChoice::None {
            self.talk
                .say("  Encrypted  opened by this machine's TPM, or by the recovery key")?;
        }
        if plan.mode == Mode::Repair {
            return Ok(());
        }
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
        let host = &plan.host;
        let email = host.email.as_ref().map_or("none", |email| email.as_str());
        self.talk
            .say(&format!(
                "  Host       {}\n  Network    {network}\n  Time zone  {}\n  Keyboard   {}\n  \
                 E-mail     {email}\n",
                host.hostname, host.timezone, host.keyboard,
            ))
            .context("the console is gone")
    }
}

/// The item that a number counted from 1 names.
fn numbered<'a, T>(answer: &str, items: &'a [T]) -> Option<&'a T> {
    let number: usize = answer.trim().parse().ok()?;
    items.get(number.checked_sub(1)?)
}

#[cfg(test)]
mod tests;
