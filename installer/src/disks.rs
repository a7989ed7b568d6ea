//! The disks of this machine, described so that a person can tell them apart.

use std::path::PathBuf;

use anyhow::Context;
use basalt_layout::SlotLabel;
use basalt_layout::disk::ANSWER_LABEL;
use basalt_update::command;
use serde::Deserialize;

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its device.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Maker and model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// What is on it now, in words.
    pub content: String,
    /// Why it cannot be installed on, whatever its size.
    pub busy: Option<String>,
    /// It carries the answer file, or is no place to install on by itself.
    pub is_medium: bool,
}

impl Disk {
    /// Size in GiB with one decimal.
    pub fn size_text(&self) -> String {
        gib(self.size)
    }
}

/// A size in GiB with one decimal.
pub fn gib(bytes: u64) -> String {
    let tenths = bytes / ((1 << 30) / 10);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[derive(Debug, Default, Deserialize)]
struct Listing {
    blockdevices: Vec<Device>,
}

/// A device as `lsblk` describes it.
#[derive(Debug, Default, Deserialize)]
struct Device {
    path: PathBuf,
    #[serde(rename = "type")]
    kind: String,
    size: u64,
    ro: bool,
    model: Option<String>,
    serial: Option<String>,
    fstype: Option<String>,
    label: Option<String>,
    partlabel: Option<String>,
    pttype: Option<String>,
    #[serde(default)]
    mountpoints: Vec<Option<String>>,
    #[serde(default)]
    children: Vec<Device>,
}

/// All disks that could be meant.
pub fn list() -> anyhow::Result<Vec<Disk>> {
    let columns = "PATH,TYPE,SIZE,RO,MODEL,SERIAL,FSTYPE,LABEL,PARTLABEL,PTTYPE,MOUNTPOINTS";
    let text = command::run("lsblk", &["--json", "--bytes", "--output", columns], "")?;
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Vec<Disk>> {
    let listing: Listing = serde_json::from_str(text).context("lsblk")?;
    let disks = listing
        .blockdevices
        .into_iter()
        .filter(|device| device.kind == "disk" && device.size > 0)
        .filter(|device| {
            let name = device.path.to_string_lossy();
            !["/dev/zram", "/dev/ram", "/dev/fd", "/dev/nbd"]
                .iter()
                .any(|p| name.starts_with(p))
        })
        .map(|device| Disk {
            size: device.size,
            model: trimmed(&device.model).unwrap_or("unknown model").to_owned(),
            serial: trimmed(&device.serial).unwrap_or("none").to_owned(),
            content: content(&device),
            busy: busy(&device),
            is_medium: device.has_label(ANSWER_LABEL),
            path: device.path,
        })
        .collect();
    Ok(disks)
}

fn trimmed(text: &Option<String>) -> Option<&str> {
    text.as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

impl Device {
    fn has_label(&self, label: &str) -> bool {
        self.label.as_deref() == Some(label)
            || self.children.iter().any(|child| child.has_label(label))
    }
}

fn busy(device: &Device) -> Option<String> {
    if device.ro {
        return Some("it is read-only".to_owned());
    }
    used_by(device)
}

/// A file system in use, or another device built on top.
fn used_by(device: &Device) -> Option<String> {
    if let Some(place) = device.mountpoints.iter().flatten().next() {
        return Some(if place == "/" {
            "the installer runs from it".to_owned()
        } else {
            format!("{} is in use at {place}", device.path.display())
        });
    }
    device.children.iter().find_map(|child| {
        used_by(child).or_else(|| {
            let is_part = child.kind == "part";
            (!is_part).then(|| {
                format!(
                    "{} is in use by {}",
                    device.path.display(),
                    child.path.display()
                )
            })
        })
    })
}

fn content(device: &Device) -> String {
    let slots = device
        .children
        .iter()
        .filter_map(|part| part.partlabel.as_deref());
    let versions: Vec<String> = slots
        .filter_map(|label| match SlotLabel::parse(label)? {
            SlotLabel::Root(version) => Some(version.to_string()),
            _ => None,
        })
        .collect();
    if !versions.is_empty() {
        return format!("Basalt {}", versions.join(" and "));
    }
    let parts: Vec<String> = device
        .children
        .iter()
        .map(|part| {
            let kind = trimmed(&part.fstype).unwrap_or("unknown");
            match trimmed(&part.label).or(trimmed(&part.partlabel)) {
                Some(label) => format!("{kind} \"{label}\""),
                None => kind.to_owned(),
            }
        })
        .collect();
    match (
        parts.len(),
        trimmed(&device.fstype),
        trimmed(&device.pttype),
    ) {
        (0, Some(kind), _) => format!("a {kind} file system"),
        (0, None, Some(_)) => "an empty partition table".to_owned(),
        (0, None, None) => "nothing".to_owned(),
        (1, ..) => format!("1 partition: {}", parts[0]),
        (count, ..) => format!("{count} partitions: {}", parts.join(", ")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A machine with a blank disk, a used one, the medium and the answers.
    pub const LSBLK: &str = r#"{"blockdevices": [
      {"path":"/dev/vda","type":"disk","size":34359738368,"ro":false,"model":null,
       "serial":"basalt-system","fstype":null,"label":null,"partlabel":null,"pttype":null,
       "mountpoints":[null]},
      {"path":"/dev/sda","type":"disk","size":8589934592,"ro":false,"model":"ACME Disk ",
       "serial":"S1","fstype":null,"label":null,"partlabel":null,"pttype":"gpt",
       "mountpoints":[null],"children":[
        {"path":"/dev/sda1","type":"part","size":100,"ro":false,"model":null,"serial":null,
         "fstype":"vfat","label":null,"partlabel":"EFI","pttype":"gpt","mountpoints":[null]},
        {"path":"/dev/sda2","type":"part","size":100,"ro":false,"model":null,"serial":null,
         "fstype":"ext4","label":"old","partlabel":null,"pttype":"gpt","mountpoints":[null]}]},
      {"path":"/dev/sdb","type":"disk","size":500000000,"ro":false,"model":"Stick",
       "serial":"S2","fstype":null,"label":null,"partlabel":null,"pttype":"gpt",
       "mountpoints":[null],"children":[
        {"path":"/dev/sdb4","type":"part","size":100,"ro":false,"model":null,"serial":null,
         "fstype":"erofs","label":null,"partlabel":"basalt_0.1.0","pttype":"gpt",
         "mountpoints":[null],"children":[
          {"path":"/dev/mapper/root","type":"crypt","size":100,"ro":true,"model":null,
           "serial":null,"fstype":"erofs","label":null,"partlabel":null,"pttype":null,
           "mountpoints":["/"]}]}]},
      {"path":"/dev/vdb","type":"disk","size":4194304,"ro":true,"model":null,"serial":null,
       "fstype":"vfat","label":"BASALT-ANS","partlabel":null,"pttype":null,"mountpoints":[null]},
      {"path":"/dev/sr0","type":"rom","size":500000000,"ro":false,"model":"CD","serial":null,
       "fstype":"iso9660","label":"BASALT","partlabel":null,"pttype":null,"mountpoints":[null]}
    ]}"#;

    #[test]
    fn disks_are_told_apart() {
        let disks = parse(LSBLK).unwrap();
        let paths: Vec<_> = disks
            .iter()
            .map(|disk| disk.path.to_str().unwrap())
            .collect();
        assert_eq!(paths, ["/dev/vda", "/dev/sda", "/dev/sdb", "/dev/vdb"]);
        assert_eq!(disks[0].content, "nothing");
        assert_eq!(disks[0].serial, "basalt-system");
        assert_eq!(disks[0].size_text(), "32.0 GiB");
        assert_eq!(disks[1].content, "2 partitions: vfat \"EFI\", ext4 \"old\"");
        assert_eq!(disks[1].model, "ACME Disk");
        assert_eq!(disks[1].busy, None);
        assert_eq!(disks[2].content, "Basalt 0.1.0");
        assert_eq!(disks[2].busy.as_deref(), Some("the installer runs from it"));
        assert!(disks[3].is_medium && disks[3].busy.is_some());
    }
}
