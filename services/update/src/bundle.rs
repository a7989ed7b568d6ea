//! Reading an update bundle: one tar archive, manifest first, then the parts in order.
//!
//! [`verify`] reads a bundle once to its end and believes nothing; only what passed is installed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use basalt_layout::{ARCHITECTURE, IMAGE_ID};
use sha2::Digest;

use crate::Error;
use crate::manifest::{FORMAT, MANIFEST_FILE, MANIFEST_MAX_SIZE, Manifest, Part, Sha256};

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
    /// The root file system.
    Root,
    /// Its hash tree.
    Verity,
    /// The kernel image.
    Uki,
}

impl PartKind {
    /// All parts, in the order they come.
    pub const ALL: [Self; 3] = [Self::Root, Self::Verity, Self::Uki];

    fn of(self, manifest: &Manifest) -> &Part {
        match self {
            Self::Root => &manifest.parts.root,
            Self::Verity => &manifest.parts.verity,
            Self::Uki => &manifest.parts.uki,
        }
    }
}

/// Takes nothing: for reading a bundle through.
struct Nothing;

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

/// Reads the manifest only, and checks that it is for this product and architecture.
pub fn manifest(path: &Path) -> Result<Manifest, Error> {
    let mut archive = open(path)?;
    let mut entries = archive.entries().map_err(damaged)?;
    read_manifest(&mut entries)
}

/// Reads a bundle to its end and checks every part.
pub fn verify(path: &Path) -> Result<Manifest, Error> {
    read(path, &mut Nothing)
}

/// Reads a bundle to its end, checks every part, and passes the bytes on.
pub fn read(path: &Path, sink: &mut dyn Sink) -> Result<Manifest, Error> {
    let mut archive = open(path)?;
    let mut entries = archive.entries().map_err(damaged)?;
    let manifest = read_manifest(&mut entries)?;
    for kind in PartKind::ALL {
        let part = kind.of(&manifest);
        let missing = || Error::Bundle(format!("`{}` is missing", part.file));
        let mut entry = entries.next().ok_or_else(missing)?.map_err(damaged)?;
        let name = entry
            .path()
            .map_err(damaged)?
            .to_string_lossy()
            .into_owned();
        if name != part.file {
            return Err(Error::Bundle(format!(
                "expected `{}`, found `{name}`",
                part.file
            )));
        }
        if entry.size() != part.size {
            return Err(Error::Bundle(format!(
                "`{name}` has {} bytes, the manifest says {}",
                entry.size(),
                part.size
            )));
        }
        copy_part(&mut entry, kind, part, sink)?;
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

fn read_manifest<R: Read>(entries: &mut tar::Entries<'_, R>) -> Result<Manifest, Error> {
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
    // Product, architecture and format come first: a later format may have other fields.
    let wrong = |error| Error::Bundle(format!("`{MANIFEST_FILE}`: {error}"));
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(wrong)?;
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
    }
    if Sha256(digest.finalize().into()) != part.sha256 {
        return Err(Error::Bundle(format!(
            "`{}` is damaged: its checksum is wrong",
            part.file
        )));
    }
    sink.end(kind)
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn damaged(error: io::Error) -> Error {
    Error::Bundle(format!("it is cut off or damaged ({error})"))
}
