//! The host bridge's own registers (Q35's MCH, device 0): where configuration space is, and which memory is
//! system management mode's.
//!
//! In a machine with that mode, the end of the memory below the hole (TSEG) is hidden from all other modes
//! while it is closed: `T_EN` and `G_SMRAME` are set. `D_LCK` makes the registers that say so read-only
//! until the machine is reset (Intel 3 series datasheet, registers SMRAM and ESMRAMC). TSEG has one size,
//! told by the register that QEMU added for sizes of its own (EXT_TSEG_MBYTES). The registers that decide
//! what lies below 1 MiB keep what is written to them: there is memory, always.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::config::{ConfigSpace, Identity};
use super::{PciDevice, Window};
use crate::machine::layout::{ECAM, ECAM_ALL_BUSES, TSEG_MIB};

/// Where Q35's bridge keeps the address of configuration space.
const PCIEXBAR: usize = 0x60;
/// Its bits: 256 MiB steps below 64 GiB, the size (bits 1 and 2), and whether it is on.
const PCIEXBAR_WRITABLE: u64 = 0xf_f000_0007;
pub(super) const PCIEXBAR_ON: u64 = 1;
/// Attributes of the memory below 1 MiB: seven registers.
const PAM: usize = 0x90;
/// Size of TSEG in MiB.
const EXT_TSEG_MBYTES: usize = 0x50;
/// Control of system management memory.
const SMRAM: usize = 0x9d;
/// Its bits: open below 1 MiB (bit 6) or closed to data (bit 5), locked, and in use at all; the lowest
/// name its place below 1 MiB and are fixed.
const D_OPEN: u8 = 1 << 6;
const D_CLS: u8 = 1 << 5;
const D_LCK: u8 = 1 << 4;
const G_SMRAME: u8 = 1 << 3;
const C_BASE_SEG: u8 = 0b010;
/// The same of what lies above 1 MiB.
const ESMRAMC: usize = 0x9e;
/// Its bits: caches are on, TSEG has the size that [`EXT_TSEG_MBYTES`] tells, and is system management
/// mode's alone.
const SM_CACHES: u8 = 0b0011_1000;
const TSEG_EXTENDED: u8 = 0b0110;
const T_EN: u8 = 1 << 0;
/// Where configuration space is while it is off: no address reaches there.
const NOWHERE: u64 = u64::MAX;

/// The memory of system management mode.
pub trait Smram: Send + Sync {
    /// Lets processors in other modes see it, or no longer.
    fn open(&self, open: bool);
}

/// The registers.
pub(super) struct Bridge {
    space: Mutex<ConfigSpace>,
    /// Where all of configuration space is, read by every access to a window.
    ecam: AtomicU64,
    smram: Option<Arc<dyn Smram>>,
}

impl Bridge {
    /// A bridge; with `firmware` configuration space is off until that switches it on.
    pub(super) fn new(firmware: bool) -> Self {
        let mut space = ConfigSpace::new(Identity {
            vendor: 0x8086,
            device: 0x29c0,
            class: [0x06, 0, 0],
            revision: 0,
            subsystem: (0x1af4, 0x1100),
        });
        space.allow(PCIEXBAR, &PCIEXBAR_WRITABLE.to_le_bytes());
        space.allow(PAM, &[0x33; 7]);
        space.allow(SMRAM, &[D_OPEN | G_SMRAME, 0x87]);
        if !firmware {
            space.put(PCIEXBAR, &(ECAM | PCIEXBAR_ON).to_le_bytes());
        }
        let bridge = Self {
            space: Mutex::new(space),
            ecam: AtomicU64::new(NOWHERE),
            smram: None,
        };
        bridge.follow(&mut bridge.lock());
        bridge
    }

    /// A bridge of a machine with firmware and system management mode, whose memory is open.
    pub(super) fn with_smram(smram: Arc<dyn Smram>) -> Self {
        let bridge = Self::new(true);
        let mut space = bridge.lock();
        space.put(EXT_TSEG_MBYTES, &TSEG_MIB.to_le_bytes());
        space.put(SMRAM, &[C_BASE_SEG, SM_CACHES | TSEG_EXTENDED]);
        space.allow(SMRAM, &[D_OPEN | D_CLS | D_LCK | G_SMRAME, T_EN]);
        drop(space);
        Self {
            smram: Some(smram),
            ..bridge
        }
    }

    fn lock(&self) -> MutexGuard<'_, ConfigSpace> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where all of configuration space is.
    pub(super) fn ecam(&self) -> u64 {
        self.ecam.load(Ordering::Acquire)
    }

    /// The registers' values.
    pub(super) fn save(&self) -> Vec<u8> {
        self.lock().save()
    }

    /// Takes over saved values. `false` when they are another bridge's.
    pub(super) fn restore(&self, saved: &[u8]) -> bool {
        let mut space = self.lock();
        let same = space.restore(saved);
        if same {
            self.follow(&mut space);
        }
        same
    }

    /// Does what the registers say. They stay locked meanwhile: of two processors that change them, the
    /// later one has the last word.
    fn follow(&self, space: &mut ConfigSpace) {
        let register =
            u64::from(space.dword(PCIEXBAR + 4)) << 32 | u64::from(space.dword(PCIEXBAR));
        let base = if register & PCIEXBAR_ON != 0 {
            register & PCIEXBAR_WRITABLE & !(ECAM_ALL_BUSES - 1)
        } else {
            NOWHERE
        };
        self.ecam.store(base, Ordering::Release);
        let Some(smram) = &self.smram else { return };
        let [control, extended] = space.word(SMRAM).to_le_bytes();
        if control & D_LCK != 0 {
            space.put(SMRAM, &[control & !D_OPEN]);
            space.allow(SMRAM, &[0, 0]);
        }
        smram.open(control & G_SMRAME == 0 || extended & T_EN == 0);
    }
}

impl PciDevice for Bridge {
    fn config_read(&self, offset: usize, data: &mut [u8]) {
        self.lock().read(offset, data);
    }
    fn config_write(&self, offset: usize, data: &[u8]) {
        let mut space = self.lock();
        space.write(offset, data);
        self.follow(&mut space);
    }
    fn windows(&self) -> Vec<Window> {
        Vec::new()
    }
    fn window_read(&self, _bar: u8, _offset: u64, _data: &mut [u8]) {}
    fn window_write(&self, _bar: u8, _offset: u64, _data: &[u8]) {}
}

const _: () = assert!(ESMRAMC == SMRAM + 1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[derive(Default)]
    struct Memory {
        closed: AtomicBool,
    }

    impl Smram for Memory {
        fn open(&self, open: bool) {
            self.closed.store(!open, Ordering::Relaxed);
        }
    }

    impl Memory {
        fn is_open(&self) -> bool {
            !self.closed.load(Ordering::Relaxed)
        }
    }

    fn bridge() -> (Bridge, Arc<Memory>) {
        let memory = Arc::new(Memory::default());
        (Bridge::with_smram(memory.clone()), memory)
    }

    fn read(bridge: &Bridge, offset: usize) -> u8 {
        let mut byte = [0];
        bridge.config_read(offset, &mut byte);
        byte[0]
    }

    /// The steps by which OVMF finds, closes, opens and locks the memory.
    #[test]
    fn firmware_closes_and_locks_the_memory() {
        let (bridge, memory) = bridge();
        bridge.config_write(EXT_TSEG_MBYTES, &[0xff, 0xff]);
        assert_eq!(u16::from(read(&bridge, EXT_TSEG_MBYTES)), TSEG_MIB);
        let extended = read(&bridge, ESMRAMC);
        assert_eq!(extended & SM_CACHES, SM_CACHES);
        bridge.config_write(ESMRAMC, &[extended & !TSEG_EXTENDED | T_EN]);
        assert_eq!(read(&bridge, ESMRAMC), extended | T_EN, "there is one size");
        assert!(memory.is_open());
        bridge.config_write(SMRAM, &[read(&bridge, SMRAM) | G_SMRAME]);
        assert!(!memory.is_open());
        bridge.config_write(ESMRAMC, &[extended]);
        assert!(memory.is_open());
        bridge.config_write(ESMRAMC, &[extended | T_EN]);
        bridge.config_write(SMRAM, &[D_OPEN | G_SMRAME | D_LCK]);
        assert_eq!(read(&bridge, SMRAM), G_SMRAME | D_LCK | C_BASE_SEG);
        bridge.config_write(SMRAM, &[0, 0, 0, 0]);
        bridge.config_write(0x9c, &[0; 4]);
        assert_eq!(read(&bridge, SMRAM), G_SMRAME | D_LCK | C_BASE_SEG);
        assert_eq!(read(&bridge, ESMRAMC), extended | T_EN);
        assert!(!memory.is_open());
    }

    #[test]
    fn a_restored_bridge_keeps_the_memory_closed_and_locked() {
        let (first, _) = bridge();
        first.config_write(SMRAM, &[G_SMRAME | D_LCK, T_EN]);
        let (second, memory) = bridge();
        assert!(second.restore(&first.save()));
        assert!(!memory.is_open());
        second.config_write(SMRAM, &[0, 0]);
        assert!(!memory.is_open());
        assert!(second.restore(&second.save()));
        assert!(!Bridge::new(true).restore(&first.save()));
    }

    #[test]
    fn a_bridge_without_system_management_accepts_attributes_of_low_memory() {
        let bridge = Bridge::new(true);
        bridge.config_write(PAM, &[0x30, 0x33, 0x33]);
        let mut pam = [0; 4];
        bridge.config_read(PAM, &mut pam);
        assert_eq!(pam, [0x30, 0x33, 0x33, 0]);
        // By that OVMF knows that there is none.
        assert_eq!(read(&bridge, ESMRAMC), 0);
    }
}
