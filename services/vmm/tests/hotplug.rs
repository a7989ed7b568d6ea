//! Devices that come to a running machine, and go. Where there is no `/dev/kvm`, each test says so
//! and passes.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::fs::File;
use std::io::BufRead;
use std::os::fd::OwnedFd;

use basalt_model::hotplug::{NewDevice, RemoveDevice, SetMemory, SetVcpus};
use basalt_model::machine::{
    Disk, Event, Nic, Request, Response, STATE_ROOM, SetLink, Slot, Started, Status,
};
use rustix::fs::{FlockOperation, flock};
use support::{CPU_EJECTOR, EJECTOR, Monitor, Setup, expect, response};

/// Longest time for a guest that answers.
const PATIENCE_MS: u64 = 30_000;

fn ejector() -> Setup {
    Setup {
        guest: EJECTOR,
        vcpus: 1,
        ..Setup::default()
    }
}

fn running(setup: Setup) -> Option<Monitor> {
    let (monitor, answer) = setup.start()?;
    assert_eq!(answer, Started::Ok);
    Some(monitor)
}

fn image() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 20).unwrap();
    file
}

fn disk(id: &str) -> Request {
    Request::AddDevice(NewDevice::Disk(Box::new(Disk::raw(id, Slot(0)))))
}

fn remove(id: &str, patience_ms: u64) -> Request {
    Request::RemoveDevice(RemoveDevice {
        device: id.to_owned(),
        patience_ms,
    })
}

fn status(monitor: &Monitor) -> Status {
    match monitor.ask(&Request::Status) {
        Response::Status(status) => *status,
        other => panic!("{other:?}"),
    }
}

fn disks(monitor: &Monitor) -> Vec<String> {
    status(monitor).disks.into_iter().map(|d| d.id).collect()
}

fn refused(answer: Response, text: &str) {
    match answer {
        Response::Error(reason) => assert!(reason.contains(text), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disk_comes_and_goes_and_nothing_of_it_is_left() {
    let Some(monitor) = running(ejector()) else {
        return;
    };
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    let mut events = monitor.send(&Request::Events);
    let threads = monitor.threads();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    File::create(&path).unwrap().set_len(1 << 20).unwrap();
    for _ in 0..3 {
        let file = File::options().read(true).write(true).open(&path).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(monitor.ask_with(&disk("scsi1"), &file), Response::Ok);
        drop(file);
        expect(&mut serial, "p");
        assert_eq!(disks(&monitor), ["virtio0", "scsi1"]);
        assert_eq!(monitor.threads(), threads + 1);
        // The lock is the monitor's.
        let other = File::open(&path).unwrap();
        assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());

        assert_eq!(monitor.ask(&remove("scsi1", PATIENCE_MS)), Response::Ok);
        expect(&mut serial, "e");
        assert_eq!(disks(&monitor), ["virtio0"]);
        assert_eq!(monitor.threads(), threads);
        flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
        let mut line = String::new();
        events.read_line(&mut line).unwrap();
        let device = "scsi1".to_owned();
        assert_eq!(
            serde_json::from_str::<Event>(&line).unwrap(),
            Event::DeviceRemoved { device }
        );
    }
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
}

#[test]
fn a_guest_that_does_not_answer_keeps_its_disk() {
    let Some(monitor) = running(Setup::default()) else {
        return;
    };
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    assert_eq!(monitor.ask_with(&disk("scsi1"), &image()), Response::Ok);
    refused(
        monitor.ask(&remove("scsi1", 50)),
        "does not let go of 'scsi1'",
    );
    assert_eq!(disks(&monitor), ["virtio0", "scsi1"]);
    assert!(status(&monitor).removing.is_empty());

    // While the guest is asked, others wait; a guest that is reset has nothing left to keep.
    let mut waiting = monitor.send(&remove("scsi1", PATIENCE_MS));
    while status(&monitor).removing != ["scsi1"] {
        std::thread::yield_now();
    }
    refused(monitor.ask(&remove("scsi1", 50)), "already");
    refused(
        monitor.ask_with(&Request::Save, &image()),
        "let go of 'scsi1'",
    );
    assert_eq!(monitor.ask(&Request::Reset), Response::Ok);
    assert_eq!(response(&mut waiting), Response::Ok);
    assert_eq!(disks(&monitor), ["virtio0"]);

    assert_eq!(monitor.ask(&Request::Pause), Response::Ok);
    refused(monitor.ask(&remove("virtio0", 50)), "paused");
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
}

#[test]
fn what_is_wrong_with_a_device_is_said_and_changes_nothing() {
    let Some(monitor) = running(ejector()) else {
        return;
    };
    refused(monitor.ask_with(&disk("virtio0"), &image()), "virtio0: ");
    refused(monitor.ask_with(&disk("ide2"), &image()), "ide2: ");
    refused(monitor.ask(&disk("scsi1")), "scsi1: ");
    let nic = NewDevice::Nic(Nic {
        id: "net0".into(),
        tap: Slot(0),
        mac: [2, 0, 0, 0, 0, 1],
        vhost: None,
        link_down: false,
    });
    let no_tap = monitor.ask_with(&Request::AddDevice(nic), &image());
    refused(no_tap, "net0: ");
    assert_eq!(disks(&monitor), ["virtio0"]);
    let mut qcow2 = Disk::raw("scsi1", Slot(0));
    qcow2.format = basalt_model::disk::ImageFormat::Qcow2;
    let no_qcow2 = Request::AddDevice(NewDevice::Disk(Box::new(qcow2)));
    refused(monitor.ask_with(&no_qcow2, &image()), "scsi1");
    refused(monitor.ask(&remove("scsi1", 50)), "device: ");
    let nic = "net0".to_owned();
    let link = Request::SetLink(SetLink { nic, up: false });
    refused(monitor.ask(&link), "nic: ");
    assert_eq!(disks(&monitor), ["virtio0"]);
    for number in 1..15 {
        let request = disk(&format!("scsi{number}"));
        assert_eq!(monitor.ask_with(&request, &image()), Response::Ok);
    }
    refused(monitor.ask_with(&disk("scsi20"), &image()), "at most 15");
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
}

#[test]
fn a_saved_machine_has_its_devices_where_the_guest_knows_them() {
    let Some(monitor) = running(ejector()) else {
        return;
    };
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    let (first, second) = (image(), image());
    assert_eq!(monitor.ask_with(&disk("scsi1"), &first), Response::Ok);
    expect(&mut serial, "p");
    assert_eq!(monitor.ask_with(&disk("scsi2"), &second), Response::Ok);
    expect(&mut serial, "p");
    assert_eq!(monitor.ask(&remove("scsi1", PATIENCE_MS)), Response::Ok);
    expect(&mut serial, "e");
    assert_eq!(monitor.ask(&Request::Pause), Response::Ok);
    // The guest has yet to learn of this one.
    assert_eq!(monitor.ask_with(&disk("scsi3"), &first), Response::Ok);
    let state = tempfile::tempfile().unwrap();
    state.set_len(STATE_ROOM + (64 << 20)).unwrap();
    assert_eq!(monitor.ask_with(&Request::Save, &state), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());

    let on_it = || -> OwnedFd { state.try_clone().unwrap().into() };
    let setup = |more| Setup {
        more,
        restore: Some(on_it()),
        ..ejector()
    };
    let (_, answer) = setup(Vec::new()).start().unwrap();
    let Started::Failed(reason) = answer else {
        panic!("a machine without its disks started")
    };
    assert!(reason.starts_with("devices: "), "{reason}");

    let more = vec![("scsi3", first), ("scsi2", second)];
    let monitor = running(setup(more)).unwrap();
    let mut serial = monitor.serial();
    expect(&mut serial, ">ppe");
    assert_eq!(monitor.ask(&Request::Resume), Response::Ok);
    expect(&mut serial, "p");
    for id in ["scsi2", "scsi3"] {
        assert_eq!(monitor.ask(&remove(id, PATIENCE_MS)), Response::Ok);
        expect(&mut serial, "e");
    }
    assert_eq!(disks(&monitor), ["virtio0"]);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
}

fn set_vcpus(vcpus: u8, patience_ms: u64) -> Request {
    Request::SetVcpus(SetVcpus { vcpus, patience_ms })
}

#[test]
fn processors_come_and_go_and_are_kept_in_a_saved_state() {
    let setup = |restore| Setup {
        guest: CPU_EJECTOR,
        vcpus: 4,
        plugged: Some(2),
        restore,
        ..Setup::default()
    };
    let Some(monitor) = running(setup(None)) else {
        return;
    };
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    assert_eq!(status(&monitor).vcpus, 2);
    refused(monitor.ask(&set_vcpus(5, 50)), "vcpus: ");
    refused(monitor.ask(&set_vcpus(0, 50)), "vcpus: ");
    assert_eq!(monitor.ask(&set_vcpus(4, 50)), Response::Ok);
    expect(&mut serial, "p");
    assert_eq!(status(&monitor).vcpus, 4);
    assert_eq!(monitor.ask(&set_vcpus(3, PATIENCE_MS)), Response::Ok);
    expect(&mut serial, "e");
    assert_eq!(status(&monitor).vcpus, 3);

    let state = tempfile::tempfile().unwrap();
    state.set_len(STATE_ROOM + (64 << 20)).unwrap();
    assert_eq!(monitor.ask_with(&Request::Save, &state), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
    let monitor = running(setup(Some(state.into()))).unwrap();
    let mut serial = monitor.serial();
    expect(&mut serial, ">pe");
    assert_eq!(status(&monitor).vcpus, 3);
    assert_eq!(monitor.ask(&Request::Resume), Response::Ok);
    assert_eq!(monitor.ask(&set_vcpus(1, PATIENCE_MS)), Response::Ok);
    assert_eq!(monitor.ask(&Request::Reset), Response::Ok);
    assert_eq!(status(&monitor).vcpus, 1);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
}

#[test]
fn a_guest_that_does_not_answer_keeps_its_processors() {
    let setup = Setup {
        plugged: Some(2),
        ..Setup::default()
    };
    let Some(monitor) = running(setup) else {
        return;
    };
    refused(monitor.ask(&set_vcpus(1, 50)), "does not let go");
    assert_eq!(status(&monitor).vcpus, 2);
    let mut waiting = monitor.send(&set_vcpus(1, PATIENCE_MS));
    while status(&monitor).removing != ["vcpus"] {
        std::thread::yield_now();
    }
    refused(monitor.ask(&set_vcpus(2, 50)), "already");
    assert_eq!(monitor.ask(&Request::Reset), Response::Ok);
    assert_eq!(response(&mut waiting), Response::Ok);
    assert_eq!(status(&monitor).vcpus, 1);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());

    let Some(fixed) = running(Setup::default()) else {
        return;
    };
    refused(fixed.ask(&set_vcpus(1, 50)), "vcpus: ");
    assert_eq!(fixed.ask(&Request::Quit), Response::Ok);
}

fn set_memory(mib: u64, patience_ms: u64) -> Request {
    Request::SetMemory(SetMemory { mib, patience_ms })
}

#[test]
fn a_guest_that_does_not_answer_keeps_its_memory_and_its_state_the_room_for_more() {
    let setup = |memory_max_mib, restore| Setup {
        memory_max_mib,
        restore,
        ..Setup::default()
    };
    let Some(monitor) = running(setup(Some(256), None)) else {
        return;
    };
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    let memory = status(&monitor).memory.unwrap();
    let bytes = (memory.boot, memory.present, memory.wanted, memory.most);
    assert_eq!(bytes, (64 << 20, 64 << 20, 64 << 20, 256 << 20));
    for mib in [62, 65, 258, u64::MAX] {
        refused(monitor.ask(&set_memory(mib, 50)), "mib: ");
    }
    assert_eq!(monitor.ask(&set_memory(64, 50)), Response::Ok);
    refused(monitor.ask(&set_memory(128, 50)), "virtio-mem");
    assert_eq!(status(&monitor).memory.unwrap(), memory);
    let waiting = monitor.send(&set_memory(128, PATIENCE_MS));
    while status(&monitor).removing != ["memory"] {
        std::thread::yield_now();
    }
    assert_eq!(status(&monitor).memory.unwrap().wanted, 128 << 20);
    refused(monitor.ask(&set_memory(256, 50)), "already");
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
    drop(waiting);

    let Some(monitor) = running(setup(Some(256), None)) else {
        return;
    };
    let state = tempfile::tempfile().unwrap();
    state.set_len(STATE_ROOM + (64 << 20)).unwrap();
    assert_eq!(monitor.ask_with(&Request::Save, &state), Response::Ok);
    refused(monitor.ask(&set_memory(128, 50)), "paused");
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
    let on_it = || -> OwnedFd { state.try_clone().unwrap().into() };
    let (_, answer) = setup(None, Some(on_it())).start().unwrap();
    let Started::Failed(reason) = answer else {
        panic!("a machine without its room started")
    };
    assert!(reason.starts_with("memory and room for more"), "{reason}");
    // Room for another amount is asked for than the guest knows of.
    let monitor = running(setup(Some(512), Some(on_it()))).unwrap();
    assert_eq!(status(&monitor).memory.unwrap(), memory);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);

    let Some(fixed) = running(Setup::default()) else {
        return;
    };
    assert_eq!(status(&fixed).memory, None);
    refused(fixed.ask(&set_memory(128, 50)), "for good");
    assert_eq!(fixed.ask(&Request::Quit), Response::Ok);
}
