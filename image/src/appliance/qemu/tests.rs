use super::*;

fn machine() -> Machine {
    Machine {
        emulator: Emulator::at(Path::new("/e")),
        name: "t".into(),
        accel: Accel::Tcg,
        cpus: 2,
        memory_mib: 1024,
        memory: Memory::Plain,
        firmware: Firmware::Uefi,
        tpm: false,
        disks: vec![Disk {
            file: "/a,b/disk.qcow2".into(),
            format: Format::Qcow2,
            readonly: false,
            serial: "system",
            log: None,
        }],
        given: None,
        cdrom: None,
        stick: None,
        kernel_arguments: None,
        ipxe_script: None,
        forwards: Some(vec![Forward {
            host: 18006,
            guest: 8006,
        }]),
        private: None,
        exit_on_reboot: false,
    }
}

fn line(machine: &Machine) -> String {
    let args: Vec<_> = machine
        .args()
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    args.join(" ")
}

#[test]
fn forwards_only_from_the_loopback() {
    assert!(line(&machine()).contains("hostfwd=tcp:127.0.0.1:18006-:8006"));
}

#[test]
fn the_firmware_is_the_emulators() {
    assert!(line(&machine()).contains("file=/e/usr/share/OVMF/OVMF_CODE_4M.fd"));
}

#[test]
fn commas_in_paths_are_doubled() {
    assert!(line(&machine()).contains("file=/a,,b/disk.qcow2"));
}

#[test]
fn a_recorded_disk_is_written_through_its_recorder() {
    let mut machine = machine();
    machine.disks[0].log = Some("/x/log".into());
    let text = line(&machine);
    assert!(text.contains("driver=blkdebug"), "{text}");
    assert!(text.contains("image.log.filename=/x/log,"), "{text}");
    assert!(text.contains("request-merging=off"), "{text}");
    assert!(
        text.contains("image.file.driver=qcow2,") && text.contains("filename=/a,,b/disk.qcow2"),
        "{text}"
    );
}

#[test]
fn legacy_bios_has_no_variables() {
    let text = line(&Machine {
        firmware: Firmware::Bios,
        ..machine()
    });
    assert!(!text.contains("pflash"), "{text}");
}

#[test]
fn no_forwards_means_no_card() {
    let text = line(&Machine {
        forwards: None,
        ..machine()
    });
    assert!(!text.contains("virtio-net"), "{text}");
}

#[test]
fn a_restored_machine_never_writes_the_kept_memory() {
    let memory = Memory::Restored {
        memory: "/m".into(),
        state: "/s".into(),
    };
    let text = line(&Machine {
        memory,
        ..machine()
    });
    assert!(text.contains("share=off,mem-path=/m"), "{text}");
    assert!(text.contains("-incoming defer"), "{text}");
}

#[test]
fn secure_firmware_keeps_its_variables_to_itself() {
    let text = line(&Machine {
        firmware: Firmware::Secure,
        tpm: true,
        ..machine()
    });
    for part in [
        "q35,smm=on",
        "secboot.fd",
        "property=secure,value=on",
        "tpm-crb",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn nodes_of_a_private_network_have_their_own_addresses() {
    let net = |index| {
        line(&Machine {
            private: Some(PrivateNet { port: 5000, index }),
            ..machine()
        })
    };
    assert!(net(1).contains("ba:5a:01"));
    assert!(net(2).contains("ba:5a:02"));
}

#[test]
fn a_machine_starts_from_the_network_only_when_it_is_told_to() {
    let mut machine = machine();
    assert!(line(&machine).contains("mac=52:54:00:ba:5a:00,romfile="));
    machine.ipxe_script = Some("http://10.0.2.2:8/boot.ipxe".into());
    let line = line(&machine);
    assert!(line.contains(",bootfile=http://10.0.2.2:8/boot.ipxe"));
    assert!(line.contains("mac=52:54:00:ba:5a:00,bootindex=0"));
}
