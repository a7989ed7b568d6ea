//! What the monitor accepts as a machine.

use super::*;
use basalt_model::disk::{Backing, ImageFormat, Optical, Rate};
use basalt_model::machine::{Adapter, Boot, Disk, Display, Nic, PROTOCOL, Share, Slot};
use basalt_model::numa::{HostNodes, Node, NodePolicy};
use basalt_model::passthrough::Passthrough;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

pub(super) fn spec() -> MachineSpec {
    MachineSpec {
        protocol: PROTOCOL,
        name: "test".into(),
        vmid: 100,
        vcpus: 1,
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
    }
}

fn disk(slot: usize) -> Disk {
    Disk::raw("virtio0", Slot(slot))
}

fn nic(mac: [u8; 6]) -> Nic {
    Nic {
        id: "net0".into(),
        tap: Slot(4),
        mac,
        vhost: None,
        link_down: false,
    }
}

/// Two listeners where `spec` expects them, and ordinary files elsewhere.
pub(super) fn delivery(count: usize) -> Vec<OwnedFd> {
    let dir = tempfile::tempdir().unwrap();
    (0..count)
        .map(|i| match i {
            1 | 2 => UnixListener::bind(dir.path().join(i.to_string()))
                .unwrap()
                .into(),
            _ => tempfile::tempfile().unwrap().into(),
        })
        .collect()
}

/// The field a refusal names.
pub(super) fn refused(spec: MachineSpec, descriptors: Vec<OwnedFd>) -> String {
    match Resources::check(spec, descriptors) {
        Err(Error::Invalid { field, .. }) => field,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn bounds_are_checked_and_named() {
    type Change = fn(&mut MachineSpec);
    let cases: [(&str, Change); 18] = [
        ("protocol", |s| s.protocol = 99),
        ("vcpus", |s| s.vcpus = 0),
        ("vcpus", |s| s.vcpus = 65),
        ("plugged", |s| s.plugged = Some(0)),
        ("plugged", |s| s.plugged = Some(2)),
        ("plugged", |s| {
            (s.memory_mib, s.plugged) = (128, Some(1));
            s.boot = Boot::Firmware {
                code: Slot(3),
                vars: Slot(4),
                order: Vec::new(),
                smm: true,
            };
        }),
        ("memory_mib", |s| s.memory_mib = 31),
        ("memory_mib", |s| s.memory_mib = u64::MAX),
        ("memory_max_mib", |s| s.memory_max_mib = Some(63)),
        ("memory_max_mib", |s| s.memory_max_mib = Some(u64::MAX)),
        ("hugepages_mib", |s| s.hugepages_mib = Some(4)),
        ("hugepages_mib", |s| s.hugepages_mib = Some(1024)),
        ("hugepages_mib", |s| {
            (s.hugepages_mib, s.memory_max_mib) = (Some(2), Some(128));
        }),
        ("hugepages_mib", |s| {
            (s.memory_mib, s.hugepages_mib) = (1024, Some(1024));
            s.boot = Boot::Firmware {
                code: Slot(3),
                vars: Slot(4),
                order: Vec::new(),
                smm: true,
            };
        }),
        ("disks", |s| s.disks = vec![disk(4); 17]),
        ("nics", |s| s.nics = vec![nic([2, 0, 0, 0, 0, 1]); 10]),
        ("net0", |s| s.nics = vec![nic([3, 0, 0, 0, 0, 1])]),
        ("net0", |s| s.nics = vec![nic([0; 6])]),
    ];
    for (field, change) in cases {
        let mut spec = spec();
        change(&mut spec);
        assert_eq!(refused(spec, delivery(4)), field);
    }
}

#[test]
fn nodes_divide_all_of_a_machine() {
    let node = |vcpus: &[u8], memory_mib| Node {
        vcpus: vcpus.to_vec(),
        memory_mib,
        host: None,
    };
    let on = |node: Node, host: &[u16]| Node {
        host: Some(HostNodes {
            nodes: host.to_vec(),
            policy: NodePolicy::Bind,
        }),
        ..node
    };
    let check = |sockets, nodes: &[Node], hugepages_mib| {
        let mut spec = spec();
        (spec.vcpus, spec.hugepages_mib) = (4, hugepages_mib);
        let nodes = nodes.to_vec();
        spec.numa = Some(Numa { sockets, nodes });
        check::bounds(&spec).map_err(|error| error.to_string())
    };
    let (first, second) = (node(&[0, 1], 32), node(&[2, 3], 32));
    let both = [first.clone(), second.clone()];
    assert_eq!(check(2, &both, Some(2)), Ok(()));
    assert_eq!(
        check(1, &[on(first.clone(), &[0]), second.clone()], None),
        Ok(())
    );
    let wrong: [(u8, &[Node], &str); 8] = [
        (0, &both, "sockets"),
        (3, &both, "sockets"),
        (2, &[], "0 nodes"),
        (2, &[first.clone(), first.clone()], "in one node"),
        (2, &[first.clone(), node(&[2, 4], 32)], "in one node"),
        (2, &[first.clone(), node(&[2, 3], u64::MAX)], "64 MiB"),
        (2, &[node(&[0, 1], 64), node(&[2, 3], 0)], "64 MiB"),
        (
            2,
            &[first.clone(), on(second, &[1024])],
            "no node of a host",
        ),
    ];
    for (sockets, nodes, text) in wrong {
        let said = check(sockets, nodes, None).unwrap_err();
        assert!(said.starts_with("numa: ") && said.contains(text), "{said}");
    }
    let odd = [node(&[0, 1], 31), on(node(&[2, 3], 33), &[0])];
    assert!(check(2, &odd, Some(2)).unwrap_err().contains("pages of 2"));
}

#[test]
fn a_share_that_cannot_be_is_refused_by_its_name() {
    type Change = fn(&mut MachineSpec);
    let cases: [(&str, Change); 5] = [
        ("saved nor moved", |s| s.restore = Some(Slot(5))),
        ("with the disks", |s| s.disks = vec![disk(5); 15]),
        ("with the disks", |s| {
            s.shares = vec![s.shares[0].clone(); 11]
        }),
        ("36 bytes", |s| s.shares[0].tag = "t".repeat(37)),
        // It is no socket, so nobody answers there.
        ("SET_OWNER", |_| ()),
    ];
    for (problem, change) in cases {
        let mut spec = spec();
        spec.shares = vec![Share {
            id: "virtiofs3".into(),
            tag: "data".into(),
            socket: Slot(4),
        }];
        change(&mut spec);
        match Resources::check(spec, delivery(5)) {
            Err(Error::Invalid {
                field,
                problem: text,
            }) => {
                assert!(
                    field == "virtiofs3" && text.contains(problem),
                    "{field}: {text}"
                );
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("accepted"),
        }
    }
}

#[test]
fn what_cannot_be_beside_devices_of_the_host_is_refused() {
    type Change = fn(&mut MachineSpec);
    let cases: [(&str, Change); 5] = [
        ("balloon", |s| s.balloon = Some(32)),
        ("memory_max_mib", |s| s.memory_max_mib = Some(128)),
        ("hostpci0", |s| s.restore = Some(Slot(5))),
        ("hostpci0", |s| s.passthrough = Some(passthrough(1))),
        // No file of the kernel's, so no container.
        ("passthrough", |_| {}),
    ];
    for (field, change) in cases {
        let mut spec = spec();
        spec.passthrough = Some(passthrough(0));
        change(&mut spec);
        assert_eq!(refused(spec, delivery(6)), field);
    }
}

fn passthrough(group: usize) -> Passthrough {
    let device = serde_json::json!({"id": "hostpci0", "address": "0000:01:00.0", "group": group});
    Passthrough {
        container: Slot(4),
        groups: vec![Slot(5)],
        devices: vec![serde_json::from_value(device).unwrap()],
    }
}

#[test]
fn a_disk_that_cannot_be_is_refused_by_its_name() {
    type Change = fn(&mut Disk);
    let cases: [(Change, &str); 5] = [
        (|d| d.queues = 0, "queues"),
        (|d| d.queues = 5, "queues"),
        (|d| d.backing = vec![below(4)], "raw image"),
        (
            |d| {
                d.format = ImageFormat::Qcow2;
                d.backing = (5..22).map(below).collect();
            },
            "more than 16",
        ),
        (|d| d.limits.bytes.write = Some(nothing()), "limit"),
    ];
    for (change, problem) in cases {
        let mut spec = spec();
        spec.disks = vec![disk(4)];
        change(&mut spec.disks[0]);
        let error = Resources::check(spec, delivery(5)).err().unwrap();
        let text = error.to_string();
        assert!(
            text.starts_with("virtio0: ") && text.contains(problem),
            "{text}"
        );
    }
}

fn below(slot: usize) -> Backing {
    Backing {
        image: Slot(slot),
        format: ImageFormat::Raw,
    }
}

fn nothing() -> Rate {
    Rate {
        average: 0,
        burst: None,
        burst_seconds: 1,
    }
}

#[test]
fn a_disc_must_have_a_block_and_drives_are_few() {
    let optical = |slot| Optical {
        id: "ide2".into(),
        medium: slot,
    };
    let mut empty = spec();
    empty.opticals = vec![optical(Some(Slot(4)))];
    assert_eq!(refused(empty, delivery(5)), "ide2");
    let mut many = spec();
    many.opticals = vec![optical(None); 9];
    assert_eq!(refused(many, delivery(4)), "opticals");
}

#[test]
fn slots_are_in_range_used_once_and_all_used() {
    let mut beyond = spec();
    beyond.disks = vec![disk(40)];
    assert_eq!(refused(beyond, delivery(4)), "virtio0");

    let mut twice = spec();
    twice.disks = vec![disk(3)];
    assert_eq!(refused(twice, delivery(4)), "virtio0");

    let mut serial = spec();
    serial.serial = Slot(3);
    assert_eq!(refused(serial, delivery(4)), "serial");

    let mut display = spec();
    display.display = Some(Display {
        socket: Slot(4),
        adapter: Adapter::Virtio,
        tablet: true,
    });
    assert_eq!(refused(display, delivery(5)), "display");
}

#[test]
fn descriptors_must_be_what_they_are_said_to_be() {
    assert_eq!(refused(spec(), delivery(4)), "kvm");
    let mut tap = spec();
    tap.nics = vec![nic([2, 0, 0, 0, 0, 1])];
    assert_eq!(refused(tap, delivery(5)), "net0");
}

#[test]
fn one_line_arrives_with_its_descriptors_even_in_pieces() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut line = serde_json::to_vec(&spec()).unwrap();
    line.push(b'\n');
    let (first, rest) = line.split_at(20);
    let fds = delivery(4);
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    sendmsg(
        &theirs,
        &[io::IoSlice::new(first)],
        &mut control,
        SendFlags::empty(),
    )
    .unwrap();
    io::Write::write_all(&mut &theirs, rest).unwrap();
    let (received, descriptors) = receive(ours.as_fd()).unwrap();
    assert_eq!(received, spec());
    assert_eq!(descriptors.len(), 4);
}

#[test]
fn what_is_sent_is_received() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let fds = delivery(4);
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    send(theirs.as_fd(), &spec(), &borrowed).unwrap();
    let (received, descriptors) = receive(ours.as_fd()).unwrap();
    assert_eq!((received, descriptors.len()), (spec(), 4));
}

#[test]
fn nonsense_is_refused() {
    for (bytes, end) in [
        (&b"{}\n"[..], false),
        (b"{\"protocol\":1", true),
        (b"", true),
    ] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        io::Write::write_all(&mut &theirs, bytes).unwrap();
        if end {
            drop(theirs);
            assert!(matches!(receive(ours.as_fd()), Err(Error::Truncated)));
        } else {
            assert!(matches!(receive(ours.as_fd()), Err(Error::Malformed(_))));
        }
    }
}

#[test]
fn an_endless_line_is_cut_off() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let writer = std::thread::spawn(move || {
        let junk = [b'x'; 65536];
        while io::Write::write_all(&mut &theirs, &junk).is_ok() {}
    });
    assert!(matches!(receive(ours.as_fd()), Err(Error::TooLong)));
    drop(ours);
    writer.join().unwrap();
}
