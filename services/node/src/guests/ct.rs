//! Containers: settling a configuration, making, starting.

use super::ct_live::processor_time;
use super::vm::{check_bridge, check_template};
use super::volumes::{self, NewVolume, Planner, check_content, note};
use super::{Report, ct_root, no_errors, title};
use crate::state::Node;
use basalt_api::methods::lxc::CtNew;
use basalt_api::{Error, Result};
use basalt_container::ProcessorTime;
use basalt_model::container::{ContainerNic, ContainerSpec, IdMap, Ipv4, PROTOCOL, Resolver};
use basalt_model::disk::ImageFormat;
use basalt_model::field::{FieldErrors, Int};
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord, Lock};
use basalt_model::lxc::{LxcConfig, LxcNet, Rootfs, Unprivileged};
use basalt_model::machine::Slot;
use basalt_model::network::{Ip4Config, Ip6Config};
use basalt_model::storage::{ContentKind, DiskSize, StorageId, VolumeId, VolumeSource};
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_network::random_mac;
use basalt_storage::{Access, rootfs};
use basalt_tasks::NewTask;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Host ids of every container: root inside is 100000 outside.
const ID_MAP: IdMap = IdMap {
    host: 100_000,
    count: 65_536,
};
/// The root file system of a container that names none, in bytes.
const ROOT_SIZE: u64 = 4 << 30;
/// How often the progress of unpacking is looked at.
const PROGRESS_STEP: Duration = Duration::from_secs(1);

/// What a new container is made of besides its configuration.
struct Making {
    vmid: Vmid,
    template: VolumeId,
    root: NewVolume,
    access: ct_root::RootAccess,
    start: bool,
}

/// Makes a container: everything is checked before this returns, the rest is done by the task.
pub async fn create(node: &Node, user: &Authid, params: CtNew) -> Result<Upid> {
    let vmid = params.vmid;
    let lock = node.lock_guest(GuestKind::Lxc, vmid, "create")?;
    if node.find_guest(vmid)?.is_some() {
        return Err(node.taken(GuestKind::Lxc, vmid));
    }
    let pool = params.pool.clone();
    let (config, making) = plan(node, params).await?;
    let record = GuestRecord {
        lock: Some(Lock::Create),
        making: vec![making.root.id.clone()],
        ..GuestRecord::new(GuestConfig::Lxc(Box::new(config)))
    };
    node.insert_guest(vmid, &record, pool.as_ref()).await?;
    let task = NewTask {
        kind: "vzcreate",
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let work = node.clone();
    let spawned = node.tasks.spawn(task, |context| async move {
        let cancelled = context.clone();
        let report = Report::Task(context);
        let made = cancelled
            .unless_cancelled(work.make_root(&making, &report))
            .await;
        match made.map_err(Error::failed).and_then(|made| made) {
            Ok(()) => {
                work.put_guest(vmid, &GuestRecord::new(record.config))
                    .await?
            }
            Err(error) => {
                work.end_unpacking(vmid).await;
                volumes::discard(&work.storages, &record.making, &report).await;
                work.forget_guest(vmid).await?;
                return Err(error);
            }
        }
        if making.start {
            work.start_ct(vmid, &report).await
        } else {
            Ok(())
        }
    });
    match spawned {
        Ok(upid) => Ok(upid),
        Err(error) => {
            node.forget_guest(vmid).await?;
            Err(Error::failed(error))
        }
    }
}

/// Checks the parameters, completes the configuration and plans the root volume.
async fn plan(node: &Node, params: CtNew) -> Result<(LxcConfig, Making)> {
    let mut errors = FieldErrors::default();
    let mut config = params.config;
    let template = params.ostemplate;
    let found = check_content(&node.storages, &template, ContentKind::Vztmpl).await;
    note(&mut errors, "ostemplate", found);
    let access = ct_root::RootAccess::new(params.password, params.ssh_public_keys);
    let access = note(&mut errors, "ssh-public-keys", access);

    let asked = config.rootfs.take();
    let (storage, size) = match asked.as_ref().map(|rootfs| &rootfs.volume) {
        None => (
            params
                .storage
                .unwrap_or_else(|| node.storages.usual(ContentKind::Rootdir)),
            DiskSize::from_bytes(ROOT_SIZE),
        ),
        Some(VolumeSource::New { storage, size }) => (storage.clone(), *size),
        Some(_) => {
            errors.add("rootfs", "a new container needs a new volume, e.g. local:8");
            (StorageId::local(), DiskSize::from_bytes(ROOT_SIZE))
        }
    };
    let mut planner = Planner::new(&node.storages, params.vmid);
    let root = planner
        .plan(&storage, ContentKind::Rootdir, size, ImageFormat::Raw, None)
        .await;
    let root = note(&mut errors, "rootfs", root);
    if let Err(wrong) = settle_rest(&mut config, None) {
        wrong
            .0
            .into_iter()
            .for_each(|(field, text)| errors.add(field, text));
    }
    no_errors(errors)?;
    // Errors are none, so all of these are there.
    let (Some(root), Some(access)) = (root, access) else {
        return Err(Error::failed("the container cannot be planned"));
    };
    let volume = VolumeSource::Volume(root.id.clone());
    config.rootfs = Some(Rootfs {
        volume,
        size: Some(root.size),
        ..asked.unwrap_or_else(|| Rootfs::new(VolumeSource::None))
    });
    config.unprivileged = Some(Unprivileged);
    config.hostname = match config.hostname {
        Some(hostname) => Some(hostname),
        None => format!("CT{}", params.vmid).parse().ok(),
    };
    let start = params.start == Some(true);
    Ok((
        config,
        Making {
            vmid: params.vmid,
            template,
            root,
            access,
            start,
        },
    ))
}

/// Checks a changed configuration and completes it. `old` is what it replaces.
pub fn settle(config: &mut LxcConfig, old: Option<&LxcConfig>) -> Result<()> {
    let root = |config: &LxcConfig| config.rootfs.as_ref().map(|rootfs| rootfs.volume.clone());
    if old.is_some_and(|old| root(old) != root(config)) {
        return Err(Error::param(
            "rootfs",
            "the root volume of a container cannot be replaced",
        ));
    }
    settle_rest(config, old).map_err(Error::from)
}

fn settle_rest(
    config: &mut LxcConfig,
    old: Option<&LxcConfig>,
) -> std::result::Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    check_template(&mut errors, config.template, old.map(|old| old.template));
    let mut names: Vec<String> = Vec::new();
    for (index, net) in &mut config.net {
        let field = format!("net{index}");
        net.hwaddr.get_or_insert_with(random_mac);
        if old.and_then(|old| old.net.get(index)) != Some(net) {
            check_bridge(&mut errors, &field, net.bridge.as_ref());
        }
        if net.bridge.is_none() {
            errors.add(&field, "name the bridge to connect to, e.g. bridge=vmbr0");
        }
        if let Some(Ip6Config::Static(..)) = net.ip6 {
            errors.add(
                &field,
                "fixed IPv6 addresses are not supported: use auto, dhcp or manual",
            );
        }
        if net.gw.is_some() && !matches!(net.ip, Some(Ip4Config::Static(..))) {
            errors.add(
                &field,
                "a gateway needs a fixed address: set ip=ADDRESS/PREFIX",
            );
        }
        if names.iter().any(|name| name == net.name.as_str()) {
            errors.add(&field, format!("two cards are called '{}'", net.name));
        }
        names.push(net.name.to_string());
    }
    errors.or(())
}

impl Node {
    /// Makes the root volume of a new container: file system, template, root's access.
    async fn make_root(&self, making: &Making, report: &Report) -> Result<()> {
        let root = &making.root.id;
        volumes::make(&self.storages, std::slice::from_ref(&making.root), report).await?;
        let image = volumes::open(&self.storages, root)
            .await
            .map_err(Error::failed)?;
        report.log("making the file system");
        rootfs::format(&image).await.map_err(Error::failed)?;
        let mount = rootfs::mount(image).await.map_err(Error::failed)?;
        report.log(format_args!("unpacking '{}'", making.template));
        self.unpack(making, mount, report).await?;
        let image = volumes::open(&self.storages, root)
            .await
            .map_err(Error::failed)?;
        let mount = rootfs::mount(image).await.map_err(Error::failed)?;
        let access = making.access.clone();
        let setting = tokio::task::spawn_blocking(move || access.install(&mount));
        setting.await.map_err(Error::failed)?.map_err(Error::failed)
    }

    /// Sees an interrupted unpacking to its end, so that its volume is free.
    pub(super) async fn end_unpacking(&self, vmid: Vmid) {
        if let Err(error) = self.containers.stop_unpacking(vmid.get()).await {
            tracing::warn!(%error, %vmid, "unpacking not seen to end");
        }
    }

    async fn unpack(&self, making: &Making, mount: OwnedFd, report: &Report) -> Result<()> {
        let template = &making.template;
        let storage = self.storages.of(template).map_err(Error::failed)?;
        let archive = storage
            .open(template, Access::Read)
            .await
            .map_err(Error::failed)?;
        let size = archive.metadata().map_err(Error::failed)?.len();
        // Shares its place in the file with the reader, which tells how far that is.
        let watched = archive.try_clone().map_err(Error::failed)?;
        let vmid = making.vmid.get();
        let work = self.containers.unpack(vmid, archive.into(), mount, ID_MAP);
        let watch = async {
            loop {
                // The rhythm of progress lines.
                tokio::time::sleep(PROGRESS_STEP).await;
                let place = rustix::fs::tell(&watched).unwrap_or(0);
                report.progress(place.min(size), size);
            }
        };
        let unpacked = tokio::select! {
            unpacked = work => unpacked.map_err(Error::failed)?,
            () = watch => return Err(Error::failed("unpacking was not watched to its end")),
        };
        for warning in &unpacked.warnings {
            report.log(format_args!("tar: {warning}"));
        }
        if unpacked.skipped_devices > 0 {
            report.log(format_args!(
                "left out {} device nodes",
                unpacked.skipped_devices
            ));
        }
        Ok(())
    }

    /// Starts a container whose lock is held.
    pub async fn start_ct(&self, vmid: Vmid, report: &Report) -> Result<()> {
        let guest = self.guest(GuestKind::Lxc, vmid)?;
        guest.check_unlocked()?;
        if guest.record.config.is_template() {
            return Err(Error::failed("you can't start a CT if it's a template"));
        }
        let GuestConfig::Lxc(config) = &guest.record.config else {
            return Err(Error::not_found(title(GuestKind::Lxc, vmid)));
        };
        if self
            .containers
            .is_up(vmid.get())
            .await
            .map_err(Error::failed)?
        {
            return Err(Error::failed(format_args!("CT {vmid} already running")));
        }
        let root = config
            .rootfs
            .as_ref()
            .and_then(|rootfs| rootfs.volume.volume());
        let root = root.ok_or_else(|| Error::failed("rootfs: the container has no volume"))?;
        report.log(format_args!("mounting '{root}'"));
        let image = volumes::open(&self.storages, root)
            .await
            .map_err(Error::failed)?;
        let mount = rootfs::mount(image).await.map_err(Error::failed)?;
        let control = listen(&self.container_control(vmid)).map_err(Error::failed)?;
        let console = listen(&self.container_console(vmid)).map_err(Error::failed)?;
        let spec = spec(vmid, config)?;
        self.containers
            .start(&spec, vec![mount, control, console])
            .await
            .map_err(Error::failed)?;
        self.note_running(&guest);
        Ok(())
    }

    /// The socket on which a container's runtime takes requests.
    pub fn container_control(&self, vmid: Vmid) -> PathBuf {
        self.run_containers
            .join(vmid.to_string())
            .join("control.sock")
    }

    /// The socket of a container's console.
    pub fn container_console(&self, vmid: Vmid) -> PathBuf {
        self.run_containers
            .join(vmid.to_string())
            .join("console.sock")
    }
}

/// A container described by descriptors: root, control, console in this order.
fn spec(vmid: Vmid, config: &LxcConfig) -> Result<ContainerSpec> {
    let nics = config.net.iter().map(|(index, net)| nic(vmid, *index, net));
    let ProcessorTime {
        limit_percent: cpu_limit_percent,
        weight: cpu_weight,
    } = processor_time(config);
    Ok(ContainerSpec {
        protocol: PROTOCOL,
        vmid: vmid.get(),
        hostname: config
            .hostname
            .as_ref()
            .map_or(format!("CT{vmid}"), ToString::to_string),
        root: Slot(0),
        control: Slot(1),
        console: Slot(2),
        id_map: ID_MAP,
        cpu_limit_percent,
        cpu_weight,
        memory_mib: config.memory.map_or(LxcConfig::DEFAULT_MEMORY, Int::get),
        swap_mib: config.swap_mib(),
        nics: nics.collect::<Result<_>>()?,
        resolver: Resolver {
            nameservers: config
                .nameserver
                .iter()
                .flat_map(|list| &list.0)
                .map(ToString::to_string)
                .collect(),
            search: config
                .searchdomain
                .iter()
                .flat_map(|list| list.0.clone())
                .collect(),
        },
    })
}

fn nic(vmid: Vmid, index: u8, net: &LxcNet) -> Result<ContainerNic> {
    let field = || format!("net{index}");
    let mac = net
        .hwaddr
        .ok_or_else(|| Error::param(field(), "it has no hardware address"))?;
    let bridge = net
        .bridge
        .as_ref()
        .ok_or_else(|| Error::param(field(), "it has no bridge"))?;
    let ipv4 = match net.ip {
        None | Some(Ip4Config::Manual) => Ipv4::Manual,
        Some(Ip4Config::Dhcp) => Ipv4::Dhcp,
        Some(Ip4Config::Static(address, prefix)) => Ipv4::Static {
            address: format!("{address}/{prefix}"),
            gateway: net.gw.map(|gateway| gateway.to_string()),
        },
    };
    Ok(ContainerNic {
        name: net.name.to_string(),
        host_name: format!("veth{vmid}i{index}"),
        bridge: bridge.to_string(),
        mac: mac.0,
        ipv4,
    })
}

/// A listening socket at `path`, in place of what an earlier run left there.
fn listen(path: &Path) -> std::io::Result<OwnedFd> {
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Ok(UnixListener::bind(path)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: serde_json::Value) -> LxcConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_configuration_becomes_a_specification() {
        let config = config(json!({
            "hostname": "web",
            "memory": 256,
            "cores": 2,
            "cpulimit": 0.5,
            "net0": "name=eth0,bridge=vmbr0,gw=192.0.2.1,hwaddr=BC:24:11:00:00:01,ip=192.0.2.9/24",
        }));
        let spec = spec(Vmid::MIN, &config).unwrap();
        assert_eq!(
            (spec.cpu_limit_percent, spec.cpu_weight, spec.memory_mib),
            (Some(50), 100, 256)
        );
        assert_eq!(spec.nics[0].host_name, "veth100i0");
        let fixed = Ipv4::Static {
            address: "192.0.2.9/24".to_owned(),
            gateway: Some("192.0.2.1".to_owned()),
        };
        assert_eq!(spec.nics[0].ipv4, fixed);
    }

    #[test]
    fn cards_are_checked_by_name() {
        let mut config = config(json!({
            "net0": "name=eth0,bridge=nosuchbr0,gw=192.0.2.1,ip=dhcp",
            "net1": "name=eth0,bridge=nosuchbr0,ip6=2001:db8::1/64",
            "net2": "name=eth2",
        }));
        let errors = settle_rest(&mut config, None).unwrap_err();
        let fields: Vec<&str> = errors.0.keys().map(String::as_str).collect();
        assert_eq!(fields, ["net0", "net1", "net2"]);
        assert!(errors.0["net0"].contains("nosuchbr0"));
        assert!(config.net[&0].hwaddr.is_some());
    }
}
