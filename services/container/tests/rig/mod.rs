//! One container of a test: volume, bridge, sockets; all gone when the test ends.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use basalt_container::{ContainerError, Containers, Control, extract_with};
use basalt_model::container::{ContainerNic, ContainerSpec, IdMap, Ipv4, PROTOCOL, Resolver};
use basalt_model::machine::Slot;
use basalt_unit::Units;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::OnceCell;

const BRIDGE: &str = "bslttest0";
/// Address of the test bridge.
pub const BRIDGE_ADDRESS: &str = "198.51.100.1";
const IDS: IdMap = IdMap {
    host: 100_000,
    count: 65536,
};

/// The image every test of this process copies, and the directory it lies in.
static IMAGE: OnceCell<(tempfile::TempDir, PathBuf)> = OnceCell::const_new();

/// A container of a test.
pub struct Rig {
    pub containers: Containers,
    pub units: Units,
    pub spec: ContainerSpec,
    directory: tempfile::TempDir,
    volume: Loop,
}

impl Rig {
    /// None when this machine cannot run containers.
    pub async fn new(vmid: u32) -> Option<Self> {
        let Some(archive) = std::env::var_os("BASALT_TEST_ARCHIVE") else {
            eprintln!("skipped: BASALT_TEST_ARCHIVE is not set");
            return None;
        };
        if !Path::new("/run/systemd/system").exists() || !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root and systemd as process 1");
            return None;
        }
        let (_, image) = IMAGE
            .get_or_init(|| make_image(PathBuf::from(archive)))
            .await;
        let units = Units::connect().await.expect("the system bus answers");
        let containers = Containers::new(units.clone(), runtime());
        containers.kill(vmid).await.unwrap();
        make_bridge();
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("root.raw");
        run(
            "cp",
            &[
                "--sparse=always",
                image.to_str().unwrap(),
                copy.to_str().unwrap(),
            ],
        );
        Some(Self {
            containers,
            units,
            spec: spec(vmid),
            volume: Loop::attach(&copy),
            directory,
        })
    }

    pub fn console_path(&self) -> PathBuf {
        self.directory.path().join("console.sock")
    }

    pub fn unit(&self) -> String {
        Containers::unit(self.spec.vmid)
    }

    /// Starts it on its volume, mounted nowhere.
    pub async fn start(&self) -> Result<(), ContainerError> {
        self.start_with(self.volume.mount()).await
    }

    /// Starts it on a directory.
    pub async fn start_on(&self, root: &Path) -> Result<(), ContainerError> {
        self.start_with(std::fs::File::open(root).unwrap().into())
            .await
    }

    async fn start_with(&self, root: OwnedFd) -> Result<(), ContainerError> {
        let listen = |name: &str| -> OwnedFd {
            let path = self.directory.path().join(name);
            let _absent = std::fs::remove_file(&path);
            UnixListener::bind(path).unwrap().into()
        };
        let fds = vec![root, listen("control.sock"), listen("console.sock")];
        self.containers.start(&self.spec, fds).await
    }

    pub async fn control(&self) -> Control {
        Control::connect(&self.directory.path().join("control.sock"))
            .await
            .expect("the control socket answers")
    }

    /// Runs a shell command in the container's namespaces; what it says.
    pub async fn inside(&self, command: &str) -> String {
        let pid = self
            .control()
            .await
            .status()
            .await
            .unwrap()
            .init_pid
            .to_string();
        let output = tokio::process::Command::new("nsenter")
            .args([
                "-t", &pid, "-a", "-S", "0", "-G", "0", "--", "/bin/sh", "-c", command,
            ])
            .output()
            .await
            .expect("nsenter runs");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).trim().to_owned()
    }

    /// What `systemctl is-system-running` says once the start is over; with the failed units when
    /// there are any.
    pub async fn settled(&self) -> String {
        // systemd answers nobody before it has its own socket; a login prompt comes later.
        let mut console = UnixStream::connect(self.console_path()).await.unwrap();
        read_until(&mut console, "login:").await;
        let said = self.inside("systemctl is-system-running --wait").await;
        if said == "running" {
            return said;
        }
        format!(
            "{said}: {}",
            self.inside("systemctl --failed --no-legend").await
        )
    }
}

/// Reads a console until it shows `text`.
pub async fn read_until(console: &mut UnixStream, text: &str) {
    let mut seen = Vec::new();
    let reading = async {
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&seen).contains(text) {
            let count = console.read(&mut chunk).await.unwrap();
            assert_ne!(count, 0, "the console closed");
            seen.extend_from_slice(&chunk[..count]);
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(120), reading).await;
    let seen = String::from_utf8_lossy(&seen);
    assert!(in_time.is_ok(), "no \"{text}\" in: {seen}");
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Best effort: the container may be gone already.
        let _gone = Command::new("systemctl")
            .args(["kill", "--signal=KILL", &self.unit()])
            .output();
    }
}

/// A loop device; its driver lets go of it when the last mount does.
struct Loop(String);

impl Loop {
    fn attach(image: &Path) -> Self {
        Self(run(
            "losetup",
            &["--find", "--show", image.to_str().unwrap()],
        ))
    }

    /// The file system on it as a detached mount.
    fn mount(&self) -> OwnedFd {
        let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        fsconfig_set_string(&context, "source", self.0.as_str()).unwrap();
        fsconfig_create(&context).unwrap();
        fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::empty(),
        )
        .unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run("losetup", &["--detach", &self.0]);
    }
}

/// Unpacks the archive into an ext4 image, as a new container's volume is made.
async fn make_image(archive: PathBuf) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("root.raw");
    std::fs::File::create(&image)
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    run("mkfs.ext4", &["-q", image.to_str().unwrap()]);
    let volume = Loop::attach(&image);
    let begin = std::time::Instant::now();
    let report = extract_with(
        Path::new(&runtime()),
        std::fs::File::open(archive).unwrap().into(),
        volume.mount(),
        IDS,
    )
    .await
    .expect("the archive unpacks");
    eprintln!("figure: unpacked in {:?}: {report:?}", begin.elapsed());
    (directory, image)
}

fn runtime() -> String {
    std::env::var("BASALT_TEST_CONTAINER")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_basalt-container").to_owned())
}

fn make_bridge() {
    if Path::new("/sys/class/net").join(BRIDGE).exists() {
        return;
    }
    run("ip", &["link", "add", BRIDGE, "type", "bridge"]);
    run(
        "ip",
        &[
            "address",
            "add",
            &format!("{BRIDGE_ADDRESS}/24"),
            "dev",
            BRIDGE,
        ],
    );
    run("ip", &["link", "set", BRIDGE, "up"]);
}

/// A DHCP server on the test bridge that has one address to give; none without dnsmasq.
pub fn dhcp_server() -> Option<DhcpServer> {
    let found = Command::new("dnsmasq").arg("--version").output().ok()?;
    assert!(found.status.success());
    let server = Command::new("dnsmasq")
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--bind-interfaces",
        ])
        .args([
            "--leasefile-ro",
            "--user=root",
            &format!("--interface={BRIDGE}"),
        ])
        .arg("--dhcp-range=198.51.100.77,198.51.100.77,255.255.255.0,2m")
        .spawn()
        .unwrap();
    Some(DhcpServer(server))
}

/// Ends with the test.
pub struct DhcpServer(std::process::Child);

impl Drop for DhcpServer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Runs a host's tool that must succeed; what it says.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn spec(vmid: u32) -> ContainerSpec {
    ContainerSpec {
        protocol: PROTOCOL,
        vmid,
        hostname: format!("ct{vmid}"),
        root: Slot(0),
        control: Slot(1),
        console: Slot(2),
        id_map: IDS,
        cpu_limit_percent: Some(150),
        cpu_weight: 200,
        memory_mib: 512,
        swap_mib: 0,
        nics: Vec::new(),
        resolver: Resolver::default(),
    }
}

/// The first card of a container, on the test bridge.
pub fn nic(vmid: u32, ipv4: Ipv4) -> ContainerNic {
    let [_, _, high, low] = vmid.to_be_bytes();
    ContainerNic {
        name: "eth0".into(),
        host_name: format!("veth{vmid}i0"),
        bridge: BRIDGE.into(),
        mac: [2, 0, 0, 0, high, low],
        ipv4,
    }
}
