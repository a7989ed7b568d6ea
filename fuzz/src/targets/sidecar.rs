//! What is kept of a disk's writes beside its image while the machine is off.

use crate::files;
use crate::input::Input;
use basalt_vmm::disk::sidecar::load;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let size = input.qword() >> (input.byte() % 64);
    let file = files::with(input.rest());
    if let Ok(Some(kept)) = load(&file, [0; 16], size) {
        assert_eq!(kept.size, size);
        assert!(
            kept.dirty
                .marked()
                .all(|granule| granule < kept.dirty.granules())
        );
    }
}
