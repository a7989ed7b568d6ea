//! Loads kernel modules: a fixed few first, then what the machine's devices ask for.
//!
//! The image builder has put the modules here uncompressed, with depmod's index of their
//! dependencies and of the device names ("aliases") they drive.

use crate::error::{At, Result};
use crate::root::say;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where the builder puts the modules: below this, a folder named after the kernel.
const MODULES: &str = "/usr/lib/modules";

/// Needed on every machine, in this order. Those that only speed up a built-in function (a processor
/// without the instruction refuses them) come first.
const ALWAYS: [&str; 12] = [
    "crc32c_intel",
    "crc32c_generic",
    "sha256_ssse3",
    "dm_verity",
    "erofs",
    "overlay",
    "ext4",
    "loop",
    "md_mod",
    "raid1",
    "dm_mirror",
    "efivarfs",
];

/// Needed where the data is encrypted, in the same order. The last one is how `cryptsetup` asks the kernel
/// to open its key slots.
const ENCRYPTION: [&str; 4] = ["aesni_intel", "xts", "dm_crypt", "algif_skcipher"];

/// The modules in this RAM disk.
pub struct Modules {
    folder: PathBuf,
    /// File of each module, and the files it needs.
    files: HashMap<String, (String, Vec<String>)>,
    aliases: Vec<(String, String)>,
    done: HashSet<String>,
    asked: HashSet<String>,
}

impl Modules {
    /// Reads the index.
    pub fn read() -> Result<Self> {
        let folder = folder();
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).at("read", &path)
        };
        let (files, aliases) = (
            parse_dep(&text("modules.dep")?),
            parse_alias(&text("modules.alias")?),
        );
        Ok(Self {
            folder,
            files,
            aliases,
            done: HashSet::new(),
            asked: HashSet::new(),
        })
    }

    /// Loads what each machine needs.
    pub fn load_always(&mut self) {
        for name in ALWAYS {
            self.load(name);
        }
    }

    /// Loads what opening encrypted data needs.
    pub fn load_for_encryption(&mut self) {
        for name in ENCRYPTION {
            self.load(name);
        }
    }

    /// Loads the modules of all devices that have shown since the last call.
    pub fn load_for_devices(&mut self) {
        let mut names = Vec::new();
        collect_modaliases(Path::new("/sys/devices"), &mut names);
        for device in names {
            if !self.asked.insert(device.clone()) {
                continue;
            }
            let wanted: Vec<String> = self
                .aliases
                .iter()
                .filter(|(pattern, _)| matches(pattern.as_bytes(), device.as_bytes()))
                .map(|(_, module)| module.clone())
                .collect();
            wanted.iter().for_each(|module| self.load(module));
        }
    }

    /// Loads a module and, before it, what it needs. A refusal is no error here: another module may
    /// serve, and when none does, the missing disk is the error.
    fn load(&mut self, name: &str) {
        let Some((file, needs)) = self.files.get(&plain(name)).cloned() else {
            return;
        };
        // depmod lists dependencies nearest first, so the last one needs nothing of the others.
        for file in needs.iter().rev().chain([&file]) {
            if self.done.insert(file.clone()) {
                insert(&self.folder.join(file));
            }
        }
    }
}

/// The folder of the running kernel's modules.
pub fn folder() -> PathBuf {
    let kernel = rustix::system::uname();
    Path::new(MODULES).join(&*kernel.release().to_string_lossy())
}

/// Loads a module that the kernel itself unpacks (xz, as Debian's are). One that is loaded is fine.
pub fn insert_compressed(path: &Path, options: &str) -> std::io::Result<()> {
    /// `MODULE_INIT_COMPRESSED_FILE` of linux/module.h.
    const COMPRESSED: i32 = 4;
    let file = File::open(path)?;
    let options = std::ffi::CString::new(options)?;
    match rustix::system::finit_module(&file, &options, COMPRESSED) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn insert(path: &Path) {
    let loaded = File::open(path)
        .map_err(|error| error.raw_os_error().unwrap_or_default())
        .and_then(|file| {
            rustix::system::finit_module(&file, c"", 0).map_err(|error| error.raw_os_error())
        });
    match loaded {
        Ok(()) | Err(libc::EEXIST | libc::ENODEV) => {}
        Err(code) => {
            let error = std::io::Error::from_raw_os_error(code);
            say(&format!("cannot load {}: {error}", path.display()));
        }
    }
}

/// Modules are named with `-` and `_` alike.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn parse_dep(text: &str) -> HashMap<String, (String, Vec<String>)> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(file, needs)| {
            let name = plain(Path::new(file).file_name()?.to_str()?.split('.').next()?);
            let needs = needs.split_whitespace().map(str::to_owned).collect();
            Some((name, (file.to_owned(), needs)))
        })
        .collect()
}

fn parse_alias(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("alias ")?.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

/// The names under which all devices below `dir` ask for drivers.
fn collect_modaliases(dir: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            collect_modaliases(&entry.path(), found);
        } else if entry.file_name() == "modalias"
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            found.extend(Some(text.trim().to_owned()).filter(|name| !name.is_empty()));
        }
    }
}

/// Whether a shell-like pattern with `*`, `?` and `[…]` matches all of `text`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        ([b'?', rest @ ..], [_, tail @ ..]) => matches(rest, tail),
        ([b'[', rest @ ..], [byte, tail @ ..]) => {
            let Some(end) = rest.iter().position(|b| *b == b']') else {
                return false;
            };
            in_class(&rest[..end], *byte) && matches(&rest[end + 1..], tail)
        }
        ([first, rest @ ..], [byte, tail @ ..]) => first == byte && matches(rest, tail),
        _ => false,
    }
}

fn in_class(class: &[u8], byte: u8) -> bool {
    match class {
        [low, b'-', high, rest @ ..] => (*low..=*high).contains(&byte) || in_class(rest, byte),
        [one, rest @ ..] => *one == byte || in_class(rest, byte),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_kernel_means_them() {
        let yes = |pattern: &str, text: &str| matches(pattern.as_bytes(), text.as_bytes());
        assert!(yes("virtio:d00000002v*", "virtio:d00000002v00001AF4"));
        assert!(yes(
            "pci:v*d*sv*sd*bc01sc06i01*",
            "pci:v00008086d00002922sv1sd2bc01sc06i01"
        ));
        assert!(yes("usb:v04E8p5[0-3A]*", "usb:v04E8p5A9"));
        assert!(!yes("usb:v04E8p5[0-3]*", "usb:v04E8p59"));
        assert!(yes("a?c", "abc") && !yes("a?c", "ac") && !yes("abc", "ab") && !yes("a", "ab"));
        assert!(!yes("a[b", "ab"));
    }

    #[test]
    fn the_index_reads() {
        let files = parse_dep(
            "kernel/a/virtio-blk.ko: kernel/b/virtio.ko kernel/b/ring.ko\nkernel/x.ko:\n",
        );
        let (file, needs) = &files["virtio_blk"];
        assert_eq!(file, "kernel/a/virtio-blk.ko");
        assert_eq!(needs, &["kernel/b/virtio.ko", "kernel/b/ring.ko"]);
        assert!(files["x"].1.is_empty());
        let aliases = parse_alias("# c\nalias pci:v1* nvme\nalias short\n");
        assert_eq!(aliases, [("pci:v1*".to_owned(), "nvme".to_owned())]);
    }
}
