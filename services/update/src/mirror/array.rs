//! The mirrored data: Linux's RAID 1, worked through `mdadm` and read from sysfs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use basalt_layout::mirror::{DEVICE, MEMBERS, Member, NAME, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE};
use serde::{Deserialize, Serialize};

use crate::block::Blocks;
use crate::{Error, claim, command};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// How long others may keep an array that is to be stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads a partition's superblock; `None` when it is no member of a mirror, or cannot be read.
pub fn read_member(partition: &Path) -> Option<Member> {
    let mut bytes = [0; SUPERBLOCK_SIZE];
    let mut file = File::open(partition).ok()?;
    file.seek(SeekFrom::Start(SUPERBLOCK_OFFSET)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Member::parse(&bytes)
}

/// A mirror that has just been made; it is stopped when dropped, so that its disks are free again.
#[derive(Debug)]
pub struct Mirror {
    device: PathBuf,
    runs: bool,
}

impl Mirror {
    /// Makes a mirror over two partitions, and starts it.
    pub fn create(members: &[PathBuf; MEMBERS]) -> Result<Self, Error> {
        let device = Path::new("/dev").join(DEVICE);
        let (path, name) = (device.to_string_lossy(), format!("--name={NAME}"));
        let count = format!("--raid-devices={MEMBERS}");
        let [first, second] = members.each_ref().map(|path| path.to_string_lossy());
        // The file system gives no meaning to blocks it has not written, and writes each of them to
        // both members: there is nothing whose equality would matter before.
        let arguments = [
            "--create",
            &path,
            "--run",
            "--quiet",
            "--metadata=1.2",
            "--level=1",
            "--bitmap=internal",
            "--assume-clean",
            "--homehost=<none>",
            &name,
            &count,
            &first,
            &second,
        ];
        command::run("mdadm", &arguments, "")?;
        claim::wait_for(&device)?;
        Ok(Self { device, runs: true })
    }

    /// Its device.
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// Stops it; both members are then marked as equal.
    pub fn stop(mut self) -> Result<(), Error> {
        self.runs = false;
        stop(&self.device)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if self.runs
            && let Err(error) = stop(&self.device)
        {
            tracing::warn!(%error, "the mirror is not stopped");
        }
    }
}

/// Stops an array. Whoever looks at it just now, as udev does when its file system was closed, keeps it
/// for a moment longer.
fn stop(device: &Path) -> Result<(), Error> {
    let end = Instant::now() + PATIENCE;
    loop {
        match command::run("mdadm", &["--stop", &device.to_string_lossy()], "") {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// What the kernel makes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// It has everything.
    Whole,
    /// It is being brought up to date.
    Recovering,
    /// It does not work, and is not used until the next boot.
    Failed,
    /// It is not part of the running mirror.
    Away,
}

impl MemberState {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Recovering => "recovering",
            Self::Failed => "failed",
            Self::Away => "away",
        }
    }
}

/// The running mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    /// The members' partitions by kernel name, and their states.
    pub members: Vec<(String, MemberState)>,
    /// How much of a member that is being brought up to date is done.
    pub percent: Option<u8>,
}

impl Array {
    /// The running mirror, if there is one.
    pub fn read(blocks: &Blocks) -> Option<Self> {
        let attribute = |name: &str| blocks.attribute(DEVICE, &format!("md/{name}"));
        attribute("array_state").filter(|state| state != "clear")?;
        let mut members: Vec<(String, MemberState)> = blocks
            .children(DEVICE, "md")
            .into_iter()
            .filter_map(|entry| {
                let state = attribute(&format!("{entry}/state"))?;
                Some((entry.strip_prefix("dev-")?.to_owned(), member_state(&state)))
            })
            .collect();
        members.sort();
        let percent = attribute("sync_completed").as_deref().and_then(percent);
        Some(Self { members, percent })
    }

    /// The state of the member with this kernel name.
    pub fn state_of(&self, name: &str) -> MemberState {
        self.members
            .iter()
            .find(|(known, _)| known == name)
            .map_or(MemberState::Away, |(_, state)| *state)
    }

    /// Whether both members have everything.
    pub fn is_whole(&self) -> bool {
        let whole = |(_, state): &&(String, MemberState)| *state == MemberState::Whole;
        self.members.iter().filter(whole).count() == MEMBERS
    }

    /// One line about it.
    pub fn describe(&self) -> String {
        if self.is_whole() {
            return "whole".to_owned();
        }
        let names = |wanted: MemberState| -> Vec<&str> {
            self.members
                .iter()
                .filter(|(_, state)| *state == wanted)
                .map(|(name, _)| name.as_str())
                .collect()
        };
        let (whole, recovering) = (names(MemberState::Whole), names(MemberState::Recovering));
        match recovering.first() {
            Some(name) => {
                let percent = self.percent.unwrap_or(0);
                format!("degraded: {name} is brought up to date, {percent} % done")
            }
            None => format!("degraded: the data is on {} alone", whole.join(", ")),
        }
    }

    /// Forgets members whose disks have been taken out, so that they can come back.
    pub fn forget_detached(&self) -> Result<(), Error> {
        manage(&["--remove", "detached"])
    }

    /// Adds a member that was away. If the other one knows everything it may lack, only that is
    /// copied; otherwise everything.
    pub fn add_again(&self, path: &Path, member: &Member, newest: &Member) -> Result<(), Error> {
        let text = path.to_string_lossy();
        if member.only_lags(newest) && manage(&["--re-add", &text]).is_ok() {
            return Ok(());
        }
        command::run("mdadm", &["--quiet", "--zero-superblock", &text], "")?;
        self.add(path)
    }

    /// Adds a partition that holds nothing.
    pub fn add(&self, path: &Path) -> Result<(), Error> {
        manage(&["--add", &path.to_string_lossy()])
    }

    /// Waits until no member is being brought up to date.
    pub fn wait(&self, blocks: &Blocks) {
        let device = format!("/dev/{DEVICE}");
        let recovers = |array: Self| {
            let mut states = array.members.iter();
            states.any(|(_, state)| *state == MemberState::Recovering)
        };
        while Self::read(blocks).is_some_and(recovers) {
            // It fails when the kernel has not begun to copy yet; then a moment later it has.
            if command::run("mdadm", &["--quiet", "--wait", &device], "").is_err() {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn manage(arguments: &[&str]) -> Result<(), Error> {
    let device = format!("/dev/{DEVICE}");
    let all = [&["--quiet", "--manage", &device], arguments].concat();
    command::run("mdadm", &all, "").map(drop)
}

fn member_state(text: &str) -> MemberState {
    let has = |word| text.split(',').any(|w| w == word);
    if has("faulty") {
        MemberState::Failed
    } else if has("in_sync") {
        MemberState::Whole
    } else {
        MemberState::Recovering
    }
}

/// `done / total` in sectors; `none` when nothing is being copied.
fn percent(text: &str) -> Option<u8> {
    let (done, total) = text.split_once('/')?;
    let (done, total): (u64, u64) = (done.trim().parse().ok()?, total.trim().parse().ok()?);
    u8::try_from(done.saturating_mul(100) / total.max(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn sys(members: &[(&str, &str)], completed: &str) -> (tempfile::TempDir, Blocks) {
        let dir = tempfile::tempdir().unwrap();
        let md = dir.path().join("class/block/md0/md");
        fs::create_dir_all(&md).unwrap();
        fs::write(md.join("array_state"), "clean\n").unwrap();
        fs::write(md.join("sync_completed"), completed).unwrap();
        for (name, state) in members {
            let folder = md.join(format!("dev-{name}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("state"), state).unwrap();
        }
        let blocks = Blocks::at(dir.path());
        (dir, blocks)
    }

    #[test]
    fn the_kernels_view_becomes_words() {
        let describe = |members: &[(&str, &str)], completed: &str| {
            let (_dir, blocks) = sys(members, completed);
            Array::read(&blocks).unwrap().describe()
        };
        let both = [("vda6", "in_sync\n"), ("vdb6", "in_sync\n")];
        assert_eq!(describe(&both, "none\n"), "whole");
        let one = [("vdb6", "in_sync\n")];
        assert_eq!(
            describe(&one, "none\n"),
            "degraded: the data is on vdb6 alone"
        );
        let failed = [("vda6", "faulty\n"), ("vdb6", "in_sync\n")];
        assert_eq!(
            describe(&failed, "none\n"),
            "degraded: the data is on vdb6 alone"
        );
        let coming = [("vda6", "spare\n"), ("vdb6", "in_sync\n")];
        assert_eq!(
            describe(&coming, "50 / 200\n"),
            "degraded: vda6 is brought up to date, 25 % done"
        );
    }

    #[test]
    fn a_host_with_one_disk_has_no_mirror() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Array::read(&Blocks::at(dir.path())), None);
        let file = dir.path().join("data");
        fs::write(&file, vec![0; 16384]).unwrap();
        assert_eq!(read_member(&file), None);
    }

    #[test]
    fn who_is_away_is_known_by_absence() {
        let (_dir, blocks) = sys(&[("vda6", "in_sync,write_mostly\n")], "none\n");
        let array = Array::read(&blocks).unwrap();
        assert_eq!(array.state_of("vda6"), MemberState::Whole);
        assert_eq!(array.state_of("vdb6"), MemberState::Away);
        assert!(!array.is_whole());
    }
}
