//! Content hashes of inputs, and the stamps that remember which inputs a result was made from.

use super::error::{At, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Raised when the builder changes what it makes from equal inputs.
const RECIPE: &str = "1";

/// A growing SHA-256 over named inputs.
#[derive(Debug, Clone)]
pub(super) struct Hash(Sha256);

impl Hash {
    /// An empty hash of this recipe.
    pub fn new() -> Self {
        let mut hash = Self(Sha256::new());
        hash.text(RECIPE);
        hash
    }

    /// Adds a string; its length first, so that neighbours cannot run together.
    pub fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    /// Adds a file's content and whether it is executable.
    pub fn file(&mut self, path: &Path) -> Result<()> {
        let meta = fs::metadata(path).at("read", path)?;
        self.text(if meta.permissions().mode() & 0o111 == 0 {
            "file"
        } else {
            "program"
        });
        self.0.update(meta.len().to_le_bytes());
        let mut file = fs::File::open(path).at("open", path)?;
        std::io::copy(&mut file, &mut Writer(&mut self.0)).at("read", path)?;
        Ok(())
    }

    /// Adds everything below a folder, by relative name. A missing folder counts as empty.
    pub fn tree(&mut self, root: &Path) -> Result<()> {
        for path in super::tree::list(root)? {
            let full = root.join(&path);
            self.text(&path.to_string_lossy());
            let meta = fs::symlink_metadata(&full).at("read", &full)?;
            if meta.is_symlink() {
                let target = fs::read_link(&full).at("read", &full)?;
                self.text(&target.to_string_lossy());
            } else if meta.is_file() {
                self.file(&full)?;
            }
        }
        Ok(())
    }

    /// The whole hash.
    pub fn hex(&self) -> String {
        hex::encode(self.0.clone().finalize())
    }

    /// Its first 16 digits, for names of folders.
    pub fn short(&self) -> String {
        self.hex().chars().take(16).collect()
    }
}

struct Writer<'a>(&'a mut Sha256);

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The plain SHA-256 of a file, in hex.
pub(super) fn sha256_file(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).at("open", path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).at("read", path)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Remembers what `outputs` were made from.
pub(super) struct Stamp {
    path: PathBuf,
    key: String,
    outputs: Vec<PathBuf>,
}

impl Stamp {
    /// A stamp in `dir` for a step's outputs.
    pub fn new(dir: &Path, step: &str, key: &Hash, outputs: &[&Path]) -> Self {
        let outputs = outputs.iter().map(|path| (*path).to_owned()).collect();
        Self {
            path: dir.join(format!(".{step}.stamp")),
            key: key.hex(),
            outputs,
        }
    }

    /// Whether all outputs exist and were made from the same inputs.
    pub fn is_fresh(&self) -> bool {
        self.outputs.iter().all(|path| path.exists())
            && fs::read_to_string(&self.path).is_ok_and(|key| key == self.key)
    }

    /// Forgets, before the outputs are touched: an interrupted step must run again.
    pub fn clear(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).at("remove", &self.path)
            }
            _ => Ok(()),
        }
    }

    /// Remembers, after the outputs are complete.
    pub fn set(&self) -> Result<()> {
        fs::write(&self.path, &self.key).at("write", &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_do_not_run_together() {
        let of = |parts: &[&str]| {
            let mut hash = Hash::new();
            parts.iter().for_each(|part| hash.text(part));
            hash.hex()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
    }

    #[test]
    fn a_tree_changes_with_names_content_and_mode() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let of = || {
            let mut hash = Hash::new();
            hash.tree(dir.path()).expect("readable");
            hash.hex()
        };
        let file = dir.path().join("f");
        fs::write(&file, "1").expect("writable");
        let first = of();
        assert_eq!(first, of());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("ours");
        let second = of();
        fs::rename(&file, dir.path().join("g")).expect("ours");
        assert!(first != second && second != of());
    }

    #[test]
    fn a_stamp_is_fresh_only_with_its_key_and_outputs() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let out = dir.path().join("out");
        let mut hash = Hash::new();
        let stamp = Stamp::new(dir.path(), "s", &hash, &[&out]);
        stamp.set().expect("writable");
        assert!(!stamp.is_fresh());
        fs::write(&out, "").expect("writable");
        assert!(stamp.is_fresh());
        hash.text("more");
        assert!(!Stamp::new(dir.path(), "s", &hash, &[&out]).is_fresh());
        stamp.clear().expect("ours");
        assert!(!stamp.is_fresh());
        stamp
            .clear()
            .expect("a missing stamp is as good as a cleared one");
    }
}
