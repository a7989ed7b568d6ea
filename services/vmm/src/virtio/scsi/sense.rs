//! What a drive complains about, in the fixed format (SPC-4, section 4.5.3).

/// Bytes of sense data.
pub const SENSE_LEN: usize = 18;

/// A complaint: its key, and the code that says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    key: u8,
    code: u8,
    qualifier: u8,
}

const NOT_READY: u8 = 2;
const MEDIUM_ERROR: u8 = 3;
const ILLEGAL: u8 = 5;
const ATTENTION: u8 = 6;

const fn sense(key: u8, code: u8, qualifier: u8) -> Sense {
    Sense {
        key,
        code,
        qualifier,
    }
}

impl Sense {
    /// Nothing to complain about.
    pub const NONE: Self = sense(0, 0, 0);
    /// There is no disc.
    pub const NO_MEDIUM: Self = sense(NOT_READY, 0x3a, 0);
    /// The host cannot read the disc's image.
    pub const UNREADABLE: Self = sense(MEDIUM_ERROR, 0x11, 0);
    /// The drive does not know the command.
    pub const UNKNOWN_COMMAND: Self = sense(ILLEGAL, 0x20, 0);
    /// Beyond the end of the disc.
    pub const OUT_OF_RANGE: Self = sense(ILLEGAL, 0x21, 0);
    /// A field of the command is wrong.
    pub const BAD_FIELD: Self = sense(ILLEGAL, 0x24, 0);
    /// Somebody keeps the disc from being taken out.
    pub const LOCKED: Self = sense(ILLEGAL, 0x53, 2);
    /// There may be another disc.
    pub const CHANGED: Self = sense(ATTENTION, 0x28, 0);

    /// In the fixed format.
    pub fn fixed(self) -> [u8; SENSE_LEN] {
        let mut bytes = [0; SENSE_LEN];
        bytes[0] = 0x70;
        bytes[2] = self.key;
        bytes[7] = (SENSE_LEN - 8) as u8;
        bytes[12] = self.code;
        bytes[13] = self.qualifier;
        bytes
    }
}
