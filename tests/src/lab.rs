//! What a scenario works with: its folder, the image under test, and appliances.

use crate::appliance::Appliance;
use crate::figures::Figures;
use crate::guest;
use anyhow::Result;
use basalt_image::appliance::node::{DISK, Node, Start, overlay};
use basalt_image::appliance::qemu::{Format, Memory};
use basalt_image::appliance::snapshot::Snapshot;
use basalt_image::appliance::{root, run};
use basalt_image::build::{Artifacts, Variant};
use basalt_image::testing::guests::Guests;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

/// What all scenarios share.
pub struct Shared {
    /// The image under test.
    pub built: Artifacts,
    /// Files of the test guests.
    pub guests: Guests,
    /// The frozen, healthy appliance.
    pub snapshot: Snapshot,
    /// Figures that scenarios measure.
    pub figures: Figures,
}

impl Shared {
    /// Builds, installs, boots and freezes, as far as that was not done before.
    pub fn prepare() -> Result<Self> {
        let built = run::artifacts(Variant::Development)?;
        let guests = Guests::ensure()?;
        let key = guests.key();
        let snapshot = Snapshot::ensure(&built, &key, |node: &Node| {
            guest::preload(&node.ssh(), &guests)
        })?;
        Ok(Self {
            built,
            guests,
            snapshot,
            figures: Figures::default(),
        })
    }
}

/// One scenario's workplace.
pub struct Lab<'a> {
    /// What all scenarios share.
    pub shared: &'a Shared,
    /// Where evidence of a failure goes.
    pub results: PathBuf,
    work: PathBuf,
    machines: usize,
}

impl<'a> Lab<'a> {
    /// An empty workplace for the scenario `name`.
    pub fn new(shared: &'a Shared, name: &str, results: &Path) -> Result<Self> {
        let work = root().join(".tests").join(name);
        if work.exists() {
            fs::remove_dir_all(&work)?;
        }
        fs::create_dir_all(&work)?;
        Ok(Self {
            shared,
            results: results.join(name),
            work,
            machines: 0,
        })
    }

    /// A folder for the next machine.
    pub fn machine_dir(&mut self) -> PathBuf {
        self.machines += 1;
        self.work.join(format!("machine{}", self.machines))
    }

    /// A folder for the scenario's own files.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// A healthy appliance that goes on from the frozen moment.
    pub fn appliance(&mut self) -> Result<Guarded> {
        let dir = self.machine_dir();
        let node = self.shared.snapshot.thaw(&dir)?;
        Ok(self.guard(node))
    }

    /// Like [`Lab::appliance`], with everything it does to its disk recorded in `log`.
    pub fn recorded_appliance(&mut self, log: &Path) -> Result<Guarded> {
        let dir = self.machine_dir();
        let node = self.shared.snapshot.thaw_recorded(&dir, Some(log))?;
        Ok(self.guard(node))
    }

    /// A machine that is off, with the frozen appliance's firmware variables, over the disk in the
    /// raw image `found`, which is only read.
    pub fn appliance_with(&mut self, found: &Path) -> Result<Guarded> {
        let machine = self.bare_machine()?;
        machine.node.copy_vars(&self.shared.snapshot.vars())?;
        overlay(found, Format::Raw, &machine.node.dir().join(DISK))?;
        Ok(machine)
    }

    /// The frozen appliance's disk in a machine that is off.
    pub fn appliance_off(&mut self) -> Result<Guarded> {
        let dir = self.machine_dir();
        let node = self.shared.snapshot.cold(&dir)?;
        Ok(self.guard(node))
    }

    /// A machine with nothing in it, for installations.
    pub fn bare_machine(&mut self) -> Result<Guarded> {
        let node = Node::new(&self.machine_dir(), &self.shared.snapshot.key, "bare")?;
        Ok(self.guard(node))
    }

    fn guard(&self, node: Node) -> Guarded {
        let snapshot = &self.shared.snapshot;
        let start = Start {
            memory: Memory::Plain,
            ..snapshot.boot()
        };
        let name = format!("machine{}", self.machines);
        Guarded {
            appliance: Appliance::new(node, &snapshot.password, start),
            results: self.results.clone(),
            name,
        }
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        // Overlays are large and say nothing that the kept evidence does not.
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// An appliance whose evidence is kept when its scenario fails while it runs.
pub struct Guarded {
    appliance: Appliance,
    results: PathBuf,
    name: String,
}

impl Guarded {
    /// Ends the machine; nothing of it is kept.
    pub fn done(mut self) {
        self.name.clear();
    }
}

impl Deref for Guarded {
    type Target = Appliance;

    fn deref(&self) -> &Appliance {
        &self.appliance
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut Appliance {
        &mut self.appliance
    }
}

impl Drop for Guarded {
    /// A scenario that succeeds ends its machines by [`Guarded::done`]; any other way out, be it an
    /// error or a panic, is a failure whose evidence is wanted.
    fn drop(&mut self) {
        if !self.name.is_empty() && fs::create_dir_all(&self.results).is_ok() {
            self.appliance.keep_evidence(&self.results, &self.name);
        }
    }
}
