//! `kill -9` of gateway and node, again and again, while clients change things and guests run: what was
//! acknowledged is there, every task has an end, and the guests notice nothing.
//!
//! Each of the ways to kill comes twice; `BASALT_KILLS` says how many kills there are else. The instants
//! come from a seed that is printed; `BASALT_SEED` repeats it.

mod load;

use super::daemons::{main_pid, wait_for_other};
use crate::api::Api;
use crate::appliance::Appliance;
use crate::guest::{Guest, Kind, boot_mark};
use crate::lab::Lab;
use anyhow::{Context, Result, ensure};
use load::{Ledger, Load};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a daemon that was killed may take to be back.
const BACK: Duration = Duration::from_secs(180);
/// Longest time for a command in a guest.
const SOON: Duration = Duration::from_secs(60);
/// A kill comes after at most so many changes.
const MOST_CHANGES: usize = 20;
/// What is killed together, in turn.
const VICTIMS: [&[&str]; 3] = [
    &["basalt-node"],
    &["basalt-gateway"],
    &["basalt-gateway", "basalt-node"],
];
/// What counts in a guest: its process, and how far it has come, are in files.
const COUNTER: &str = "echo $$ >/run/counter; n=0; \
    while :; do n=$((n + 1)); echo $n >/run/count; sleep 0.2; done";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A guest that counts, and what must not change about it.
struct Counting {
    guest: Guest,
    mark: String,
    process: String,
    count: u64,
    uptime: u64,
}

impl Counting {
    fn start(appliance: &Appliance, api: &Api, guest: Guest) -> Result<Self> {
        guest.power(api, "start")?;
        let mut shell = guest.shell(api)?;
        let counter = format!("{{ setsid sh -c '{COUNTER}' >/dev/null 2>&1 & }}");
        shell.run(&counter, SOON)?;
        Ok(Self {
            guest,
            mark: boot_mark(&mut shell, guest.kind)?,
            process: process(appliance, guest)?,
            count: count(&mut shell)?,
            uptime: guest.uptime(api)?,
        })
    }

    /// It runs, in the process that it has always had.
    fn check(&mut self, appliance: &Appliance, api: &Api) -> Result<()> {
        let guest = self.guest;
        ensure!(guest.runs(api)?, "{guest:?} does not run");
        let now = process(appliance, guest)?;
        ensure!(
            now == self.process,
            "the process of {guest:?} is {now}, was {}",
            self.process
        );
        let uptime = guest.uptime(api)?;
        ensure!(
            uptime >= self.uptime,
            "{guest:?} is up {uptime} s, was {} s",
            self.uptime
        );
        self.uptime = uptime;
        Ok(())
    }

    /// Nothing was started anew in it, and it has gone on counting.
    fn look_inside(&self, api: &Api) -> Result<()> {
        let guest = self.guest;
        let mut shell = guest.shell(api)?;
        let mark = boot_mark(&mut shell, guest.kind)?;
        ensure!(mark == self.mark, "{guest:?} was started again");
        let alive = shell.run("kill -0 $(cat /run/counter) && echo counts", SOON)?;
        let now = count(&mut shell)?;
        ensure!(
            alive.contains("counts") && now > self.count,
            "{guest:?} counted to {now}, before to {}: {alive}",
            self.count
        );
        Ok(())
    }
}

/// How far a guest has counted. The file is empty while it is written.
fn count(shell: &mut crate::console::Console) -> Result<u64> {
    let look = "until c=$(cat /run/count 2>/dev/null) && [ -n \"$c\" ]; do sleep 1; done; echo $c";
    let said = shell.run(look, SOON)?;
    let last = said.lines().last().unwrap_or_default().trim();
    last.parse().with_context(|| format!("it counted {said:?}"))
}

/// The process of a guest on the host, and when it was started.
fn process(appliance: &Appliance, guest: Guest) -> Result<String> {
    let unit = match guest.kind {
        Kind::Vm => format!("basalt-vm-{}.service", guest.vmid),
        Kind::Ct => format!("basalt-ct-{}.service", guest.vmid),
    };
    let properties = "MainPID,ExecMainStartTimestampMonotonic";
    let line = format!("systemctl show --property={properties} {unit}");
    let said = appliance.ssh().run(&line)?;
    let gone = said.lines().any(|line| line == "MainPID=0");
    ensure!(!gone, "{unit} has no process");
    Ok(said)
}

/// Kills what a round is for, and starts over until all rounds are done.
pub fn under_load(lab: &mut Lab<'_>) -> Result<()> {
    let appliance = lab.appliance()?;
    let api = appliance.api()?;
    let guests = [
        Guest::create_vm(&api, 100, &[])?,
        Guest::create_ct(&api, 101, &[])?,
    ];
    let mut counting = Vec::new();
    for guest in guests {
        counting.push(Counting::start(&appliance, &api, guest)?);
    }
    let seed = number("BASALT_SEED").unwrap_or_else(rand::random);
    eprintln!("         BASALT_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let each_twice = 2 * VICTIMS.iter().map(|victims| victims.len()).sum::<usize>();
    let wanted = number("BASALT_KILLS").map_or(each_twice, |kills| kills as usize);
    let mut ledger = Ledger::new(&api, guests)?;
    let mut kills = 0;
    for victims in VICTIMS.iter().cycle() {
        if kills >= wanted {
            break;
        }
        let changes = chance.gen_range(1..=MOST_CHANGES);
        let killed = kill(&appliance, &mut ledger, victims, changes);
        let survived = killed.and_then(|()| {
            let api = appliance.api_again(BACK)?;
            ledger.check(&api)?;
            counting
                .iter_mut()
                .try_for_each(|guest| guest.check(&appliance, &api))
        });
        survived.with_context(|| {
            format!("{victims:?} after {kills} kills and {changes} more changes")
        })?;
        kills += victims.len();
    }
    eprintln!("         {kills} kills: {}", ledger.summary());
    let api = appliance.api_again(BACK)?;
    for guest in &counting {
        guest.look_inside(&api)?;
    }
    for guest in guests {
        guest.power(&api, "stop")?;
        guest.delete(&api)?;
    }
    appliance.done();
    Ok(())
}

/// Has clients change things, kills the victims after so many changes, and lets the clients go on until
/// the victims are back.
fn kill(
    appliance: &Appliance,
    ledger: &mut Ledger,
    victims: &[&str],
    changes: usize,
) -> Result<()> {
    let api = appliance.api_again(BACK)?;
    let mut before = Vec::new();
    for unit in victims {
        before.push(main_pid(appliance, unit)?);
    }
    let (done, changed) = mpsc::channel();
    let load = Load::new(&api, done);
    thread::scope(|scope| {
        let clients: Vec<_> = ledger
            .work()
            .map(|work| {
                let load = load.clone();
                scope.spawn(move || work.go_on(&load))
            })
            .collect();
        let killed = (0..changes)
            .try_for_each(|_| changed.recv_timeout(BACK).context("nothing is changed"))
            .and_then(|()| {
                let line = format!("systemctl kill --signal=KILL {}", victims.join(" "));
                appliance.ssh().run(&line)?;
                let mut all = victims.iter().zip(&before);
                all.try_for_each(|(unit, before)| wait_for_other(appliance, unit, before))
            });
        load.stop();
        for client in clients {
            let ended = client.join();
            ended.map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        killed
    })
}
