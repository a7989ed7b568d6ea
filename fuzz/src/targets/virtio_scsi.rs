//! The SCSI adapter's queues, with two drives whose discs change.

use std::sync::Arc;

use crate::input::Input;
use crate::{files, machine, virtio};
use basalt_vmm::virtio::scsi::drive::{Drive, Medium};
use basalt_vmm::virtio::scsi::{self, Scsi};

/// Bytes of the discs.
const DISC: u64 = 64 << 10;

fn medium() -> Option<Medium> {
    Medium::new(files::of(DISC)).ok()
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let drives = vec![
        Arc::new(Drive::new("ide0", medium())),
        Arc::new(Drive::new("ide2", None)),
    ];
    let mut device = Scsi::new(drives.clone());
    virtio::play(
        &scsi::description(drives.len()),
        &machine::memory(),
        &mut device,
        &mut Input::new(data),
        &mut |input| {
            let drive = &drives[input.below(drives.len())];
            drive.change(if input.byte() & 1 != 0 {
                medium()
            } else {
                None
            });
        },
    );
}
