//! A real container, started as a unit of the running systemd.
//!
//! Needs root, systemd as process 1 with cgroup version 2, and `BASALT_TEST_ROOTFS`, a directory
//! with an unpacked root file system that has systemd; skips itself saying so otherwise.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use basalt_container::{Containers, Control};
use basalt_model::container::{ContainerNic, ContainerSpec, IdMap, Ipv4, PROTOCOL};
use basalt_model::machine::Slot;
use basalt_unit::Units;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A container of a test, killed when the test ends.
struct Rig {
    containers: Containers,
    spec: ContainerSpec,
    sockets: tempfile::TempDir,
    root: PathBuf,
}

impl Rig {
    async fn new(vmid: u32) -> Option<Self> {
        let Some(root) = std::env::var_os("BASALT_TEST_ROOTFS") else {
            eprintln!("skipped: BASALT_TEST_ROOTFS is not set");
            return None;
        };
        if !Path::new("/run/systemd/system").exists() || !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root and systemd as process 1");
            return None;
        }
        let units = Units::connect().await.expect("the system bus answers");
        let executable = std::env::var("BASALT_TEST_CONTAINER")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_basalt-container").to_owned());
        Some(Self {
            containers: Containers::new(units, executable),
            spec: spec(vmid),
            sockets: tempfile::tempdir().expect("a temporary directory"),
            root: root.into(),
        })
    }

    fn control_path(&self) -> PathBuf {
        self.sockets.path().join("control.sock")
    }

    fn console_path(&self) -> PathBuf {
        self.sockets.path().join("console.sock")
    }

    async fn start(&self) -> Result<(), basalt_container::ContainerError> {
        let listen = |path: PathBuf| -> OwnedFd {
            let _absent = std::fs::remove_file(&path);
            UnixListener::bind(path).expect("a socket").into()
        };
        let fds = vec![
            std::fs::File::open(&self.root)
                .expect("the root opens")
                .into(),
            listen(self.control_path()),
            listen(self.console_path()),
        ];
        self.containers.start(&self.spec, fds).await
    }

    async fn control(&self) -> Control {
        Control::connect(&self.control_path())
            .await
            .expect("the control socket answers")
    }

    /// Runs a shell command inside, over the container's init's namespaces.
    async fn inside(&self, command: &str) -> String {
        let pid = self.control().await.status().await.unwrap().init_pid;
        let output = tokio::process::Command::new("nsenter")
            .args(["-t", &pid.to_string(), "-a", "--", "/bin/sh", "-c", command])
            .output()
            .await
            .expect("nsenter runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
            + String::from_utf8_lossy(&output.stderr).trim()
    }

    /// Waits for `systemctl is-system-running` to settle, with systemd's own waiting.
    async fn settled(&self) -> String {
        self.inside("systemctl is-system-running --wait").await
    }
}

fn spec(vmid: u32) -> ContainerSpec {
    ContainerSpec {
        protocol: PROTOCOL,
        vmid,
        hostname: format!("ct{vmid}"),
        root: Slot(0),
        control: Slot(1),
        console: Slot(2),
        id_map: IdMap {
            host: 100_000,
            count: 65536,
        },
        cpu_limit_percent: Some(150),
        cpu_weight: 200,
        memory_mib: 512,
        swap_mib: 0,
        nics: Vec::new(),
    }
}

#[tokio::test]
async fn boots_systemd() {
    let Some(rig) = Rig::new(901).await else {
        return;
    };
    rig.containers.kill(901).await.unwrap();
    let begin = Instant::now();
    rig.start().await.unwrap();
    eprintln!("started after {:?}", begin.elapsed());
    let mut console = UnixStream::connect(rig.console_path()).await.unwrap();
    let mut seen = Vec::new();
    let reading = async {
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&seen).contains("login:") {
            let count = console.read(&mut chunk).await.unwrap();
            assert_ne!(
                count,
                0,
                "console closed: {}",
                String::from_utf8_lossy(&seen)
            );
            seen.extend_from_slice(&chunk[..count]);
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(120), reading).await;
    eprintln!(
        "login after {:?}: {}",
        begin.elapsed(),
        String::from_utf8_lossy(&seen)
    );
    eprintln!("{}", rig.settled().await);
    eprintln!("{}", rig.inside("systemctl --failed --no-pager; cat /proc/self/uid_map /sys/fs/cgroup/cgroup.controllers; mount; ip a; free -m; hostname").await);
    result.unwrap();
    console.write_all(b"\n").await.unwrap();
    rig.control().await.shutdown().await.unwrap();
    let ended = rig.containers.wait_ended(901).await.unwrap();
    eprintln!("{ended:?} after {:?}", begin.elapsed());
}
