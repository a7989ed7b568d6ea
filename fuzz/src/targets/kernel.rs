//! Kernels that users bring: ELF with a PVH note, and bzImage, with an initial RAM disk.

use crate::files;
use crate::input::Input;
use basalt_vmm::machine::boot::{Kernel, load};
use basalt_vmm::machine::layout::MIB;
use basalt_vmm::machine::memory::reserve;

/// Bytes of the guest's memory: more than the fixed places of both kinds of kernel.
const MEMORY: u64 = 32 * MIB;

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let memory = reserve(MEMORY).expect("memory can be had");
    let initrd = files::of(u64::from(how) * 4096);
    let kernel = Kernel {
        image: &files::with(input.rest()),
        initrd: (how & 1 != 0).then_some(&initrd),
        cmdline: "console=ttyS0",
    };
    let _ = load(&memory, MEMORY, &kernel);
}
