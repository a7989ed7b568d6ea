//! Updates of this node as one image. The work itself is `basalt-update`'s.

use crate::call::Call;
use crate::error::IntoApi;
use crate::router::Router;
use crate::upload::Upload;
use basalt_api::methods::NodePath;
use basalt_api::methods::update::{
    SlotState, UpdateAvailable, UpdateAvailableGet, UpdateChannel, UpdateConfig, UpdateConfigGet,
    UpdateConfigPut, UpdateConfigSet, UpdateFailure, UpdateInstall, UpdateInstallParams,
    UpdateRollback, UpdateRollbackParams, UpdateSlot, UpdateStatus, UpdateStatusGet, UpdateUpload,
    UpdateUploadParams,
};
use basalt_api::{Error, Result};
use basalt_model::upid::Upid;
use basalt_store::Stored;
use basalt_tasks::{NewTask, TaskContext};
use basalt_unit::HostStop;
use basalt_update::bundle;
use basalt_update::channel::{self, Channel};
use basalt_update::install::{Installed, Options};
use basalt_update::source::{Source, is_url};
use basalt_update::{Host, Observer, check_authorities, rollback, status};
use std::path::{Path, PathBuf};

/// Where updates come from, in the store.
const CONFIG: &str = "update/config";

/// An uploaded bundle, in the folder of downloads.
const UPLOADED: &str = "uploaded.bundle";

/// Bytes that an upload leaves free on the data partition.
const RESERVE: u64 = 64 << 20;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<UpdateStatusGet, _, _, _>(show);
    router.on::<UpdateAvailableGet, _, _, _>(available);
    router.on::<UpdateInstall, _, _, _>(install);
    router.on::<UpdateUpload, _, _, _>(upload);
    router.on::<UpdateRollback, _, _, _>(roll_back);
    router.on::<UpdateConfigGet, _, _, _>(async |call, params: NodePath| {
        call.node.check_name(&params.node)?;
        config(&call)
    });
    router.on::<UpdateConfigPut, _, _, _>(configure);
}

/// Does something slow with the host.
async fn with_host<T: Send + 'static>(
    work: impl FnOnce(&Host) -> std::result::Result<T, basalt_update::Error> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(move || work(&Host::detect()?))
        .await
        .map_err(Error::failed)?
        .map_err(Error::failed)
}

async fn show(call: Call, params: NodePath) -> Result<UpdateStatus> {
    call.node.check_name(&params.node)?;
    let found = with_host(status::status).await?;
    Ok(UpdateStatus {
        version: found.version.to_string(),
        slots: found.slots.into_iter().map(slot).collect(),
        failure: failure(&call.node.settings.run),
    })
}

fn slot(found: status::SlotStatus) -> UpdateSlot {
    UpdateSlot {
        slot: found.slot.to_string(),
        version: found.version.map(|version| version.to_string()),
        running: found.running,
        state: match found.state {
            status::State::Empty => SlotState::Empty,
            status::State::Trial => SlotState::Trial,
            status::State::Good => SlotState::Good,
            status::State::Failed => SlotState::Failed,
        },
        tries_left: found.tries_left,
    }
}

/// The version that was left behind, as the supervisor tells it.
pub fn failure(run: &Path) -> Option<UpdateFailure> {
    let text = std::fs::read(run.join("init.json")).ok()?;
    let mut state: serde_json::Value = serde_json::from_slice(&text).ok()?;
    serde_json::from_value(state["failed_update"].take()).ok()
}

async fn available(call: Call, params: NodePath) -> Result<UpdateAvailable> {
    call.node.check_name(&params.node)?;
    let config = config(&call)?;
    let followed = config.channel;
    let Some(folder) = config.url else {
        return Ok(UpdateAvailable {
            channel: followed,
            version: None,
            newer: false,
        });
    };
    let authorities = config.ca.unwrap_or_default();
    with_host(move |host| {
        let host = host.clone().trusting(authorities);
        let release = channel::latest(&host, &folder, known(followed))?;
        Ok(UpdateAvailable {
            channel: followed,
            newer: release.version > host.version,
            version: Some(release.version.to_string()),
        })
    })
    .await
}

fn known(channel: UpdateChannel) -> Channel {
    match channel {
        UpdateChannel::Stable => Channel::Stable,
        UpdateChannel::Testing => Channel::Testing,
    }
}

async fn install(call: Call, params: UpdateInstallParams) -> Result<Upid> {
    call.node.check_name(&params.node)?;
    let config = config(&call)?;
    let job = Job {
        source: source(&params, &config)?,
        authorities: config.ca.unwrap_or_default(),
        options: Options {
            allow_downgrade: params.allow_downgrade.unwrap_or(false),
        },
        reboot: params.reboot.unwrap_or(false),
        uploaded: None,
    };
    spawn(&call, job)
}

/// What a task has to install.
struct Job {
    source: Source,
    /// See [`UpdateConfig::ca`].
    authorities: String,
    options: Options,
    reboot: bool,
    /// Held until the bundle that was sent for this installation is no longer needed.
    uploaded: Option<Uploaded>,
}

impl Job {
    fn install(
        self,
        host: &Host,
        log: &mut TaskLog,
    ) -> std::result::Result<Installed, basalt_update::Error> {
        let host = host.clone().trusting(self.authorities);
        let done = self.source.install(&host, self.options, log);
        drop(self.uploaded);
        done
    }
}

/// What the parameters name.
fn source(params: &UpdateInstallParams, config: &UpdateConfig) -> Result<Source> {
    match (&params.file, &params.url) {
        (Some(_), Some(_)) => Err(Error::param("url", "give either a file or an address")),
        (Some(file), None) => {
            if !file.starts_with('/') {
                return Err(Error::param("file", "must be an absolute path on the node"));
            }
            Ok(Source::File(PathBuf::from(file)))
        }
        (None, Some(url)) => {
            check_url(url)?;
            Ok(Source::Url(url.clone()))
        }
        (None, None) => {
            let missing = "no place is configured that updates come from: give a file or an \
                           address, or set the node's update configuration";
            let folder = config.url.clone();
            let folder = folder.ok_or_else(|| Error::param("url", missing))?;
            let channel = known(params.channel.unwrap_or(config.channel));
            Ok(Source::Channel { folder, channel })
        }
    }
}

fn check_url(url: &str) -> Result<()> {
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if is_url(url) && plain {
        return Ok(());
    }
    let text = "must begin with http:// or https:// and have no blanks in it";
    Err(Error::param("url", text))
}

/// Starts the task that installs.
fn spawn(call: &Call, job: Job) -> Result<Upid> {
    let units = call.node.units.clone();
    let task = NewTask {
        kind: "update",
        id: String::new(),
        user: call.auth(),
        lock: None,
    };
    let work = move |context: TaskContext| async move {
        let mut log = TaskLog(context.clone());
        let reboot = job.reboot;
        let done = with_host(move |host| job.install(host, &mut log)).await?;
        let (version, letter) = (&done.version, done.slot.letter());
        context.log(format_args!("version {version} is in slot {letter}"));
        if reboot {
            context.log("rebooting into it");
            units
                .stop_host(HostStop::Reboot)
                .await
                .map_err(Error::failed)?;
        } else {
            context.log("it starts with the next reboot");
        }
        Ok::<_, Error>(())
    };
    call.node.tasks.spawn(task, work).map_err(Error::failed)
}

/// An installation tells its steps to the log of its task, and ends when the task should.
struct TaskLog(TaskContext);

impl Observer for TaskLog {
    fn say(&mut self, text: &str) {
        self.0.log(text);
    }

    fn progress(&mut self, percent: u8) {
        self.0.progress(percent);
    }

    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

async fn upload(call: Call, params: UpdateUploadParams) -> Result<Upid> {
    let mut file = call.upload()?;
    let uploaded = match begin_upload(&call, &params) {
        Ok(uploaded) => uploaded,
        Err(error) => {
            // Who still sends does not listen: the answer is read after the last byte.
            while file.chunk().await?.is_some() {}
            return Err(error);
        }
    };
    receive(file, &uploaded).await?;
    let job = Job {
        source: Source::File(uploaded.path.clone()),
        authorities: String::new(),
        options: Options {
            allow_downgrade: params.allow_downgrade.unwrap_or(false),
        },
        reboot: params.reboot.unwrap_or(false),
        uploaded: Some(uploaded),
    };
    spawn(&call, job)
}

/// The file of a bundle that is sent for one installation; its room is free again afterwards.
struct Uploaded {
    path: PathBuf,
    /// Locked: one at a time.
    file: std::fs::File,
    /// So many bytes it may have.
    limit: u64,
}

impl Drop for Uploaded {
    fn drop(&mut self) {
        // What is left behind is overwritten by the next.
        let _ = self.file.set_len(0);
    }
}

fn begin_upload(call: &Call, params: &UpdateUploadParams) -> Result<Uploaded> {
    call.node.check_name(&params.node)?;
    let folder = Path::new(basalt_update::host::STATE);
    std::fs::create_dir_all(folder).api()?;
    Uploaded::begin(&folder.join(UPLOADED))
}

impl Uploaded {
    fn begin(path: &Path) -> Result<Self> {
        let mut options = std::fs::File::options();
        let file = options.write(true).create(true).truncate(false);
        let file = file.open(path).api()?;
        file.try_lock()
            .map_err(|_| Error::new(409, basalt_update::Error::Busy))?;
        file.set_len(0).api()?;
        let stat = rustix::fs::fstatvfs(&file).map_err(std::io::Error::from);
        let stat = stat.api()?;
        let room = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(Self {
            path: path.to_owned(),
            file,
            limit: room.saturating_sub(RESERVE).min(bundle::MAX_SIZE),
        })
    }
}

/// Takes the bytes of an upload; those of one that is too large go nowhere.
async fn receive(mut file: Upload, uploaded: &Uploaded) -> Result<()> {
    use tokio::io::AsyncWriteExt;
    let target = uploaded.file.try_clone().api()?;
    let mut target = tokio::fs::File::from_std(target);
    let mut size = 0_u64;
    while let Some(bytes) = file.chunk().await? {
        size = size.saturating_add(bytes.len() as u64);
        if size <= uploaded.limit {
            target.write_all(&bytes).await.api()?;
        }
    }
    if size > uploaded.limit {
        let text = format!(
            "{} bytes are too many: a bundle for this node has at most {}, and there is room for {} \
             on the data partition",
            size,
            bundle::MAX_SIZE,
            uploaded.limit
        );
        return Err(Error::param("filename", text));
    }
    target.flush().await.api()
}

async fn roll_back(call: Call, params: UpdateRollbackParams) -> Result<String> {
    call.node.check_name(&params.node)?;
    let version = with_host(rollback::roll_back).await?;
    tracing::info!(user = %call.auth(), %version, "the other slot boots next");
    if params.reboot.unwrap_or(false) {
        let stopped = call.node.units.stop_host(HostStop::Reboot).await;
        stopped.map_err(Error::failed)?;
    }
    Ok(version.to_string())
}

fn config(call: &Call) -> Result<UpdateConfig> {
    let stored = call.node.store.read::<UpdateConfig>(CONFIG).api()?;
    Ok(stored.map(|stored| stored.value).unwrap_or_default())
}

async fn configure(call: Call, params: UpdateConfigSet) -> Result<()> {
    call.node.check_name(&params.node)?;
    let change = |stored: Option<Stored<UpdateConfig>>| {
        let config = stored.map(|stored| stored.value).unwrap_or_default();
        with_settings(config, params.clone())
    };
    call.node.store.update(CONFIG, change).await.api()?
}

fn with_settings(mut config: UpdateConfig, params: UpdateConfigSet) -> Result<UpdateConfig> {
    if let Some(url) = params.url {
        config.url = Some(url).filter(|url| !url.is_empty());
        if let Some(url) = &config.url {
            check_url(url)?;
        }
    }
    if let Some(ca) = params.ca {
        config.ca = Some(ca).filter(|ca| !ca.trim().is_empty());
        if let Some(ca) = &config.ca {
            check_authorities(ca).map_err(|reason| Error::param("ca", reason))?;
        }
    }
    config.channel = params.channel.unwrap_or(config.channel);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(file: Option<&str>, url: Option<&str>) -> UpdateInstallParams {
        UpdateInstallParams {
            node: "n".to_owned(),
            file: file.map(str::to_owned),
            url: url.map(str::to_owned),
            channel: None,
            allow_downgrade: None,
            reboot: None,
        }
    }

    #[test]
    fn an_update_comes_from_one_place() {
        let none = &UpdateConfig::default();
        let configured = UpdateConfig {
            url: Some("https://example.org/basalt".to_owned()),
            channel: UpdateChannel::Testing,
            ca: None,
        };
        let file = source(&params(Some("/var/tmp/b"), None), none).unwrap();
        assert_eq!(file, Source::File("/var/tmp/b".into()));
        let url = source(&params(None, Some("http://example.org/b")), none).unwrap();
        assert_eq!(url, Source::Url("http://example.org/b".to_owned()));
        let channel = source(&params(None, None), &configured).unwrap();
        assert!(matches!(
            channel,
            Source::Channel {
                channel: Channel::Testing,
                ..
            }
        ));
        for (file, url) in [
            (None, None),
            (Some("b"), None),
            (None, Some("ftp://example.org/b")),
            (None, Some("http://example.org/a b")),
            (Some("/b"), Some("http://example.org/b")),
        ] {
            assert!(
                source(&params(file, url), none).is_err(),
                "{file:?} {url:?}"
            );
        }
    }

    #[test]
    fn one_bundle_is_uploaded_at_a_time_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(UPLOADED);
        std::fs::write(&path, "left over").unwrap();
        let first = Uploaded::begin(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        assert!(first.limit <= bundle::MAX_SIZE);
        let Err(error) = Uploaded::begin(&path) else {
            panic!("a second one at the same time");
        };
        assert!(error.one_line().contains("in progress"), "{error:?}");
        drop(first);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        Uploaded::begin(&path).unwrap();
    }

    #[test]
    fn the_supervisor_tells_what_was_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(failure(dir.path()), None);
        let write = |text: &str| std::fs::write(dir.path().join("init.json"), text).unwrap();
        write(r#"{"failed_update": null}"#);
        assert_eq!(failure(dir.path()), None);
        write(r#"{"failed_update": {"version": "0.2.0", "reasons": ["node: no answer"]}}"#);
        let found = failure(dir.path()).unwrap();
        assert_eq!(found.reasons, ["node: no answer"]);
    }
}
