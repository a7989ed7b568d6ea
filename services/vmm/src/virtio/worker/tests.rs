//! When a device is told to work, and by whom it is notified.

use std::sync::mpsc::Receiver;

use super::*;
use crate::virtio::testing::Driver;

struct Spy {
    said: Sender<String>,
    /// Somebody else waits for notifications.
    elsewhere: bool,
}

impl Spy {
    fn say(&self, what: impl Into<String>) {
        // The test may have heard enough.
        let _ = self.said.send(what.into());
    }
}

impl Backend for Spy {
    fn activate(&mut self, _live: &mut Live) -> io::Result<()> {
        self.say("activate");
        Ok(())
    }
    fn connect(&mut self, kicks: &Arc<[Signal]>) {
        self.say(format!("connect {}", kicks.len()));
    }
    fn run(&mut self, _live: &mut Live) {
        self.say("run");
    }
    fn is_notified_elsewhere(&self) -> bool {
        self.elsewhere
    }
    fn note_writes(&mut self, on: bool, live: Option<&mut Live>) -> Result<(), BrokenQueue> {
        self.say(format!("note {on} {}", live.is_some()));
        Ok(())
    }
    fn kicked(&mut self, _live: &mut Live, queue: usize) -> Result<(), BrokenQueue> {
        self.say(format!("kick {queue}"));
        Ok(())
    }
    fn quiesce(&mut self, _live: &mut Live) -> Result<bool, BrokenQueue> {
        self.say("quiesce");
        Ok(true)
    }
}

fn worker(elsewhere: bool) -> (Worker, Receiver<String>) {
    let (said, heard) = channel();
    let spy = Spy { said, elsewhere };
    let worker = Worker::start_unconfined("spy", 2, Box::new(spy)).unwrap();
    assert_eq!(heard.recv().unwrap(), "connect 2");
    (worker, heard)
}

fn hear(heard: &Receiver<String>, expected: &[&str]) {
    for expected in expected {
        assert_eq!(heard.recv().unwrap(), *expected);
    }
}

#[test]
fn a_device_runs_when_its_driver_is_on_and_after_every_pause() {
    let (worker, heard) = worker(false);
    worker.activate(Driver::new(2).live, Vec::new());
    hear(&heard, &["activate", "run", "kick 0", "kick 1"]);
    assert!(worker.pause().queues.is_some());
    assert!(worker.pause().queues.is_some());
    hear(&heard, &["quiesce"]);
    worker.resume();
    hear(&heard, &["run", "kick 0", "kick 1"]);
    worker.end();
    assert!(heard.recv().is_err(), "nothing more");
}

#[test]
fn a_device_that_is_restored_waits_until_the_machine_runs() {
    let (worker, heard) = worker(false);
    worker.pause();
    worker.activate(Driver::new(2).live, Vec::new());
    assert!(worker.pause().queues.is_some());
    worker.note_writes(true);
    hear(&heard, &["activate", "note true false"]);
    worker.resume();
    hear(&heard, &["run", "kick 0", "kick 1"]);
}

#[test]
fn notifications_are_left_to_whoever_waits_for_them() {
    let (worker, heard) = worker(true);
    worker.activate(Driver::new(2).live, Vec::new());
    worker.kick(0).unwrap().raise();
    worker.note_writes(true);
    worker.note_writes(false);
    hear(
        &heard,
        &["activate", "run", "note true true", "note false true"],
    );
    worker.pause();
    hear(&heard, &["quiesce"]);
    assert!(worker.kick(0).unwrap().clear(), "the worker took it");
    worker.end();
    assert!(heard.recv().is_err(), "nothing more");
}
