//! Programs that run once for the node, each as a unit of its own: with a deadline, with nothing to write to
//! but a folder for the moment and what they print, and with no rights but those that the caller gives.

use basalt_unit::{Property, UnitError, UnitSpec, Units};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// Memory of a program in bytes.
const MEMORY: u64 = 256 << 20;
/// No file that a program writes is longer, and neither is what it prints.
const LONGEST_FILE: u64 = 16 << 20;

/// What to run.
#[derive(Debug)]
pub struct Program<'a> {
    /// Begins the name of the unit.
    pub name: &'static str,
    /// One line for people.
    pub description: String,
    /// Where it is, as the program itself sees it.
    pub executable: PathBuf,
    /// Its arguments, which everybody on the host can read.
    pub arguments: Vec<String>,
    /// Who it runs as; none means root.
    pub user: Option<&'static str>,
    /// Its standard input.
    pub input: &'a [u8],
    /// It may take so long.
    pub deadline: Duration,
    /// What it may beside.
    pub rights: Vec<Property>,
}

impl Program<'_> {
    /// Runs it and waits for its end; answers how that was and the first `longest` bytes that it printed.
    /// When this is dropped, the program still comes to its end or to its deadline.
    pub async fn run(
        self,
        units: &Units,
        longest: u64,
    ) -> io::Result<(Result<(), UnitError>, Vec<u8>)> {
        let (spec, mut output) = self.prepare()?;
        let done = units.start(spec).await;
        Ok((done, read(&mut output, longest)?))
    }

    /// The unit, and the file that takes what it prints.
    pub fn prepare(self) -> io::Result<(UnitSpec, File)> {
        let mut input = memory("program-input")?;
        input.write_all(self.input)?;
        input.rewind()?;
        let output = memory("program-output")?;
        let mut properties = sandbox(self.deadline);
        for name in [
            "StandardOutputFileDescriptor",
            "StandardErrorFileDescriptor",
        ] {
            let output = OwnedFd::from(output.try_clone()?);
            properties.push(Property::descriptor(name, output));
        }
        properties.extend(self.rights);
        let spec = UnitSpec {
            name: format!("{}-{:016x}.service", self.name, rand::random::<u64>()),
            description: self.description,
            slice: "system.slice".to_owned(),
            executable: self.executable,
            arguments: self.arguments,
            user: self.user.map(str::to_owned),
            stdin: input.into(),
            properties,
        };
        Ok((spec, output))
    }
}

/// What was printed, from its beginning.
pub fn read(output: &mut File, longest: u64) -> io::Result<Vec<u8>> {
    output.rewind()?;
    let mut bytes = Vec::new();
    output.take(longest).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// Words of a setting that is a list of them.
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What nobody may do who runs like this.
fn sandbox(deadline: Duration) -> Vec<Property> {
    let on = |name: &str| Property::new(name, true);
    let word = |name: &str, word: &'static str| Property::new(name, word);
    vec![
        // Started means ended, and the end is known.
        word("Type", "oneshot"),
        Property::duration("TimeoutStartUSec", deadline),
        Property::new("MemoryMax", MEMORY),
        Property::new("TasksMax", 64_u64),
        Property::new("LimitFSIZE", LONGEST_FILE),
        Property::new("LimitCORE", 0_u64),
        Property::new("RestrictNamespaces", 0_u64),
        Property::new("SystemCallArchitectures", words(&["native"])),
        Property::new("SystemCallFilter", (true, words(&["@system-service"]))),
        word("DevicePolicy", "closed"),
        word("ProtectSystem", "strict"),
        word("ProtectHome", "tmpfs"),
        word("ProtectProc", "invisible"),
        word("ProcSubset", "pid"),
        word("KeyringMode", "private"),
        on("NoNewPrivileges"),
        on("PrivateTmp"),
        on("PrivateIPC"),
        on("ProtectClock"),
        on("ProtectControlGroups"),
        on("ProtectHostname"),
        on("ProtectKernelLogs"),
        on("ProtectKernelModules"),
        on("ProtectKernelTunables"),
        on("RestrictRealtime"),
        on("RestrictSUIDSGID"),
        on("LockPersonality"),
        Property::new("UMask", 0o077_u32),
    ]
}
