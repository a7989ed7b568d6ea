//! A machine saved to a file, restored from it, and moved to another monitor while it runs.
//! Where there is no `/dev/kvm`, each test says so and passes.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use basalt_model::cpu::CpuSpec;
use basalt_model::machine::{Event, Request, Response, RunState, STATE_ROOM, Started};
use basalt_model::numa::{HostNodes, Node, NodePolicy, Numa};
use support::{COUNTER, Monitor, SECOND, Setup, counted, expect, response};

fn counter() -> Setup {
    Setup {
        guest: COUNTER,
        vcpus: 1,
        ..Setup::default()
    }
}

fn state_file() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(STATE_ROOM + (64 << 20)).unwrap();
    file
}

fn on_it(file: &File) -> Option<OwnedFd> {
    Some(file.try_clone().unwrap().into())
}

fn state_of(monitor: &Monitor) -> RunState {
    match monitor.ask(&Request::Status) {
        Response::Status(status) => status.state,
        other => panic!("{other:?}"),
    }
}

/// A counter and its console, past its first words.
fn running() -> Option<(Monitor, UnixStream)> {
    let (monitor, answer) = counter().start()?;
    assert_eq!(answer, Started::Ok);
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    counted(&mut serial);
    Some((monitor, serial))
}

/// Past the scroll-back that travels with the machine.
fn console(monitor: &Monitor, mut seen: usize) -> UnixStream {
    let mut serial = monitor.serial();
    let mut buffer = [0; 256];
    while seen > 0 {
        let want = seen.min(buffer.len());
        serial.read_exact(&mut buffer[..want]).unwrap();
        seen -= want;
    }
    serial
}

#[test]
fn a_saved_guest_goes_on_counting_in_another_process() {
    let Some((monitor, mut serial)) = running() else {
        return;
    };
    let file = state_file();
    let mut events = monitor.send(&Request::Events);
    let before = counted(&mut serial);
    let started = Instant::now();
    assert_eq!(monitor.ask_with(&Request::Save, &file), Response::Ok);
    println!("saved in {} ms", started.elapsed().as_millis());
    assert_eq!(state_of(&monitor), RunState::Paused);
    let mut line = String::new();
    events.read_line(&mut line).unwrap();
    let event: Event = serde_json::from_str(&line).unwrap();
    assert!(matches!(event, Event::Progress(p) if p.total == 64 << 20));
    assert!(file.metadata().unwrap().blocks() * 512 < 8 << 20, "sparse");
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());

    let started = Instant::now();
    let setup = Setup {
        restore: on_it(&file),
        ..counter()
    };
    let (second, answer) = setup.start().unwrap();
    assert_eq!(answer, Started::Ok);
    println!("restored in {} ms", started.elapsed().as_millis());
    assert_eq!(state_of(&second), RunState::Paused);
    assert_eq!(second.ask(&Request::Resume), Response::Ok);
    let mut serial = console(&second, 1 + 16 + 16);
    let after = counted(&mut serial);
    assert!(after > before, "{after} after {before}");
    assert_eq!(second.ask(&Request::Reset), Response::Ok);
    expect(&mut serial, ">");
    assert!(counted(&mut serial) > 0);
}

#[test]
fn a_second_port_has_a_console_of_its_own_that_goes_along() {
    let machine = || Setup {
        guest: SECOND,
        second_port: true,
        ..Setup::default()
    };
    let Some((monitor, answer)) = machine().start() else {
        return;
    };
    assert_eq!(answer, Started::Ok);
    let mut port = monitor.second_serial();
    expect(&mut port, "2");
    port.write_all(b"abc").unwrap();
    expect(&mut port, "abc");
    drop(port);
    expect(&mut monitor.second_serial(), "2abc");
    let file = state_file();
    assert_eq!(monitor.ask_with(&Request::Save, &file), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());

    let restored = |setup: Setup| {
        let setup = Setup {
            restore: on_it(&file),
            ..setup
        };
        setup.start().unwrap()
    };
    let without = Setup {
        second_port: false,
        ..machine()
    };
    let Started::Failed(refused) = restored(without).1 else {
        panic!("it started")
    };
    assert!(refused.contains("'serial1"), "{refused}");
    let (second, answer) = restored(machine());
    assert_eq!(answer, Started::Ok);
    assert_eq!(second.ask(&Request::Resume), Response::Ok);
    let mut port = second.second_serial();
    expect(&mut port, "2abc");
    port.write_all(b"d").unwrap();
    expect(&mut port, "d");
    // The first port is there and silent.
    second.serial().write_all(b"?").unwrap();
    assert_eq!(second.ask(&Request::Reset), Response::Ok);
    expect(&mut port, "2");
}

/// Where the kernel has no such interface, its guest goes on without.
#[test]
fn a_guest_that_finds_hyper_v_goes_on_from_its_state() {
    let windows = || Setup {
        cpu: CpuSpec {
            hyper_v: true,
            ..CpuSpec::default()
        },
        ..counter()
    };
    let Some((monitor, answer)) = windows().start() else {
        return;
    };
    assert_eq!(answer, Started::Ok);
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    let before = counted(&mut serial);
    let file = state_file();
    assert_eq!(monitor.ask_with(&Request::Save, &file), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    let setup = Setup {
        restore: on_it(&file),
        ..windows()
    };
    let (second, answer) = setup.start().unwrap();
    assert_eq!(answer, Started::Ok);
    assert_eq!(second.ask(&Request::Resume), Response::Ok);
    let after = counted(&mut console(&second, 1 + 16));
    assert!(after > before, "{after} after {before}");
}

#[test]
fn a_saved_guest_can_go_on_where_it_is() {
    let Some((monitor, mut serial)) = running() else {
        return;
    };
    let before = counted(&mut serial);
    let file = state_file();
    assert_eq!(monitor.ask_with(&Request::Save, &file), Response::Ok);
    assert_eq!(monitor.ask(&Request::Resume), Response::Ok);
    assert!(counted(&mut serial) > before);
    assert_eq!(state_of(&monitor), RunState::Running);
}

#[test]
fn a_save_that_fails_leaves_the_guest_running() {
    let Some((monitor, mut serial)) = running() else {
        return;
    };
    let nowhere = File::open("/dev/null").unwrap();
    match monitor.ask_with(&Request::Save, &nowhere) {
        Response::Error(reason) => assert!(!reason.is_empty()),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        monitor.ask(&Request::Save),
        Response::Error("no descriptor came with the request".into())
    );
    assert_eq!(state_of(&monitor), RunState::Running);
    counted(&mut serial);
}

#[test]
fn another_machine_is_refused_by_what_differs() {
    let Some((monitor, _serial)) = running() else {
        return;
    };
    let file = state_file();
    assert_eq!(monitor.ask_with(&Request::Save, &file), Response::Ok);
    let refused = |setup: Setup| {
        let setup = Setup {
            restore: on_it(&file),
            ..setup
        };
        match setup.start().unwrap().1 {
            Started::Failed(reason) => reason,
            Started::Ok => panic!("it started"),
        }
    };
    let wide = Setup {
        vcpus: 2,
        ..counter()
    };
    assert_eq!(
        refused(wide),
        "virtual CPUs: the state has 1, the machine 2"
    );
    let large = Setup {
        memory_mib: 128,
        ..counter()
    };
    assert_eq!(
        refused(large),
        "memory: the state has 64 MiB, the machine 128 MiB"
    );
    let other_disk = Setup {
        disk: 2 << 20,
        ..counter()
    };
    assert_eq!(
        refused(other_disk),
        "device virtio0: its size, address or other fixed properties differ"
    );
    file.write_all_at(b"damage", 5000).unwrap();
    assert_eq!(refused(counter()), "the state is damaged");
    file.write_all_at(&[0; 64], 0).unwrap();
    assert_eq!(refused(counter()), "the file holds no whole state");
}

#[test]
fn a_running_guest_moves_to_another_monitor() {
    let Some((source, mut serial)) = running() else {
        return;
    };
    let (here, there) = UnixStream::pair().unwrap();
    let setup = Setup {
        restore: Some(there.into()),
        ..counter()
    };
    let (target, mut answer) = setup.begin().unwrap();
    let before = counted(&mut serial);
    let mut moving = source.send_with(&Request::Migrate { downtime_ms: 300 }, &here);
    drop(here);
    let Response::Moved(moved) = response(&mut moving) else {
        panic!("the machine did not move")
    };
    println!(
        "moved in {} rounds, {} bytes, downtime {} ms",
        moved.rounds, moved.bytes, moved.downtime_ms
    );
    assert_eq!(answer(), Started::Ok);
    let mut arrived = console(&target, 1 + 16 + 16);
    let after = counted(&mut arrived);
    assert!(after > before, "{after} after {before}");
    assert_eq!(state_of(&source), RunState::Paused);
    assert_eq!(
        source.ask(&Request::Resume),
        Response::Error("the machine runs elsewhere now".into())
    );
    assert_eq!(source.ask(&Request::Quit), Response::Ok);
    assert!(counted(&mut arrived) > after);
}

#[test]
fn a_target_that_refuses_or_dies_leaves_the_guest_where_it_is() {
    let Some((source, mut serial)) = running() else {
        return;
    };
    let migrate = Request::Migrate { downtime_ms: 300 };
    let (here, there) = UnixStream::pair().unwrap();
    let setup = Setup {
        memory_mib: 128,
        restore: Some(there.into()),
        ..counter()
    };
    let (_target, mut answer) = setup.begin().unwrap();
    let Response::Error(reason) = source.ask_with(&migrate, &here) else {
        panic!("it moved")
    };
    let differs = "memory: the state has 64 MiB, the machine 128 MiB";
    assert_eq!(reason, format!("the target says: {differs}"));
    assert_eq!(answer(), Started::Failed(differs.into()));
    let first = counted(&mut serial);

    let (here, there) = UnixStream::pair().unwrap();
    drop(there);
    assert!(matches!(
        source.ask_with(&migrate, &here),
        Response::Error(_)
    ));
    assert_eq!(state_of(&source), RunState::Running);
    assert!(counted(&mut serial) > first);
    // And it can still move.
    let (here, there) = UnixStream::pair().unwrap();
    let setup = Setup {
        restore: Some(there.into()),
        ..counter()
    };
    let (_target, mut answer) = setup.begin().unwrap();
    assert!(matches!(
        source.ask_with(&migrate, &here),
        Response::Moved(_)
    ));
    assert_eq!(answer(), Started::Ok);
}

/// Two nodes, each with a socket; the second's memory is on the host's first.
fn divided(first_mib: u64) -> Setup {
    let node = |cpu: u8, memory_mib, host| Node {
        vcpus: vec![cpu],
        memory_mib,
        host,
    };
    let host = HostNodes {
        nodes: vec![0],
        policy: NodePolicy::Preferred,
    };
    Setup {
        vcpus: 2,
        numa: Some(Numa {
            sockets: 2,
            nodes: vec![
                node(0, first_mib, None),
                node(1, 64 - first_mib, Some(host)),
            ],
        }),
        ..counter()
    }
}

#[test]
fn a_guest_keeps_the_nodes_that_it_was_told_of() {
    let Some((monitor, answer)) = divided(32).start() else {
        return;
    };
    assert_eq!(answer, Started::Ok);
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    // Its memory is placed anew inside the sandbox.
    assert_eq!(monitor.ask(&Request::Reset), Response::Ok);
    expect(&mut serial, ">");
    let before = counted(&mut serial);
    let file = state_file();
    assert_eq!(monitor.ask_with(&Request::Save, &file), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    let restored = |setup: Setup| {
        let restore = on_it(&file);
        Setup { restore, ..setup }.start().unwrap()
    };
    for other in [
        divided(16),
        Setup {
            numa: None,
            ..divided(32)
        },
    ] {
        let (_monitor, answer) = restored(other);
        let Started::Failed(reason) = answer else {
            panic!("{answer:?}")
        };
        assert!(reason.contains("nodes"), "{reason}");
    }
    let (second, answer) = restored(divided(32));
    assert_eq!(answer, Started::Ok);
    assert_eq!(second.ask(&Request::Resume), Response::Ok);
    let after = counted(&mut console(&second, 2 + 16));
    assert!(after > before, "{after} after {before}");
}

/// A state of a monitor that told its guests of no nodes.
#[test]
fn a_guest_that_was_told_of_no_nodes_goes_on_without() {
    let plain = || Setup {
        numa: None,
        ..divided(32)
    };
    let Some((monitor, answer)) = plain().start() else {
        return;
    };
    assert_eq!(answer, Started::Ok);
    let file = state_file();
    assert_eq!(monitor.ask_with(&Request::Save, &file), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    let setup = Setup {
        restore: on_it(&file),
        ..divided(32)
    };
    assert_eq!(setup.start().unwrap().1, Started::Ok);
}
