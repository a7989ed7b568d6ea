//! A qcow2 image that somebody uploaded: what its header says, and its disk copied out of it.

use crate::files;
use basalt_model::disk::ImageFormat;
use basalt_storage::Image;
use basalt_storage::qcow2::{chain, convert, header, standalone};

/// Largest disk that is copied here.
const LARGEST: u64 = 8 << 20;

/// Plays one input.
pub fn run(data: &[u8]) {
    let file = files::with(data);
    let volume = "local:import/a.qcow2".parse().expect("a volume's name");
    let _ = chain::below(&file);
    let alone = standalone(&file, &volume);
    let Ok(Some(found)) = header(&file) else {
        return;
    };
    assert_eq!(
        matches!(alone, Ok(Some(_))),
        !found.has_backing && !found.has_data_file && !found.is_encrypted
    );
    if alone.is_ok() && found.size <= LARGEST {
        let target = files::of(found.size);
        let source = Image::single(file, ImageFormat::Qcow2);
        let _ = convert(&source, (&target, ImageFormat::Raw), &mut |_, _| true);
    }
}
