//! Serial ports of a virtual machine.

use crate::words;
use serde_json::json;
use std::fmt;
use std::str::FromStr;

words! {
    /// A serial port by its name; the guest has them as COM1 to COM4.
    pub enum SerialName {
        /// The first, which every machine has.
        Serial0 = "serial0",
        /// The second.
        Serial1 = "serial1",
        /// The third.
        Serial2 = "serial2",
        /// The fourth.
        Serial3 = "serial3",
    }
}

impl SerialName {
    /// Its number, from 0 on.
    pub fn index(self) -> u8 {
        self as u8
    }
}

/// What a serial port is connected to: a socket of the host, a console of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SerialPort;

const SOCKET: &str = "socket";

impl FromStr for SerialPort {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            SOCKET => Ok(Self),
            device if device.starts_with("/dev/") => Err(format!(
                "a machine cannot have the host's device '{device}': its process opens nothing of the \
                 host. Use socket, and join the two on the host or in the guest's network"
            )),
            other => Err(format!(
                "'{other}' is not the only thing it can be: use {SOCKET}"
            )),
        }
    }
}

impl fmt::Display for SerialPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SOCKET)
    }
}

crate::text_field!(
    SerialPort,
    "SerialPort",
    // No `enum`, which would answer for what is refused here with more to say.
    json!({"type": "string", "x-typetext": SOCKET})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_from_the_first() {
        let indices = SerialName::ALL.iter().map(|name| name.index());
        assert_eq!(indices.collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_device_of_the_host_is_refused_with_what_to_do() {
        assert!("socket".parse::<SerialPort>().is_ok());
        let error = "/dev/ttyUSB0".parse::<SerialPort>().unwrap_err();
        assert!(
            error.contains("/dev/ttyUSB0") && error.contains("Use socket"),
            "{error}"
        );
        assert!("pty".parse::<SerialPort>().is_err());
    }
}
