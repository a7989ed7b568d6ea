use super::*;
use crate::machine::layout::MIB;
use crate::machine::memory::reserve;

const REQUEST: u64 = 0x1000;
const BUFFER: u64 = 0x2000;

struct Guest {
    device: FwCfg,
    memory: Arc<Memory>,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

fn guest() -> Guest {
    let memory = reserve(32 * MIB).unwrap();
    let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let mut blobs = Blobs::new([7; 16], 32 * MIB, 3, 3);
    blobs.file("etc/e820", b"memory map".to_vec());
    let log = heard.clone();
    blobs.register(
        "etc/ramfb",
        4,
        Box::new(move |bytes| log.lock().unwrap().push(bytes.to_vec())),
    );
    let log = heard.clone();
    let count = move || vec![log.lock().unwrap().len() as u8, 0xee];
    blobs.answer("etc/count", 2, Box::new(count));
    Guest {
        device: blobs.build(memory.clone()),
        memory,
        heard,
    }
}

impl Guest {
    fn read(&self, key: u16, len: usize) -> Vec<u8> {
        self.device.write(SELECTOR, &key.to_le_bytes());
        let mut data = vec![0xaa; len];
        self.device.read(DATA, &mut data);
        data
    }

    /// Sends a DMA request and returns the control word afterwards.
    fn dma(&self, control: u32, length: u32, address: u64) -> u32 {
        let mut raw = control.to_be_bytes().to_vec();
        raw.extend(length.to_be_bytes());
        raw.extend(address.to_be_bytes());
        self.memory
            .write_slice(&raw, GuestAddress(REQUEST))
            .unwrap();
        self.device.write(DMA_HIGH, &0u32.to_be_bytes());
        self.device.write(DMA_LOW, &(REQUEST as u32).to_be_bytes());
        let mut result = [0; 4];
        self.memory
            .read_slice(&mut result, GuestAddress(REQUEST))
            .unwrap();
        u32::from_be_bytes(result)
    }

    fn memory(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory
            .read_slice(&mut bytes, GuestAddress(BUFFER))
            .unwrap();
        bytes
    }

    /// The key of a file, from the directory.
    fn key(&self, name: &str) -> u16 {
        let count = u32::from_be_bytes(self.read(KEY_DIRECTORY, 4).try_into().unwrap());
        let directory = self.read(KEY_DIRECTORY, 4 + count as usize * 64);
        let entry = directory[4..]
            .chunks(64)
            .find(|e| e[8..].starts_with(name.as_bytes()) && e[8 + name.len()] == 0)
            .unwrap();
        u16::from_be_bytes([entry[4], entry[5]])
    }
}

#[test]
fn the_signature_says_it_is_there() {
    let guest = guest();
    assert_eq!(guest.read(KEY_SIGNATURE, 4), b"QEMU");
    assert_eq!(guest.read(KEY_ID, 4), [3, 0, 0, 0]);
    assert_eq!(guest.read(KEY_CPUS, 2), [3, 0]);
    let mut signature = [0; 4];
    guest.device.read(DMA_HIGH, &mut signature);
    assert_eq!(&signature, b"QEMU");
    guest.device.read(DMA_LOW, &mut signature);
    assert_eq!(&signature, b" CFG");
}

#[test]
fn files_are_found_by_name_and_read_by_port_and_dma() {
    let guest = guest();
    let key = guest.key("etc/e820");
    assert_eq!(guest.read(key, 12), b"memory map\0\0");
    let control = u32::from(key) << 16 | CONTROL_SELECT | CONTROL_READ;
    assert_eq!(guest.dma(control, 6, BUFFER), 0);
    assert_eq!(guest.memory(6), b"memory");
    assert_eq!(guest.dma(CONTROL_SKIP, 1, 0), 0);
    assert_eq!(guest.dma(CONTROL_READ, 3, BUFFER), 0);
    assert_eq!(guest.memory(3), b"map");
}

#[test]
fn what_does_not_exist_reads_as_zeros() {
    let guest = guest();
    assert_eq!(guest.read(0x3fff, 4), [0; 4]);
    assert_eq!(guest.read(0x08, 4), [0; 4], "no kernel");
}

#[test]
fn a_register_takes_writes_by_dma_and_tells() {
    let guest = guest();
    let key = guest.key("etc/ramfb");
    guest
        .memory
        .write_slice(b"abcd", GuestAddress(BUFFER))
        .unwrap();
    let control = u32::from(key) << 16 | CONTROL_SELECT | CONTROL_WRITE;
    assert_eq!(guest.dma(control, 4, BUFFER), 0);
    assert_eq!(*guest.heard.lock().unwrap(), [b"abcd".to_vec()]);
    assert_eq!(guest.read(key, 4), b"abcd");
}

#[test]
fn an_answer_is_made_when_it_is_read_and_cannot_be_written() {
    let guest = guest();
    let (register, answer) = (guest.key("etc/ramfb"), guest.key("etc/count"));
    assert_eq!(guest.read(answer, 3), [0, 0xee, 0]);
    let write = |key: u16| u32::from(key) << 16 | CONTROL_SELECT | CONTROL_WRITE;
    assert_eq!(guest.dma(write(register), 2, BUFFER), 0);
    assert_eq!(guest.read(answer, 2), [1, 0xee]);
    assert_eq!(guest.dma(write(answer), 1, BUFFER), CONTROL_ERROR);
    assert_eq!(guest.read(answer, 2), [1, 0xee]);
}

#[test]
fn writes_elsewhere_fail_and_change_nothing() {
    let guest = guest();
    let write = |key: u16, len, address| {
        let control = u32::from(key) << 16 | CONTROL_SELECT | CONTROL_WRITE;
        guest.dma(control, len, address)
    };
    let (fixed, register) = (guest.key("etc/e820"), guest.key("etc/ramfb"));
    assert_eq!(write(fixed, 4, BUFFER), CONTROL_ERROR);
    assert_eq!(write(0x3000, 4, BUFFER), CONTROL_ERROR);
    assert_eq!(write(register, 5, BUFFER), CONTROL_ERROR);
    assert_eq!(write(register, u32::MAX, BUFFER), CONTROL_ERROR);
    assert_eq!(write(register, 4, 1 << 40), CONTROL_ERROR);
    assert!(guest.heard.lock().unwrap().is_empty());
    assert_eq!(guest.read(fixed, 10), b"memory map");
}

#[test]
fn addresses_outside_memory_are_refused() {
    let guest = guest();
    let control = u32::from(guest.key("etc/e820")) << 16 | CONTROL_SELECT | CONTROL_READ;
    assert_eq!(guest.dma(control, 8, u64::MAX - 3), CONTROL_ERROR);
    assert_eq!(guest.dma(control, u32::MAX, 31 * MIB), CONTROL_ERROR);
    guest.device.write(DMA_HIGH, &[0xff; 8]);
    guest.device.write(DMA_LOW, &[0xff; 4]);
}

#[test]
fn a_restored_device_goes_on_where_the_saved_one_stood() {
    let first = guest();
    let key = first.key("etc/ramfb");
    first
        .memory
        .write_slice(b"abcd", GuestAddress(BUFFER))
        .unwrap();
    let control = u32::from(key) << 16 | CONTROL_SELECT | CONTROL_WRITE;
    first.dma(control, 4, BUFFER);
    first.read(first.key("etc/e820"), 7);
    let second = guest();
    second.device.restore(first.device.save());
    assert_eq!(*second.heard.lock().unwrap(), [b"abcd".to_vec()]);
    let mut rest = [0; 3];
    second.device.read(DATA, &mut rest);
    assert_eq!(&rest, b"map");
}
