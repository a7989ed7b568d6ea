//! The registers of a module with the command response buffer interface, at locality 0 (TCG PC Client
//! Platform TPM Profile 1.03, section 5.5.2).
//!
//! ```text
//! Idle ── cmdReady ──▶ Ready ── start ──▶ Running
//!  ▲                    │ ▲                 │
//!  └────── goIdle ──────┘ └── the module ───┘
//!                               answered
//! ```
//!
//! An answer may be followed by the next command at once: drivers ask for `cmdReady` only before the first
//! of several.

use serde::{Deserialize, Serialize};

/// Where the registers are.
pub const BASE: u64 = 0xfed4_0000;
/// How many bytes they take: those of one locality.
pub const LEN: u64 = 0x1000;
/// Where the control area begins, for ACPI's table.
pub const CONTROL_AREA: u64 = BASE + CTRL_REQ as u64;
/// Bytes of the buffer for commands and answers.
pub const BUFFER_SIZE: usize = LEN as usize - DATA_BUFFER;
/// Bytes before a command's or answer's own: tag, length of all, code.
pub const HEADER: usize = 10;

const LOC_STATE: usize = 0x00;
const LOC_CTRL: usize = 0x08;
const LOC_STS: usize = 0x0c;
const INTF_ID: usize = 0x30;
const INTF_ID_HIGH: usize = 0x34;
const CTRL_REQ: usize = 0x40;
const CTRL_STS: usize = 0x44;
const CTRL_START: usize = 0x4c;
const CTRL_CMD_SIZE: usize = 0x58;
const CTRL_CMD_LADDR: usize = 0x5c;
const CTRL_RSP_SIZE: usize = 0x64;
const CTRL_RSP_LADDR: usize = 0x68;
const DATA_BUFFER: usize = 0x80;

/// No dynamic root of trust was ever measured: the bit counts the other way.
const NOT_ESTABLISHED: u32 = 1 << 0;
const ASSIGNED: u32 = 1 << 1;
const REGISTERS_VALID: u32 = 1 << 7;
const REQUEST_ACCESS: u32 = 1 << 0;
const RELINQUISH: u32 = 1 << 1;
const GRANTED: u32 = 1 << 0;
const CMD_READY: u32 = 1 << 0;
const GO_IDLE: u32 = 1 << 1;
const STS_ERROR: u32 = 1 << 0;
const STS_IDLE: u32 = 1 << 1;
const START: u32 = 1 << 0;
/// Interface of kind and version 1, which is the only one and chosen; transfers of 64 bytes; locality 0
/// alone; goes idle for each command.
const INTERFACE: u32 = 1 | 1 << 4 | 0b11 << 11 | 1 << 14 | 1 << 17;
/// Vendor and device: those by which guests know an emulated module.
const IDENTITY: u32 = 0x0001_1014;

const TAG_NO_SESSIONS: u16 = 0x8001;
const RC_COMMAND_SIZE: u32 = 0x142;
const RC_FAILURE: u32 = 0x101;

/// What the module does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Idle,
    // Machines that were saved by earlier versions may have the alias.
    #[serde(alias = "Done")]
    Ready,
    Running,
}

/// The registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crb {
    granted: bool,
    phase: Phase,
    /// The module is out of order.
    failed: bool,
    buffer: Vec<u8>,
}

impl Default for Crb {
    fn default() -> Self {
        Self {
            granted: false,
            phase: Phase::Idle,
            failed: false,
            buffer: vec![0; BUFFER_SIZE],
        }
    }
}

impl Crb {
    /// The guest reads; `offset` counts from [`BASE`].
    pub fn read(&self, offset: usize, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            *byte = match at.checked_sub(DATA_BUFFER) {
                Some(at) => self.buffer.get(at).copied().unwrap_or(0xff),
                None => self.register(at & !3).to_le_bytes()[at & 3],
            };
        }
    }

    fn register(&self, offset: usize) -> u32 {
        let when = |condition: bool, bit: u32| if condition { bit } else { 0 };
        match offset {
            LOC_STATE => NOT_ESTABLISHED | when(self.granted, ASSIGNED) | REGISTERS_VALID,
            LOC_STS => when(self.granted, GRANTED),
            INTF_ID => INTERFACE,
            INTF_ID_HIGH => IDENTITY,
            CTRL_STS => when(self.failed, STS_ERROR) | when(self.phase == Phase::Idle, STS_IDLE),
            CTRL_START => when(self.phase == Phase::Running, START),
            CTRL_CMD_SIZE | CTRL_RSP_SIZE => BUFFER_SIZE as u32,
            CTRL_CMD_LADDR | CTRL_RSP_LADDR => BASE as u32 + DATA_BUFFER as u32,
            _ => 0,
        }
    }

    /// The guest writes. Returns a command for the module, which is to be answered by [`Self::finish`].
    pub fn write(&mut self, offset: usize, data: &[u8]) -> Option<Vec<u8>> {
        let mut registers: Vec<(usize, u32)> = Vec::new();
        for (at, byte) in (offset..).zip(data) {
            if let Some(at) = at.checked_sub(DATA_BUFFER) {
                self.fill(at, *byte);
                continue;
            }
            let (register, bits) = (at & !3, u32::from(*byte) << (8 * (at & 3)));
            match registers.last_mut() {
                Some((last, value)) if *last == register => *value |= bits,
                _ => registers.push((register, bits)),
            }
        }
        let mut command = None;
        for (register, value) in registers {
            command = self.order(register, value).or(command);
        }
        command
    }

    /// The module works on what is in the buffer while it runs.
    fn fill(&mut self, at: usize, byte: u8) {
        if self.phase != Phase::Running
            && let Some(place) = self.buffer.get_mut(at)
        {
            *place = byte;
        }
    }

    fn order(&mut self, register: usize, value: u32) -> Option<Vec<u8>> {
        let runs = self.phase == Phase::Running;
        match register {
            LOC_CTRL if value & RELINQUISH != 0 => self.granted = false,
            LOC_CTRL if value & REQUEST_ACCESS != 0 => self.granted = true,
            CTRL_REQ if runs || !self.granted => {}
            CTRL_REQ if value & GO_IDLE != 0 => self.phase = Phase::Idle,
            CTRL_REQ if value & CMD_READY != 0 => self.phase = Phase::Ready,
            CTRL_START if value & START != 0 && self.granted && self.phase == Phase::Ready => {
                return self.start();
            }
            _ => {}
        }
        None
    }

    fn start(&mut self) -> Option<Vec<u8>> {
        self.phase = Phase::Running;
        let len = length(&self.buffer);
        let command = len.and_then(|len| self.buffer.get(..len));
        match command {
            Some(command) => Some(command.to_vec()),
            None => {
                self.answer(&refusal(RC_COMMAND_SIZE));
                None
            }
        }
    }

    /// The module's answer to the command that runs, or none when it is out of order.
    pub fn finish(&mut self, answer: Option<&[u8]>) {
        let sound = answer.filter(|answer| {
            let whole = length(answer) == Some(answer.len());
            whole && answer.len() <= BUFFER_SIZE
        });
        match sound {
            Some(answer) => self.answer(answer),
            None => {
                self.failed = true;
                self.answer(&refusal(RC_FAILURE));
            }
        }
    }

    fn answer(&mut self, answer: &[u8]) {
        if let Some(place) = self.buffer.get_mut(..answer.len()) {
            place.copy_from_slice(answer);
        }
        self.phase = Phase::Ready;
    }

    /// Whether the registers can be those of a module that stands.
    pub fn is_sound(&self) -> bool {
        self.buffer.len() == BUFFER_SIZE && self.phase != Phase::Running
    }
}

/// What a command or an answer says of its length, if it can be so long.
pub fn length(message: &[u8]) -> Option<usize> {
    let bytes = message.get(2..6)?.try_into().ok()?;
    let len = usize::try_from(u32::from_be_bytes(bytes)).ok()?;
    (len >= HEADER && message.len() >= HEADER).then_some(len)
}

/// An answer that is nothing but a code.
pub fn refusal(code: u32) -> [u8; HEADER] {
    let mut answer = [0; HEADER];
    answer[..2].copy_from_slice(&TAG_NO_SESSIONS.to_be_bytes());
    answer[2..6].copy_from_slice(&(HEADER as u32).to_be_bytes());
    answer[6..].copy_from_slice(&code.to_be_bytes());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(crb: &Crb, register: usize) -> u32 {
        let mut data = [0; 4];
        crb.read(register, &mut data);
        u32::from_le_bytes(data)
    }

    fn set(crb: &mut Crb, register: usize, value: u32) -> Option<Vec<u8>> {
        crb.write(register, &value.to_le_bytes())
    }

    fn ready() -> Crb {
        let mut crb = Crb::default();
        set(&mut crb, LOC_CTRL, REQUEST_ACCESS);
        set(&mut crb, CTRL_REQ, CMD_READY);
        crb
    }

    /// `TPM2_Startup(CLEAR)`.
    const STARTUP: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0];

    #[test]
    fn a_driver_finds_the_interface_and_its_buffer() {
        let crb = Crb::default();
        assert_eq!(get(&crb, INTF_ID) & 0xff, 0x11);
        assert_eq!(get(&crb, LOC_STATE) & REGISTERS_VALID, REGISTERS_VALID);
        assert_eq!(get(&crb, CTRL_CMD_LADDR), 0xfed4_0080);
        assert_eq!(get(&crb, CTRL_RSP_LADDR), 0xfed4_0080);
        assert_eq!(get(&crb, CTRL_CMD_SIZE), 3968);
        assert_eq!(get(&crb, CTRL_STS), STS_IDLE);
        let mut wide = [0; 8];
        crb.read(INTF_ID, &mut wide);
        assert_eq!(wide[4..6], [0x14, 0x10]);
    }

    #[test]
    fn a_command_runs_and_is_answered() {
        let mut crb = Crb::default();
        assert_eq!(set(&mut crb, CTRL_START, START), None, "nobody has it");
        set(&mut crb, LOC_CTRL, REQUEST_ACCESS);
        assert_eq!(get(&crb, LOC_STS), GRANTED);
        assert_eq!(set(&mut crb, CTRL_START, START), None, "it is idle");
        set(&mut crb, CTRL_REQ, CMD_READY);
        assert_eq!(get(&crb, CTRL_STS), 0);
        crb.write(DATA_BUFFER, &STARTUP);
        let command = set(&mut crb, CTRL_START, START).unwrap();
        assert_eq!(command, STARTUP);
        assert_eq!(get(&crb, CTRL_START), START);
        // What the driver does meanwhile changes nothing.
        crb.write(DATA_BUFFER, &[0; 4]);
        set(&mut crb, CTRL_REQ, GO_IDLE);
        assert_eq!(set(&mut crb, CTRL_START, START), None);
        let answer = refusal(0);
        crb.finish(Some(&answer));
        assert_eq!((get(&crb, CTRL_START), get(&crb, CTRL_STS)), (0, 0));
        let mut seen = [0; HEADER];
        crb.read(DATA_BUFFER, &mut seen);
        assert_eq!(seen, answer);
        // The next one follows at once.
        crb.write(DATA_BUFFER, &STARTUP);
        assert_eq!(set(&mut crb, CTRL_START, START).unwrap(), STARTUP);
        assert_eq!(get(&crb, CTRL_START), START);
        crb.finish(Some(&answer));
        set(&mut crb, CTRL_REQ, GO_IDLE);
        set(&mut crb, LOC_CTRL, RELINQUISH);
        assert_eq!(get(&crb, CTRL_STS), STS_IDLE);
        assert_eq!(get(&crb, LOC_STS), 0);
    }

    #[test]
    fn a_command_of_no_length_is_refused_by_the_interface() {
        for len in [0, 9, 3969, u32::MAX] {
            let mut crb = ready();
            crb.write(DATA_BUFFER + 2, &len.to_be_bytes());
            assert_eq!(set(&mut crb, CTRL_START, START), None);
            let mut seen = [0; HEADER];
            crb.read(DATA_BUFFER, &mut seen);
            assert_eq!(seen, refusal(RC_COMMAND_SIZE));
            assert_eq!(get(&crb, CTRL_STS), 0);
        }
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_a_failure() {
        let long = vec![0; BUFFER_SIZE + 1];
        for answer in [None, Some(&[][..]), Some(&refusal(0)[..9]), Some(&long)] {
            let mut crb = ready();
            crb.write(DATA_BUFFER, &STARTUP);
            set(&mut crb, CTRL_START, START).unwrap();
            crb.finish(answer);
            assert_eq!(get(&crb, CTRL_STS), STS_ERROR);
            let mut seen = [0; HEADER];
            crb.read(DATA_BUFFER, &mut seen);
            assert_eq!(seen, refusal(RC_FAILURE));
        }
    }

    #[test]
    fn accesses_of_any_size_reach_what_they_name() {
        let mut crb = ready();
        for offset in (0..LEN as usize).chain([LEN as usize - 1]) {
            crb.read(offset, &mut [0; 8]);
            // No zero byte orders anything.
            assert_eq!(crb.write(offset, &[0; 8]), None);
        }
        crb.write(DATA_BUFFER, &STARTUP);
        assert!(crb.write(CTRL_START, &[1]).is_some(), "one byte is enough");
    }
}
