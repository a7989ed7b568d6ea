//! A whole monitor with a guest of a few instructions: life, control, terminals.
//! Where there is no `/dev/kvm`, each test says so and passes.

#[path = "support/firmware.rs"]
mod firmware;
mod support;

use std::io::{BufRead, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use basalt_model::cpu::{CpuModel, CpuSpec};
use basalt_model::disk::{ChangeMedia, ResizeDisk};
use basalt_model::machine::{
    Boot, Event, MachineSpec, PROTOCOL, Request, Response, RunState, STATE_ROOM, Slot, Started,
    Status,
};
use support::{PANICKER, Setup, expect, start};

fn status(response: Response) -> Status {
    match response {
        Response::Status(status) => *status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_guest_talks_listens_and_switches_itself_off() {
    let Some(monitor) = start() else { return };
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    serial.write_all(b"abc").unwrap();
    expect(&mut serial, "abc");
    let mut late = monitor.serial();
    expect(&mut late, ">abc");
    late.write_all(b"o").unwrap();
    expect(&mut serial, "o");
    assert!(monitor.wait().success());
}

#[test]
fn named_processors_run_or_what_they_lack_is_said() {
    for model in CpuModel::ALL {
        let setup = Setup {
            cpu: CpuSpec {
                model: *model,
                ..CpuSpec::default()
            },
            ..Setup::default()
        };
        let Some((monitor, answer)) = setup.start() else {
            return;
        };
        match answer {
            Started::Ok => expect(&mut monitor.serial(), ">"),
            Started::Failed(reason) => {
                assert!(reason.starts_with("cpu: this host lacks "), "{reason}");
            }
        }
    }
}

#[test]
fn a_balloon_takes_targets_within_the_memory() {
    let Some(monitor) = start() else { return };
    let target = || {
        let balloon = status(monitor.ask(&Request::Status)).balloon.unwrap();
        assert_eq!(
            balloon.figures,
            Default::default(),
            "its guest has no driver"
        );
        balloon.target >> 20
    };
    let all = target();
    let set = |mib| monitor.ask(&Request::SetBalloon { mib });
    assert_eq!(set(all - 8), Response::Ok);
    assert_eq!(target(), all - 8);
    for wrong in [0, all + 1] {
        assert!(matches!(set(wrong), Response::Error(_)));
    }
    assert_eq!(target(), all - 8);
}

#[test]
fn the_screen_is_served_inside_the_sandbox() {
    let Some(monitor) = start() else { return };
    for round in 0..3 {
        let mut viewer = monitor.screen();
        viewer.write_all(b"RFB 003.008\n\x01\x01").unwrap();
        expect(&mut viewer, "RFB 003.008\n\x01\x01\0\0\0\0");
        // A dark screen of 640 by 480, with the machine's name.
        let mut init = [0; 28];
        viewer.read_exact(&mut init).unwrap();
        assert_eq!(init[..4], [2, 128, 1, 224]);
        assert_eq!(init[24..], *b"test");
        // ZRLE; a key, the pointer, another size; then all of the picture.
        viewer.write_all(&[2, 0, 0, 1, 0, 0, 0, 16]).unwrap();
        viewer.write_all(&[4, 1, 0, 0, 0, 0, 0, 0x61]).unwrap();
        viewer.write_all(&[5, 1, 0, 5, 0, 5]).unwrap();
        viewer.write_all(&[251, 0, 4, 0, 3, 0, 0, 0]).unwrap();
        viewer
            .write_all(&[3, 0, 0, 0, 0, 0, 2, 128, 1, 224])
            .unwrap();
        let mut update = [0; 16];
        viewer.read_exact(&mut update).unwrap();
        // Eight rows of ten tiles.
        assert_eq!(update[..4], [0, 0, 0, 8]);
        assert_eq!(update[4..], [0, 0, 0, 0, 2, 128, 0, 64, 0, 0, 0, 16]);
        if round == 1 {
            assert_eq!(monitor.ask(&Request::Reset), Response::Ok);
        }
    }
    let status = status(monitor.ask(&Request::Status));
    assert_eq!(status.state, RunState::Running);
}

#[test]
fn every_kind_of_reset_starts_the_guest_anew() {
    let Some(monitor) = start() else { return };
    let mut events = monitor.send(&Request::Events);
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    for key in ["r", "t"] {
        serial.write_all(key.as_bytes()).unwrap();
        expect(&mut serial, key);
        expect(&mut serial, ">");
    }
    assert_eq!(monitor.ask(&Request::Reset), Response::Ok);
    expect(&mut serial, ">");
    serial.write_all(b"o").unwrap();
    let mut seen = Vec::new();
    let mut line = String::new();
    while events.read_line(&mut line).unwrap() > 0 {
        seen.push(serde_json::from_str::<Event>(&line).unwrap());
        line.clear();
    }
    assert_eq!(
        seen,
        [Event::Reset, Event::Reset, Event::Reset, Event::PoweredOff]
    );
    assert!(monitor.wait().success());
}

#[test]
fn a_guest_that_panics_is_told_of_once_and_runs_on_until_it_is_reset() {
    let setup = || Setup {
        guest: PANICKER,
        ..Setup::default()
    };
    let Some((monitor, answer)) = setup().start() else {
        return;
    };
    assert_eq!(answer, Started::Ok);
    let mut events = monitor.send(&Request::Events);
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    let panicked = || status(monitor.ask(&Request::Status)).panicked;
    assert_eq!(panicked(), None);
    let say = |serial: &mut UnixStream, what: u8| {
        serial.write_all(&[what]).unwrap();
        expect(serial, "\x07");
    };
    say(&mut serial, 2);
    assert_eq!(panicked(), None);
    for _ in 0..2 {
        say(&mut serial, 1);
        assert!(panicked().is_some());
    }
    serial.write_all(b"r").unwrap();
    expect(&mut serial, ">");
    assert_eq!(panicked(), None);
    say(&mut serial, 1);

    // It goes along with the machine, and is not told of anew.
    let (state, when) = (tempfile::tempfile().unwrap(), panicked());
    state.set_len(STATE_ROOM + (64 << 20)).unwrap();
    assert_eq!(monitor.ask_with(&Request::Save, &state), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
    let mut seen = Vec::new();
    let mut line = String::new();
    while events.read_line(&mut line).unwrap() > 0 {
        seen.push(serde_json::from_str::<Event>(&line).unwrap());
        line.clear();
    }
    seen.retain(|event| !matches!(event, Event::Progress(_)));
    assert_eq!(
        seen,
        [
            Event::CrashLoaded,
            Event::Panicked,
            Event::Reset,
            Event::Panicked
        ]
    );
    let restored = Setup {
        restore: Some(state.into()),
        ..setup()
    };
    let (monitor, answer) = restored.start().unwrap();
    assert_eq!(answer, Started::Ok);
    let panicked = || status(monitor.ask(&Request::Status)).panicked;
    assert_eq!(panicked(), when);
    assert_eq!(monitor.ask(&Request::Reset), Response::Ok);
    assert_eq!(panicked(), None);
}

#[test]
fn a_paused_guest_does_nothing_until_resumed() {
    let Some(monitor) = start() else { return };
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    assert_eq!(monitor.ask(&Request::Pause), Response::Ok);
    assert_eq!(monitor.ask(&Request::Pause), Response::Ok);
    assert_eq!(
        status(monitor.ask(&Request::Status)).state,
        RunState::Paused
    );
    serial.write_all(b"x").unwrap();
    assert_eq!(monitor.ask(&Request::Resume), Response::Ok);
    expect(&mut serial, "x");
    let running = status(monitor.ask(&Request::Status));
    assert_eq!(running.state, RunState::Running);
    assert_eq!(running.disks[0].id, "virtio0");
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
}

#[test]
fn a_paused_guest_can_be_reset_and_ended() {
    let Some(monitor) = start() else { return };
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    assert_eq!(monitor.ask(&Request::Pause), Response::Ok);
    assert_eq!(monitor.ask(&Request::Reset), Response::Ok);
    expect(&mut serial, ">");
    assert_eq!(monitor.ask(&Request::Pause), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
}

#[test]
fn a_disk_grows_and_a_disc_changes_by_request() {
    let Some(monitor) = start() else { return };
    let resize = |disk: &str, size| {
        let disk = disk.to_owned();
        monitor.ask(&Request::ResizeDisk(ResizeDisk { disk, size }))
    };
    let refused = |answer: Response, field: &str| match answer {
        Response::Error(text) => assert!(text.starts_with(field), "{text}"),
        other => panic!("{other:?}"),
    };
    refused(resize("virtio7", 2 << 20), "disk: ");
    refused(resize("virtio0", (2 << 20) + 1), "size: ");
    refused(resize("virtio0", 512), "size: ");
    // The image has not grown yet.
    refused(resize("virtio0", 2 << 20), "size: ");
    monitor.disk().set_len(2 << 20).unwrap();
    assert_eq!(resize("virtio0", 2 << 20), Response::Ok);

    let change = |drive: &str, insert| {
        let drive = drive.to_owned();
        Request::ChangeMedia(ChangeMedia { drive, insert })
    };
    let disc = tempfile::tempfile().unwrap();
    refused(monitor.ask_with(&change("ide2", true), &disc), "insert: ");
    disc.set_len(4096).unwrap();
    assert_eq!(monitor.ask_with(&change("ide2", true), &disc), Response::Ok);
    refused(monitor.ask_with(&change("ide3", true), &disc), "drive: ");
    refused(monitor.ask_with(&change("ide2", false), &disc), "insert: ");
    refused(monitor.ask(&change("ide2", true)), "insert: ");
    assert_eq!(monitor.ask(&change("ide2", false)), Response::Ok);
    // Both are still there in the machine's next life.
    assert_eq!(monitor.ask(&Request::Reset), Response::Ok);
    assert_eq!(resize("virtio0", 2 << 20), Response::Ok);
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
}

#[test]
fn the_monitor_survives_its_starter() {
    let Some(mut monitor) = start() else { return };
    monitor.forget_starter();
    let mut serial = monitor.serial();
    expect(&mut serial, ">");
    assert_eq!(monitor.ask(&Request::Quit), Response::Ok);
    assert!(monitor.wait().success());
}

#[test]
fn a_refused_specification_is_answered_with_its_field() {
    let machine = MachineSpec {
        protocol: PROTOCOL,
        name: "test".into(),
        vmid: 100,
        vcpus: 200,
        plugged: None,
        memory_mib: 64,
        memory_max_mib: None,
        hugepages_mib: None,
        numa: None,
        kvm: Slot(0),
        control: Slot(1),
        serial: Slot(2),
        more_serial: [None; 3],
        console: None,
        cpu: Default::default(),
        agent: None,
        balloon: None,
        boot: Boot::Kernel {
            kernel: Slot(3),
            initrd: None,
            cmdline: String::new(),
        },
        system: Default::default(),
        disks: Vec::new(),
        opticals: Vec::new(),
        nics: Vec::new(),
        shares: Vec::new(),
        rng: None,
        rng_limit: None,
        passthrough: None,
        tpm: None,
        vsock: None,
        watchdog: None,
        display: None,
        restore: None,
    };
    let fds: Vec<OwnedFd> = vec![tempfile::tempfile().unwrap().into()];
    let (mut child, _starter, answer) = support::hand_over(&machine, &fds);
    assert_eq!(answer, Started::Failed("vcpus: 200 is not 1 to 64".into()));
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
