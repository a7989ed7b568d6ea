//! Where a machine's random numbers come from.

use crate::error::{Result, VmError, io};
use basalt_model::entropy::EntropySource;
use basalt_model::field::FieldErrors;
use basalt_model::qemu::QemuConfig;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

/// Opens the source that a machine's configuration names: the kernel's generator, if it names none.
pub(crate) fn open(config: &QemuConfig) -> Result<File> {
    let source = config.rng0.as_ref().map(|rng| rng.source);
    let source = source.unwrap_or(EntropySource::Urandom);
    let path = source.as_str();
    // Whoever reads it for the guest has other things to do than wait.
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    match source {
        EntropySource::Hardware => opened.and_then(try_out).map_err(|error| {
            let text = format!(
                "this host has no hardware generator that works ({path}: {error}): \
                 use source=/dev/urandom"
            );
            VmError::Config(FieldErrors::one("rng0", text))
        }),
        EntropySource::Urandom | EntropySource::Random => {
            opened.map_err(io(format!("opening {path}")))
        }
    }
}

/// The file is there on hosts that have no generator as well; only reading tells.
fn try_out(mut file: File) -> std::io::Result<File> {
    match file.read(&mut [0]) {
        Ok(_) => Ok(file),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(file),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::Path;

    fn opened(config: Value) -> Result<File> {
        let config: QemuConfig = serde_json::from_value(config).unwrap();
        open(&config)
    }

    #[test]
    fn a_machine_that_names_no_source_has_the_kernels() {
        for config in [json!({}), json!({"rng0": "/dev/random,max_bytes=0"})] {
            let mut bytes = [0; 16];
            opened(config).unwrap().read_exact(&mut bytes).unwrap();
            assert_ne!(bytes, [0; 16]);
        }
    }

    #[test]
    fn a_generator_that_is_not_there_is_named_with_what_to_use() {
        let is_there = Path::new("/dev/hwrng").exists();
        let opened = opened(json!({"rng0": "/dev/hwrng"}));
        if is_there {
            eprintln!("skipped: this host may have a generator");
            return;
        }
        let error = opened.unwrap_err().to_string();
        assert!(
            error.starts_with("rng0: ") && error.contains("use source=/dev/urandom"),
            "{error}"
        );
    }
}
