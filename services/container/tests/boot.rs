//! Real containers, unpacked from a real archive and started as units of the running systemd.
//!
//! Needs root, systemd as process 1 with cgroup version 2, `losetup`, `mkfs.ext4`, `nsenter` and
//! `ip`, and in `BASALT_TEST_ARCHIVE` a root file system archive with systemd, iproute2 and ping;
//! skips itself saying so otherwise. `BASALT_TEST_CONTAINER` names another runtime to test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use basalt_container::{ContainerError, NicUsage};
use basalt_model::container::Ipv4;
use rig::{BRIDGE_ADDRESS, Rig, nic, read_until, run};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

mod rig;

#[tokio::test]
async fn systemd_runs_and_powers_off() {
    let Some(rig) = Rig::new(901).await else {
        return;
    };
    let begin = Instant::now();
    rig.start().await.unwrap();
    eprintln!("figure: start answered after {:?}", begin.elapsed());
    assert_eq!(rig.settled().await, "running");
    eprintln!("figure: running after {:?}", begin.elapsed());
    assert_eq!(rig.inside("systemctl --failed --no-legend").await, "");
    assert_eq!(rig.inside("hostname").await, "ct901");
    assert_eq!(rig.inside("systemd-detect-virt --container").await, "lxc");
    assert_eq!(rig.containers.running().await.unwrap(), [901]);

    rig.control().await.shutdown().await.unwrap();
    let ended = rig.containers.wait_ended(901).await.unwrap();
    assert!(ended.is_success() || ended.result.is_none(), "{ended:?}");
    assert!(!rig.containers.is_up(901).await.unwrap());
}

#[tokio::test]
async fn stopping_the_unit_powers_off() {
    let Some(rig) = Rig::new(909).await else {
        return;
    };
    rig.start().await.unwrap();
    assert_eq!(rig.settled().await, "running");
    let unit = rig.unit();
    let (ended, stopped) = tokio::join!(rig.containers.wait_ended(909), rig.units.stop(&unit));
    stopped.unwrap();
    // The runtime reports success only when init ended by itself.
    assert!(ended.unwrap().is_success());
}

#[tokio::test]
async fn limits_hold_and_usage_is_told() {
    let Some(rig) = Rig::new(902).await else {
        return;
    };
    rig.start().await.unwrap();
    assert_eq!(rig.settled().await, "running");
    let cgroup = rig.control().await.status().await.unwrap().cgroup;
    let limit = |file: &str| std::fs::read_to_string(format!("{cgroup}/{file}")).unwrap();
    assert_eq!(limit("memory.max").trim(), "536870912");
    assert_eq!(limit("cpu.max").trim(), "150000 100000");
    assert_eq!(limit("cpu.weight").trim(), "200");
    let usage = rig.containers.usage(902).await.unwrap().unwrap();
    assert_eq!(usage.memory_max_bytes, Some(536_870_912));
    assert!(usage.cpu_usec > 0 && usage.memory_bytes > 0 && usage.tasks > 1);

    // The container divides what it has, and cannot give itself more.
    let nested = "systemd-run --quiet --wait --pipe -p MemoryMax=64M \
                  sh -c 'cat /sys/fs/cgroup/$(cut -d: -f3 /proc/self/cgroup)/memory.max'";
    assert_eq!(rig.inside(nested).await, "67108864");
    let grow = rig.inside("echo max > /sys/fs/cgroup/memory.max").await;
    assert!(
        grow.contains("denied") || grow.contains("nonexistent"),
        "{grow}"
    );
}

#[tokio::test]
async fn the_host_is_out_of_reach() {
    let Some(rig) = Rig::new(903).await else {
        return;
    };
    rig.start().await.unwrap();
    for file in [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/sys/power/state",
    ] {
        let answer = rig.inside(&format!("echo x > {file}")).await;
        assert!(
            answer.contains("denied")
                || answer.contains("nonexistent")
                || answer.contains("Read-only"),
            "{file}: {answer}"
        );
    }
    assert!(
        rig.inside("mknod /tmp/n c 1 3")
            .await
            .contains("not permitted")
    );
    let status = rig.inside("cat /proc/1/status").await;
    // Programs with the set-user-id bit work, and the filter is on.
    assert!(
        status.contains("NoNewPrivs:\t0") && status.contains("Seccomp:\t2"),
        "{status}"
    );
    // The process is nobody special on the host.
    let pid = rig.control().await.status().await.unwrap().init_pid;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t100000\t100000"), "{status}");
}

#[tokio::test]
async fn the_console_replays_and_logs_in() {
    let Some(rig) = Rig::new(904).await else {
        return;
    };
    rig.start().await.unwrap();
    let mut console = UnixStream::connect(rig.console_path()).await.unwrap();
    read_until(&mut console, "login:").await;
    // A second client gets what the first one saw, and both see what comes.
    let mut second = UnixStream::connect(rig.console_path()).await.unwrap();
    read_until(&mut second, "login:").await;
    rig.control().await.resize_console(132, 43).await.unwrap();
    let size = rig.inside("stty size < /dev/console").await;
    assert_eq!(size, "43 132");
    console.write_all(b"nobody-of-that-name\n").await.unwrap();
    read_until(&mut second, "nobody-of-that-name").await;
    rig.control().await.quit().await.unwrap();
    rig.containers.wait_ended(904).await.unwrap();
}

#[tokio::test]
async fn a_reboot_starts_it_again_in_place() {
    let Some(mut rig) = Rig::new(905).await else {
        return;
    };
    rig.spec.nics = vec![nic(905, Ipv4::Manual)];
    rig.start().await.unwrap();
    assert_eq!(rig.settled().await, "running");
    let before = rig.control().await.status().await.unwrap().init_pid;
    let mut console = UnixStream::connect(rig.console_path()).await.unwrap();
    read_until(&mut console, "login:").await;

    rig.inside("systemctl reboot --no-block").await;
    read_until(&mut console, "login:").await;
    let after = rig.control().await.status().await.unwrap().init_pid;
    assert_ne!(before, after);
    assert_eq!(rig.settled().await, "running");
    assert!(
        rig.inside("ip link show eth0")
            .await
            .contains("02:00:00:00:03:89")
    );
}

#[tokio::test]
async fn a_fixed_address_answers_over_the_bridge() {
    let Some(mut rig) = Rig::new(906).await else {
        return;
    };
    let ipv4 = Ipv4::Static {
        address: "198.51.100.6/24".into(),
        gateway: Some(BRIDGE_ADDRESS.into()),
    };
    rig.spec.nics = vec![nic(906, ipv4)];
    rig.start().await.unwrap();
    assert_eq!(rig.settled().await, "running");
    let ping = rig
        .inside(&format!(
            "ping -c 1 -W 5 {BRIDGE_ADDRESS} && ip route show default"
        ))
        .await;
    assert!(ping.contains(" 0% packet loss"), "{ping}");
    assert!(ping.contains(&format!("via {BRIDGE_ADDRESS}")), "{ping}");
    assert!(NicUsage::of(&rig.spec.nics[0]).sent_bytes > 0);

    rig.control().await.quit().await.unwrap();
    rig.containers.wait_ended(906).await.unwrap();
    assert!(!std::path::Path::new("/sys/class/net/veth906i0").exists());
}

#[tokio::test]
async fn an_address_comes_by_dhcp() {
    let Some(mut rig) = Rig::new(910).await else {
        return;
    };
    let Some(_server) = rig::dhcp_server() else {
        eprintln!("skipped: dnsmasq is not installed");
        return;
    };
    rig.spec.nics = vec![nic(910, Ipv4::Dhcp)];
    rig.start().await.unwrap();
    assert_eq!(rig.settled().await, "running");
    let wait = "/usr/lib/systemd/systemd-networkd-wait-online --interface=eth0 --timeout=60";
    assert_eq!(rig.inside(wait).await, "");
    let address = rig.inside("ip -4 -o address show eth0").await;
    assert!(address.contains("198.51.100.77/24"), "{address}");
}

#[tokio::test]
async fn a_killed_runtime_leaves_nothing_and_it_starts_again() {
    let Some(mut rig) = Rig::new(907).await else {
        return;
    };
    rig.spec.nics = vec![nic(907, Ipv4::Manual)];
    rig.start().await.unwrap();
    let status = rig.control().await.status().await.unwrap();
    rig.units
        .kill(&rig.unit(), basalt_unit::KillWho::Main, libc::SIGKILL)
        .await
        .unwrap();
    let ended = rig.containers.wait_ended(907).await.unwrap();
    assert!(!ended.is_success(), "{ended:?}");
    assert!(!std::path::Path::new(&format!("/proc/{}", status.init_pid)).exists());
    assert!(!std::path::Path::new(&status.cgroup).exists());
    rig.start().await.unwrap();
    assert_eq!(rig.settled().await, "running");
}

#[tokio::test]
async fn what_cannot_start_says_why_and_leaves_nothing() {
    let Some(mut rig) = Rig::new(908).await else {
        return;
    };
    rig.spec.nics = vec![nic(908, Ipv4::Manual)];
    rig.spec.nics[0].bridge = "vmbr77".into();
    let Err(ContainerError::Start { reason, .. }) = rig.start().await else {
        panic!("started without its bridge");
    };
    assert!(
        reason.contains("vmbr77") && reason.contains("no such bridge"),
        "{reason}"
    );

    rig.spec.nics.clear();
    let empty = tempfile::tempdir().unwrap();
    let Err(ContainerError::Start { reason, .. }) = rig.start_on(empty.path()).await else {
        panic!("started without an init");
    };
    assert!(reason.contains("/sbin/init"), "{reason}");
    assert!(!rig.containers.is_up(908).await.unwrap());
    assert!(!run("ip", &["-o", "link"]).contains("veth908i0"));
}
