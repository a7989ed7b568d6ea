//! Where each kind of content lies below a directory storage, and what its files are called.

use crate::error::{Result, StorageError};
use basalt_model::storage::{ContentKind, VolumeId, is_plain_name};
use basalt_model::vmid::Vmid;

/// Endings of archives that containers are made from, with the format a list shows.
const ARCHIVES: [(&str, &str); 7] = [
    (".tar.zst", "tzst"),
    (".tar.gz", "tgz"),
    (".tgz", "tgz"),
    (".tar.xz", "txz"),
    (".txz", "txz"),
    (".tar.bz2", "tbz2"),
    (".tar", "tar"),
];

/// The directory of a kind of content, below the storage.
pub fn directory(content: ContentKind) -> &'static str {
    match content {
        ContentKind::Images | ContentKind::Rootdir => "images",
        ContentKind::Vztmpl => "template/cache",
        ContentKind::Iso => "template/iso",
        ContentKind::Import => "import",
        ContentKind::Snippets => "snippets",
        ContentKind::Backup => "dump",
        ContentKind::Kernel => "template/kernel",
    }
}

/// What stands before the slash in the names of a kind's volumes; none for disks, where it is the
/// owner's number.
pub fn prefix(content: ContentKind) -> Option<&'static str> {
    match content {
        ContentKind::Images | ContentKind::Rootdir => None,
        other => Some(other.as_str()),
    }
}

/// The kind of content that a volume's name says, and its path below the storage.
pub fn locate(volume: &VolumeId) -> Result<(ContentKind, String)> {
    let missing = || StorageError::NoVolume(volume.clone());
    let (first, name) = volume.path().split_once('/').ok_or_else(missing)?;
    if first.parse::<Vmid>().is_ok() {
        return Ok((ContentKind::Images, format!("images/{first}/{name}")));
    }
    let content: ContentKind = first.parse().map_err(|_| missing())?;
    prefix(content).ok_or_else(missing)?;
    Ok((content, format!("{}/{name}", directory(content))))
}

/// The format of a file of this kind and name; none if the kind has no such files.
pub fn format(content: ContentKind, name: &str) -> Option<&'static str> {
    if !is_plain_name(name) {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let ends = |ending: &str| lower.len() > ending.len() && lower.ends_with(ending);
    match content {
        ContentKind::Images | ContentKind::Rootdir if ends(".qcow2") => Some("qcow2"),
        ContentKind::Images | ContentKind::Rootdir => ends(".raw").then_some("raw"),
        ContentKind::Iso => (ends(".iso") || ends(".img")).then_some("iso"),
        ContentKind::Import if ends(".qcow2") => Some("qcow2"),
        ContentKind::Import => (ends(".raw") || ends(".img")).then_some("raw"),
        ContentKind::Vztmpl => ARCHIVES
            .iter()
            .find(|(ending, _)| ends(ending))
            .map(|(_, format)| *format),
        ContentKind::Backup => ARCHIVES
            .iter()
            .find(|(ending, _)| ends(ending))
            .map(|(_, format)| *format),
        ContentKind::Snippets => Some("snippet"),
        ContentKind::Kernel => Some("kernel"),
    }
}

/// Refuses the name of a file that is to be uploaded unless its kind has such files.
pub fn check_upload(content: ContentKind, name: &str) -> Result<()> {
    let wrong = |reason: &str| {
        Err(StorageError::FileName {
            name: name.to_owned(),
            content,
            reason: reason.to_owned(),
        })
    };
    match content {
        ContentKind::Iso | ContentKind::Vztmpl | ContentKind::Import | ContentKind::Kernel => {}
        _ => return wrong("only iso, vztmpl, import and kernel can be uploaded"),
    }
    if !is_plain_name(name) {
        return wrong("use letters, digits and '-_.+~@', no '/' and no '.' first");
    }
    match (format(content, name), content) {
        (Some(_), _) => Ok(()),
        (None, ContentKind::Iso) => wrong("it must end in .iso or .img"),
        (None, ContentKind::Import) => wrong("it must end in .qcow2, .raw or .img"),
        (None, _) => wrong("it must end in .tar.zst, .tar.gz, .tar.xz, .tar.bz2 or .tar"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_uploads_are_checked_per_kind() {
        for (content, name) in [
            (ContentKind::Iso, "debian-13.iso"),
            (ContentKind::Vztmpl, "debian-13.tar.zst"),
            (ContentKind::Import, "Disk.RAW"),
            (ContentKind::Import, "disk.qcow2"),
            (ContentKind::Kernel, "vmlinuz-6.12.0+deb13-amd64"),
        ] {
            assert!(check_upload(content, name).is_ok(), "{name}");
        }
        for (content, name) in [
            (ContentKind::Iso, "debian.tar"),
            (ContentKind::Iso, ".iso"),
            (ContentKind::Iso, "../debian.iso"),
            (ContentKind::Iso, "a/b.iso"),
            (ContentKind::Iso, "a b.iso"),
            (ContentKind::Iso, "a\0.iso"),
            (ContentKind::Vztmpl, "debian.zip"),
            (ContentKind::Import, "disk.vmdk"),
            (ContentKind::Kernel, ".hidden"),
            (ContentKind::Images, "vm-100-disk-0.raw"),
        ] {
            assert!(check_upload(content, name).is_err(), "{name}");
        }
    }

    #[test]
    fn volumes_are_found_by_their_names() {
        let path = |text: &str| locate(&text.parse().unwrap()).map(|(_, path)| path);
        assert_eq!(path("local:100/a.raw").unwrap(), "images/100/a.raw");
        assert_eq!(path("local:vztmpl/a.tar").unwrap(), "template/cache/a.tar");
        for bad in [
            "local:99/a.raw",
            "local:images/a.raw",
            "local:a.raw",
            "local:other/a",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
