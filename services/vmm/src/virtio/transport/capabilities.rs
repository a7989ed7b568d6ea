//! The configuration space of a virtio device: who it is, and the capabilities that say where in its
//! window everything lies (virtio 1.2, sections 4.1.2 and 4.1.4).

use super::{
    COMMON, COMMON_LEN, DEVICE, ISR, NOTIFY, NOTIFY_STRIDE, PAGE, PENDING, TABLE, WINDOW_SIZE,
};
use crate::machine::layout::intx_line;
use crate::pci::config::{ConfigSpace, Identity};
use crate::virtio::Description;

const VENDOR: u16 = 0x1af4;
const MODERN_DEVICE: u16 = 0x1040;
const CAP_VENDOR: u8 = 0x09;
const CAP_MSIX: u8 = 0x11;
const CFG_COMMON: u8 = 1;
const CFG_NOTIFY: u8 = 2;
const CFG_ISR: u8 = 3;
const CFG_DEVICE: u8 = 4;
const CFG_PCI: u8 = 5;
pub(super) const MSIX_ENABLE: u16 = 1 << 15;
pub(super) const MSIX_MASK: u16 = 1 << 14;

/// Body of a virtio capability: length, type, window number, identifier, offset, length.
fn capability(kind: u8, offset: u64, len: u64, extra: &[u8]) -> Vec<u8> {
    let mut body = vec![16 + extra.len() as u8, kind, 0, 0, 0, 0];
    body.extend((offset as u32).to_le_bytes());
    body.extend((len as u32).to_le_bytes());
    body.extend(extra);
    body
}

/// The configuration space of a device in `slot`, and where in it lie the capability through which the
/// driver reaches the window, and that of the interrupts' vectors.
pub(super) fn config_space(
    slot: u8,
    base: Option<u32>,
    description: &Description,
) -> (ConfigSpace, usize, usize) {
    let device = MODERN_DEVICE + description.kind as u16;
    let mut config = ConfigSpace::new(Identity {
        vendor: VENDOR,
        device,
        class: description.kind.class(),
        revision: 1,
        subsystem: (VENDOR, device),
    });
    config.set_window(base, WINDOW_SIZE);
    config.set_interrupt(intx_line(slot) as u8);
    let stride = (NOTIFY_STRIDE as u32).to_le_bytes();
    let device_len = description.config.len() as u64;
    config.add_capability(CAP_VENDOR, &capability(CFG_COMMON, COMMON, COMMON_LEN, &[]));
    config.add_capability(CAP_VENDOR, &capability(CFG_NOTIFY, NOTIFY, PAGE, &stride));
    config.add_capability(CAP_VENDOR, &capability(CFG_ISR, ISR, 1, &[]));
    if device_len > 0 {
        config.add_capability(CAP_VENDOR, &capability(CFG_DEVICE, DEVICE, device_len, &[]));
    }
    let access = config.add_capability(CAP_VENDOR, &capability(CFG_PCI, 0, 0, &[0; 4]));
    // Window number, offset and length are the driver's to choose.
    config.allow(access + 4, &[0xff]);
    config.allow(access + 8, &[0xff; 8]);
    let vectors = description.queues.len() as u16;
    let mut body = vectors.to_le_bytes().to_vec();
    body.extend((TABLE as u32).to_le_bytes());
    body.extend((PENDING as u32).to_le_bytes());
    let msix = config.add_capability(CAP_MSIX, &body);
    config.allow(msix + 3, &[((MSIX_ENABLE | MSIX_MASK) >> 8) as u8]);
    (config, access, msix)
}

/// Which register of the window the driver reaches through configuration space.
pub(super) fn pci_access(config: &ConfigSpace, at: usize) -> Option<(u64, usize)> {
    let mut window = [0];
    config.read(at + 4, &mut window);
    let (offset, len) = (config.dword(at + 8), config.dword(at + 12));
    let inside = offset
        .checked_add(len)
        .is_some_and(|end| end <= WINDOW_SIZE);
    (window[0] == 0 && matches!(len, 1 | 2 | 4) && inside)
        .then_some((u64::from(offset), len as usize))
}
