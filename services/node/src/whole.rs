//! The whole configuration as one file: written and read by the program when it is called for that.

use anyhow::{Context, Result, bail};
use basalt_store::{SqliteStore, Store, export, import};
use clap::Subcommand;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes the whole configuration, secrets included, into a new file that only root can read
    Export {
        /// The file; there must be none of that name
        file: PathBuf,
    },
    /// Replaces the whole configuration by that of a file; the service must not run
    Import {
        /// The file
        file: PathBuf,
    },
}

impl Command {
    /// Does it, with the store in `state`; `socket` tells whether the service runs.
    pub async fn run(&self, state: &Path, socket: &Path) -> Result<()> {
        match self {
            Self::Export { file } => {
                let text = export(&open(state)?)?;
                let mut options = std::fs::OpenOptions::new();
                let made = options.write(true).create_new(true).mode(0o600).open(file);
                let mut made = made.with_context(|| format!("cannot make {}", file.display()))?;
                made.write_all(text.as_bytes())?;
                Ok(made.sync_all()?)
            }
            Self::Import { file } => {
                let text = std::fs::read_to_string(file);
                let text = text.with_context(|| format!("cannot read {}", file.display()))?;
                if UnixStream::connect(socket).is_ok() {
                    bail!("the service runs: stop basalt-node first");
                }
                let store = open(state)?;
                store.commit(import(&store, &text)?).await?;
                Ok(())
            }
        }
    }
}

/// The store, which must be there: a wrong folder is not a new host.
fn open(state: &Path) -> Result<SqliteStore> {
    let path = state.join("store.db");
    if !path.exists() {
        bail!("there is no configuration in {}", state.display());
    }
    Ok(SqliteStore::open(path)?)
}
