//! Starts one machine by hand, as the node would: opens what the machine needs, hands it over,
//! and joins this terminal with the serial port.
//!
//! ```text
//! start --vmm PATH (--kernel FILE [--initrd FILE] [--cmdline TEXT] | --firmware CODE --vars FILE)
//!       [--memory MIB] [--vcpus N] [--disk FILE[,FILE]…]… [--disc FILE|none]… [--tap NAME]…
//!       [--vsock CONTEXT] [--rng] [--console] [--display] [--smm] [--restore FILE | --incoming SOCKET] [--dir DIRECTORY]
//! ```
//!
//! A disk's further files are those below it, nearest first; names ending in `.qcow2` tell the
//! format. Discs are in drives. With `--incoming` the machine comes from another monitor, which
//! `request` sends to that socket.
//!
//! Control, serial, console and display (RFB) sockets appear in `--dir` (default `/run/start`).

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use basalt_model::disk::{Backing, ImageFormat, Optical};
use basalt_model::machine::{
    Adapter, Boot, Disk, Display, MachineSpec, Nic, PROTOCOL, Slot, Started, VsockSpec,
};

/// Descriptors in the order of their slots.
#[derive(Default)]
struct Slots(Vec<OwnedFd>);

impl Slots {
    fn add(&mut self, fd: impl Into<OwnedFd>) -> Slot {
        self.0.push(fd.into());
        Slot(self.0.len() - 1)
    }
}

struct Arguments {
    vmm: PathBuf,
    kernel: PathBuf,
    firmware: Option<PathBuf>,
    vars: PathBuf,
    initrd: Option<PathBuf>,
    cmdline: String,
    memory: u64,
    vcpus: u8,
    disks: Vec<String>,
    discs: Vec<PathBuf>,
    taps: Vec<String>,
    vsock: Option<u32>,
    rng: bool,
    console: bool,
    smm: bool,
    display: bool,
    restore: Option<PathBuf>,
    incoming: Option<PathBuf>,
    dir: PathBuf,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments {
        vmm: "basalt-vmm".into(),
        kernel: PathBuf::new(),
        firmware: None,
        vars: PathBuf::new(),
        initrd: None,
        cmdline: "console=ttyS0".into(),
        memory: 512,
        vcpus: 1,
        disks: Vec::new(),
        discs: Vec::new(),
        taps: Vec::new(),
        vsock: None,
        rng: false,
        console: false,
        smm: false,
        display: false,
        restore: None,
        incoming: None,
        dir: "/run/start".into(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--vmm" => parsed.vmm = value()?.into(),
            "--kernel" => parsed.kernel = value()?.into(),
            "--firmware" => parsed.firmware = Some(value()?.into()),
            "--vars" => parsed.vars = value()?.into(),
            "--initrd" => parsed.initrd = Some(value()?.into()),
            "--cmdline" => parsed.cmdline = value()?,
            "--memory" => parsed.memory = value()?.parse().map_err(|_| "--memory: no number")?,
            "--vcpus" => parsed.vcpus = value()?.parse().map_err(|_| "--vcpus: no number")?,
            "--disk" => parsed.disks.push(value()?),
            "--disc" => parsed.discs.push(value()?.into()),
            "--tap" => parsed.taps.push(value()?),
            "--vsock" => {
                let context = value()?.parse().map_err(|_| "--vsock: no number")?;
                parsed.vsock = Some(context);
            }
            "--restore" => parsed.restore = Some(value()?.into()),
            "--incoming" => parsed.incoming = Some(value()?.into()),
            "--dir" => parsed.dir = value()?.into(),
            "--rng" => parsed.rng = true,
            "--console" => parsed.console = true,
            "--smm" => parsed.smm = true,
            "--display" => parsed.display = true,
            other => return Err(format!("what is {other}?")),
        }
    }
    Ok(parsed)
}

fn open(path: &Path, write: bool) -> Result<File, String> {
    OpenOptions::new()
        .read(true)
        .write(write)
        .open(path)
        .map_err(|e| format!("{}: {e}", path.display()))
}

fn format_of(path: &Path) -> ImageFormat {
    match path.extension().is_some_and(|ending| ending == "qcow2") {
        true => ImageFormat::Qcow2,
        false => ImageFormat::Raw,
    }
}

fn open_tap(name: &str) -> Result<File, String> {
    const TUNSETIFF: u64 = 0x4004_54ca;
    const IFF_TAP_NO_PI_VNET_HDR: i16 = 0x0002 | 0x1000 | 0x4000;
    let tun = open(Path::new("/dev/net/tun"), true)?;
    let mut request = [0u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&IFF_TAP_NO_PI_VNET_HDR.to_le_bytes());
    // SAFETY: the kernel reads and writes an `ifreq` of 40 bytes.
    if unsafe { libc::ioctl(tun.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) } < 0 {
        return Err(format!("tap {name}: {}", std::io::Error::last_os_error()));
    }
    Ok(tun)
}

fn listen(dir: &Path, name: &str) -> Result<UnixListener, String> {
    let path = dir.join(name);
    let _ = std::fs::remove_file(&path);
    UnixListener::bind(&path).map_err(|e| format!("{}: {e}", path.display()))
}

/// Waits for the monitor that the machine comes from.
fn accept(path: &Path) -> Result<UnixStream, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(failed)?;
    listener.accept().map(|(stream, _)| stream).map_err(failed)
}

fn specification(arguments: &Arguments, slots: &mut Slots) -> Result<MachineSpec, String> {
    std::fs::create_dir_all(&arguments.dir).map_err(|e| e.to_string())?;
    let mut disks = Vec::new();
    for (i, names) in arguments.disks.iter().enumerate() {
        let mut layers = names.split(',');
        let top = Path::new(layers.next().unwrap_or_default());
        let mut disk = Disk::raw(format!("virtio{i}"), slots.add(open(top, true)?));
        disk.format = format_of(top);
        disk.serial = format!("disk{i}");
        disk.queues = u16::from(arguments.vcpus).min(4);
        for below in layers.map(Path::new) {
            disk.backing.push(Backing {
                image: slots.add(open(below, false)?),
                format: format_of(below),
            });
        }
        disks.push(disk);
    }
    let mut opticals = Vec::new();
    for (i, path) in arguments.discs.iter().enumerate() {
        let medium = match path.as_os_str() == "none" {
            true => None,
            false => Some(slots.add(open(path, false)?)),
        };
        let id = format!("ide{i}");
        opticals.push(Optical { id, medium });
    }
    let mut nics = Vec::new();
    for (i, name) in arguments.taps.iter().enumerate() {
        let tap = slots.add(open_tap(name)?);
        let vhost = open(Path::new("/dev/vhost-net"), true);
        nics.push(Nic {
            id: format!("net{i}"),
            tap,
            mac: [0x52, 0x54, 0, 0, 0, i as u8 + 1],
            vhost: vhost.ok().map(|vhost| slots.add(vhost)),
            link_down: false,
        });
    }
    let vsock = match arguments.vsock {
        Some(context) => Some(VsockSpec {
            device: slots.add(open(Path::new("/dev/vhost-vsock"), true)?),
            context,
        }),
        None => None,
    };
    let console = match arguments.console {
        true => Some(slots.add(listen(&arguments.dir, "console.sock")?)),
        false => None,
    };
    let display = match arguments.display {
        true => Some(Display {
            socket: slots.add(listen(&arguments.dir, "vnc.sock")?),
            adapter: Adapter::Virtio,
            tablet: true,
        }),
        false => None,
    };
    let rng = match arguments.rng {
        true => Some(slots.add(open(Path::new("/dev/urandom"), false)?)),
        false => None,
    };
    let boot = boot(arguments, slots)?;
    let restore = match (&arguments.restore, &arguments.incoming) {
        (Some(path), _) => Some(slots.add(open(path, false)?)),
        (None, Some(path)) => Some(slots.add(accept(path)?)),
        (None, None) => None,
    };
    Ok(MachineSpec {
        protocol: PROTOCOL,
        name: "start".into(),
        vmid: 100,
        vcpus: arguments.vcpus,
        plugged: None,
        memory_mib: arguments.memory,
        memory_max_mib: None,
        hugepages_mib: None,
        numa: None,
        kvm: slots.add(open(Path::new("/dev/kvm"), true)?),
        control: slots.add(listen(&arguments.dir, "control.sock")?),
        serial: slots.add(listen(&arguments.dir, "serial.sock")?),
        more_serial: [None; 3],
        console,
        agent: None,
        balloon: None,
        cpu: Default::default(),
        boot,
        system: Default::default(),
        disks,
        opticals,
        nics,
        shares: Vec::new(),
        rng,
        rng_limit: None,
        passthrough: None,
        tpm: None,
        vsock,
        watchdog: None,
        display,
        restore,
    })
}

fn boot(arguments: &Arguments, slots: &mut Slots) -> Result<Boot, String> {
    if let Some(code) = &arguments.firmware {
        let disks = (0..arguments.disks.len()).map(|i| format!("virtio{i}"));
        return Ok(Boot::Firmware {
            code: slots.add(open(code, false)?),
            vars: slots.add(open(&arguments.vars, true)?),
            order: disks.collect(),
            smm: arguments.smm,
        });
    }
    let initrd = match &arguments.initrd {
        Some(path) => Some(slots.add(open(path, false)?)),
        None => None,
    };
    Ok(Boot::Kernel {
        kernel: slots.add(open(&arguments.kernel, false)?),
        initrd,
        cmdline: arguments.cmdline.clone(),
    })
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if to
            .write_all(&buffer[..len])
            .and_then(|()| to.flush())
            .is_err()
        {
            return;
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let arguments = arguments()?;
    let mut slots = Slots::default();
    let spec = specification(&arguments, &mut slots)?;
    let (ours, theirs) = UnixStream::pair().map_err(|e| e.to_string())?;
    let begin = std::time::Instant::now();
    let mut child = Command::new(&arguments.vmm)
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .map_err(|e| format!("{}: {e}", arguments.vmm.display()))?;
    let fds: Vec<_> = slots.0.iter().map(AsFd::as_fd).collect();
    basalt_vmm::spec::send(ours.as_fd(), &spec, &fds).map_err(|e| e.to_string())?;
    drop(fds);
    drop(slots);
    let mut answer = String::new();
    BufReader::new(&ours)
        .read_line(&mut answer)
        .map_err(|e| e.to_string())?;
    eprintln!("start: {} after {:?}", answer.trim(), begin.elapsed());
    match serde_json::from_str(&answer) {
        Ok(Started::Ok) => {}
        Ok(Started::Failed(reason)) => return Err(reason),
        Err(error) => return Err(error.to_string()),
    }
    let serial =
        UnixStream::connect(arguments.dir.join("serial.sock")).map_err(|e| e.to_string())?;
    let input = serial.try_clone().map_err(|e| e.to_string())?;
    std::thread::spawn(move || copy(std::io::stdin(), input));
    let mut first = [0];
    let mut output = serial;
    if output.read(&mut first).is_ok_and(|len| len == 1) {
        eprintln!("start: first byte after {:?}", begin.elapsed());
        print!("{}", first[0] as char);
    }
    copy(output, std::io::stdout());
    let status = child.wait().map_err(|e| e.to_string())?;
    eprintln!("start: the machine ended: {status}");
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1)
        .into())
}

fn main() -> ExitCode {
    run().unwrap_or_else(|reason| {
        eprintln!("start: {reason}");
        ExitCode::FAILURE
    })
}
