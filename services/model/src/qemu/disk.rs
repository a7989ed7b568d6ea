//! How a disk of a virtual machine is cached and limited, with Proxmox VE's names.

use super::QemuDisk;
use crate::disk::{CacheMode, ImageFormat, Limits, Rate, Rates};
use crate::field::Int;
use crate::words;
use serde_json::json;
use std::fmt;
use std::str::FromStr;

words! {
    /// Format of a disk image.
    pub enum DiskFormat {
        /// Plain bytes.
        Raw = "raw",
        /// QEMU's format.
        Qcow2 = "qcow2",
    }
}

words! {
    /// How the host keeps a disk's data.
    pub enum DiskCache {
        /// Past the host's page cache.
        None = "none",
        /// Through the page cache; durable when the guest flushes.
        Writeback = "writeback",
        /// Through the page cache; every write is durable.
        Writethrough = "writethrough",
        /// Past the page cache; every write is durable.
        Directsync = "directsync",
        /// Through the page cache; never flushed.
        Unsafe = "unsafe",
    }
}

words! {
    /// What becomes of blocks that the guest gives back.
    pub enum DiskDiscard {
        /// They stay.
        Ignore = "ignore",
        /// The host gets them.
        On = "on",
    }
}

/// A rate in MiB a second, kept as bytes: `100`, `0.5`; nothing is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mebibytes(u64);

const MIB: f64 = 1_048_576.0;
/// Fastest rate that can be asked for, in MiB a second.
const FASTEST: f64 = 1_048_576.0;

impl Mebibytes {
    /// Bytes a second.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 as f64 / MIB)
    }
}

impl FromStr for Mebibytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        let number = text.bytes().all(plain).then(|| text.parse::<f64>().ok());
        match number.flatten() {
            Some(mebibytes) if mebibytes <= FASTEST => Ok(Self((mebibytes * MIB).round() as u64)),
            _ => Err(format!(
                "'{text}' is no rate in MiB a second: write it 100 or 0.5, at most {FASTEST}"
            )),
        }
    }
}

crate::text_field!(
    Mebibytes,
    "Mebibytes",
    json!({"type": "number", "minimum": 0})
);

impl From<DiskFormat> for ImageFormat {
    fn from(format: DiskFormat) -> Self {
        match format {
            DiskFormat::Raw => Self::Raw,
            DiskFormat::Qcow2 => Self::Qcow2,
        }
    }
}

impl QemuDisk {
    /// How the host keeps its data.
    pub fn cache_mode(&self) -> CacheMode {
        match self.cache {
            None | Some(DiskCache::None) => CacheMode::None,
            Some(DiskCache::Writeback) => CacheMode::Writeback,
            Some(DiskCache::Writethrough) => CacheMode::Writethrough,
            Some(DiskCache::Directsync) => CacheMode::Directsync,
            Some(DiskCache::Unsafe) => CacheMode::Unsafe,
        }
    }

    /// How fast the guest may use it. A rate of 0 is no limit, and a burst without an average is
    /// none either.
    pub fn limits(&self) -> Limits {
        let count = |value: Option<Int<0, 1_000_000_000>>| value.map(Int::get);
        let bytes = |value: Option<Mebibytes>| value.map(Mebibytes::bytes);
        let requests = Rates {
            total: rate(count(self.iops), count(self.iops_max), self.iops_max_length),
            read: rate(
                count(self.iops_rd),
                count(self.iops_rd_max),
                self.iops_rd_max_length,
            ),
            write: rate(
                count(self.iops_wr),
                count(self.iops_wr_max),
                self.iops_wr_max_length,
            ),
        };
        let bytes = Rates {
            total: rate(bytes(self.mbps), bytes(self.mbps_max), self.bps_max_length),
            read: rate(
                bytes(self.mbps_rd),
                bytes(self.mbps_rd_max),
                self.bps_rd_max_length,
            ),
            write: rate(
                bytes(self.mbps_wr),
                bytes(self.mbps_wr_max),
                self.bps_wr_max_length,
            ),
        };
        Limits { requests, bytes }
    }
}

fn rate(average: Option<u64>, burst: Option<u64>, seconds: Option<Int<1, 86400>>) -> Option<Rate> {
    let average = average.filter(|rate| *rate > 0)?;
    Some(Rate {
        average,
        // A burst slower than the average would be the limit.
        burst: burst.filter(|burst| *burst >= average),
        // At most 86,400.
        burst_seconds: seconds.map_or(1, |seconds| seconds.get() as u32),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(options: &str) -> QemuDisk {
        format!("local:100/a.raw,{options}").parse().unwrap()
    }

    #[test]
    fn limits_are_read_in_the_units_that_clients_write() {
        let limits = disk("iops_rd=100,iops_rd_max=500,iops_rd_max_length=60,mbps=0.5").limits();
        let read = Rate {
            average: 100,
            burst: Some(500),
            burst_seconds: 60,
        };
        assert_eq!(limits.requests.read, Some(read));
        assert_eq!(limits.requests.total, None);
        assert_eq!(limits.bytes.total.unwrap().average, 524_288);
        assert_eq!(disk("iops=0,mbps_max=7").limits(), Limits::default());
    }

    #[test]
    fn rates_round_trip_and_nonsense_is_refused() {
        for text in ["100", "0.5", "1.25", "0"] {
            assert_eq!(text.parse::<Mebibytes>().unwrap().to_string(), text);
        }
        for bad in ["", "-1", "1e9", "inf", "NaN", "99999999", "1.2.3"] {
            assert!(bad.parse::<Mebibytes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn without_a_word_the_page_cache_is_left_out() {
        assert_eq!(disk("ro=1").cache_mode(), CacheMode::None);
        assert_eq!(disk("cache=unsafe").cache_mode(), CacheMode::Unsafe);
        assert!("local:100/a.raw,cache=fast".parse::<QemuDisk>().is_err());
    }
}
