//! Root's password and keys inside a new container.
//!
//! The file system is of unknown origin and we are root: every file is reached with the
//! container's root as root (`openat2`), never through a device or pipe, and replaced rather than
//! written into.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// Largest file that is read from inside a container.
const LIMIT: u64 = 1 << 20;
/// Rounds of the password's hash.
const ROUNDS: usize = 100_000;
/// Days since 1970 at which the password was last changed: long ago, but not 0, which would force
/// a change at the first login.
const CHANGED: &str = "19000";

/// How root gets in.
#[derive(Clone, Default)]
pub struct RootAccess {
    password: Option<String>,
    keys: Vec<String>,
}

impl RootAccess {
    /// From a password and the lines of a key file; wrong lines are named.
    pub fn new(password: Option<String>, keys: Option<String>) -> Result<Self, String> {
        let text = keys.unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Vec<String> = lines
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        let is_key = |line: &String| {
            let kinds = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
            kinds.iter().any(|kind| line.starts_with(kind)) && line.split(' ').nth(1).is_some()
        };
        match keys.iter().find(|line| !is_key(line)) {
            Some(line) => {
                let start: String = line.chars().take(20).collect();
                Err(format!(
                    "'{start}…' is no public key: one per line, e.g. ssh-ed25519 AAAA…"
                ))
            }
            None => Ok(Self { password, keys }),
        }
    }

    /// Writes them into the root file system `root`; takes a while to hash the password.
    pub fn install(&self, root: &OwnedFd) -> io::Result<()> {
        if let Some(password) = &self.password {
            let hash = hash(password)?;
            let shadow = read(root, "etc/shadow")?.unwrap_or_default();
            replace(
                root,
                "etc",
                "shadow",
                &with_root_password(&shadow, &hash),
                0o640,
            )?;
        }
        if !self.keys.is_empty() {
            make_directory(root, "root")?;
            make_directory(root, "root/.ssh")?;
            let keys = self.keys.join("\n") + "\n";
            replace(root, "root/.ssh", "authorized_keys", &keys, 0o600)?;
        }
        Ok(())
    }
}

/// The hash of a password as `/etc/shadow` holds it.
pub fn hash(password: &str) -> io::Result<String> {
    let failed = || io::Error::other("the password cannot be hashed");
    let params = sha_crypt::Sha512Params::new(ROUNDS).map_err(|_| failed())?;
    sha_crypt::sha512_simple(password, &params).map_err(|_| failed())
}

/// The shadow file with root's hash set and everything else as it was.
fn with_root_password(shadow: &str, hash: &str) -> String {
    let root = format!("root:{hash}:{CHANGED}:0:99999:7:::");
    let mut lines: Vec<&str> = vec![&root];
    lines.extend(shadow.lines().filter(|line| !line.starts_with("root:")));
    lines.join("\n") + "\n"
}

fn open(root: impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
    loop {
        match rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve) {
            // Something on the host was mounted or renamed meanwhile: the kernel asks to look again.
            Err(Errno::AGAIN) => {}
            answer => return answer,
        }
    }
}

/// A regular file's text; none when there is no such file.
fn read(root: &OwnedFd, path: &str) -> io::Result<Option<String>> {
    let fd = match open(root, path, OFlags::RDONLY | OFlags::NOFOLLOW) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut text = String::new();
    File::from(fd).take(LIMIT).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Puts a new file in the place of whatever has that name.
fn replace(root: &OwnedFd, directory: &str, name: &str, text: &str, mode: u32) -> io::Result<()> {
    let directory = open(root, directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let temporary = format!(".{name}.basalt");
    match rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, &temporary, flags, Mode::from_raw_mode(mode))?;
    let mut file = File::from(file);
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    rustix::fs::renameat(&directory, &temporary, &directory, name)?;
    rustix::fs::fsync(&directory)?;
    Ok(())
}

fn make_directory(root: &OwnedFd, path: &str) -> io::Result<()> {
    let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
    let parent = open(root, parent, OFlags::RDONLY | OFlags::DIRECTORY)?;
    match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(directory: &tempfile::TempDir) -> OwnedFd {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        rustix::fs::open(directory.path(), flags, Mode::empty()).unwrap()
    }

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@here";

    #[test]
    fn password_and_keys_are_set_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        let shadow = directory.path().join("etc/shadow");
        std::fs::write(&shadow, "root:*:1:0:99999:7:::\nbin:*:1:0:99999:7:::\n").unwrap();
        let keys = Some(format!("# mine\n{KEY}\n"));
        let access = RootAccess::new(Some("secret".to_owned()), keys).unwrap();
        access.install(&root(&directory)).unwrap();

        let text = std::fs::read_to_string(&shadow).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        let hash = lines[0].split(':').nth(1).unwrap();
        assert!(sha_crypt::sha512_check("secret", hash).is_ok());
        assert_eq!(lines[1], "bin:*:1:0:99999:7:::");
        let keys = directory.path().join("root/.ssh/authorized_keys");
        assert_eq!(std::fs::read_to_string(keys).unwrap(), format!("{KEY}\n"));
    }

    #[test]
    fn links_lead_nowhere_outside() {
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("shadow");
        std::fs::write(&victim, "host").unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), directory.path().join("etc")).unwrap();
        let access = RootAccess::new(Some("secret".to_owned()), None).unwrap();
        assert!(access.install(&root(&directory)).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "host");

        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        std::os::unix::fs::symlink(&victim, directory.path().join("etc/shadow")).unwrap();
        access.install(&root(&directory)).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "host");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(RootAccess::new(None, Some("hello".to_owned())).is_err());
        assert!(RootAccess::new(None, Some(KEY.to_owned())).is_ok());
    }
}
