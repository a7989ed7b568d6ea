//! Comparing two builds' results, and naming the first thing inside one that differs.

use super::super::error::{At, Result};
use super::super::stamp::sha256_file;
use super::super::{Artifacts, tree};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many differing files a fault names.
const NAMED: usize = 5;

/// One artefact of two builds.
pub(super) struct Pair {
    /// What it is called.
    pub name: &'static str,
    first: PathBuf,
    second: PathBuf,
    inside: Inside,
}

/// How to look into an artefact.
enum Inside {
    /// Not at all: only the offset of the first difference is told.
    Bytes,
    /// A listing of its files lies beside it.
    Listing { first: PathBuf, second: PathBuf },
    /// The folder it was made from is still there.
    Folder { first: PathBuf, second: PathBuf },
    /// An EFI program with sections.
    Sections,
}

/// The artefacts to compare, each after those it is made of, so that the first fault is the cause.
pub(super) fn pairs(out: &Path, first: &Artifacts, other: &Path, second: &Artifacts) -> [Pair; 6] {
    let pair = |name, first: &Path, second: &Path, inside| Pair {
        name,
        first: first.to_owned(),
        second: second.to_owned(),
        inside,
    };
    let listing = Inside::Listing {
        first: first.files.clone(),
        second: second.files.clone(),
    };
    let folder = Inside::Folder {
        first: out.join("work/initrd"),
        second: other.join("work/initrd"),
    };
    [
        pair("root", &first.root, &second.root, listing),
        pair("verity", &first.verity, &second.verity, Inside::Bytes),
        pair("initrd", &out.join("initrd"), &other.join("initrd"), folder),
        pair("uki", &first.uki, &second.uki, Inside::Sections),
        pair("iso", &first.iso, &second.iso, Inside::Bytes),
        pair("bundle", &first.bundle, &second.bundle, Inside::Bytes),
    ]
}

impl Pair {
    /// The first build's SHA-256.
    pub fn sha256(&self) -> Result<String> {
        sha256_file(&self.first)
    }

    /// What differs, in one line; nothing when the two are equal.
    pub fn difference(&self) -> Result<Option<String>> {
        let Some(offset) = first_difference(&self.first, &self.second)? else {
            return Ok(None);
        };
        let detail = match &self.inside {
            Inside::Bytes => String::new(),
            Inside::Listing { first, second } => {
                let read = |path: &Path| fs::read_to_string(path).at("read", path);
                name_some(&differing_lines(&read(first)?, &read(second)?))
            }
            Inside::Folder { first, second } => name_some(&differing_files(first, second)?),
            Inside::Sections => section(&fs::read(&self.first).at("read", &self.first)?, offset)
                .map(|name| format!(": in section {name}"))
                .unwrap_or_default(),
        };
        Ok(Some(format!(
            "{} differs from byte {offset} on{detail}",
            self.name
        )))
    }
}

fn name_some(names: &[String]) -> String {
    match names.len() {
        0 => ": its files are equal, their arrangement is not".to_owned(),
        count if count <= NAMED => format!(": {}", names.join(", ")),
        count => format!(": {} and {} more", names[..NAMED].join(", "), count - NAMED),
    }
}

/// The offset of the first byte that differs; where one file ends early, its length.
fn first_difference(first: &Path, second: &Path) -> Result<Option<u64>> {
    const BLOCK: u64 = 1 << 20;
    let (mut one, mut two) = (
        File::open(first).at("open", first)?,
        File::open(second).at("open", second)?,
    );
    let (mut a, mut b, mut offset) = (Vec::new(), Vec::new(), 0);
    loop {
        a.clear();
        b.clear();
        one.by_ref()
            .take(BLOCK)
            .read_to_end(&mut a)
            .at("read", first)?;
        two.by_ref()
            .take(BLOCK)
            .read_to_end(&mut b)
            .at("read", second)?;
        if a != b {
            let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            return Ok(Some(offset + same as u64));
        }
        if a.is_empty() {
            return Ok(None);
        }
        offset += a.len() as u64;
    }
}

/// The paths whose lines differ in two sorted listings; a line's last field is the path.
fn differing_lines(first: &str, second: &str) -> Vec<String> {
    let lines = |text| str::lines(text).collect::<BTreeSet<&str>>();
    let paths: BTreeSet<&str> = lines(first)
        .symmetric_difference(&lines(second))
        .filter_map(|line| line.rsplit('\t').next())
        .collect();
    paths.into_iter().map(str::to_owned).collect()
}

/// The paths below two folders that are missing in one or have other content.
fn differing_files(first: &Path, second: &Path) -> Result<Vec<String>> {
    let (one, two) = (tree::list(first)?, tree::list(second)?);
    let mut paths: Vec<PathBuf> = one.iter().chain(&two).cloned().collect();
    paths.sort();
    paths.dedup();
    let mut differing = Vec::new();
    for path in paths {
        if content(&first.join(&path))? != content(&second.join(&path))? {
            differing.push(path.display().to_string());
        }
    }
    Ok(differing)
}

/// What stands for a file: its mode, and its hash, a link's target, or a folder's or nothing's mark.
fn content(path: &Path) -> Result<String> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return Ok("missing".to_owned());
    };
    let content = if meta.is_symlink() {
        let target = fs::read_link(path).at("read", path)?;
        format!("link {}", target.display())
    } else if meta.is_file() {
        sha256_file(path)?
    } else {
        "folder".to_owned()
    };
    Ok(format!("{:o} {content}", meta.mode()))
}

/// The section of a PE program (PE/COFF specification, sections 3 and 4) that holds `offset`.
fn section(program: &[u8], offset: u64) -> Option<String> {
    const ENTRY: usize = 40;
    let word = |at: usize| {
        Some(u16::from_le_bytes(
            program.get(at..at + 2)?.try_into().ok()?,
        ))
    };
    let long = |at: usize| {
        Some(u32::from_le_bytes(
            program.get(at..at + 4)?.try_into().ok()?,
        ))
    };
    let header = long(0x3c)? as usize + 4;
    let (count, optional) = (word(header + 2)?, word(header + 16)?);
    let table = header + 20 + usize::from(optional);
    (0..usize::from(count)).find_map(|number| {
        let entry = table + number * ENTRY;
        let (size, start) = (u64::from(long(entry + 16)?), u64::from(long(entry + 20)?));
        let name = program.get(entry..entry + 8)?;
        (start..start + size).contains(&offset).then(|| {
            String::from_utf8_lossy(name)
                .trim_end_matches('\0')
                .to_owned()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_have_no_difference_and_others_tell_where() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).expect("writable");
            path
        };
        let mut long = vec![7; 3 << 20];
        let one = file("one", &long);
        assert_eq!(first_difference(&one, &one).expect("readable"), None);
        long[2_500_000] = 8;
        let two = file("two", &long);
        assert_eq!(
            first_difference(&one, &two).expect("readable"),
            Some(2_500_000)
        );
        let short = file("short", &[7; 1000]);
        assert_eq!(
            first_difference(&one, &short).expect("readable"),
            Some(1000)
        );
    }

    #[test]
    fn a_root_that_differs_names_its_files() {
        let first = "f 644 0:0 12 aa\tusr/a\nf 644 0:0 12 bb\tusr/b\nd 755 0:0\tusr\n";
        let second =
            "f 644 0:0 12 aa\tusr/a\nf 755 0:0 12 bb\tusr/b\nd 755 0:0\tusr\nl x\tusr/new\n";
        assert_eq!(differing_lines(first, second), ["usr/b", "usr/new"]);
        let names: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(name_some(&names), ": 0, 1, 2, 3, 4 and 2 more");
    }

    #[test]
    fn folders_are_compared_by_content() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        for folder in [&one, &two] {
            fs::create_dir_all(folder.join("sub")).expect("writable");
            fs::write(folder.join("sub/same"), "x").expect("writable");
        }
        fs::write(one.join("only"), "x").expect("writable");
        fs::write(one.join("sub/other"), "x").expect("writable");
        fs::write(two.join("sub/other"), "y").expect("writable");
        assert_eq!(
            differing_files(&one, &two).expect("readable"),
            ["only", "sub/other"]
        );
    }

    #[test]
    fn an_efi_program_tells_the_section() {
        let mut program = vec![0; 0x400];
        program[0x3c] = 0x40;
        program[0x46] = 2; // sections
        let table = 0x44 + 20;
        for (number, name, start) in [(0, b".text\0\0\0", 0x200u32), (1, b".cmdline", 0x300)] {
            let entry = table + number * 40;
            program[entry..entry + 8].copy_from_slice(name);
            program[entry + 16..entry + 20].copy_from_slice(&0x100u32.to_le_bytes());
            program[entry + 20..entry + 24].copy_from_slice(&start.to_le_bytes());
        }
        assert_eq!(section(&program, 0x310).as_deref(), Some(".cmdline"));
        assert_eq!(section(&program, 0x10), None);
        assert_eq!(section(b"short", 1), None);
    }
}
