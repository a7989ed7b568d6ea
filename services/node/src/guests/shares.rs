//! Directories of the host that machines share with their guests: where mappings lead, and whether that
//! may be shared.

use crate::handlers::storage_config::NOT_FOR_VOLUMES;
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::mapping::{DirMapping, MappingId};
use basalt_model::qemu::{QemuConfig, VirtioFs};
use basalt_store::Stored;
use basalt_vm::SharedDirectory;
use std::path::{Path, PathBuf};

/// Mapped directories are kept under their names behind this.
pub const DIR_MAPPINGS: &str = "mapping/dir/";
/// What no guest may see, beside what no volume may lie in: root's own, and what the host keeps for itself.
const NOT_FOR_GUESTS: [&str; 3] = ["/root", "/var/roothome", "/var/lib/systemd"];

/// The key of a mapped directory.
pub fn dir_mapping_key(id: &MappingId) -> String {
    format!("{DIR_MAPPINGS}{id}")
}

/// Why the directory at a path cannot be shared: it is, lies in, or holds what is the host's own.
pub fn check_place(path: &Path) -> std::result::Result<(), String> {
    let mut own = NOT_FOR_VOLUMES.iter().chain(&NOT_FOR_GUESTS);
    let touches = |dir: &&&str| path.starts_with(dir) || Path::new(dir).starts_with(path);
    match own.find(touches) {
        Some(dir) => Err(format!(
            "'{}' cannot be shared, because {dir} is the host's own: use a directory below /mnt or /srv",
            path.display()
        )),
        None => Ok(()),
    }
}

/// The directory of a mapping as it is on this host, without symbolic links.
pub fn find_directory(path: &str) -> std::result::Result<PathBuf, String> {
    let real = std::fs::canonicalize(path);
    let real = real.map_err(|error| format!("directory '{path}' cannot be used: {error}"))?;
    if !real.is_dir() {
        return Err(format!("'{path}' is no directory"));
    }
    // A guest may have put a link where the mapping leads.
    check_place(&real).map(|()| real)
}

/// Refuses to keep the state of a machine that shares directories: what its guest has open there is
/// known to their servers alone.
pub fn must_not_share(config: &QemuConfig) -> Result<()> {
    match config.virtiofs.keys().next() {
        Some(index) => Err(Error::failed(format_args!(
            "virtiofs{index}: the memory of a machine that shares a directory cannot be kept"
        ))),
        None => Ok(()),
    }
}

impl Node {
    /// A mapped directory as it is stored.
    pub fn dir_mapping(&self, id: &MappingId) -> Result<Option<Stored<DirMapping>>> {
        let stored = self.store.read(&dir_mapping_key(id));
        stored.map_err(Error::failed)
    }

    /// The directories that a machine shares, found on this host.
    pub fn shared_directories(&self, config: &QemuConfig) -> Result<Vec<SharedDirectory>> {
        let shares = config.virtiofs.iter();
        let find = |(index, settings): (&u8, &VirtioFs)| {
            let wrong = |text: String| Error::failed(format_args!("virtiofs{index}: {text}"));
            let id = &settings.dirid;
            let mapping = self.dir_mapping(id)?;
            let none = || wrong(format!("there is no mapping '{id}' of a directory"));
            let mapping = mapping.ok_or_else(none)?.value;
            let elsewhere = || {
                let node = &self.name;
                wrong(format!("mapping '{id}' has no directory on node '{node}'"))
            };
            let entry = mapping.on(&self.name).ok_or_else(elsewhere)?;
            let found = find_directory(&entry.path);
            let path = found.map_err(|text| wrong(format!("mapping '{id}': {text}")))?;
            Ok(SharedDirectory {
                index: *index,
                path,
                settings: settings.clone(),
            })
        };
        shares.map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_is_neither_shared_nor_within_what_is() {
        for good in [
            "/srv/data",
            "/var/srv/data",
            "/mnt",
            "/var/lib/vz",
            "/rooted",
            "/etcetera",
        ] {
            assert!(check_place(Path::new(good)).is_ok(), "{good}");
        }
        for bad in [
            "/",
            "/var",
            "/var/lib",
            "/etc",
            "/etc/ssh",
            "/var/lib/basalt/x",
            "/root/x",
        ] {
            assert!(check_place(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_link_leads_to_where_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(path("real")).unwrap();
        std::os::unix::fs::symlink(path("real"), path("link")).unwrap();
        std::os::unix::fs::symlink("/etc", path("trap")).unwrap();
        std::fs::write(path("file"), "").unwrap();
        let real = std::fs::canonicalize(path("real")).unwrap();
        assert_eq!(find_directory(&path("link")), Ok(real));
        assert!(find_directory(&path("trap")).unwrap_err().contains("/etc"));
        assert!(find_directory(&path("file")).is_err());
        let missing = find_directory(&path("missing")).unwrap_err();
        assert!(missing.contains("missing"), "{missing}");
    }
}
