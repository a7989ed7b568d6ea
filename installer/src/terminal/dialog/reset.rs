//! The questions before a factory reset.

use std::time::Duration;

use basalt_layout::Version;
use basalt_model::host::{Addressing, HostConfig, Hostname};

use super::Dialog;
use crate::reset::Content;

/// What can be typed instead of the host's name.
const WORD: &str = "RESET";

impl Dialog<'_> {
    /// Names what is destroyed, and asks for the host that is to be left; `None` when everything is
    /// to stay.
    pub fn reset(
        &mut self,
        version: &Version,
        content: &Content,
        patience: Duration,
    ) -> anyhow::Result<Option<HostConfig>> {
        self.talk.say(&warning(version, content, patience))?;
        self.talk.ask("Press Enter to go on. ")?;
        let old = content.host.clone().unwrap_or_else(HostConfig::fallback);
        let mut host = HostConfig {
            root_password_hash: Some(self.root_password()?),
            hostname: self.value::<Hostname>("Host name", Some(old.hostname.as_str()))?,
            network: match self.keeps_network(&old)? {
                true => old.network.clone(),
                false => self.network()?,
            },
            email: None,
            root_ssh_keys: Vec::new(),
            ..old.clone()
        };
        if host.network != old.network {
            host.dns = None;
        }
        let answer = self.talk.ask(&format!(
            "Type {} or {WORD} to destroy all this: ",
            old.hostname
        ))?;
        let confirmed = [old.hostname.as_str(), WORD].contains(&answer.trim());
        Ok(confirmed.then_some(host))
    }

    fn keeps_network(&mut self, old: &HostConfig) -> anyhow::Result<bool> {
        let address = match &old.network.addressing {
            Addressing::Dhcp => "by DHCP".to_owned(),
            Addressing::Static { address, .. } => address.to_string(),
        };
        let question = format!("Keep the network ({address})? yes or no [yes]: ");
        loop {
            match self.talk.ask(&question)?.trim() {
                "" | "yes" => return Ok(true),
                "no" => return Ok(false),
                _ => self.talk.say("Answer yes or no.")?,
            }
        }
    }
}

fn warning(version: &Version, content: &Content, patience: Duration) -> String {
    let mut text = format!("\nBasalt {version}: factory reset");
    if let Some(host) = &content.host {
        text.push_str(&format!(" of {}", host.hostname));
    }
    text.push_str("\n\nThis destroys for good:\n");
    let mut list = |lines: &[String]| {
        for line in lines {
            text.push_str(&format!("  {}\n", printable(line)));
        }
    };
    list(&content.guests);
    let storages = content.storages.iter();
    list(
        &storages
            .map(|storage| format!("storage {storage}, with all volumes, images and backups"))
            .collect::<Vec<_>>(),
    );
    list(&[
        "users, permissions, tasks, keys, and the rest of this host's configuration".to_owned(),
    ]);
    list(
        &content
            .faults
            .iter()
            .map(|fault| format!("and what cannot be named: {fault}"))
            .collect::<Vec<_>>(),
    );
    text.push_str("\nThe installed versions stay, and so do keyboard and time zone.\n");
    for storage in &content.elsewhere {
        text.push_str(&format!(
            "The volumes of storage {} stay, but belong to no guest any more.\n",
            printable(storage)
        ));
    }
    let minutes = patience.as_secs() / 60;
    text.push_str(&format!(
        "Without a decision this host starts as usual after {minutes} minutes.\n"
    ));
    text
}

/// A name as a terminal may show it.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
