//! A PS/2 keyboard: scan code set 2, which every driver asks for or the controller translates.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::codes;
use crate::display::Key;

const ACKNOWLEDGE: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const SELF_TEST_PASSED: u8 = 0xaa;
const ECHO: u8 = 0xee;
/// What the keyboard says it is.
const IDENTITY: [u8; 2] = [0xab, 0x83];
const SET: u8 = 2;
/// Bytes of keys that wait; a key that does not fit whole is lost, as on a real keyboard.
const QUEUE: usize = 64;

/// What changes while the machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyboardState {
    scanning: bool,
    /// The command whose parameter comes next.
    pending: Option<u8>,
    /// Answers go before keys.
    answers: VecDeque<u8>,
    keys: VecDeque<u8>,
}

impl Default for KeyboardState {
    fn default() -> Self {
        Self {
            scanning: true,
            pending: None,
            answers: VecDeque::new(),
            keys: VecDeque::new(),
        }
    }
}

impl KeyboardState {
    /// The next byte for the controller.
    pub fn take(&mut self) -> Option<u8> {
        self.answers.pop_front().or_else(|| self.keys.pop_front())
    }

    /// A key goes down or up.
    pub fn key(&mut self, key: Key, down: bool) {
        let bytes = codes::set_2(key, down);
        if self.scanning && self.keys.len() + bytes.len() <= QUEUE {
            self.keys.extend(bytes);
        }
    }

    /// The guest sends a byte.
    pub fn command(&mut self, byte: u8) {
        // A new command takes back what was not fetched of the last one's answer.
        self.answers.clear();
        if let Some(command) = self.pending.take()
            && byte < 0xed
        {
            self.answers.push_back(ACKNOWLEDGE);
            // Scan code set 0 asks which one it is. Lights and repeat rates have nothing to change.
            if command == 0xf0 && byte == 0 {
                self.answers.push_back(SET);
            }
            return;
        }
        match byte {
            0xed | 0xf0 | 0xf3 => {
                self.pending = Some(byte);
                self.answers.push_back(ACKNOWLEDGE);
            }
            ECHO => self.answers.push_back(ECHO),
            0xf2 => {
                self.answers.push_back(ACKNOWLEDGE);
                self.answers.extend(IDENTITY);
            }
            0xf4 => self.start(true),
            0xf5 => self.start(false),
            0xf6 => self.start(true),
            0xff => {
                self.start(true);
                self.answers.push_back(SELF_TEST_PASSED);
            }
            _ => self.answers.push_back(RESEND),
        }
    }

    fn start(&mut self, scanning: bool) {
        self.scanning = scanning;
        self.keys.clear();
        self.answers.push_back(ACKNOWLEDGE);
    }
}
