//! A lease, with a delegate that says what it is asked.

use super::*;
use crate::virtio::testing::{Clerk, Driver, Part};

const QUEUES: usize = 2;
const FIRST: usize = 0;
const SECOND: usize = 1;

struct Bench {
    lease: Lease,
    clerk: Arc<Clerk>,
    driver: Driver,
}

fn bench() -> Bench {
    let clerk = Arc::new(Clerk::new(QUEUES));
    let mut lease = Lease::new("test", clerk.clone());
    lease.connect(&(0..QUEUES).map(|_| Signal::new().unwrap()).collect());
    Bench {
        lease,
        clerk,
        driver: Driver::new(QUEUES),
    }
}

#[test]
fn queues_are_gone_on_with_where_the_delegate_stopped() {
    let Bench {
        mut lease,
        clerk,
        mut driver,
    } = bench();
    let live = &mut driver.live;
    lease.give(live, vec![FIRST, SECOND]).unwrap();
    lease.give(live, vec![FIRST, SECOND]).unwrap();
    assert_eq!(clerk.has(), [FIRST, SECOND], "once");
    assert!(lease.is_lent() && lease.source().is_some());
    driver.submit_to(SECOND, &[Part::In(8)]);
    clerk.serve(&mut driver.live, SECOND);
    lease.ready(&driver.live).unwrap();
    assert_eq!(driver.live.interrupts.acknowledge(), 1);

    // What it used just before it stopped is told as well.
    driver.submit_to(SECOND, &[Part::In(8)]);
    clerk.serve(&mut driver.live, SECOND);
    let live = &mut driver.live;
    live.queues[SECOND].set_next_avail(0);
    live.queues[SECOND].set_next_used(0);
    lease.take_back(Some(live)).unwrap();
    let ring = &live.queues[SECOND];
    assert_eq!((ring.next_avail(), ring.next_used()), (2, 2));
    assert_eq!(live.interrupts.acknowledge(), 1);
    assert!(clerk.has().is_empty() && lease.source().is_none());
    lease.take_back(Some(live)).unwrap();
}

#[test]
fn nothing_is_lent_while_writes_are_noted() {
    let Bench {
        mut lease,
        clerk,
        mut driver,
    } = bench();
    let live = &mut driver.live;
    lease.give(live, vec![FIRST]).unwrap();
    lease.note_writes(true, Some(live)).unwrap();
    lease.give(live, vec![FIRST]).unwrap();
    assert!(clerk.has().is_empty());
    // What the driver offers meanwhile waits.
    lease.kicked(live, FIRST).unwrap();
    lease.note_writes(false, Some(live)).unwrap();
    lease.give(live, vec![FIRST]).unwrap();
    assert_eq!(clerk.has(), [FIRST]);
}

#[test]
fn a_device_without_its_delegate_is_broken() {
    let Bench {
        mut lease,
        clerk,
        mut driver,
    } = bench();
    let live = &mut driver.live;
    lease.give(live, vec![FIRST]).unwrap();
    clerk.end();
    assert!(lease.ready(live).is_err());
    assert!(lease.take_back(Some(live)).is_err());
    assert!(lease.give(live, vec![FIRST]).is_err());
    assert!(!lease.is_lent());
    assert!(lease.kicked(live, FIRST).is_err());
    live.queues[FIRST].set_ready(false);
    assert!(lease.kicked(live, FIRST).is_ok(), "nobody asks for it");
}

#[test]
fn a_queue_that_is_not_ready_is_not_lent() {
    let Bench {
        mut lease,
        clerk,
        mut driver,
    } = bench();
    driver.live.queues[SECOND].set_ready(false);
    assert!(lease.give(&driver.live, vec![FIRST, SECOND]).is_err());
    assert!(clerk.has().is_empty());
    assert!(lease.give(&driver.live, vec![QUEUES]).is_err());
}
