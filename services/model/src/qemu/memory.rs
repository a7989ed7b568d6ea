//! How much memory a machine has, and what the host makes it of.

use super::{EfiDisk, QemuConfig};
use crate::field::{FieldErrors, Int};
use crate::words;

words! {
    /// Huge pages that a machine's memory is made of.
    pub enum HugePages {
        /// The largest that can be.
        Any = "any",
        /// 2 MiB.
        Large = "2",
        /// 1 GiB.
        Gigantic = "1024",
    }
}

/// Size of large pages in MiB.
const LARGE: u64 = 2;
/// Size of gigantic pages in MiB.
const GIGANTIC: u64 = 1024;

impl QemuConfig {
    /// The memory of a machine that names none, in MiB.
    pub const DEFAULT_MEMORY: u64 = 512;

    /// Memory in MiB.
    pub fn memory_mib(&self) -> u64 {
        self.memory.map_or(Self::DEFAULT_MEMORY, Int::get)
    }

    /// What the guest is to make do with in MiB, if it has a balloon.
    pub fn balloon_mib(&self) -> Option<u64> {
        let memory = self.memory_mib();
        if !self.hostpci.is_empty() {
            // Devices of the host reach all of it.
            return None;
        }
        match self.balloon.map(Int::get) {
            Some(0) => None,
            // The host would get nothing back of it.
            _ if self.hugepages.is_some() => Some(memory),
            None => Some(memory),
            Some(mib) => Some(mib.min(memory)),
        }
    }

    /// Sizes in MiB of the huge pages that the machine's memory can be made of, the wanted one first; none
    /// for usual pages.
    ///
    /// # Errors
    /// When the memory cannot be divided into such pages: the setting that is to change, and how.
    pub fn huge_page_sizes(&self) -> Result<Vec<u64>, FieldErrors> {
        let Some(wanted) = self.hugepages else {
            return Ok(Vec::new());
        };
        let memory = self.memory_mib();
        // Its firmware has a piece of the memory to itself, which is smaller than such a page.
        let in_pieces = self.efidisk0.as_ref().is_some_and(EfiDisk::has_secure_boot);
        let gigantic = || match (in_pieces, memory % GIGANTIC) {
            (true, _) => {
                let text = "pages of 1024 MiB do not go with Secure Boot (efidisk0 with \
                            pre-enrolled-keys=1): use hugepages=2";
                Err(FieldErrors::one("hugepages", text))
            }
            (false, 0) => Ok(GIGANTIC),
            (false, _) => Err(not_a_multiple(memory, GIGANTIC)),
        };
        let large = || match memory % LARGE {
            0 => Ok(LARGE),
            _ => Err(not_a_multiple(memory, LARGE)),
        };
        match wanted {
            HugePages::Any => {
                let large = large()?;
                Ok(gigantic().into_iter().chain([large]).collect())
            }
            HugePages::Large => Ok(vec![large()?]),
            HugePages::Gigantic => Ok(vec![gigantic()?]),
        }
    }
}

fn not_a_multiple(memory: u64, page: u64) -> FieldErrors {
    let more = memory.next_multiple_of(page);
    let text = format!(
        "{memory} MiB are not a multiple of {page}, the size of the pages in hugepages: use {more}"
    );
    FieldErrors::one("memory", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: serde_json::Value) -> QemuConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn memory_is_divided_into_whole_pages() {
        let sizes = |pages: &str, memory: u64| {
            config(json!({"hugepages": pages, "memory": memory})).huge_page_sizes()
        };
        assert_eq!(sizes("any", 2048), Ok(vec![1024, 2]));
        assert_eq!(sizes("any", 2050), Ok(vec![2]));
        assert_eq!(sizes("2", 2048), Ok(vec![2]));
        assert_eq!(sizes("1024", 3072), Ok(vec![1024]));
        for (pages, memory, fix) in [("any", 513, "use 514"), ("1024", 1536, "use 2048")] {
            let text = &sizes(pages, memory).unwrap_err().0["memory"];
            assert!(text.contains(fix) && text.contains("hugepages"), "{text}");
        }
        assert_eq!(config(json!({"memory": 513})).huge_page_sizes(), Ok(vec![]));
    }

    #[test]
    fn a_piece_of_memory_that_is_smaller_than_a_page_has_no_such_page() {
        let secure = |pages: &str| {
            let disk = "local:100/vm-100-disk-0.raw,efitype=4m,pre-enrolled-keys=1";
            config(json!({"hugepages": pages, "memory": 2048, "efidisk0": disk})).huge_page_sizes()
        };
        assert_eq!(secure("any"), Ok(vec![2]));
        let text = &secure("1024").unwrap_err().0["hugepages"];
        assert!(text.contains("Secure Boot"), "{text}");
    }

    #[test]
    fn a_balloon_takes_nothing_where_nothing_comes_back() {
        let balloon = |value| config(value).balloon_mib();
        assert_eq!(balloon(json!({"memory": 1024, "balloon": 512})), Some(512));
        let huge = |mib: u64| json!({"memory": 1024, "balloon": mib, "hugepages": "2"});
        assert_eq!(balloon(huge(512)), Some(1024));
        assert_eq!(balloon(huge(0)), None);
    }
}
