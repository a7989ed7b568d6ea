//! The pools of the host, whether a storage lies in them or not.

use super::tool;
use crate::error::Result;
use basalt_model::storage::ZfsName;
use std::iter::Peekable;

/// A pool and its room, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// In all.
    pub size: u64,
    /// In use.
    pub used: u64,
    /// Free.
    pub free: u64,
    /// How much of the free room is in pieces, in percent; 0 while that is not known.
    pub fragmentation: u64,
    /// How many times more is stored than room taken, by blocks that are alike.
    pub deduplication: f64,
    /// Its state: ONLINE, DEGRADED, FAULTED, ….
    pub health: String,
}

/// How a pool is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Its state, as [`Pool::health`].
    pub state: String,
    /// What is the matter with it, if something is.
    pub status: Option<String>,
    /// What to do about that.
    pub action: Option<String>,
    /// The last check or repair of all data.
    pub scan: Option<String>,
    /// Which data is lost.
    pub errors: String,
    /// What it is made of.
    pub devices: Vec<Device>,
}

/// A part of a pool: a group of parts, or a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name, or the path of the device.
    pub name: String,
    /// Its state; a heading such as `logs` has none.
    pub state: Option<String>,
    /// What went wrong with it, where that is counted.
    pub faults: Option<Faults>,
    /// What else is said of it.
    pub remark: String,
    /// Its parts.
    pub parts: Vec<Device>,
}

/// How often something went wrong with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Failed reads.
    pub read: u64,
    /// Failed writes.
    pub write: u64,
    /// Blocks whose checksum was wrong.
    pub checksum: u64,
}

/// The pools of the host; none while its kernel has no ZFS.
pub async fn pools() -> Result<Vec<Pool>> {
    const COLUMNS: &str = "name,size,allocated,free,fragmentation,dedupratio,health";
    if !tool::is_loaded() {
        return Ok(Vec::new());
    }
    let list = tool::run_tool("zpool", &["list", "-H", "-p", "-o", COLUMNS]).await?;
    Ok(list.lines().filter_map(pool).collect())
}

/// How a pool is; nothing when there is none of this name.
pub async fn status(name: &ZfsName) -> Result<Option<PoolStatus>> {
    if !pools().await?.iter().any(|pool| pool.name == name.as_str()) {
        return Ok(None);
    }
    let said = tool::run_tool("zpool", &["status", "-p", "-P", name.as_str()]).await?;
    Ok(Some(parse(&said)))
}

/// A line of `zpool list -H -p`; `-` stands for what is not known.
fn pool(line: &str) -> Option<Pool> {
    let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
    let [name, size, used, free, fragmentation, deduplication, health] = fields[..] else {
        return None;
    };
    let bytes = |text: &str| text.parse().unwrap_or(0);
    let ratio = deduplication.trim_end_matches('x').parse();
    Some(Pool {
        name: name.to_owned(),
        size: bytes(size),
        used: bytes(used),
        free: bytes(free),
        fragmentation: bytes(fragmentation.trim_end_matches('%')),
        deduplication: ratio.unwrap_or(1.0),
        health: health.to_owned(),
    })
}

/// What `zpool status -p -P` says of one pool: paragraphs that begin with a word and a colon, and go on in
/// lines that begin with a tabulator.
fn parse(text: &str) -> PoolStatus {
    let mut status = PoolStatus::default();
    let mut table = Vec::new();
    let mut heading = "";
    for line in text.lines() {
        let (word, rest) = match line.split_once(": ").or(line.split_once(':')) {
            Some((word, rest)) if !line.starts_with('\t') => (word.trim(), rest.trim()),
            _ if heading == "config" => {
                table.extend(line.strip_prefix('\t').and_then(row));
                continue;
            }
            _ => (heading, line.trim()),
        };
        heading = word;
        match heading {
            "pool" => add(&mut status.name, rest),
            "state" => add(&mut status.state, rest),
            "status" => add(status.status.get_or_insert_default(), rest),
            "action" => add(status.action.get_or_insert_default(), rest),
            "scan" => add(status.scan.get_or_insert_default(), rest),
            "errors" => add(&mut status.errors, rest),
            _ => {}
        }
    }
    status.devices = tree(&mut table.into_iter().peekable(), 0);
    status
}

/// Goes on with a paragraph.
fn add(paragraph: &mut String, line: &str) {
    if !paragraph.is_empty() && !line.is_empty() {
        paragraph.push(' ');
    }
    paragraph.push_str(line);
}

/// A row of the table of devices, and how deep it stands: each level is indented by two spaces.
fn row(line: &str) -> Option<(usize, Device)> {
    let depth = (line.len() - line.trim_start_matches(' ').len()) / 2;
    let mut fields = line.split_whitespace();
    let name = fields.next().filter(|name| *name != "NAME")?;
    let state = fields.next().map(str::to_owned);
    let rest: Vec<&str> = fields.collect();
    let faults = match rest[..] {
        [read, write, checksum, ..] => counted(read, write, checksum),
        _ => None,
    };
    let said = if faults.is_some() {
        &rest[3..]
    } else {
        &rest[..]
    };
    let device = Device {
        name: name.to_owned(),
        state,
        faults,
        remark: said.join(" "),
        parts: Vec::new(),
    };
    Some((depth, device))
}

fn counted(read: &str, write: &str, checksum: &str) -> Option<Faults> {
    Some(Faults {
        read: read.parse().ok()?,
        write: write.parse().ok()?,
        checksum: checksum.parse().ok()?,
    })
}

/// The rows from `depth` on that come next, each with those that stand deeper as its parts.
fn tree(rows: &mut Peekable<impl Iterator<Item = (usize, Device)>>, depth: usize) -> Vec<Device> {
    let mut devices = Vec::new();
    while let Some((at, mut device)) = rows.next_if(|(at, _)| *at >= depth) {
        device.parts = tree(rows, at + 1);
        devices.push(device);
    }
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_lines() {
        let tank = pool("tank\t15032385536\t1048576\t15031336960\t0\t1.00\tONLINE").unwrap();
        assert_eq!((tank.size, tank.used), (15_032_385_536, 1 << 20));
        assert_eq!((tank.fragmentation, tank.deduplication), (0, 1.0));
        let old = pool("old\t-\t-\t-\t12%\t1.50x\tFAULTED").unwrap();
        assert_eq!(
            (old.size, old.fragmentation, old.deduplication),
            (0, 12, 1.5)
        );
        assert_eq!(pool("no pools available"), None);
    }

    const STATUS: &str = "  pool: tank
 state: DEGRADED
status: One or more devices could not be used because the label is missing or
\tinvalid.  Sufficient replicas exist for the pool to continue.
action: Replace the device using 'zpool replace'.
   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-4J
  scan: scrub repaired 0B in 00:00:01 with 0 errors on Sun Nov 29 00:24:02 2026
config:

\tNAME                     STATE     READ WRITE CKSUM
\ttank                     DEGRADED     0     0     0
\t  mirror-0               DEGRADED     0     0     0
\t    /dev/vdb1            ONLINE       0     0     0
\t    1234567890           UNAVAIL      3     0    12  was /dev/vdc1
\tlogs
\t  /dev/vdd1              ONLINE       0     0     0
\tspares
\t  /dev/vde1              AVAIL

errors: No known data errors
";

    #[test]
    fn a_status_is_read() {
        let status = parse(STATUS);
        assert_eq!(
            (status.name.as_str(), status.state.as_str()),
            ("tank", "DEGRADED")
        );
        assert!(
            status.status.unwrap().ends_with(
                "missing or invalid.  Sufficient replicas exist for the pool to continue."
            )
        );
        assert!(status.scan.unwrap().ends_with("00:24:02 2026"));
        assert_eq!(status.errors, "No known data errors");
        let names = |devices: &[Device]| -> Vec<String> {
            devices.iter().map(|device| device.name.clone()).collect()
        };
        assert_eq!(names(&status.devices), ["tank", "logs", "spares"]);
        let mirror = &status.devices[0].parts[0];
        assert_eq!(names(&mirror.parts), ["/dev/vdb1", "1234567890"]);
        let lost = &mirror.parts[1];
        assert_eq!(lost.remark, "was /dev/vdc1");
        let faults = Faults {
            read: 3,
            write: 0,
            checksum: 12,
        };
        assert_eq!(lost.faults, Some(faults));
        assert_eq!(status.devices[1].state, None);
        let spare = &status.devices[2].parts[0];
        assert_eq!(
            (spare.state.as_deref(), spare.faults),
            (Some("AVAIL"), None)
        );
    }

    #[test]
    fn nothing_and_nonsense_have_no_devices() {
        assert_eq!(parse(""), PoolStatus::default());
        let odd = parse("config:\n\n\t      deep  ONLINE 0 0 0\n\tshallow\n\t  x y z\n");
        assert_eq!(odd.devices.len(), 2);
        assert_eq!(odd.devices[1].parts[0].remark, "z");
    }
}
