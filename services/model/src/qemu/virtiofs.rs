//! Directories of the host that a machine shares with its guest.

use crate::mapping::MappingId;
use crate::words;

words! {
    /// What the guest may keep of a shared directory without asking again.
    pub enum FsCache {
        /// Data and names for a moment, and a file's data while it is open.
        Auto = "auto",
        /// Everything: for directories that nobody else changes.
        Always = "always",
        /// Names and attributes, but no data.
        Metadata = "metadata",
        /// Nothing.
        Never = "never",
    }
}

crate::propstring! {
    /// A directory of the host that the guest mounts by virtio-fs.
    pub struct VirtioFs {
        /// The mapping of the directory, and the tag by which the guest mounts it.
        default dirid "dirid": MappingId,
        /// What the guest may keep (default auto).
        cache "cache": FsCache,
        /// Honour `O_DIRECT` of the guest's programs.
        direct_io "direct-io": bool,
        /// Whether the guest sees and sets POSIX ACLs; extended attributes come with them.
        expose_acl "expose-acl": bool,
        /// Whether the guest sees and sets extended attributes.
        expose_xattr "expose-xattr": bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_round_trips_with_its_mapping_first_and_bare() {
        for text in [
            "data",
            "data,cache=never",
            "data,cache=metadata,direct-io=1,expose-acl=0,expose-xattr=1",
        ] {
            assert_eq!(text.parse::<VirtioFs>().unwrap().to_string(), text);
        }
        let long = "expose-xattr=1,cache=always,dirid=data".parse::<VirtioFs>();
        assert_eq!(
            long.unwrap().to_string(),
            "data,cache=always,expose-xattr=1"
        );
    }

    #[test]
    fn a_share_without_mapping_or_with_nonsense_is_refused() {
        for bad in [
            "",
            "cache=auto",
            "data,cache=writeback",
            "/srv",
            "data,ro=1",
            "data,direct-io=2",
        ] {
            assert!(bad.parse::<VirtioFs>().is_err(), "{bad}");
        }
    }
}
