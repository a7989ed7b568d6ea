//! The SCSI adapter's queues, with two drives whose discs change.
#![no_main]

use std::sync::Arc;

use basalt_fuzz::input::Input;
use basalt_fuzz::{files, machine, virtio};
use basalt_vmm::virtio::scsi::drive::{Drive, Medium};
use basalt_vmm::virtio::scsi::{self, Scsi};
use libfuzzer_sys::fuzz_target;

/// Bytes of the discs.
const DISC: u64 = 64 << 10;

fn medium() -> Option<Medium> {
    Medium::new(files::of(DISC)).ok()
}

fuzz_target!(|data: &[u8]| {
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
});
