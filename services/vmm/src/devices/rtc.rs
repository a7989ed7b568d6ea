//! The real-time clock and its battery-backed memory (MC146818): the host's time, moved by what the
//! guest sets, and the bytes in which firmware looks for the size of memory.
//!
//! It raises no interrupts: the alarm and update bits are kept, and nothing follows from them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::bus::PortDevice;
use crate::machine::layout::{MIB, split_memory};

/// Number of ports: index and data.
pub const LEN: u16 = 2;
const INDEX: u16 = 0;
const DATA: u16 = 1;
const SIZE: usize = 128;

const SECONDS: usize = 0x00;
const MINUTES: usize = 0x02;
const HOURS: usize = 0x04;
const WEEKDAY: usize = 0x06;
const DAY: usize = 0x07;
const MONTH: usize = 0x08;
const YEAR: usize = 0x09;
const STATUS_A: usize = 0x0a;
const STATUS_B: usize = 0x0b;
const STATUS_C: usize = 0x0c;
const STATUS_D: usize = 0x0d;
const CENTURY: usize = 0x32;
/// Memory between 16 MiB and the hole, in units of 64 KiB.
const LOW_MEMORY: usize = 0x34;
/// Memory above 4 GiB, in units of 64 KiB, three bytes.
const HIGH_MEMORY: usize = 0x5b;
const MEMORY_UNIT: u64 = 64 << 10;

/// 32.768 kHz, the rate after power-on.
const STATUS_A_RESET: u8 = 0x26;
/// Update in progress: never seen, since a read is one instant.
const UPDATING: u8 = 1 << 7;
const HALT: u8 = 1 << 7;
const BINARY: u8 = 1 << 2;
const HOURS_24: u8 = 1 << 1;
const AFTERNOON: u8 = 1 << 7;
/// The battery is good.
const VALID: u8 = 1 << 7;

const DAY_SECONDS: i64 = 86_400;

/// What changes while the machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtcState {
    index: u8,
    /// Seconds the guest's clock is ahead of the host's.
    ahead: i64,
    /// All registers; those of the clock hold what the guest set last.
    registers: Vec<u8>,
}

/// The clock.
pub struct Rtc(Mutex<RtcState>);

impl Rtc {
    /// The clock of a machine with `memory` bytes.
    pub fn new(memory: u64) -> Self {
        let mut registers = vec![0; SIZE];
        registers[STATUS_A] = STATUS_A_RESET;
        registers[STATUS_B] = HOURS_24;
        let (low, high) = split_memory(memory);
        let units = (low.saturating_sub(16 * MIB) / MEMORY_UNIT).min(0xffff);
        registers[LOW_MEMORY..LOW_MEMORY + 2].copy_from_slice(&(units as u16).to_le_bytes());
        let units = (high / MEMORY_UNIT).min(0xff_ffff) as u32;
        registers[HIGH_MEMORY..HIGH_MEMORY + 3].copy_from_slice(&units.to_le_bytes()[..3]);
        Self(Mutex::new(RtcState {
            index: 0,
            ahead: 0,
            registers,
        }))
    }

    fn state(&self) -> MutexGuard<'_, RtcState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock's state.
    pub fn save(&self) -> RtcState {
        self.state().clone()
    }

    /// Takes over a state.
    pub fn restore(&self, mut state: RtcState) {
        state.registers.resize(SIZE, 0);
        state.index &= 0x7f;
        *self.state() = state;
    }
}

/// A moment as the clock's registers show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    seconds: u8,
    minutes: u8,
    hours: u8,
    /// 1 is Sunday.
    weekday: u8,
    day: u8,
    month: u8,
    year: i64,
}

impl Moment {
    /// From seconds since 1970, by the proleptic Gregorian calendar. Years are counted from March, so
    /// that the leap day is the last of its year.
    fn from_unix(time: i64) -> Self {
        let (days, second) = (time.div_euclid(DAY_SECONDS), time.rem_euclid(DAY_SECONDS));
        // Days since 1 March of the year 0; an era has 400 years.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Self {
            seconds: (second % 60) as u8,
            minutes: (second / 60 % 60) as u8,
            hours: (second / 3600) as u8,
            // 1 January 1970 was a Thursday.
            weekday: ((days + 4).rem_euclid(7) + 1) as u8,
            day: (day_of_year - (153 * from_march + 2) / 5 + 1) as u8,
            month: month as u8,
            year: year_of_era + era * 400 + i64::from(month <= 2),
        }
    }

    /// Seconds since 1970.
    fn to_unix(self) -> i64 {
        let month = i64::from(self.month.clamp(1, 12));
        let year = self.year - i64::from(month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (month + 9) % 12;
        let day_of_year = (153 * from_march + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let clock = i64::from(self.hours) * 3600 + i64::from(self.minutes) * 60;
        days * DAY_SECONDS + clock + i64::from(self.seconds)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs() as i64)
}

impl RtcState {
    fn moment(&self) -> Moment {
        Moment::from_unix(now().saturating_add(self.ahead))
    }

    fn encode(&self, value: u8) -> u8 {
        if self.registers[STATUS_B] & BINARY != 0 {
            value
        } else {
            ((value / 10) << 4) | (value % 10)
        }
    }

    fn decode(&self, value: u8) -> u8 {
        if self.registers[STATUS_B] & BINARY != 0 {
            value
        } else {
            (value >> 4).saturating_mul(10).saturating_add(value & 0xf)
        }
    }

    fn encode_hours(&self, hours: u8) -> u8 {
        if self.registers[STATUS_B] & HOURS_24 != 0 {
            return self.encode(hours);
        }
        let twelve = if hours.is_multiple_of(12) {
            12
        } else {
            hours % 12
        };
        let half = if hours >= 12 { AFTERNOON } else { 0 };
        self.encode(twelve) | half
    }

    fn decode_hours(&self, value: u8) -> u8 {
        if self.registers[STATUS_B] & HOURS_24 != 0 {
            return self.decode(value);
        }
        let half = if value & AFTERNOON != 0 { 12 } else { 0 };
        self.decode(value & !AFTERNOON) % 12 + half
    }

    fn read(&self, index: usize) -> u8 {
        let halted = self.registers[STATUS_B] & HALT != 0;
        match index {
            STATUS_C => 0,
            STATUS_D => VALID,
            SECONDS | MINUTES | HOURS | WEEKDAY | DAY | MONTH | YEAR | CENTURY if !halted => {
                self.clock(&self.moment(), index)
            }
            _ => self.registers[index],
        }
    }

    fn clock(&self, moment: &Moment, index: usize) -> u8 {
        match index {
            SECONDS => self.encode(moment.seconds),
            MINUTES => self.encode(moment.minutes),
            HOURS => self.encode_hours(moment.hours),
            WEEKDAY => self.encode(moment.weekday),
            DAY => self.encode(moment.day),
            MONTH => self.encode(moment.month),
            YEAR => self.encode(moment.year.rem_euclid(100) as u8),
            _ => self.encode((moment.year.div_euclid(100).rem_euclid(100)) as u8),
        }
    }

    fn write(&mut self, index: usize, value: u8) {
        match index {
            STATUS_A => self.registers[STATUS_A] = value & !UPDATING,
            STATUS_B => self.write_status_b(value),
            STATUS_C | STATUS_D => {}
            SECONDS | MINUTES | HOURS | WEEKDAY | DAY | MONTH | YEAR | CENTURY => {
                self.set_clock(index, value);
            }
            _ => self.registers[index] = value,
        }
    }

    /// While the clock is halted its registers are plain memory; it goes on from what they hold.
    fn write_status_b(&mut self, value: u8) {
        let (before, after) = (self.registers[STATUS_B] & HALT, value & HALT);
        if before == 0 && after != 0 {
            self.freeze();
        }
        if before != 0 && after == 0 {
            // Read by the new format: the guest writes it together with the order to go on.
            self.registers[STATUS_B] = value;
            self.thaw();
        }
        self.registers[STATUS_B] = value;
    }

    fn freeze(&mut self) {
        let moment = self.moment();
        for index in [SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY] {
            self.registers[index] = self.clock(&moment, index);
        }
    }

    fn thaw(&mut self) {
        let get = |index: usize| self.decode(self.registers[index]);
        let moment = Moment {
            seconds: get(SECONDS),
            minutes: get(MINUTES),
            hours: self.decode_hours(self.registers[HOURS]),
            weekday: 0,
            day: get(DAY),
            month: get(MONTH),
            year: i64::from(get(CENTURY)) * 100 + i64::from(get(YEAR)),
        };
        self.ahead = moment.to_unix() - now();
    }

    fn set_clock(&mut self, index: usize, value: u8) {
        let running = self.registers[STATUS_B] & HALT == 0;
        if running {
            self.freeze();
        }
        self.registers[index] = value;
        if running {
            self.thaw();
        }
    }
}

impl PortDevice for Rtc {
    fn read(&self, offset: u16, data: &mut [u8]) {
        if offset == DATA
            && let Some(byte) = data.first_mut()
        {
            let state = self.state();
            *byte = state.read(usize::from(state.index));
        }
    }

    fn write(&self, offset: u16, data: &[u8]) {
        let Some(value) = data.first() else { return };
        let mut state = self.state();
        match offset {
            // The top bit masks non-maskable interrupts on real machines.
            INDEX => state.index = value & 0x7f,
            _ => {
                let index = usize::from(state.index);
                state.write(index, *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(rtc: &Rtc, index: usize) -> u8 {
        rtc.write(INDEX, &[index as u8]);
        let mut byte = [0];
        rtc.read(DATA, &mut byte);
        byte[0]
    }

    fn set(rtc: &Rtc, index: usize, value: u8) {
        rtc.write(INDEX, &[index as u8]);
        rtc.write(DATA, &[value]);
    }

    #[test]
    fn moments_convert_both_ways() {
        for (time, year, month, day, weekday) in [
            (0, 1970, 1, 1, 5),
            (951_782_400, 2000, 2, 29, 3),
            (1_709_251_199, 2024, 2, 29, 5),
            (1_798_761_599, 2026, 12, 31, 5),
            (4_102_444_800, 2100, 1, 1, 6),
        ] {
            let moment = Moment::from_unix(time);
            assert_eq!((moment.year, moment.month, moment.day), (year, month, day));
            assert_eq!(moment.weekday, weekday, "{time}");
            assert_eq!(moment.to_unix(), time);
        }
    }

    #[test]
    fn the_clock_shows_the_hosts_time() {
        let rtc = Rtc::new(64 * MIB);
        let bcd = |value: u8| i64::from(value >> 4) * 10 + i64::from(value & 0xf);
        let before = now();
        let year = bcd(get(&rtc, CENTURY)) * 100 + bcd(get(&rtc, YEAR));
        let hour = bcd(get(&rtc, HOURS));
        let after = now();
        let (first, last) = (Moment::from_unix(before), Moment::from_unix(after));
        assert!((first.year..=last.year).contains(&year));
        assert!(hour == i64::from(first.hours) || hour == i64::from(last.hours));
        assert_eq!(get(&rtc, STATUS_D), VALID);
        assert_eq!(get(&rtc, STATUS_A) & UPDATING, 0);
    }

    #[test]
    fn a_guest_sets_its_own_time() {
        let rtc = Rtc::new(64 * MIB);
        set(&rtc, STATUS_B, HALT | HOURS_24);
        for (index, value) in [
            (SECONDS, 0x00),
            (MINUTES, 0x30),
            (HOURS, 0x23),
            (DAY, 0x29),
            (MONTH, 0x02),
            (YEAR, 0x28),
            (CENTURY, 0x20),
        ] {
            set(&rtc, index, value);
        }
        set(&rtc, STATUS_B, HOURS_24);
        assert_eq!(get(&rtc, MINUTES), 0x30);
        assert_eq!((get(&rtc, DAY), get(&rtc, MONTH)), (0x29, 0x02));
        // 29 February 2028 is a Tuesday.
        assert_eq!(get(&rtc, WEEKDAY), 3);
        set(&rtc, STATUS_B, BINARY);
        assert_eq!(get(&rtc, HOURS), 11 | AFTERNOON);
        let copy = Rtc::new(64 * MIB);
        copy.restore(rtc.save());
        assert_eq!(get(&copy, YEAR), 28);
    }

    #[test]
    fn memory_sizes_are_where_firmware_looks() {
        let rtc = Rtc::new(512 * MIB);
        let low = u64::from(get(&rtc, 0x34)) | u64::from(get(&rtc, 0x35)) << 8;
        assert_eq!(low * MEMORY_UNIT + 16 * MIB, 512 * MIB);
        assert_eq!(get(&rtc, 0x5b), 0);
        let rtc = Rtc::new(8192 * MIB);
        let high = (0x5b..=0x5d)
            .rev()
            .fold(0, |all, index| all << 8 | u64::from(get(&rtc, index)));
        assert_eq!(high * MEMORY_UNIT, split_memory(8192 * MIB).1);
    }

    #[test]
    fn any_register_takes_any_value() {
        let rtc = Rtc::new(64 * MIB);
        for index in 0..=255u8 {
            for value in [0, 0x7f, 0x80, 0x99, 0xff] {
                set(&rtc, usize::from(index), value);
                get(&rtc, usize::from(index));
            }
        }
    }
}
