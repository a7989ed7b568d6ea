//! Drives of cloud-init. Their discs are written anew with every start of a machine that has one, and
//! while it runs when somebody asks for that.

use super::{Guest, ct_root, title, volumes};
use crate::handlers::nodes::host_dns;
use crate::state::Node;
use basalt_api::{Error, Result};
use basalt_model::field::FieldErrors;
use basalt_model::guest::{GuestConfig, GuestKind, GuestRecord};
use basalt_model::qemu::QemuConfig;
use basalt_model::qemu::cloudinit::{CloudCustom, CloudPassword, DRIVE_SIZE, is_drive, is_setting};
use basalt_model::qemu::hotplug::HotplugKind;
use basalt_model::storage::{ContentKind, VolumeId};
use basalt_model::vmid::Vmid;
use basalt_storage::{Access, Storages};
use basalt_vm::cloudinit::{Documents, Resolver, Seed};
use std::io::Read;
use std::os::unix::fs::FileExt;

const KIND: GuestKind = GuestKind::Qemu;
/// Bytes of a document of a person's own at most: a disc has room for all of them.
const LONGEST_DOCUMENT: u64 = 512 << 10;

/// Checks what is said to cloud-init, and puts a hash in the place of a new password.
pub async fn settle(errors: &mut FieldErrors, config: &mut QemuConfig, old: Option<&QemuConfig>) {
    let drives = config.disks().into_iter();
    let drives = drives.filter(|(_, disk)| disk.file.volume().is_some_and(is_drive));
    for (key, _) in drives.skip(1) {
        errors.add(
            key,
            "a machine has one drive of cloud-init: remove the other",
        );
    }
    let Some(password) = &config.cipassword else {
        return;
    };
    let kept = old.and_then(|old| old.cipassword.as_ref()) == Some(password);
    if password.is_hidden() && !kept {
        let text = "that stands for the password that is set: leave it out to keep that";
        errors.add("cipassword", text);
    } else if !kept && !password.is_hash() {
        match hashed(password.clone()).await {
            Ok(hash) => config.cipassword = Some(hash),
            Err(text) => errors.add("cipassword", text),
        }
    }
}

/// The hash of a password; that takes a while, in which others are served.
async fn hashed(password: CloudPassword) -> std::result::Result<CloudPassword, String> {
    let hashing = tokio::task::spawn_blocking(move || ct_root::hash(password.as_str()));
    let hash = hashing.await.map_err(|error| error.to_string())?;
    hash.map_err(|error| error.to_string())?.parse()
}

/// What a machine with this configuration tells cloud-init.
fn seed(vmid: Vmid, config: &QemuConfig) -> Seed {
    let dns = host_dns();
    let resolver = Resolver {
        servers: [dns.dns1, dns.dns2, dns.dns3]
            .into_iter()
            .flatten()
            .collect(),
        domains: dns.search.into_iter().collect(),
    };
    Seed::new(vmid, config, &resolver)
}

/// Reads a person's own documents; says what is wrong with one that cannot be told.
pub async fn own_documents(
    storages: &Storages,
    custom: &CloudCustom,
) -> std::result::Result<Documents, String> {
    Ok(Documents {
        user: document(storages, custom.user.as_ref()).await?,
        network: document(storages, custom.network.as_ref()).await?,
        meta: document(storages, custom.meta.as_ref()).await?,
        vendor: document(storages, custom.vendor.as_ref()).await?,
    })
}

async fn document(
    storages: &Storages,
    volume: Option<&VolumeId>,
) -> std::result::Result<Option<String>, String> {
    let Some(volume) = volume else {
        return Ok(None);
    };
    let storage = storages.holding(volume.storage(), ContentKind::Snippets);
    let storage = storage.map_err(|error| error.to_string())?;
    let found = storage.volume(volume).await;
    let found = found.map_err(|error| error.to_string())?;
    if found.content != ContentKind::Snippets {
        let wanted = "use one of content kind snippets, e.g. local:snippets/user.yaml";
        return Err(format!("'{volume}' is no snippet: {wanted}"));
    }
    let file = storage.open(volume, Access::Read).await;
    let file = file.map_err(|error| error.to_string())?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        file.take(LONGEST_DOCUMENT + 1).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    });
    let read = reading.await.map_err(|error| error.to_string())?;
    let text = read.map_err(|error| format!("reading {volume}: {error}"))?;
    match text.len() as u64 > LONGEST_DOCUMENT {
        true => Err(format!(
            "'{volume}' is longer than {LONGEST_DOCUMENT} bytes"
        )),
        false => Ok(Some(text)),
    }
}

/// What runs, once its guest has been told what `stored` says to cloud-init.
fn told(running: &QemuConfig, stored: &QemuConfig) -> Result<QemuConfig> {
    let mut map = running.to_map();
    map.retain(|key, _| !is_setting(key));
    let settings = stored.to_map().into_iter();
    map.extend(settings.filter(|(key, _)| is_setting(key)));
    Ok(QemuConfig::from_map(&map)?)
}

impl Node {
    /// What a machine with this configuration tells cloud-init, its owner's own documents included.
    pub async fn cloudinit_seed(&self, vmid: Vmid, config: &QemuConfig) -> Result<Seed> {
        let seed = seed(vmid, config);
        let Some(custom) = &config.cicustom else {
            return Ok(seed);
        };
        let own = own_documents(&self.storages, custom).await;
        let own = own.map_err(|text| Error::failed(format_args!("cicustom: {text}")))?;
        Ok(seed.with(own))
    }

    /// Writes the disc in a machine's drive of cloud-init, if it has one; nobody may have it open. An
    /// interruption leaves one that the next start writes again.
    pub async fn write_cloudinit(&self, vmid: Vmid, config: &QemuConfig) -> Result<()> {
        let Some((key, volume)) = config.cloudinit_drive() else {
            return Ok(());
        };
        let mut disc = self.cloudinit_seed(vmid, config).await?.disc();
        let size = usize::try_from(DRIVE_SIZE.bytes()).map_err(Error::failed)?;
        if disc.len() > size {
            return Err(Error::param(&key, "its settings are too long for a disc"));
        }
        // What an earlier, longer disc said is gone.
        disc.resize(size, 0);
        let file = volumes::open(&self.storages, volume).await;
        let file = file.map_err(Error::failed)?;
        let writing = tokio::task::spawn_blocking(move || {
            file.write_all_at(&disc, 0)?;
            file.sync_data()
        });
        let written = writing.await.map_err(Error::failed)?;
        written.map_err(|error| Error::failed(format_args!("writing {volume}: {error}")))
    }

    /// Writes the disc anew, and puts it into the drive of a machine that runs.
    pub async fn regenerate_cloudinit(&self, vmid: Vmid) -> Result<()> {
        let guest = self.guest(KIND, vmid)?;
        guest.check_unlocked()?;
        let GuestConfig::Qemu(stored) = &guest.record.config else {
            return Err(Error::not_found(title(KIND, vmid)));
        };
        let Some((key, volume)) = stored.cloudinit_drive() else {
            return Err(Error::failed(format_args!(
                "VM {vmid} has no drive of cloud-init: add one, e.g. ide2=local:cloudinit"
            )));
        };
        let running = match self.is_running(KIND, vmid).await? {
            true => self.running_config(KIND, vmid),
            false => None,
        };
        let Some(GuestConfig::Qemu(running)) = running else {
            return self.write_cloudinit(vmid, stored).await;
        };
        if running.cloudinit_drive() != stored.cloudinit_drive() {
            return Err(Error::failed(format_args!(
                "the drive of cloud-init comes with the next start of VM {vmid}"
            )));
        }
        self.change_disc(vmid, &key, None).await?;
        let written = self.write_cloudinit(vmid, stored).await;
        self.change_disc(vmid, &key, Some(volume)).await?;
        written?;
        let told = GuestConfig::Qemu(Box::new(told(&running, stored)?));
        self.note_running_config(vmid, &told);
        Ok(())
    }

    /// After a change from `before` to `after`: fills a new drive, and tells a running guest at once if
    /// `hotplug` says so.
    pub async fn change_cloudinit(&self, before: &Guest, after: &GuestRecord) -> Result<()> {
        let (GuestConfig::Qemu(old), GuestConfig::Qemu(new)) =
            (&before.record.config, &after.config)
        else {
            return Ok(());
        };
        let vmid = before.vmid;
        let (had, has) = (old.cloudinit_drive(), new.cloudinit_drive());
        if has.is_none() {
            return Ok(());
        }
        if had.map(|(_, volume)| volume) != has.map(|(_, volume)| volume) {
            return self.write_cloudinit(vmid, new).await;
        }
        let is_told_other = told(old, new)? != **old;
        if is_told_other
            && new.hotplugs(HotplugKind::Cloudinit)
            && self.is_running(KIND, vmid).await?
        {
            return self.regenerate_cloudinit(vmid).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: serde_json::Value) -> QemuConfig {
        serde_json::from_value(value).unwrap()
    }

    #[tokio::test]
    async fn passwords_are_hashed_once_and_asterisks_are_none() {
        let mut errors = FieldErrors::default();
        let mut first = config(json!({"cipassword": "secret"}));
        settle(&mut errors, &mut first, None).await;
        let hash = first.cipassword.clone().unwrap();
        assert!(hash.is_hash() && sha_crypt::sha512_check("secret", hash.as_str()).is_ok());
        let mut again = first.clone();
        settle(&mut errors, &mut again, Some(&first)).await;
        assert_eq!(again, first);
        assert!(errors.0.is_empty());
        let mut shown = first.clone().without_secrets();
        settle(&mut errors, &mut shown, Some(&first)).await;
        assert!(errors.0.contains_key("cipassword"));
    }

    #[tokio::test]
    async fn a_machine_has_one_drive() {
        let mut errors = FieldErrors::default();
        let drive = "local:100/vm-100-cloudinit.raw,media=cdrom";
        let mut two = config(json!({"ide0": drive, "ide2": drive}));
        settle(&mut errors, &mut two, None).await;
        assert_eq!(errors.0.keys().collect::<Vec<_>>(), ["ide2"]);
    }

    #[test]
    fn only_what_cloud_init_is_told_is_taken_over() {
        let running =
            config(json!({"cores": 1, "ciuser": "a", "sshkeys": "ssh-rsa%20AAAAAAAAAAAAAAAA"}));
        let stored = config(json!({"cores": 2, "ciuser": "b", "ipconfig0": "ip=dhcp"}));
        let wanted = config(json!({"cores": 1, "ciuser": "b", "ipconfig0": "ip=dhcp"}));
        assert_eq!(told(&running, &stored).unwrap(), wanted);
    }
}
