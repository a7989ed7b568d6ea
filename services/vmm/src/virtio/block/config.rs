//! What a driver reads about the device before it uses it (virtio 1.2, sections 5.2.3 and 5.2.4).

use super::request::{MAX_RANGE_SECTORS, MAX_RANGES};
use super::{QUEUE_SIZE, Settings};
use crate::disk::SECTOR;
use crate::virtio::{Description, Kind};

const F_SEG_MAX: u64 = 1 << 2;
const F_RO: u64 = 1 << 5;
const F_BLK_SIZE: u64 = 1 << 6;
const F_FLUSH: u64 = 1 << 9;
const F_TOPOLOGY: u64 = 1 << 10;
const F_MQ: u64 = 1 << 12;
const F_DISCARD: u64 = 1 << 13;
const F_WRITE_ZEROES: u64 = 1 << 14;

/// Sectors that the host's storage likes to handle together: 4 KiB.
const PHYSICAL_EXPONENT: u8 = 3;

/// Bytes of the configuration that hold the capacity.
pub fn capacity(size: u64) -> [u8; 8] {
    (size / SECTOR).to_le_bytes()
}

/// What the transport needs to know of a disk of `size` bytes.
pub fn description(settings: &Settings, size: u64) -> Description {
    let mut features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY;
    let queues = settings.queues.max(1);
    if queues > 1 {
        features |= F_MQ;
    }
    features |= match (settings.readonly, settings.discard) {
        (true, _) => F_RO,
        (false, true) => F_DISCARD | F_WRITE_ZEROES,
        (false, false) => F_WRITE_ZEROES,
    };
    let mut config = vec![0; 60];
    let mut put = |at: usize, bytes: &[u8]| config[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &capacity(size));
    put(12, &u32::from(QUEUE_SIZE - 2).to_le_bytes());
    put(20, &(SECTOR as u32).to_le_bytes());
    put(24, &[PHYSICAL_EXPONENT, 0]);
    put(26, &(1u16 << PHYSICAL_EXPONENT).to_le_bytes());
    put(34, &queues.to_le_bytes());
    put(36, &MAX_RANGE_SECTORS.to_le_bytes());
    put(40, &MAX_RANGES.to_le_bytes());
    put(44, &(1u32 << PHYSICAL_EXPONENT).to_le_bytes());
    put(48, &MAX_RANGE_SECTORS.to_le_bytes());
    put(52, &MAX_RANGES.to_le_bytes());
    put(56, &[u8::from(settings.discard)]);
    Description {
        kind: Kind::Block,
        features,
        queues: vec![QUEUE_SIZE; usize::from(queues)],
        config,
    }
}
