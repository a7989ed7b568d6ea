//! The watchdog of a virtual machine: a timer that its guest has to wind up again and again.

use crate::propstring::{refuse_rest, split, take};
use crate::words;
use serde_json::json;
use std::fmt;
use std::str::FromStr;

words! {
    /// What happens to a machine whose guest did not wind its watchdog up in time.
    pub enum WatchdogAction {
        /// It is reset.
        Reset = "reset",
        /// Its power button is pressed.
        Shutdown = "shutdown",
        /// It is switched off at once.
        Poweroff = "poweroff",
        /// It stands still until it is resumed.
        Pause = "pause",
        /// Nothing, but it is told: in the log, and to whoever follows the machine's events.
        Debug = "debug",
        /// The same as `debug`.
        None = "none",
    }
}

words! {
    /// Model of a watchdog.
    pub enum WatchdogModel {
        /// Intel's 6300ESB, on PCI.
        I6300esb = "i6300esb",
    }
}

/// A watchdog and what it does: `[model=]i6300esb[,action=…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    /// Its model, if it is named; there is one.
    pub model: Option<WatchdogModel>,
    /// What it does, if that is said.
    pub action: Option<WatchdogAction>,
}

impl Watchdog {
    /// What it does: resets the machine, if nothing else is said.
    pub fn action(&self) -> WatchdogAction {
        self.action.unwrap_or(WatchdogAction::Reset)
    }
}

impl FromStr for Watchdog {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs = split(text, Some("model"))?;
        if pairs.is_empty() {
            return Err("name the model, e.g. i6300esb,action=reset".to_owned());
        }
        let model = match take::<String>(&mut pairs, "model")?.as_deref() {
            Some("ib700") => {
                return Err("model: machines have no ISA bus for an ib700: use i6300esb".to_owned());
            }
            Some(name) => Some(name.parse().map_err(|text| format!("model: {text}"))?),
            None => None,
        };
        let action = take(&mut pairs, "action")?;
        refuse_rest(&pairs, &["model", "action"])?;
        Ok(Self { model, action })
    }
}

impl fmt::Display for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model.map(|model| model.to_string());
        let action = self.action.map(|action| format!("action={action}"));
        let parts: Vec<String> = model.into_iter().chain(action).collect();
        f.write_str(&parts.join(","))
    }
}

crate::text_field!(
    Watchdog,
    "Watchdog",
    json!({
        "type": "string",
        "x-typetext": "[[model=]i6300esb][,action=reset|shutdown|poweroff|pause|debug|none]",
    })
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_printed_as_it_was_written() {
        for text in ["i6300esb", "action=none", "i6300esb,action=poweroff"] {
            assert_eq!(text.parse::<Watchdog>().unwrap().to_string(), text);
        }
        let named: Watchdog = "action=pause,model=i6300esb".parse().unwrap();
        assert_eq!(named.to_string(), "i6300esb,action=pause");
        assert_eq!(named.action(), WatchdogAction::Pause);
        let plain: Watchdog = "i6300esb".parse().unwrap();
        assert_eq!(plain.action(), WatchdogAction::Reset);
    }

    #[test]
    fn what_no_machine_has_is_refused_by_name() {
        let error = "ib700".parse::<Watchdog>().unwrap_err();
        assert!(
            error.starts_with("model: ") && error.contains("use i6300esb"),
            "{error}"
        );
        let error = "i6300esb,action=explode".parse::<Watchdog>().unwrap_err();
        assert!(
            error.starts_with("action: ") && error.contains("poweroff"),
            "{error}"
        );
        for bad in ["", "tco", "i6300esb,timeout=5", "i6300esb,model=i6300esb"] {
            assert!(bad.parse::<Watchdog>().is_err(), "{bad}");
        }
    }
}
