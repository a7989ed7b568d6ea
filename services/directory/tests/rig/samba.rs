//! Samba as a domain controller of Active Directory, on a loopback address of its own, as the ports
//! of a domain controller are fixed. They are below 1024, so it takes root.

use super::certificates;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Password of `reader@example.org`, who may search.
pub const READER: &str = "Reader.Secret1";

const SAMBA: &str = "/usr/sbin/samba";
/// What provisioning takes, in a package of its own.
const SETUP: &str = "/usr/share/samba/setup/provision.ldif";

/// A running domain controller of `example.org`. `ann` (of group `ops`) and `off`, who is disabled,
/// are users; the password is `Ann.Secret1` and so on.
pub struct Samba {
    process: Child,
    folder: tempfile::TempDir,
    pub address: String,
}

impl Drop for Samba {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Samba {
    /// Starts one, if the host has Samba and the test is root's.
    pub fn start() -> Option<Self> {
        let folder = folder()?;
        let process = std::process::id().to_be_bytes();
        let address = format!(
            "127.{}.{}.{}",
            64 | process[1],
            process[2],
            process[3].max(1)
        );
        Some(Self::start_at(address, folder))
    }

    /// Starts one at the host's IPv6 loopback address, of which there is but one.
    pub fn start_at_ipv6() -> Option<Self> {
        let folder = folder()?;
        Some(Self::start_at("::1".to_owned(), folder))
    }

    fn start_at(address: String, folder: tempfile::TempDir) -> Self {
        provision(folder.path(), &address);
        people(folder.path());
        let mut samba = Self {
            process: spawn(folder.path()),
            folder,
            address,
        };
        samba.wait();
        samba
    }

    fn wait(&mut self) {
        while TcpStream::connect((self.address.as_str(), 636)).is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "samba ended: {ended:?}");
            std::thread::yield_now();
        }
    }

    /// Starts it again with the certificate of another address, by an authority that is in the same file.
    pub fn certify_for(&mut self, address: &str) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        certificates::write(self.folder.path(), address);
        self.process = spawn(self.folder.path());
        self.wait();
    }

    /// The file of the authority that signed its certificate, which is for its address.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Changes users or groups, by the words of `samba-tool`.
    pub fn tool(&self, words: &[&str]) {
        tool(self.folder.path(), words);
    }
}

/// A folder for one, if it can be started here.
fn folder() -> Option<tempfile::TempDir> {
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root || !Path::new(SAMBA).exists() || !Path::new(SETUP).exists() {
        eprintln!("skipped: needs root, {SAMBA} and {SETUP}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    // Its own children may be other users.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    Some(folder)
}

fn spawn(folder: &Path) -> Child {
    Command::new(SAMBA)
        .args(["--foreground", "--no-process-group", "--model=single"])
        .arg(configuration(folder))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn configuration(folder: &Path) -> String {
    format!("--configfile={}", folder.join("etc/smb.conf").display())
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

fn tool(folder: &Path, words: &[&str]) {
    let database = folder.join("private/sam.ldb");
    let configuration = configuration(folder);
    let mut command = Command::new("samba-tool");
    run(command
        .args(words)
        .arg(configuration)
        .arg("-H")
        .arg(database));
}

fn provision(folder: &Path, address: &str) {
    certificates::write(folder, address);
    let key = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(folder.join("server.key"), key).unwrap();
    let at = folder.display();
    let mut command = Command::new("samba-tool");
    command.args([
        "domain",
        "provision",
        "--realm=EXAMPLE.ORG",
        "--domain=EXAMPLE",
    ]);
    command.args([
        "--server-role=dc",
        "--adminpass=Admin.Secret1",
        "--dns-backend=NONE",
    ]);
    let host_ip = match address.contains(':') {
        true => format!("--host-ip6={address}"),
        false => format!("--host-ip={address}"),
    };
    let interface = match address.contains(':') {
        true => format!("{address}/128"),
        false => format!("{address}/8"),
    };
    command.args(["--host-name=dc1", &host_ip]);
    command.arg(format!("--targetdir={at}"));
    for option in [
        format!("interfaces={interface}"),
        "bind interfaces only=yes".to_owned(),
        "server services=ldap".to_owned(),
        // Where files have no extended attributes, a database has them.
        format!("posix:eadb={at}/eadb.tdb"),
        format!("pid directory={at}"),
        format!("log file={at}/log"),
        format!("tls cafile={at}/ca.pem"),
        format!("tls certfile={at}/server.pem"),
        format!("tls keyfile={at}/server.key"),
    ] {
        command.arg(format!("--option={option}"));
    }
    run(&mut command);
}

fn people(folder: &Path) {
    let tool = |words: &[&str]| tool(folder, words);
    tool(&["user", "create", "reader", READER]);
    let ann = [
        "--given-name=Ann",
        "--surname=Other",
        "--mail-address=ann@example.org",
    ];
    tool(&[&["user", "create", "ann", "Ann.Secret1"][..], &ann].concat());
    tool(&["user", "create", "off", "Off.Secret1"]);
    tool(&["user", "disable", "off"]);
    tool(&["group", "add", "ops"]);
    tool(&["group", "addmembers", "ops", "ann"]);
}
