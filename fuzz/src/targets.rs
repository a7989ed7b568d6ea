//! One way into Basalt for bytes that others chose, each.

/// Declares the modules of the targets, and names them.
macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $($(#[$doc])* pub mod $name;)*

        /// Every target.
        pub const ALL: &[Target] = &[$(Target {
            name: stringify!($name),
            run: $name::run,
        },)*];
    };
}

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its module, of its program and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Plays one input.
    pub run: fn(&[u8]),
}

targets! {
    answer,
    board,
    bundle,
    control,
    fw_cfg,
    i8042,
    kernel,
    pci,
    properties,
    qcow2,
    qcow2_header,
    ramfb,
    rfb,
    security_key,
    sidecar,
    state_restore,
    state_tree,
    ticket,
    tpm,
    transfer,
    vfio,
    virtio_balloon,
    virtio_block,
    virtio_console,
    virtio_fs,
    virtio_gpu,
    virtio_input,
    virtio_mem,
    virtio_net,
    virtio_ports,
    virtio_rng,
    virtio_scsi,
    virtio_vsock,
}
