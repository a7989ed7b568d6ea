//! Which Debian mirror to use: the one this machine's own apt uses.

use super::error::{Error, Result};
use super::lock::SECURITY_POOL;
use std::fs;
use std::path::Path;

/// Keys that sign the archives.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The two archives our packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirrors {
    /// Debian itself.
    pub main: String,
    /// Its security updates.
    pub security: String,
}

impl Mirrors {
    /// Reads `BASALT_MIRROR` and `BASALT_SECURITY_MIRROR`, else this machine's apt sources. A mirror
    /// in a folder of this machine is written `file:/folder`.
    pub fn find() -> Result<Self> {
        let mut uris = Vec::new();
        for file in source_files() {
            if let Ok(text) = fs::read_to_string(&file) {
                uris.extend(parse(&text));
            }
        }
        Self::choose(env("BASALT_MIRROR"), env("BASALT_SECURITY_MIRROR"), &uris)
    }

    fn choose(main: Option<String>, security: Option<String>, uris: &[String]) -> Result<Self> {
        let ending = |end: &str| uris.iter().find(|uri| uri.ends_with(end)).cloned();
        let main = main.or_else(|| ending("/debian")).ok_or(Error::NoMirror)?;
        let main = main.trim_end_matches('/').to_owned();
        let security = security
            .or_else(|| ending("/debian-security"))
            .unwrap_or_else(|| format!("{main}-security"))
            .trim_end_matches('/')
            .to_owned();
        Ok(Self { main, security })
    }

    /// Where a locked package's path in the pool is to be fetched.
    pub fn uri(&self, pool_path: &str) -> String {
        let base = if pool_path.starts_with(SECURITY_POOL) {
            &self.security
        } else {
            &self.main
        };
        // apt only points to a file of this machine's own; `copy:` really fetches it.
        match base.strip_prefix("file:") {
            Some(folder) => format!("copy:{folder}/{pool_path}"),
            None => format!("{base}/{pool_path}"),
        }
    }

    /// The options of a line in `sources.list` for the archive at `uri`: archives are signed, unless
    /// they lie in this machine's own file system.
    pub fn options(uri: &str) -> String {
        if uri.starts_with("file:") {
            "[trusted=yes]".to_owned()
        } else {
            format!("[signed-by={KEYRING}]")
        }
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn source_files() -> Vec<std::path::PathBuf> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
}

/// The archive addresses in a sources file of either format.
fn parse(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| {
            let line = line.trim_start();
            line.starts_with("deb ") || line.starts_with("deb\t") || line.starts_with("URIs:")
        })
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
        .map(|word| word.trim_end_matches('/').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_formats_and_skips_comments() {
        let text = "# deb http://old.example/debian x main\n\
                    deb [signed-by=/k] http://a.example/debian/ bookworm main\n\
                    Types: deb\nURIs: https://b.example/debian-security\nSuites: s\n";
        assert_eq!(
            parse(text),
            [
                "http://a.example/debian",
                "https://b.example/debian-security"
            ]
        );
    }

    #[test]
    fn security_follows_the_main_mirror_when_unknown() {
        let uris = ["http://a.example/debian".to_owned()];
        let mirrors = Mirrors::choose(None, None, &uris).expect("a mirror is given");
        assert_eq!(mirrors.security, "http://a.example/debian-security");
        assert_eq!(
            mirrors.uri("pool/main/x.deb"),
            "http://a.example/debian/pool/main/x.deb"
        );
        assert_eq!(
            mirrors.uri("pool/updates/main/x.deb"),
            "http://a.example/debian-security/pool/updates/main/x.deb"
        );
    }

    #[test]
    fn without_any_mirror_the_error_says_what_to_set() {
        let error = Mirrors::choose(None, None, &[]).expect_err("none is known");
        assert!(error.to_string().contains("BASALT_MIRROR"));
    }
}
