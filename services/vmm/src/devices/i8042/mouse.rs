//! A PS/2 mouse with a wheel (IntelliMouse): relative movements from absolute positions.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::display::{Buttons, Position};

/// Pixels of a screen that shows nothing yet.
pub const DEFAULT_SIZE: (u32, u32) = (1024, 768);

const ACKNOWLEDGE: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const SELF_TEST_PASSED: u8 = 0xaa;
/// The sequence of sample rates by which a driver asks for the wheel.
const KNOCK: [u8; 3] = [200, 100, 80];
const PLAIN: u8 = 0;
const WHEEL: u8 = 3;
const DEFAULT_RATE: u8 = 100;
const DEFAULT_RESOLUTION: u8 = 2;
/// Bytes of movements that wait; what is over is lost, and so a guest that does not read costs nothing.
const QUEUE: usize = 128;
/// Most pixels one packet can tell.
const STEP: i32 = 255;

/// What changes while the machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MouseState {
    identity: u8,
    reporting: bool,
    /// Movements are sent when asked for.
    remote: bool,
    /// The command whose parameter comes next.
    pending: Option<u8>,
    rate: u8,
    resolution: u8,
    double: bool,
    recent_rates: [u8; 3],
    answers: VecDeque<u8>,
    packets: VecDeque<u8>,
    /// Where the pointer was, in pixels.
    place: Option<(i32, i32)>,
    buttons: u8,
}

impl Default for MouseState {
    fn default() -> Self {
        Self {
            identity: PLAIN,
            reporting: false,
            remote: false,
            pending: None,
            rate: DEFAULT_RATE,
            resolution: DEFAULT_RESOLUTION,
            double: false,
            recent_rates: [0; 3],
            answers: VecDeque::new(),
            packets: VecDeque::new(),
            place: None,
            buttons: 0,
        }
    }
}

impl MouseState {
    /// The next byte for the controller.
    pub fn take(&mut self) -> Option<u8> {
        self.answers
            .pop_front()
            .or_else(|| self.packets.pop_front())
    }

    /// The pointer is somewhere on a screen of `size` pixels.
    pub fn pointer(&mut self, at: Position, size: (u32, u32), buttons: Buttons, wheel: i8) {
        let pixel = |place: u16, size: u32| {
            let range = u64::from(size.saturating_sub(1));
            (u64::from(place.min(Position::MAX)) * range / u64::from(Position::MAX)) as i32
        };
        let place = (pixel(at.x, size.0), pixel(at.y, size.1));
        let before = self.place.replace(place).unwrap_or(place);
        let pressed =
            u8::from(buttons.left) | u8::from(buttons.right) << 1 | u8::from(buttons.middle) << 2;
        let changed = std::mem::replace(&mut self.buttons, pressed) != pressed;
        if !self.reporting || self.remote {
            return;
        }
        // Downwards is negative for a mouse, and so is a wheel turned away from the user.
        let (mut dx, mut dy) = (place.0 - before.0, before.1 - place.1);
        let mut dz = if self.identity == WHEEL { -wheel } else { 0 };
        let mut first = changed;
        while first || dx != 0 || dy != 0 || dz != 0 {
            let step = (dx.clamp(-STEP, STEP), dy.clamp(-STEP, STEP));
            self.packet(step.0, step.1, std::mem::take(&mut dz));
            (dx, dy, first) = (dx - step.0, dy - step.1, false);
        }
    }

    fn packet(&mut self, dx: i32, dy: i32, dz: i8) {
        let len = if self.identity == WHEEL { 4 } else { 3 };
        if self.packets.len() + len > QUEUE {
            return;
        }
        let signs = u8::from(dx < 0) << 4 | u8::from(dy < 0) << 5;
        self.packets
            .extend([self.buttons | 1 << 3 | signs, dx as u8, dy as u8]);
        if self.identity == WHEEL {
            self.packets.push_back(dz.clamp(-8, 7) as u8);
        }
    }

    /// The guest sends a byte.
    pub fn command(&mut self, byte: u8) {
        self.answers.clear();
        self.answers.push_back(ACKNOWLEDGE);
        match self.pending.take() {
            Some(0xf3) => return self.set_rate(byte),
            Some(0xe8) => {
                self.resolution = byte & 3;
                return;
            }
            _ => {}
        }
        match byte {
            0xe6 => self.double = false,
            0xe7 => self.double = true,
            0xe8 | 0xf3 => self.pending = Some(byte),
            0xe9 => {
                let status = u8::from(self.remote) << 6
                    | u8::from(self.reporting) << 5
                    | u8::from(self.double) << 4
                    | self.buttons;
                self.answers.extend([status, self.resolution, self.rate]);
            }
            0xea => self.remote = false,
            0xeb => {
                self.packets.clear();
                self.packet(0, 0, 0);
                self.answers.extend(std::mem::take(&mut self.packets));
            }
            0xf0 => self.remote = true,
            0xf2 => self.answers.push_back(self.identity),
            0xf4 => self.reporting = true,
            0xf5 => {
                self.reporting = false;
                self.packets.clear();
            }
            0xf6 => self.set_defaults(),
            0xff => {
                self.set_defaults();
                self.identity = PLAIN;
                self.answers.extend([SELF_TEST_PASSED, PLAIN]);
            }
            _ => {
                self.answers.clear();
                self.answers.push_back(RESEND);
            }
        }
    }

    fn set_defaults(&mut self) {
        self.reporting = false;
        self.remote = false;
        self.rate = DEFAULT_RATE;
        self.resolution = DEFAULT_RESOLUTION;
        self.double = false;
        self.packets.clear();
    }

    fn set_rate(&mut self, rate: u8) {
        self.rate = rate;
        self.recent_rates.rotate_left(1);
        self.recent_rates[2] = rate;
        if self.recent_rates == KNOCK {
            self.identity = WHEEL;
        }
    }
}
