//! Reading an update bundle: one tar archive, manifest and signature first, then the parts in
//! order.
//!
//! [`read`] believes nothing: not the manifest before its signature is right, and no part before
//! its digest is.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use basalt_layout::disk::{ESP_SIZE, ROOT_SIZE, VERITY_SIZE};
use basalt_layout::{ARCHITECTURE, IMAGE_ID};
use sha2::Digest;

use crate::blocks::read_full;
use crate::manifest::{FORMAT, MANIFEST_FILE, MANIFEST_MAX_SIZE, Part, SIGNATURE_FILE, Sha256};
use crate::observer::Span;
use crate::signature::{Keys, SIGNATURE_SIZE};
use crate::{Error, Manifest, Observer};

/// Bytes moved at a time.
const CHUNK: usize = 1 << 20;

/// Takes the bytes of each part as they come by.
pub trait Sink {
    /// A part begins.
    fn begin(&mut self, part: PartKind) -> Result<(), Error>;
    /// The next bytes of the part.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// The part is whole and its digest is right.
    fn end(&mut self, part: PartKind) -> Result<(), Error>;
}

/// The parts of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// The list of blocks.
    Blocks,
    /// The root file system.
    Root,
    /// Its hash tree.
    Verity,
    /// The kernel image.
    Uki,
}

impl PartKind {
    /// All parts, in the order they come.
    pub const ALL: [Self; 4] = [Self::Blocks, Self::Root, Self::Verity, Self::Uki];

    fn of(self, manifest: &Manifest) -> &Part {
        match self {
            Self::Blocks => &manifest.parts.blocks,
            Self::Root => &manifest.parts.root,
            Self::Verity => &manifest.parts.verity,
            Self::Uki => &manifest.parts.uki,
        }
    }
}

/// Takes nothing: for reading a bundle through.
pub struct Nothing;

impl Sink for Nothing {
    fn begin(&mut self, _: PartKind) -> Result<(), Error> {
        Ok(())
    }

    fn write(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn end(&mut self, _: PartKind) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads the manifest only: signed, and for this product and architecture.
pub fn manifest(path: &Path, keys: &Keys) -> Result<Manifest, Error> {
    let mut archive = open(path)?;
    let mut entries = archive.entries().map_err(damaged)?;
    read_manifest(&mut entries, keys)
}

/// No bundle that fits a host is larger: a slot's root and hash tree, a kernel image as large as the
/// EFI system partition, and room for the rest.
pub const MAX_SIZE: u64 = ROOT_SIZE + VERITY_SIZE + ESP_SIZE + (64 << 20);

/// Reads a bundle to its end, checks every part, and passes the bytes on.
pub fn read(
    path: &Path,
    keys: &Keys,
    sink: &mut dyn Sink,
    span: Span,
    observer: &mut dyn Observer,
) -> Result<Manifest, Error> {
    let mut archive = open(path)?;
    let mut entries = archive.entries().map_err(damaged)?;
    let manifest = read_manifest(&mut entries, keys)?;
    let total = manifest.parts.in_order().iter().map(|p| p.size).sum();
    let mut done = 0;
    let mut moved = |count: u64| {
        done += count;
        span.reached(done, total, observer)
    };
    for kind in PartKind::ALL {
        let part = kind.of(&manifest);
        let mut entry = next(&mut entries, &part.file)?;
        if entry.size() != part.size {
            return Err(Error::Bundle(format!(
                "`{}` has {} bytes, the manifest says {}",
                part.file,
                entry.size(),
                part.size
            )));
        }
        copy_part(&mut entry, kind, part, sink, &mut moved)?;
    }
    if entries.next().is_some() {
        return Err(Error::Bundle(
            "there is more in it than the manifest names".to_owned(),
        ));
    }
    Ok(manifest)
}

fn open(path: &Path) -> Result<tar::Archive<BufReader<File>>, Error> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    Ok(tar::Archive::new(BufReader::with_capacity(CHUNK, file)))
}

/// The next file of the archive, which has to be the named one.
fn next<'a, R: Read>(
    entries: &mut tar::Entries<'a, R>,
    name: &str,
) -> Result<tar::Entry<'a, R>, Error> {
    let missing = || Error::Bundle(format!("`{name}` is missing"));
    let entry = entries.next().ok_or_else(missing)?.map_err(damaged)?;
    let path = entry.path().map_err(damaged)?;
    if path.as_ref() == Path::new(name) {
        drop(path);
        return Ok(entry);
    }
    let found = path.to_string_lossy();
    Err(Error::Bundle(format!("expected `{name}`, found `{found}`")))
}

/// Reads manifest and signature, the first two files of a bundle.
pub(crate) fn read_manifest<R: Read>(
    entries: &mut tar::Entries<'_, R>,
    keys: &Keys,
) -> Result<Manifest, Error> {
    let mut entry = entries
        .next()
        .ok_or_else(|| Error::Bundle("it is empty".to_owned()))?
        .map_err(|_| Error::Bundle("it is no tar archive".to_owned()))?;
    let is_manifest = entry
        .path()
        .is_ok_and(|path| path == Path::new(MANIFEST_FILE));
    if !is_manifest || entry.size() > MANIFEST_MAX_SIZE {
        return Err(Error::Bundle(format!(
            "it does not begin with `{MANIFEST_FILE}`"
        )));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(damaged)?;
    let unsigned = || Error::Signature("there is none: the bundle is not signed".to_owned());
    let entry = entries.next().ok_or_else(unsigned)?.map_err(damaged)?;
    if !entry
        .path()
        .is_ok_and(|path| path == Path::new(SIGNATURE_FILE))
    {
        return Err(unsigned());
    }
    let mut signature = Vec::new();
    entry
        .take(SIGNATURE_SIZE + 1)
        .read_to_end(&mut signature)
        .map_err(damaged)?;
    let key = keys.verify(&text, &signature)?;
    tracing::debug!(key, "the manifest's signature is right");
    parse(&text)
}

fn parse(text: &[u8]) -> Result<Manifest, Error> {
    // Product, architecture and format come first: a later format may have other fields.
    let wrong = |error| Error::Bundle(format!("`{MANIFEST_FILE}`: {error}"));
    let value: serde_json::Value = serde_json::from_slice(text).map_err(wrong)?;
    let word = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    for (what, key, expected) in [
        ("product", "name", IMAGE_ID),
        ("architecture", "architecture", ARCHITECTURE),
    ] {
        if word(key) != expected {
            return Err(Error::WrongTarget {
                what,
                found: word(key),
                expected,
            });
        }
    }
    if value["format"] != FORMAT {
        return Err(Error::Bundle(format!(
            "its format is {}, this version understands {FORMAT}",
            value["format"]
        )));
    }
    serde_json::from_value(value).map_err(wrong)
}

fn copy_part(
    entry: &mut impl Read,
    kind: PartKind,
    part: &Part,
    sink: &mut dyn Sink,
    moved: &mut dyn FnMut(u64) -> Result<(), Error>,
) -> Result<(), Error> {
    sink.begin(kind)?;
    let mut digest = sha2::Sha256::new();
    let mut left = part.size;
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let want = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let got = read_full(entry, &mut buffer[..want]).map_err(damaged)?;
        if got == 0 {
            return Err(Error::Bundle(format!("`{}` is cut off", part.file)));
        }
        digest.update(&buffer[..got]);
        sink.write(&buffer[..got])?;
        left -= got as u64;
        moved(got as u64)?;
    }
    if Sha256(digest.finalize().into()) != part.sha256 {
        return Err(Error::Bundle(format!(
            "`{}` is damaged: its checksum is wrong",
            part.file
        )));
    }
    sink.end(kind)
}

pub(crate) fn damaged(error: std::io::Error) -> Error {
    Error::Bundle(format!("it is cut off or damaged ({error})"))
}
