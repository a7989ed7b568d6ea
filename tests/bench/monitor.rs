//! The monitors that are compared: how each is started with the same machine, saved and restored.

use super::Result;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// MiB of the guest.
const MEMORY: u64 = 256;
/// Where QEMU's root is mounted; the folder we work in appears below it as `/srv`.
const ROOT: &str = "root";
const QEMU: &str = "/usr/bin/qemu-system-x86_64";
/// Our monitor as users have it, and the examples that start it and speak to it.
const OURS: &str = "/usr/lib/basalt/basalt-vmm";
const START: &str = "./start";
const REQUEST: &str = "./request";
/// The folder of our monitor's sockets, and the one for requests.
const SOCKETS: &str = "sockets";
const CONTROL: &str = "sockets/control.sock";
/// A saved state of our monitor, and the image in which QEMU keeps its own.
const STATE: &str = "state";
const SNAPSHOTS: &str = "snapshots.qcow2";
/// QEMU's card; where the host has no vhost, it does without, as ours does.
const TAP: &str = "tap,id=net,ifname=bench,script=no,downscript=no,vhost=on";
const PROMPT: &[u8] = b"(qemu) ";
const CONSOLE: &str = "console=ttyS0 panic=-1 loglevel=4 root=/dev/vda";

/// A monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitor {
    /// Ours.
    Basalt,
    /// Debian's QEMU with its smallest machine.
    Microvm,
    /// Debian's QEMU with the machine that ours resembles.
    Q35,
}

/// What a machine is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The guest measures disk and network.
    Measure,
    /// The guest counts.
    Count,
    /// The guest that counted goes on from its saved state.
    Restore,
}

/// A monitor that runs.
pub struct Running {
    monitor: Monitor,
    /// Its process; standard output is the serial port.
    pub child: Child,
    /// When it was started.
    pub begun: Instant,
}

impl Monitor {
    /// The monitor of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "basalt" => Some(Self::Basalt),
            "microvm" => Some(Self::Microvm),
            "q35" => Some(Self::Q35),
            _ => None,
        }
    }

    /// MiB of the program.
    pub fn binary_size(self) -> Result<f64> {
        let path = match self {
            Self::Basalt => OURS.to_owned(),
            _ => format!("{ROOT}{QEMU}"),
        };
        Ok(fs::metadata(path)?.len() as f64 / f64::from(1 << 20))
    }

    /// Starts a machine.
    pub fn start(self, phase: Phase) -> Result<Running> {
        if self != Self::Basalt && phase == Phase::Count {
            let image = format!("/srv/{SNAPSHOTS}");
            let made = Command::new("chroot")
                .args([
                    ROOT, "qemu-img", "create", "-q", "-f", "qcow2", &image, "1G",
                ])
                .status()?;
            if !made.success() {
                return Err("QEMU's image for its state cannot be made".into());
            }
        }
        let mut command = match self {
            Self::Basalt => ours(phase),
            Self::Microvm => qemu("microvm,pcie=on", phase),
            Self::Q35 => qemu("q35", phase),
        };
        let begun = Instant::now();
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Running {
            monitor: self,
            child,
            begun,
        })
    }
}

fn cmdline(phase: Phase) -> String {
    match phase {
        Phase::Measure => format!("{CONSOLE} bench=measure"),
        Phase::Count | Phase::Restore => format!("{CONSOLE} bench=count"),
    }
}

fn ours(phase: Phase) -> Command {
    let mut command = Command::new(START);
    command
        .args(["--vmm", OURS, "--kernel", "kernel", "--initrd", "initrd"])
        .args(["--cmdline", &cmdline(phase), "--dir", SOCKETS])
        .args(["--memory", &MEMORY.to_string(), "--disk", "kit.raw"]);
    match phase {
        Phase::Measure => command.args(["--disk", "data.raw", "--tap", "bench"]),
        Phase::Count => &mut command,
        Phase::Restore => command.args(["--restore", STATE]),
    };
    command
}

fn qemu(machine: &str, phase: Phase) -> Command {
    let mut command = Command::new("chroot");
    command.args([ROOT, QEMU]);
    command
        .args([
            "-enable-kvm",
            "-cpu",
            "host",
            "-nodefaults",
            "-no-user-config",
        ])
        .args(["-display", "none", "-serial", "stdio", "-machine", machine])
        .args(["-monitor", "unix:/srv/monitor.sock,server=on,wait=off"])
        .args(["-m", &MEMORY.to_string(), "-append", &cmdline(phase)])
        .args(["-kernel", "/srv/kernel", "-initrd", "/srv/initrd"])
        .args(disk("kit", "kit.raw", "readonly=on"));
    match phase {
        Phase::Measure => {
            command
                .args(disk("data", "data.raw", "readonly=off"))
                .args(["-netdev", TAP])
                .args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        }
        Phase::Count | Phase::Restore => {
            let file = format!("file=/srv/{SNAPSHOTS},if=none,id=snapshots,format=qcow2");
            command.args(["-drive", &file]);
        }
    }
    if phase == Phase::Restore {
        command.args(["-loadvm", STATE]);
    }
    command
}

/// A raw image, with the cache and the engine that our monitor uses.
fn disk(id: &str, file: &str, more: &str) -> [String; 4] {
    [
        "-drive".to_owned(),
        format!("file=/srv/{file},if=none,id={id},format=raw,aio=io_uring,cache=writeback,{more}"),
        "-device".to_owned(),
        format!("virtio-blk-pci,drive={id}"),
    ]
}

impl Running {
    /// The monitor's process: [`Self::child`] may be what started it.
    fn pid(&self) -> Result<u32> {
        let own = self.child.id();
        if self.monitor != Monitor::Basalt {
            return Ok(own);
        }
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        let first = children.split_whitespace().next();
        Ok(first.ok_or("the monitor does not run")?.parse()?)
    }

    /// MiB that the monitor has of the host's memory beside its guest's, which is one mapping.
    pub fn own_memory(&self) -> Result<f64> {
        let maps = fs::read_to_string(format!("/proc/{}/smaps", self.pid()?))?;
        let number = |line: &str| {
            let word = line.split_whitespace().nth(1);
            word.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
        };
        let (mut size, mut own) = (0, 0);
        for line in maps.lines() {
            if line.starts_with("Size:") {
                size = number(line);
            } else if line.starts_with("Rss:") && size != MEMORY << 10 {
                own += number(line);
            }
        }
        Ok(own as f64 / 1024.0)
    }

    /// Saves the guest's state; returns when it is whole.
    pub fn save(&mut self) -> Result<()> {
        match self.monitor {
            Monitor::Basalt => {
                // As long as the memory and the room beside it.
                fs::File::create(STATE)?.set_len((MEMORY + 16) << 20)?;
                request("\"save\"", STATE)
            }
            _ => self.command(&format!("savevm {STATE}")),
        }
    }

    /// Lets a restored guest go on; QEMU's does by itself.
    pub fn resume(&mut self) -> Result<()> {
        match self.monitor {
            Monitor::Basalt => {
                // The socket is there before the machine is.
                let deadline = Instant::now() + Duration::from_secs(60);
                while let Err(error) = ask("\"resume\"") {
                    if Instant::now() > deadline {
                        return Err(error);
                    }
                    thread::sleep(Duration::from_millis(2));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Gives a command to QEMU's monitor and waits until it is carried out.
    fn command(&mut self, line: &str) -> Result<()> {
        let mut socket = UnixStream::connect("monitor.sock")?;
        prompt(&mut socket)?;
        socket.write_all(format!("{line}\n").as_bytes())?;
        let said = prompt(&mut socket)?;
        match said.contains("Error") {
            true => Err(format!("{line}: {said}").into()),
            false => Ok(()),
        }
    }

    /// Ends the monitor.
    pub fn end(mut self) {
        if let Ok(pid) = self.pid()
            && pid != self.child.id()
        {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prompt(socket: &mut UnixStream) -> Result<String> {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(PROMPT) {
        socket.read_exact(&mut byte)?;
        said.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Sends our monitor a request that goes along with a file.
fn request(request: &str, file: &str) -> Result<()> {
    let output = Command::new(REQUEST)
        .args([CONTROL, request, file])
        .output()?;
    judge(request, &String::from_utf8_lossy(&output.stdout))
}

/// Sends our monitor a request.
fn ask(request: &str) -> Result<()> {
    let mut socket = UnixStream::connect(CONTROL)?;
    socket.write_all(format!("{request}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer)?;
    judge(request, &answer)
}

fn judge(request: &str, answer: &str) -> Result<()> {
    match answer.trim() == "\"ok\"" {
        true => Ok(()),
        false => Err(format!("{request} is answered by {answer:?}").into()),
    }
}
