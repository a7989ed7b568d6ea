//! Whether both slots can open the configuration store, before and after an update.
//!
//! The slots share the data partition. What the image in a slot gets along with is in its
//! manifest, and is remembered here, by version, for the day somebody wants to go back to it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use basalt_layout::Version;

use crate::manifest::StoreFormats;
use crate::{Error, Host, Manifest, files};

/// Where SQLite keeps the number that a program may choose: its `user_version`.
const FORMAT_OFFSET: u64 = 60;

/// What is known of each version, by its number.
type Known = BTreeMap<String, StoreFormats>;

/// Refuses a version that could not open the store, or after which there would be no way back.
pub(crate) fn check(host: &Host, manifest: &Manifest) -> Result<(), Error> {
    opens(host, &manifest.version, manifest.store)?;
    let own = StoreFormats::OWN;
    if manifest.version > host.version && manifest.store.writes > own.newest {
        return Err(Error::NoWayBack {
            version: manifest.version.clone(),
            writes: manifest.store.writes,
            running: host.version.clone(),
        });
    }
    Ok(())
}

/// Refuses to go back to a version that could not open the store. One that was installed before
/// anything was remembered is taken at its word.
pub(crate) fn check_known(host: &Host, version: &Version) -> Result<(), Error> {
    match known(host).get(&version.to_string()) {
        Some(formats) => opens(host, version, *formats),
        None => Ok(()),
    }
}

fn opens(host: &Host, version: &Version, formats: StoreFormats) -> Result<(), Error> {
    let found = store_format(host).map_err(|e| Error::io(&host.store, e))?;
    match found {
        Some(found) if !(formats.oldest..=formats.newest).contains(&found) => {
            Err(Error::StoreFormat {
                version: version.clone(),
                found,
                oldest: formats.oldest,
                newest: formats.newest,
            })
        }
        _ => Ok(()),
    }
}

/// Remembers what a bundle's version gets along with, and what the running one does.
pub(crate) fn remember(host: &Host, manifest: &Manifest) -> Result<(), Error> {
    let both = [
        (&host.version, StoreFormats::OWN),
        (&manifest.version, manifest.store),
    ];
    let now: Known = both
        .into_iter()
        .map(|(version, formats)| (version.to_string(), formats))
        .collect();
    let path = file(host);
    let write = || {
        fs::create_dir_all(&host.state)?;
        files::write_if_changed(&path, &serde_json::to_vec_pretty(&now)?, 0o644)
    };
    write().map(drop).map_err(|e| Error::io(&path, e))
}

fn known(host: &Host) -> Known {
    fs::read(file(host))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

fn file(host: &Host) -> PathBuf {
    host.state.join("formats.json")
}

/// The store's format; `None` where there is no store yet. The number in the file's head is right
/// because the store moves it there whenever it changes.
fn store_format(host: &Host) -> io::Result<Option<u32>> {
    let mut file = match File::open(&host.store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    let mut number = [0; 4];
    file.seek(SeekFrom::Start(FORMAT_OFFSET))?;
    file.read_exact(&mut number)?;
    Ok(Some(u32::from_be_bytes(number)).filter(|format| *format > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn put_store(host: &Host, format: u32) {
        let mut head = vec![0; 100];
        head[60..64].copy_from_slice(&format.to_be_bytes());
        fs::write(&host.store, head).unwrap();
    }

    #[test]
    fn a_version_that_cannot_open_the_store_is_named_beforehand() {
        let fake = testing::host();
        let host = &fake.host;
        let mut older = testing::bundle("0.0.9").manifest;
        check(host, &older).unwrap();
        put_store(host, 2);
        let error = check(host, &older).unwrap_err().to_string();
        assert!(error.contains("format 2"), "{error}");
        assert!(error.contains("formats 1 to 1"), "{error}");
        assert!(error.contains("version 0.0.9"), "{error}");
        older.store.newest = 2;
        check(host, &older).unwrap();

        // What was installed once is known when somebody wants to go back to it.
        older.store.newest = 1;
        check_known(host, &older.version).unwrap();
        remember(host, &older).unwrap();
        assert!(check_known(host, &older.version).is_err());
        put_store(host, 1);
        check_known(host, &older.version).unwrap();
    }

    #[test]
    fn a_version_without_a_way_back_is_refused() {
        let fake = testing::host();
        let mut newer = testing::bundle("0.2.0").manifest;
        put_store(&fake.host, 1);
        newer.store.newest = 2;
        check(&fake.host, &newer).unwrap();
        newer.store.writes = 2;
        let error = check(&fake.host, &newer).unwrap_err().to_string();
        assert!(error.contains("format 2"), "{error}");
        assert!(error.contains("between them"), "{error}");
    }
}
