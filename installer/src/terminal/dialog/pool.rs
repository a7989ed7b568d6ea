//! What guests' disks are to lie in.

use basalt_model::host::answer::{DataChoice, GuestStorage, PoolLevel, Size};

use super::{Dialog, numbered};
use crate::disks::{Disk, gib};
use crate::plan::{PoolPlan, pool, room};

impl Dialog<'_> {
    /// A pool for guests' disks, where there is room for one.
    pub(super) fn pool(
        &mut self,
        disk: &Disk,
        mirror: Option<&Disk>,
    ) -> anyhow::Result<Option<PoolPlan>> {
        let system: Vec<&Disk> = [disk].into_iter().chain(mirror).collect();
        let mut others = self.machine.disks()?;
        others.retain(|other| !other.is_medium && pool::check(other, &system).is_ok());
        let has_room = |storage: &GuestStorage| beside(*storage, None, disk, mirror).is_ok();
        let mut offered = GuestStorage::ALL.to_vec();
        offered.retain(|storage| {
            has_room(storage) || (*storage == GuestStorage::Zfs && !others.is_empty())
        });
        if offered.len() < 2 {
            return Ok(None);
        }
        self.talk.say("Guests' disks can lie in:")?;
        for (index, storage) in offered.iter().enumerate() {
            let what = storage.describe();
            self.talk.say(&format!("  {}) {what}", index + 1))?;
        }
        loop {
            let storage = self.one_of("Guests' disks, by number [1]: ", &offered)?;
            if storage == GuestStorage::Zfs
                && !others.is_empty()
                && let Some(plan) = self.apart(&others)?
            {
                return Ok(Some(plan));
            }
            match beside(storage, None, disk, mirror) {
                Ok(None) => return Ok(None),
                Ok(Some(usual)) => return self.beside(&usual, disk, mirror),
                Err(error) => self.talk.say(&format!("{error:#}"))?,
            }
        }
    }

    /// The item whose number is typed; Enter takes the first.
    fn one_of<T: Copy>(&mut self, question: &str, items: &[T]) -> anyhow::Result<T> {
        loop {
            let answer = self.talk.ask(question)?;
            let number = match answer.trim() {
                "" => "1",
                number => number,
            };
            if let Some(item) = numbered(number, items) {
                return Ok(*item);
            }
        }
    }

    /// How the system's disks are shared with a pool, for which there is room.
    fn beside(
        &mut self,
        usual: &PoolPlan,
        disk: &Disk,
        mirror: Option<&Disk>,
    ) -> anyhow::Result<Option<PoolPlan>> {
        let PoolPlan::Beside {
            storage, data_size, ..
        } = usual
        else {
            return Ok(None);
        };
        loop {
            let question = format!(
                "Size of the system's own part, as 16 GiB (Enter: {}): ",
                gib(*data_size)
            );
            match beside(*storage, self.optional::<Size>(&question)?, disk, mirror) {
                Ok(pool) => return Ok(pool),
                Err(error) => self.talk.say(&format!("{error:#}"))?,
            }
        }
    }

    /// Disks that a pool of ZFS has for itself; `None` for one beside the system.
    fn apart(&mut self, others: &[Disk]) -> anyhow::Result<Option<PoolPlan>> {
        self.talk
            .say("ZFS can have disks for itself, also several as a mirror or as RAIDZ.")?;
        self.list(others)?;
        loop {
            let answer = self
                .talk
                .ask("Its disks by number, as 1 3 4 (Enter: beside the system): ")?;
            let numbers: Vec<&str> = answer.split([' ', ',']).filter(|n| !n.is_empty()).collect();
            if numbers.is_empty() {
                return Ok(None);
            }
            let mut chosen: Vec<Disk> = Vec::new();
            let found = numbers.iter().try_for_each(|number| {
                let disk = numbered(number, others)
                    .ok_or_else(|| anyhow::anyhow!("there is no disk {number}"))?;
                pool::check(disk, &chosen.iter().collect::<Vec<_>>())?;
                chosen.push(disk.clone());
                anyhow::Ok(())
            });
            if let Err(error) = found {
                self.talk.say(&format!("{error:#}"))?;
                continue;
            }
            if self.may_be_lost(&chosen)? {
                let level = self.level(chosen.len())?;
                return PoolPlan::apart(level, chosen).map(Some);
            }
        }
    }

    /// Whether what Basalt has on these disks may go.
    fn may_be_lost(&mut self, disks: &[Disk]) -> anyhow::Result<bool> {
        for disk in disks {
            let held = match self.machine.existing(disk) {
                Some(found) => Some(found.to_string()),
                None => pool::held_by(disk),
            };
            let Some(held) = held else { continue };
            let path = disk.path.display();
            self.talk.say(&format!("{path} already holds {held}."))?;
            if self.talk.ask("Type ERASE to use it all the same: ")?.trim() != "ERASE" {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn level(&mut self, disks: usize) -> anyhow::Result<PoolLevel> {
        let mut fitting = PoolLevel::ALL.to_vec();
        fitting.retain(|level| level.data_disks(disks).is_ok());
        if let [only] = fitting.as_slice() {
            return Ok(*only);
        }
        for (index, level) in fitting.iter().enumerate() {
            let what = level.describe();
            self.talk.say(&format!("  {}) {what}", index + 1))?;
        }
        self.one_of("The pool, by number [1]: ", &fitting)
    }
}

/// A pool beside the system.
fn beside(
    storage: GuestStorage,
    system_size: Option<Size>,
    disk: &Disk,
    mirror: Option<&Disk>,
) -> anyhow::Result<Option<PoolPlan>> {
    let choice = DataChoice {
        storage: Some(storage),
        system_size,
        ..DataChoice::default()
    };
    room::choose(&choice, disk, mirror)
}
