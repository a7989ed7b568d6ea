//! Images as QEMU makes and checks them; a writer that is killed.

use super::*;
use crate::disk::Image;
use crate::disk::ring::Rings;
use crate::disk::testing::{read, run, write};
use basalt_model::disk::CacheMode;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const IMAGE: &str = "BASALT_TEST_IMAGE";
const SIZE: u64 = 32 << 20;
const UNIT: usize = 4096;
const FLUSH_EVERY: u64 = 7;

/// Runs `qemu-img`; none where it is not installed, which the test says.
fn qemu_img(words: &[&str]) -> Option<i32> {
    let status = Command::new("qemu-img")
        .args(words)
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) => status.code(),
        Err(error) => {
            eprintln!("skipped: qemu-img: {error}");
            None
        }
    }
}

fn open(path: &Path, backing: &[(ImageFormat, &Path)]) -> io::Result<Box<dyn Disk>> {
    let file = File::options().read(true).write(true).open(path)?;
    let below = |(format, path): &(ImageFormat, &Path)| Ok((*format, File::open(path)?));
    let backing = backing.iter().map(below).collect::<io::Result<_>>()?;
    let cache = CacheMode::Writeback;
    Image::prepare(
        "d",
        ImageFormat::Qcow2,
        file,
        backing,
        cache,
        false,
        &mut Rings::default(),
    )
    .open()
}

#[test]
fn chains_with_compressed_clusters_are_read_and_written_on_top_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut content = vec![0; 1 << 20];
    for (at, byte) in content.iter_mut().enumerate() {
        *byte = (at / 1000) as u8;
    }
    std::fs::write(path("raw"), &content).unwrap();
    let text = |name: &str| path(name).to_string_lossy().into_owned();
    let (raw, base, top) = (text("raw"), text("base.qcow2"), text("top.qcow2"));
    let convert = ["convert", "-q", "-c", "-O", "qcow2", &raw, &base];
    if qemu_img(&convert).is_none() {
        return;
    }
    let create = [
        "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &base, &top, "2M",
    ];
    assert_eq!(qemu_img(&create), Some(0));
    let before = std::fs::read(&base).unwrap();

    let below = (ImageFormat::Qcow2, path("base.qcow2"));
    let chain = [(below.0, below.1.as_path())];
    let mut disk = open(&path("top.qcow2"), &chain).unwrap();
    assert_eq!(disk.size(), 2 << 20);
    assert_eq!(read(&mut *disk, 0, 1 << 20).unwrap(), content);
    assert_eq!(read(&mut *disk, 1 << 20, 4096).unwrap(), [0; 4096]);
    write(&mut *disk, 70_144, &[0xab; 512]).unwrap();
    content[70_144..70_656].fill(0xab);
    let (offset, len, unmap) = (512 * 1024, 128 * 1024, true);
    run(&mut *disk, Operation::Zero { offset, len, unmap }).unwrap();
    content[512 * 1024..640 * 1024].fill(0);
    disk.grow(3 << 20).unwrap();
    disk.finish().unwrap();
    drop(disk);

    assert_eq!(std::fs::read(&base).unwrap(), before);
    assert_eq!(qemu_img(&["check", "-q", &top]), Some(0));
    let out = text("out");
    assert_eq!(qemu_img(&["convert", "-O", "raw", &top, &out]), Some(0));
    let found = std::fs::read(&out).unwrap();
    assert_eq!(found.len(), 3 << 20);
    assert!(found[..1 << 20] == content[..]);
}

#[test]
fn what_an_image_names_is_given_or_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (base, top, data) = (text("base"), text("top"), text("data"));
    let create = |words: &[&str]| {
        let mut all = vec!["create", "-q", "-f", "qcow2"];
        all.extend(words);
        qemu_img(&all)
    };
    if create(&[&base, "1M"]).is_none() {
        return;
    }
    create(&["-F", "qcow2", "-b", &base, &top]);
    let option = format!("data_file={data}");
    create(&["-o", &option, &text("split"), "1M"]);
    let refused = |name: &str, below: &[(ImageFormat, &Path)]| {
        let opened = open(Path::new(&text(name)), below);
        opened.err().unwrap().to_string()
    };
    assert!(refused("top", &[]).contains("not given"));
    let extra = [(ImageFormat::Raw, Path::new(&base))];
    assert!(refused("base", &extra).contains("names none"));
    assert!(refused("split", &[]).contains("another file"));
    std::fs::write(text("noise"), vec![0x51; 4096]).unwrap();
    refused("noise", &[]);
}

#[test]
fn an_image_that_does_not_count_its_tables_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let name = path.to_string_lossy().into_owned();
    for options in [
        "refcount_bits=16",
        "refcount_bits=1",
        "cluster_size=512,refcount_bits=64",
    ] {
        if qemu_img(&["create", "-q", "-f", "qcow2", "-o", options, &name, "8M"]).is_none() {
            return;
        }
        {
            let mut disk = open(&path, &[]).unwrap();
            write(&mut *disk, 0, &[1; 65536]).unwrap();
            disk.finish().unwrap();
        }
        open(&path, &[]).unwrap();
        // Nothing is counted any more.
        let mut bytes = std::fs::read(&path).unwrap();
        let table = u64::from_be_bytes(bytes[48..56].try_into().unwrap()) as usize;
        bytes[table..table + 8].fill(0);
        std::fs::write(&path, &bytes).unwrap();
        let refused = open(&path, &[]).err().unwrap().to_string();
        assert!(
            refused.contains("header is not counted"),
            "{options}: {refused}"
        );
    }
}

/// Headers and tables full of noise: an answer or an error, never a crash.
#[test]
fn damaged_images_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let name = path.to_string_lossy().into_owned();
    if qemu_img(&["create", "-q", "-f", "qcow2", &name, "8M"]).is_none() {
        return;
    }
    {
        let mut disk = open(&path, &[]).unwrap();
        write(&mut *disk, 0, &[1; 65536]).unwrap();
        disk.finish().unwrap();
    }
    let good = std::fs::read(&path).unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..300 {
        let mut bad = good.clone();
        for _ in 0..4 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            // The header, or the first bytes of a table.
            let at = (seed >> 33) as usize % 6 * 65536 + (seed >> 20) as usize % 104;
            if let Some(byte) = bad.get_mut(at) {
                *byte = (seed >> 50) as u8;
            }
        }
        std::fs::write(&path, &bad).unwrap();
        if let Ok(mut disk) = open(&path, &[]) {
            let size = disk.size();
            for offset in [0, 4 << 20] {
                if offset + 512 <= size {
                    let _ = read(&mut *disk, offset, 512);
                    let _ = write(&mut *disk, offset, &[2; 512]);
                }
            }
        }
    }
}

/// Place of a write, by its number, in the first half.
fn place(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 20) % (SIZE / 2 / UNIT as u64) * UNIT as u64
}

/// Writes without end, and says which writes are flushed.
#[test]
#[ignore = "run by another test, in a process that is killed"]
fn writer() {
    let Ok(image) = std::env::var(IMAGE) else {
        return;
    };
    let (path, first) = image.split_once(' ').unwrap();
    let mut disk = open(Path::new(path), &[]).unwrap();
    for number in first.parse::<u64>().unwrap().. {
        let unit: Vec<u8> = number.to_le_bytes().repeat(UNIT / 8);
        write(&mut *disk, place(number), &unit).unwrap();
        if number % 31 == 0 {
            // In the second half clusters come and go.
            let (offset, len) = (SIZE / 2, SIZE / 2);
            write(&mut *disk, offset + place(number), &unit).unwrap();
            run(&mut *disk, Operation::Discard { offset, len }).unwrap();
        }
        if number % FLUSH_EVERY == 0 {
            run(&mut *disk, Operation::Flush).unwrap();
            println!("flushed {number}");
            io::stdout().flush().unwrap();
        }
    }
}

#[test]
fn killing_the_writer_loses_nothing_that_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.qcow2");
    let name = path.to_string_lossy().into_owned();
    let size = SIZE.to_string();
    if qemu_img(&["create", "-q", "-f", "qcow2", &name, &size]).is_none() {
        return;
    }
    let mut flushed: HashMap<u64, u64> = HashMap::new();
    let mut next = 1u64;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "disk::qcow2::tests::writer"])
            .args(["--ignored", "--nocapture"])
            .env(IMAGE, format!("{name} {next}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = next;
        let mut seen = 0;
        for line in lines {
            let line = line.unwrap();
            // The first comes behind the test's own name.
            if let Some((_, number)) = line.split_once("flushed ") {
                last = number.parse().unwrap();
                seen += 1;
            }
            if seen == 3 + round * 5 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        for number in next..=last {
            flushed.insert(place(number), number);
        }
        // 3 means clusters that nothing uses, which a repair gives back.
        let checked = qemu_img(&["check", "-q", &name]);
        assert!(matches!(checked, Some(0 | 3)), "round {round}: {checked:?}");
        if checked == Some(3) {
            assert_eq!(qemu_img(&["check", "-q", "-r", "leaks", &name]), Some(0));
        }
        let mut disk = open(&path, &[]).unwrap();
        for (offset, number) in &mut flushed {
            let unit = read(&mut *disk, *offset, UNIT).unwrap();
            let found = u64::from_le_bytes(unit[..8].try_into().unwrap());
            // A later write may have made it, too.
            let newer = found > *number && place(found) == *offset;
            assert!(found == *number || newer, "round {round}: {offset:#x}");
            *number = found;
        }
        next = last + 1000;
    }
}
