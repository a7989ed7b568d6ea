//! Asking disks how they are (SMART), by smartctl.
//!
//! Such commands go past the kernel's block layer to the disk itself, which takes rights that the node has
//! not. Each question is a program of its own, therefore: it has the two rights that such commands need, sees
//! one disk, and has no network.

use crate::program::{Program, words};
use basalt_api::methods::hardware::{DiskHealth, SmartAttribute, SmartKind, SmartReport, Wearout};
use basalt_unit::{Property, Units};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::Semaphore;

const SMARTCTL: &str = "/usr/sbin/smartctl";
/// Beginnings of the paths of disks that can be asked: those of virtual machines cannot.
const KINDS: [&str; 2] = ["/dev/sd", "/dev/nvme"];
/// It ends by what it found out, each as a bit, which is no failure.
const ENDS: std::ops::RangeInclusive<i32> = 1..=255;
/// A disk that hangs does not answer sooner than the kernel gives it up.
const DEADLINE: Duration = Duration::from_secs(60);
/// So many questions at once, however many ask.
static TURNS: Semaphore = Semaphore::const_new(8);
/// A report is never longer, in bytes.
const LONGEST: u64 = 1 << 20;
/// CAP_SYS_RAWIO, for commands of SCSI and ATA, and CAP_SYS_ADMIN, for those of NVMe.
const RIGHTS: u64 = 1 << 17 | 1 << 21;
/// Where the text of a report begins, after the program's own name and its authors.
const BEGINS: &str = "=== START OF";
/// What disks call an attribute whose value is the percentage of life left.
const LIFE: [&str; 8] = [
    "Media_Wearout_Indicator",
    "SSD_Life_Left",
    "Wear_Leveling_Count",
    "Perc_Lifetime_Remain",
    "Percent_Lifetime_Remain",
    "Percent_Life_Remaining",
    "Remaining_Lifetime_Perc",
    "Lifetime_Remaining%",
];

/// What is asked of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// How it is and what it counts, unless it sleeps: it is not woken.
    Awake,
    /// Whether it is well.
    Health,
    /// How it is, and everything that it counts.
    All,
}

/// Why a disk could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SmartError {
    /// The program could not be run.
    #[error("smartctl cannot be run: {0}")]
    Start(#[from] std::io::Error),
    /// It said nothing that can be understood.
    #[error("smartctl says of {disk}: {said}")]
    Answer {
        /// Path of the disk.
        disk: String,
        /// The end of what it said, or why it said nothing.
        said: String,
    },
}

/// Asks a disk, by its path. One that has nothing to say is no error.
pub async fn ask(units: &Units, disk: &str, question: Question) -> Result<SmartReport, SmartError> {
    if !KINDS.iter().any(|kind| disk.starts_with(kind)) {
        return Ok(Answer::default().report(question));
    }
    let mut arguments = words(match question {
        Question::Awake => &["--json", "--health", "--attributes", "--nocheck=standby"],
        Question::Health => &["--json", "--health"],
        Question::All => &["--json=o", "--health", "--attributes"],
    });
    arguments.push(disk.to_owned());
    let program = Program {
        name: "basalt-smart",
        description: format!("How {disk} is"),
        executable: SMARTCTL.into(),
        arguments,
        user: None,
        input: &[],
        deadline: DEADLINE,
        rights: rights(disk),
    };
    let _turn = TURNS.acquire().await;
    let (done, printed) = program.run(units, LONGEST).await?;
    let answer = serde_json::from_slice::<Answer>(&printed);
    let answer = answer.map_err(|error| SmartError::Answer {
        disk: disk.to_owned(),
        said: done
            .err()
            .map_or(error.to_string(), |ended| ended.to_string()),
    })?;
    Ok(answer.report(question))
}

fn rights(disk: &str) -> Vec<Property> {
    // Commands of SCSI are sent through a file that is open for writing.
    let device = vec![(disk.to_owned(), "rw".to_owned())];
    vec![
        Property::new("CapabilityBoundingSet", RIGHTS),
        Property::new("DeviceAllow", device),
        Property::new("RestrictAddressFamilies", (true, words(&["AF_UNIX"]))),
        Property::new("PrivateNetwork", true),
        Property::new(
            "SuccessExitStatus",
            (ENDS.collect::<Vec<i32>>(), Vec::<i32>::new()),
        ),
        Property::new("MemoryDenyWriteExecute", true),
    ]
}

/// What smartctl prints, as far as it is of use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    smartctl: Smartctl,
    smart_status: Option<Status>,
    ata_smart_attributes: Option<Table>,
    nvme_smart_health_information_log: Option<NvmeLog>,
    scsi_percentage_used_endurance_indicator: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Smartctl {
    /// What it would have printed for people.
    output: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Status {
    passed: bool,
}

#[derive(Debug, Deserialize)]
struct NvmeLog {
    percentage_used: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Table {
    table: Vec<Attribute>,
}

#[derive(Debug, Deserialize)]
struct Attribute {
    id: u8,
    name: String,
    value: u64,
    worst: u64,
    #[serde(default)]
    thresh: u64,
    #[serde(default)]
    when_failed: String,
    flags: Flags,
    raw: Raw,
}

#[derive(Debug, Deserialize)]
struct Flags {
    string: String,
}

#[derive(Debug, Deserialize)]
struct Raw {
    string: String,
}

impl Answer {
    fn report(self, question: Question) -> SmartReport {
        let health = self.health();
        let wearout = self.life_left();
        let mut report = SmartReport {
            health,
            kind: None,
            attributes: None,
            text: None,
            wearout,
        };
        if question == Question::Health {
            return report;
        }
        if let Some(Table { table }) = self.ata_smart_attributes {
            report.kind = Some(SmartKind::Ata);
            report.attributes = Some(table.into_iter().map(SmartAttribute::from).collect());
            return report;
        }
        let lines = self.smartctl.output.into_iter();
        let text: Vec<String> = lines.skip_while(|line| !line.starts_with(BEGINS)).collect();
        if !text.is_empty() {
            report.kind = Some(SmartKind::Text);
            report.text = Some(text.join("\n") + "\n");
        }
        report
    }

    fn health(&self) -> DiskHealth {
        match self.smart_status {
            Some(Status { passed: true }) => DiskHealth::Passed,
            Some(Status { passed: false }) => DiskHealth::Failed,
            None => DiskHealth::Unknown,
        }
    }

    /// In percent.
    fn life_left(&self) -> Option<u8> {
        let nvme = self.nvme_smart_health_information_log.as_ref();
        let used = nvme.and_then(|log| log.percentage_used);
        // A disk may go on beyond what its maker promised.
        let left = match used.or(self.scsi_percentage_used_endurance_indicator) {
            Some(used) => 100_u64.saturating_sub(used),
            None => {
                let mut attributes = self.ata_smart_attributes.iter().flat_map(|t| &t.table);
                let life = attributes.find(|one| LIFE.contains(&one.name.as_str()))?;
                life.value.min(100)
            }
        };
        u8::try_from(left).ok()
    }
}

impl From<Attribute> for SmartAttribute {
    fn from(one: Attribute) -> Self {
        Self {
            id: format!("{:>3}", one.id),
            name: one.name,
            flags: one.flags.string.trim().to_owned(),
            value: one.value,
            normalized: one.value,
            worst: one.worst,
            threshold: one.thresh,
            fail: match one.when_failed.as_str() {
                "now" => "NOW",
                "past" => "Past",
                _ => "-",
            }
            .to_owned(),
            raw: one.raw.string,
        }
    }
}

/// As lists tell it.
pub fn wearout(report: &SmartReport) -> Wearout {
    report.wearout.map_or(Wearout::UNKNOWN, Wearout::Left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(question: Question, json: serde_json::Value) -> SmartReport {
        let answer: Answer = serde_json::from_value(json).unwrap();
        answer.report(question)
    }

    #[test]
    fn attributes_of_an_ata_disk_tell_its_life_and_what_failed() {
        let ata = serde_json::json!({
            "smartctl": {"output": ["smartctl", "=== START OF x"], "exit_status": 8},
            "smart_status": {"passed": false},
            "ata_smart_attributes": {"revision": 1, "table": [
                {"id": 5, "name": "Reallocated_Sector_Ct", "value": 3, "worst": 3, "thresh": 36,
                 "when_failed": "now", "flags": {"value": 51, "string": "PO--CK "},
                 "raw": {"value": 3988, "string": "3988"}},
                {"id": 177, "name": "Wear_Leveling_Count", "value": 93, "worst": 93,
                 "when_failed": "", "flags": {"value": 19, "string": "PO--C- "},
                 "raw": {"value": 144, "string": "144"}}]}
        });
        let found = report(Question::All, ata.clone());
        assert_eq!(found.health, DiskHealth::Failed);
        assert_eq!(
            (found.kind, found.wearout),
            (Some(SmartKind::Ata), Some(93))
        );
        let attributes = found.attributes.unwrap();
        let (first, second) = (&attributes[0], &attributes[1]);
        assert_eq!((first.id.as_str(), first.fail.as_str()), ("  5", "NOW"));
        assert_eq!(
            (first.flags.as_str(), first.raw.as_str()),
            ("PO--CK", "3988")
        );
        assert_eq!((second.threshold, second.fail.as_str()), (0, "-"));
        let short = report(Question::Health, ata);
        assert_eq!((short.health, short.kind), (DiskHealth::Failed, None));
    }

    #[test]
    fn other_disks_tell_a_text() {
        let nvme = serde_json::json!({
            "smartctl": {"output": ["smartctl 7.4", "Copyright", "", "=== START OF SMART DATA SECTION ===", "a", "b"]},
            "smart_status": {"passed": true, "nvme": {"value": 0}},
            "nvme_smart_health_information_log": {"critical_warning": 0, "percentage_used": 104}
        });
        let found = report(Question::All, nvme);
        assert_eq!(found.health, DiskHealth::Passed);
        assert_eq!(found.kind, Some(SmartKind::Text));
        assert_eq!(
            found.text.as_deref(),
            Some("=== START OF SMART DATA SECTION ===\na\nb\n")
        );
        assert_eq!(found.wearout, Some(0));
    }

    #[test]
    fn a_disk_that_says_nothing_is_not_known() {
        let silent = serde_json::json!({
            "smartctl": {"output": ["/dev/vda: Unable to detect device type"], "exit_status": 1}
        });
        let found = report(Question::All, silent);
        assert_eq!((found.health, found.kind), (DiskHealth::Unknown, None));
        assert_eq!(wearout(&found), Wearout::UNKNOWN);
    }
}
