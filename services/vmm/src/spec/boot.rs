//! What a machine runs first, with its files open.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use basalt_model::machine::Boot;

use super::Error;
use super::delivery::Delivery;

/// What a machine runs first.
pub enum BootResource {
    /// A kernel entered directly.
    Kernel {
        /// Kernel image.
        kernel: File,
        /// Initial RAM disk.
        initrd: Option<File>,
        /// Kernel command line.
        cmdline: String,
    },
    /// Firmware.
    Firmware {
        /// The firmware.
        code: File,
        /// Its variables.
        vars: Arc<File>,
        /// Keys of the devices to boot from, in order.
        order: Vec<String>,
        /// Whether the machine has system management mode.
        smm: bool,
    },
}

impl BootResource {
    /// Whether firmware boots the machine.
    pub fn is_firmware(&self) -> bool {
        matches!(self, Self::Firmware { .. })
    }

    /// Whether the machine has system management mode.
    pub fn has_smm(&self) -> bool {
        matches!(self, Self::Firmware { smm: true, .. })
    }

    pub(super) fn check(boot: Boot, delivery: &mut Delivery) -> Result<Self, Error> {
        Ok(match boot {
            Boot::Kernel {
                kernel,
                initrd,
                cmdline,
            } => Self::Kernel {
                kernel: delivery.file("kernel", kernel)?,
                initrd: initrd
                    .map(|slot| delivery.file("initrd", slot))
                    .transpose()?,
                cmdline,
            },
            Boot::Firmware {
                code,
                vars,
                order,
                smm,
            } => Self::Firmware {
                code: delivery.file("code", code)?,
                vars: Arc::new(delivery.file("vars", vars)?),
                order,
                smm,
            },
        })
    }

    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        match self {
            Self::Kernel { kernel, initrd, .. } => std::iter::once(kernel)
                .chain(initrd)
                .map(AsRawFd::as_raw_fd)
                .collect(),
            Self::Firmware { code, vars, .. } => vec![code.as_raw_fd(), vars.as_raw_fd()],
        }
    }
}
