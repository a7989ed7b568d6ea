//! Huge pages for machines whose memory is made of them: reserved before a start, given back after the end.
//!
//! The kernel has a pool for each size. Pages that the pool lacks are made for the machine that starts, and
//! as soon as the machine has them the pool is told to be as large as it was before. The kernel then
//! counts them as surplus: it takes each back when its last user is gone, whether or not a node runs then.
//! What others put into the pool stays there. With `keephugepages` the pool stays as large as the machines
//! that have the setting and run together need; while others run, their pages count towards that.
//!
//! In between, a note says how large the pool was. A node that finds one at its start, or before the next
//! start of a machine, brings the pool back to that.

use crate::error::{Result, VmError, io};
use crate::machines::Machines;
use crate::pages::{Pages, Share};
use basalt_model::field::FieldErrors;
use basalt_model::vmid::Vmid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the kernel has its pools, and those of every node.
const KERNEL: &str = "/sys/kernel/mm/hugepages";
const NODES: &str = "/sys/devices/system/node";
/// Name of the note on a pool, and of the one on what a machine has.
const NOTE: &str = "hugepages.json";

/// What a machine was given, for as long as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    mib: u64,
    pages: u64,
    keep: bool,
}

/// How large a pool was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    mib: u64,
    pages: u64,
}

/// What the kernel says of a pool, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Figures {
    /// All that there are.
    total: u64,
    /// That nobody has.
    free: u64,
    /// Of the free ones, that somebody was promised.
    reserved: u64,
    /// That go when their last user is gone.
    surplus: u64,
}

impl Figures {
    /// Pages that a machine can have.
    fn usable(self) -> u64 {
        self.free.saturating_sub(self.reserved)
    }

    /// How large the pool is to be.
    fn size(self) -> u64 {
        self.total.saturating_sub(self.surplus)
    }

    /// How large it must be made so that a machine can have so many, if it has too few. Surplus pages become
    /// the pool's first, so they count.
    fn size_for(self, pages: u64) -> Option<u64> {
        let missing = pages.saturating_sub(self.usable());
        (missing > 0).then(|| self.total + missing)
    }
}

/// The host's pools.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    kernel: PathBuf,
    nodes: PathBuf,
    run: PathBuf,
}

impl Pool {
    /// Those of this host, with notes below `run`.
    pub(crate) fn new(run: &Path) -> Self {
        Self {
            kernel: KERNEL.into(),
            nodes: NODES.into(),
            run: run.into(),
        }
    }

    fn file(&self, mib: u64, name: &str) -> PathBuf {
        self.kernel.join(folder(mib)).join(name)
    }

    fn file_of(&self, node: u16, mib: u64, name: &str) -> PathBuf {
        let node = self.nodes.join(format!("node{node}")).join("hugepages");
        node.join(folder(mib)).join(name)
    }

    fn number(&self, mib: u64, name: &str) -> Result<u64> {
        read_number(&self.file(mib, name))
    }

    fn figures(&self, mib: u64) -> Result<Figures> {
        Ok(Figures {
            total: self.number(mib, "nr_hugepages")?,
            free: self.number(mib, "free_hugepages")?,
            reserved: self.number(mib, "resv_hugepages")?,
            surplus: self.number(mib, "surplus_hugepages")?,
        })
    }

    /// Makes a pool so large, as far as the kernel finds pages.
    fn resize(&self, mib: u64, pages: u64) -> Result<()> {
        write_number(&self.file(mib, "nr_hugepages"), pages)
    }

    /// Makes the pools of nodes larger that have too few pages of a machine's; says how many one lacks that must
    /// give them.
    fn make_on_nodes(&self, mib: u64, shares: &[Share]) -> Result<Option<(u16, u64)>> {
        for share in shares {
            let pages = share.mib.div_ceil(mib);
            let free = || read_number(&self.file_of(share.node, mib, "free_hugepages"));
            let missing = pages.saturating_sub(free()?);
            if missing == 0 {
                continue;
            }
            let pool = self.file_of(share.node, mib, "nr_hugepages");
            write_number(&pool, read_number(&pool)? + missing)?;
            let missing = share.must.div_ceil(mib).saturating_sub(free()?);
            if missing > 0 {
                return Ok(Some((share.node, missing)));
            }
        }
        Ok(None)
    }

    fn note(&self) -> PathBuf {
        self.run.join(NOTE)
    }

    fn note_of(&self, vmid: Vmid) -> PathBuf {
        self.run.join(vmid.to_string()).join(NOTE)
    }

    /// Brings a pool back to what it was when a start was interrupted.
    pub(crate) fn recover(&self) -> Result<()> {
        let Some(before) = read::<Before>(&self.note()) else {
            return Ok(());
        };
        tracing::warn!(
            mib = before.mib,
            pages = before.pages,
            "a pool of huge pages is put in order"
        );
        self.resize(before.mib, before.pages)?;
        self.forget(&self.note())
    }

    /// Makes sure that a machine with `memory` MiB finds its pages, until [`Pool::settle`]; gives their
    /// size in MiB. When it fails, the pools are as they were.
    pub(crate) fn prepare(&self, vmid: Vmid, pages: &Pages, memory: u64) -> Result<u64> {
        self.recover()?;
        let mut failure = None;
        for mib in &pages.sizes {
            let given = Given {
                mib: *mib,
                pages: memory / mib,
                keep: pages.keep,
            };
            match self.make(given, &pages.shares) {
                Ok(()) => {
                    write(&self.note_of(vmid), &given)?;
                    return Ok(*mib);
                }
                Err(error) => failure = Some(error),
            }
        }
        let none = || FieldErrors::one("hugepages", "there is no size of pages to take");
        Err(failure.unwrap_or_else(|| VmError::Config(none())))
    }

    fn make(&self, Given { mib, pages, .. }: Given, shares: &[Share]) -> Result<()> {
        if !self.file(mib, "nr_hugepages").exists() {
            let text = format!("the host's processors have no pages of {mib} MiB: use 2");
            return Err(VmError::Config(FieldErrors::one("hugepages", text)));
        }
        let now = self.figures(mib)?;
        if shares.is_empty() && now.usable() >= pages {
            return Ok(());
        }
        let before = Before {
            mib,
            pages: now.size(),
        };
        write(&self.note(), &before)?;
        let lacking = self.make_on_nodes(mib, shares)?;
        if let Some(larger) = self.figures(mib)?.size_for(pages) {
            self.resize(mib, larger)?;
        }
        let missing = pages.saturating_sub(self.figures(mib)?.usable());
        if lacking.is_none() && missing == 0 {
            return Ok(());
        }
        self.resize(mib, before.pages)?;
        self.forget(&self.note())?;
        let fix = match mib {
            2 => "give the machine less",
            _ => "use hugepages=2",
        };
        let (node, missing) = match lacking {
            Some((node, missing)) => (format!(" on node {node}"), missing),
            None => (String::new(), missing),
        };
        Err(VmError::TooFewPages {
            missing,
            mib,
            node,
            fix,
        })
    }

    /// Lets the kernel take back, one day, what it made for a machine that now has its pages, or does not
    /// start; `kept` is what others have that keep theirs. A pool that stays too large harms nobody
    /// but neighbours, and the next start puts it in order, so that is no error.
    pub(crate) fn settle(&self, vmid: Vmid, started: bool, kept: &[Given]) {
        let own = read::<Given>(&self.note_of(vmid)).filter(|own| started && own.keep);
        let settled = match read::<Before>(&self.note()) {
            None => Ok(()),
            Some(before) => {
                let kept = own.iter().flat_map(|_| kept).chain(&own);
                let kept = kept.filter(|given| given.mib == before.mib);
                let kept: u64 = kept.map(|given| given.pages).sum();
                self.resize(before.mib, before.pages.max(kept))
                    .and_then(|()| self.forget(&self.note()))
            }
        };
        if let Err(error) = settled {
            tracing::warn!(%error, %vmid, "the pool of huge pages stays larger than it was");
        }
    }

    fn forget(&self, note: &Path) -> Result<()> {
        match fs::remove_file(note) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(io(format!("removing {}", note.display()))(error))
            }
            _ => Ok(()),
        }
    }
}

/// Where the kernel has a pool of pages of `mib` MiB among others.
fn folder(mib: u64) -> String {
    format!("hugepages-{}kB", mib << 10)
}

fn read_number(path: &Path) -> Result<u64> {
    let what = || format!("reading {}", path.display());
    let text = fs::read_to_string(path).map_err(io(what()))?;
    let number = text.trim().parse();
    number.map_err(|error| io(what())(std::io::Error::other(error)))
}

fn write_number(path: &Path, number: u64) -> Result<()> {
    let what = format!("writing {number} to {}", path.display());
    fs::write(path, number.to_string()).map_err(io(what))
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write<T: Serialize>(path: &Path, note: &T) -> Result<()> {
    let json = serde_json::to_vec(note).map_err(std::io::Error::other);
    let written = json.and_then(|json| fs::write(path, json));
    written.map_err(io(format!("writing {}", path.display())))
}

impl Machines {
    /// Puts in order what an interrupted start of a machine left of huge pages. Must come before any start.
    pub async fn recover_pages(&self) {
        let pool = self.pages.lock().await;
        if let Err(error) = pool.recover() {
            tracing::error!(%error, "a pool of huge pages cannot be put in order");
        }
    }

    /// Forgets what an earlier life of a machine had that has usual pages now.
    pub(crate) async fn forget_pages(&self, vmid: Vmid) -> Result<()> {
        let pool = self.pages.lock().await;
        pool.forget(&pool.note_of(vmid))
    }

    /// Pages of the machines beside `vmid` that run and keep theirs.
    pub(crate) async fn kept_pages(&self, vmid: Vmid) -> Result<Vec<Given>> {
        let running = self.running().await?.into_iter();
        let others = running.filter(|other| *other != vmid);
        let given =
            others.filter_map(|other| read::<Given>(&self.run.join(other.to_string()).join(NOTE)));
        Ok(given.filter(|given| given.keep).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 2;

    /// A pool whose figures are files: what is written there stays as it is.
    fn pool(figures: [u64; 4]) -> (tempfile::TempDir, Pool) {
        let folder = tempfile::tempdir().unwrap();
        let (kernel, run) = (folder.path().join("kernel"), folder.path().join("run"));
        let nodes = folder.path().join("nodes");
        let pool = Pool { kernel, nodes, run };
        fs::create_dir_all(pool.file(MIB, "")).unwrap();
        fs::create_dir_all(pool.run.join("100")).unwrap();
        let names = [
            "nr_hugepages",
            "free_hugepages",
            "resv_hugepages",
            "surplus_hugepages",
        ];
        for (name, number) in names.into_iter().zip(figures) {
            fs::write(pool.file(MIB, name), number.to_string()).unwrap();
        }
        (folder, pool)
    }

    fn pages(keep: bool) -> Pages {
        Pages {
            sizes: vec![MIB],
            keep,
            shares: Vec::new(),
        }
    }

    fn size(pool: &Pool) -> u64 {
        pool.number(MIB, "nr_hugepages").unwrap()
    }

    #[test]
    fn what_is_promised_to_others_is_not_used_and_surplus_stays_theirs() {
        let figures = Figures {
            total: 100,
            free: 10,
            reserved: 4,
            surplus: 60,
        };
        assert_eq!((figures.usable(), figures.size()), (6, 40));
        assert_eq!(figures.size_for(6), None);
        assert_eq!(figures.size_for(16), Some(110));
    }

    #[test]
    fn too_few_pages_leave_the_pool_as_it_was_and_are_counted() {
        // Its files do not follow, as a kernel without memory would not.
        let (_folder, pool) = pool([8, 8, 0, 2]);
        let error = pool.prepare(Vmid::MIN, &pages(false), 64).unwrap_err();
        assert!(
            matches!(
                error,
                VmError::TooFewPages {
                    missing: 24,
                    mib: MIB,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(size(&pool), 6);
        assert!(!pool.note().exists());
        assert_eq!(pool.prepare(Vmid::MIN, &pages(false), 16).unwrap(), MIB);
        assert!(!pool.note().exists());
    }

    #[test]
    fn a_size_that_the_host_lacks_is_named() {
        let (_folder, pool) = pool([0, 0, 0, 0]);
        let gigantic = Pages {
            sizes: vec![1024],
            ..pages(false)
        };
        let error = pool.prepare(Vmid::MIN, &gigantic, 1024).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("hugepages: ") && text.contains("use 2"),
            "{text}"
        );
    }

    #[test]
    fn an_interrupted_start_is_undone_by_the_next_one() {
        let (_folder, pool) = pool([40, 40, 0, 0]);
        write(&pool.note(), &Before { mib: MIB, pages: 5 }).unwrap();
        pool.recover().unwrap();
        assert_eq!(size(&pool), 5);
        assert!(!pool.note().exists());
        pool.recover().unwrap();
    }

    #[test]
    fn pages_are_kept_as_many_as_those_who_keep_them_need_together() {
        let settled = |keep: bool, started: bool| {
            let (_folder, pool) = pool([40, 40, 0, 0]);
            let given = |pages: u64, keep: bool| Given {
                mib: MIB,
                pages,
                keep,
            };
            write(&pool.note(), &Before { mib: MIB, pages: 5 }).unwrap();
            write(&pool.note_of(Vmid::MIN), &given(12, keep)).unwrap();
            let other = Given {
                mib: 1024,
                ..given(1, true)
            };
            pool.settle(Vmid::MIN, started, &[given(7, true), other]);
            assert!(!pool.note().exists());
            size(&pool)
        };
        assert_eq!(settled(true, true), 19);
        assert_eq!(settled(false, true), 5);
        assert_eq!(settled(true, false), 5);
    }

    #[test]
    fn nodes_of_the_host_give_their_shares_or_are_named() {
        let share = |node, mib, must| Share { node, mib, must };
        let wanted = Pages {
            shares: vec![share(0, 32, 32), share(1, 64, 32)],
            ..pages(false)
        };
        let (_folder, pool) = pool([64, 64, 0, 0]);
        let put = |node: u16, free: u64| {
            fs::create_dir_all(pool.file_of(node, MIB, "")).unwrap();
            for name in ["nr_hugepages", "free_hugepages"] {
                fs::write(pool.file_of(node, MIB, name), free.to_string()).unwrap();
            }
        };
        put(0, 16);
        put(1, 15);
        // Its files do not follow: what must come from the second node does not.
        let error = pool
            .prepare(Vmid::MIN, &wanted, 96)
            .unwrap_err()
            .to_string();
        assert!(error.contains("1 pages of 2 MiB on node 1"), "{error}");
        assert_eq!((size(&pool), pool.note().exists()), (64, false));
        put(1, 16);
        assert_eq!(pool.prepare(Vmid::MIN, &wanted, 96).unwrap(), MIB);
    }
}
