//! Virtual machines: settling a configuration, making, starting.

use super::cloudinit::{own_documents, settle as settle_cloudinit};
use super::hostpci;
use super::volumes::{self, NewVolume, Part, Planner, check_content, note};
use super::{Report, no_errors, title};
use crate::state::Node;
use basalt_api::methods::qemu::VmNew;
use basalt_api::{Error, Result};
use basalt_model::disk::ImageFormat;
use basalt_model::field::FieldErrors;
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord, Lock};
use basalt_model::network::InterfaceName;
use basalt_model::qemu::cloudinit;
use basalt_model::qemu::{EfiDisk, Media, QemuConfig, QemuDisk, Smbios, TpmState};
use basalt_model::storage::{ContentKind, DiskSize, VolumeId, VolumeSource};
use basalt_model::upid::Upid;
use basalt_model::userid::Authid;
use basalt_model::vmid::Vmid;
use basalt_network::{interfaces, random_mac};
use basalt_storage::Storages;
use basalt_tasks::NewTask;

/// Makes a machine: everything is checked before this returns, volumes are made by the task.
pub async fn create(node: &Node, user: &Authid, params: VmNew) -> Result<Upid> {
    let vmid = params.vmid;
    let lock = node.lock_guest(GuestKind::Qemu, vmid, "create")?;
    if node.find_guest(vmid)?.is_some() {
        return Err(node.taken(GuestKind::Qemu, vmid));
    }
    let mut config = params.config;
    let new = settle(&node.storages, vmid, &mut config, None).await?;
    let record = GuestRecord {
        lock: Some(Lock::Create),
        making: new.iter().map(|volume| volume.id.clone()).collect(),
        ..GuestRecord::new(GuestConfig::Qemu(Box::new(config)))
    };
    node.insert_guest(vmid, &record, params.pool.as_ref())
        .await?;
    let task = NewTask {
        kind: "qmcreate",
        id: vmid.to_string(),
        user,
        lock: Some(lock),
    };
    let work = node.clone();
    let start = params.start == Some(true);
    let spawned = node.tasks.spawn(task, |context| async move {
        let report = Report::Task(context);
        work.finish_create(vmid, record, &new, &report).await?;
        if start {
            work.start_vm(vmid, &report).await
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

impl Node {
    /// Makes the volumes of a new machine and lets go of it, or leaves nothing of it.
    async fn finish_create(
        &self,
        vmid: Vmid,
        record: GuestRecord,
        new: &[NewVolume],
        report: &Report,
    ) -> Result<()> {
        match volumes::make(&self.storages, new, report).await {
            Ok(()) => self.put_guest(vmid, &GuestRecord::new(record.config)).await,
            Err(error) => {
                volumes::discard(&self.storages, &record.making, report).await;
                self.forget_guest(vmid).await?;
                Err(error)
            }
        }
    }

    /// Starts a machine whose lock is held.
    pub async fn start_vm(&self, vmid: Vmid, report: &Report) -> Result<()> {
        let guest = self.guest(GuestKind::Qemu, vmid)?;
        if let Some(suspended) = guest.suspended() {
            return self.resume_from_disk(&guest, suspended, report).await;
        }
        guest.check_unlocked()?;
        if guest.record.config.is_template() {
            return Err(Error::failed("you can't start a vm if it's a template"));
        }
        let GuestConfig::Qemu(config) = &guest.record.config else {
            return Err(Error::not_found(title(GuestKind::Qemu, vmid)));
        };
        if self
            .machines
            .state(vmid)
            .await
            .map_err(Error::failed)?
            .is_some()
        {
            return Err(Error::failed(format_args!("VM {vmid} already running")));
        }
        let directories = self.shared_directories(config)?;
        self.write_cloudinit(vmid, config).await?;
        let mut machine = basalt_vm::resolve(
            vmid,
            config,
            &self.storages,
            &self.network,
            &self.run_machines,
        )
        .await
        .map_err(Error::failed)?;
        for directory in directories {
            machine
                .share(vmid, &self.run_machines, directory)
                .map_err(Error::failed)?;
        }
        self.pass_host_devices(vmid, config, &mut machine).await?;
        report.log(format_args!(
            "starting with {} processors and {} MiB of memory",
            config.vcpus(),
            machine.spec.memory_mib
        ));
        self.machines
            .start(vmid, machine)
            .await
            .map_err(Error::failed)?;
        self.note_running(&guest);
        Ok(())
    }
}

/// Completes a configuration: plans the volumes that it asks for, gives cards their addresses,
/// and checks what it names. `old` is what it replaces.
pub async fn settle(
    storages: &Storages,
    vmid: Vmid,
    config: &mut QemuConfig,
    old: Option<&QemuConfig>,
) -> Result<Vec<NewVolume>> {
    let mut errors = FieldErrors::default();
    let mut planner = Planner::new(storages, vmid);
    for (key, disk) in config.disks_mut() {
        let before = old.and_then(|old| {
            old.disks()
                .into_iter()
                .find(|(known, _)| *known == key)
                .map(|(_, disk)| disk)
        });
        let settled = settle_disk(storages, &mut planner, vmid, disk, before).await;
        note(&mut errors, &key, settled);
    }
    settle_cloudinit(&mut errors, config, old).await;
    if let Some(custom) = &config.cicustom
        && old.and_then(|old| old.cicustom.as_ref()) != Some(custom)
        && let Err(text) = own_documents(storages, custom).await
    {
        errors.add("cicustom", text);
    }
    if let Some(disk) = &mut config.efidisk0 {
        let secure = disk.has_secure_boot();
        let state = State::of_firmware(disk, old);
        let settled = state.settle(storages, &mut planner, vmid).await;
        note(&mut errors, "efidisk0", settled);
        if secure && config.vcpus.is_some() {
            errors.add("vcpus", FIXED_VCPUS);
        }
    }
    if let Some(disk) = &mut config.tpmstate0 {
        let state = State::of_tpm(disk, old);
        let settled = state.settle(storages, &mut planner, vmid).await;
        note(&mut errors, "tpmstate0", settled);
    }
    check_template(&mut errors, config.template, old.map(|old| old.template));
    let most = config.max_vcpus();
    if config.vcpus.is_some_and(|vcpus| vcpus.get() > most) {
        errors.add(
            "vcpus",
            format!("cores and sockets make no more than {most}"),
        );
    }
    if let Err(text) = config.cpu_spec() {
        errors.add("cpu", text);
    }
    if old.is_none_or(|old| old.affinity != config.affinity)
        && let Err(text) = basalt_vm::check_affinity(config)
    {
        errors.add("affinity", text);
    }
    let memory = config.memory_mib();
    if config.balloon.is_some_and(|balloon| balloon.get() > memory) {
        let text = format!("it is more than the memory, {memory} MiB");
        errors.add("balloon", text);
    }
    if let Some(port) = config.vga_serial()
        && !config.has_serial(port)
        && old.is_none_or(|old| old.vga != config.vga || old.serial != config.serial)
    {
        let text = format!("there is no {port} to be the console: set {port} to socket");
        errors.add("vga", text);
    }
    let divided = config.huge_page_sizes().map(drop);
    if let Err(wrong) = divided.and_then(|()| basalt_vm::check_nodes(config)) {
        for (field, text) in wrong.0 {
            errors.add(field, text);
        }
    }
    hostpci::settle(&mut errors, config);
    if old.is_none() && config.smbios1.is_none() {
        config.smbios1 = Some(random_identity()?);
    }
    for (key, volume) in [("kernel", &config.kernel), ("initrd", &config.initrd)] {
        let unchanged = old.map(|old| {
            if key == "kernel" {
                &old.kernel
            } else {
                &old.initrd
            }
        });
        if let Some(volume) = volume
            && unchanged.and_then(Option::as_ref) != Some(volume)
        {
            let found = check_content(storages, volume, ContentKind::Kernel).await;
            note(&mut errors, key, found);
        }
    }
    for (index, net) in &mut config.net {
        net.mac.get_or_insert_with(random_mac);
        check_bridge(&mut errors, &format!("net{index}"), net.bridge.as_ref());
    }
    no_errors(errors)?;
    Ok(planner.finish())
}

/// Notes that a setting cannot make a template of a guest, or a guest of one: its volumes have other
/// names.
pub fn check_template(errors: &mut FieldErrors, new: Option<bool>, old: Option<Option<bool>>) {
    let is = |template: Option<bool>| template == Some(true);
    if is(new) != is(old.flatten()) {
        let text = "a guest becomes a template by POST …/template, and then stays one";
        errors.add("template", text);
    }
}

/// Notes a bridge that the host does not have.
pub fn check_bridge(errors: &mut FieldErrors, field: &str, bridge: Option<&InterfaceName>) {
    if let Some(bridge) = bridge
        && !interfaces::is_bridge(bridge)
    {
        errors.add(
            field,
            format!("bridge '{bridge}' does not exist on this node"),
        );
    }
}

async fn settle_disk(
    storages: &Storages,
    planner: &mut Planner<'_>,
    vmid: Vmid,
    disk: &mut QemuDisk,
    before: Option<&QemuDisk>,
) -> std::result::Result<(), String> {
    if let VolumeSource::Volume(volume) = &disk.file
        && cloudinit::is_drive(volume)
        && volume.owner() == Some(vmid)
    {
        disk.media = Some(Media::Cdrom);
        if before.is_none_or(|before| before.file != disk.file) {
            disk.size = Some(check_content(storages, volume, ContentKind::Images).await?);
        }
        return Ok(());
    }
    let is_disc = disk.media == Some(Media::Cdrom);
    let import = disk.import_from.take();
    // The volume's name tells it from then on.
    let format = disk
        .format
        .take()
        .map(ImageFormat::from)
        .unwrap_or_default();
    match &disk.file {
        VolumeSource::None if is_disc => Ok(()),
        VolumeSource::None => Err("only an empty drive is 'none': add media=cdrom".to_owned()),
        VolumeSource::New { .. } if is_disc => {
            Err("a new volume cannot be an optical disc: name an iso".to_owned())
        }
        VolumeSource::New { storage, size } => {
            let planned = planner
                .plan(storage, ContentKind::Images, *size, format, import.as_ref())
                .await?;
            disk.file = VolumeSource::Volume(planned.id);
            disk.size = Some(planned.size);
            Ok(())
        }
        VolumeSource::CloudInit { .. } | VolumeSource::Volume(_) if import.is_some() => {
            Err("import-from needs a new volume: write local:0,import-from=…".to_owned())
        }
        VolumeSource::CloudInit { storage } => {
            let volume = planner.plan_cloudinit(storage).await?;
            disk.file = VolumeSource::Volume(volume);
            disk.media = Some(Media::Cdrom);
            disk.size = Some(cloudinit::DRIVE_SIZE);
            Ok(())
        }
        VolumeSource::Volume(volume) => {
            let kept = before.filter(|before| before.file == disk.file);
            disk.size = match kept {
                Some(before) => before.size,
                None => Some(check_disk(storages, vmid, volume, is_disc).await?),
            };
            Ok(())
        }
    }
}

/// Why processors do not come and go where the firmware trusts all of them.
const FIXED_VCPUS: &str = "with Secure Boot (efidisk0 with pre-enrolled-keys=1) no processors can come \
                           and go: leave it out, and say in cores how many there are";

/// The volume in which a part of the machine keeps its state.
struct State<'a> {
    part: Part,
    file: &'a mut VolumeSource,
    size: &'a mut Option<DiskSize>,
    import: Option<VolumeId>,
    before: Option<(VolumeSource, Option<DiskSize>)>,
}

impl<'a> State<'a> {
    fn of_firmware(disk: &'a mut EfiDisk, old: Option<&QemuConfig>) -> Self {
        let before = old.and_then(|old| old.efidisk0.as_ref());
        Self {
            part: Part::Firmware {
                secure: disk.has_secure_boot(),
            },
            import: disk.import_from.take(),
            file: &mut disk.file,
            size: &mut disk.size,
            before: before.map(|disk| (disk.file.clone(), disk.size)),
        }
    }

    fn of_tpm(disk: &'a mut TpmState, old: Option<&QemuConfig>) -> Self {
        let before = old.and_then(|old| old.tpmstate0.as_ref());
        Self {
            part: Part::Tpm,
            import: disk.import_from.take(),
            file: &mut disk.file,
            size: &mut disk.size,
            before: before.map(|disk| (disk.file.clone(), disk.size)),
        }
    }

    async fn settle(
        self,
        storages: &Storages,
        planner: &mut Planner<'_>,
        vmid: Vmid,
    ) -> std::result::Result<(), String> {
        match &*self.file {
            VolumeSource::None | VolumeSource::CloudInit { .. } => {
                Err("name a storage, e.g. local:1, or a volume".to_owned())
            }
            VolumeSource::New { storage, .. } => {
                let import = self.import.as_ref();
                let planned = planner.plan_state(storage, self.part, import).await?;
                *self.file = VolumeSource::Volume(planned.id);
                *self.size = Some(planned.size);
                Ok(())
            }
            VolumeSource::Volume(_) if self.import.is_some() => {
                Err("import-from needs a new volume: write local:1,import-from=…".to_owned())
            }
            VolumeSource::Volume(volume) => {
                *self.size = match self.before.filter(|(file, _)| file == self.file) {
                    Some((_, size)) => size,
                    None => Some(check_disk(storages, vmid, volume, false).await?),
                };
                Ok(())
            }
        }
    }
}

/// A UUID nobody else has.
pub fn random_identity() -> Result<Smbios> {
    const SOURCE: &str = "/proc/sys/kernel/random/uuid";
    let text = std::fs::read_to_string(SOURCE)
        .map_err(|error| Error::failed(format_args!("{SOURCE}: {error}")))?;
    format!("uuid={}", text.trim())
        .parse()
        .map_err(Error::failed)
}

/// Checks a volume that exists and is to be a disk; gives its size.
async fn check_disk(
    storages: &Storages,
    vmid: Vmid,
    volume: &VolumeId,
    is_disc: bool,
) -> std::result::Result<DiskSize, String> {
    if is_disc {
        return check_content(storages, volume, ContentKind::Iso).await;
    }
    if volume.owner().is_some_and(|owner| owner != vmid) {
        return Err(format!(
            "'{volume}' belongs to another guest: copy it with import-from"
        ));
    }
    check_content(storages, volume, ContentKind::Images).await
}
