//! Archives unpacked by the real helper. Needs root and user namespaces; skips itself saying so
//! otherwise.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use basalt_container::{ArchiveFault, ExtractError, ExtractReport, extract_with};
use basalt_model::container::IdMap;

/// Between two looks at something that another process does.
const POLL: Duration = Duration::from_millis(10);

const IDS: IdMap = IdMap {
    host: 100_000,
    count: 65536,
};

/// A directory to pack, the archive, and where it goes.
struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let bench = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(bench.source()).unwrap();
        fs::create_dir(bench.target()).unwrap();
        Some(bench)
    }

    fn source(&self) -> PathBuf {
        self.directory.path().join("source")
    }

    fn target(&self) -> PathBuf {
        self.directory.path().join("target")
    }

    fn archive(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    /// Fills the source with the least that passes for a root file system.
    fn make_root(&self) {
        let source = self.source();
        for directory in ["etc", "sbin", "usr/bin", "dev"] {
            fs::create_dir_all(source.join(directory)).unwrap();
        }
        program(&source.join("sbin/init"));
    }

    fn pack(&self, options: &[&str]) {
        let status = Command::new("tar")
            .args(["--create", "--xattrs", "--file"])
            .arg(self.archive())
            .args(options)
            .arg("--directory")
            .arg(self.source())
            .arg(".")
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// An archive of one file that takes long to write, and takes no space itself.
    fn make_huge_archive(&self) {
        const SIZE: u64 = 64 << 30;
        let mut header = tar::Header::new_gnu();
        header.set_path("huge").unwrap();
        header.set_mode(0o644);
        header.set_size(SIZE);
        header.set_cksum();
        let mut archive = File::create(self.archive()).unwrap();
        archive.write_all(header.as_bytes()).unwrap();
        archive.set_len(SIZE + 2048).unwrap();
    }

    /// Whether a process other than this one has the archive open.
    fn is_unpacking(&self) -> bool {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut inputs = processes.map(|process| fs::read_link(process.path().join("fd/0")));
        inputs.any(|input| input.is_ok_and(|input| input == self.archive()))
    }

    async fn extract(&self) -> Result<ExtractReport, ExtractError> {
        extract_with(
            Path::new(env!("CARGO_BIN_EXE_basalt-container")),
            File::open(self.archive()).unwrap().into(),
            File::open(self.target()).unwrap().into(),
            IDS,
        )
        .await
    }

    async fn fault(&self) -> ArchiveFault {
        match self.extract().await {
            Err(ExtractError::Fault(fault)) => fault,
            other => panic!("a fault, not {other:?}"),
        }
    }
}

fn program(path: &Path) {
    fs::write(path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn every_format_unpacks_with_ids_modes_and_capabilities() {
    for options in [&[][..], &["--gzip"], &["--xz"], &["--zstd"]] {
        let Some(bench) = Bench::new() else { return };
        bench.make_root();
        let tool = bench.source().join("usr/bin/tool");
        program(&tool);
        std::os::unix::fs::chown(&tool, Some(33), Some(44)).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).unwrap();
        bench.pack(options);
        assert_eq!(bench.extract().await.unwrap(), ExtractReport::default());
        let status = fs::metadata(bench.target().join("usr/bin/tool")).unwrap();
        // On disk the ids are those the container sees.
        assert_eq!((status.uid(), status.gid()), (33, 44));
        assert_eq!(status.mode() & 0o7777, 0o4755);
        assert_eq!(fs::metadata(bench.target().join("etc")).unwrap().uid(), 0);
    }
}

#[tokio::test]
async fn device_nodes_are_left_out() {
    let Some(bench) = Bench::new() else { return };
    bench.make_root();
    for place in ["dev/null", "etc/null"] {
        let status = Command::new("mknod")
            .arg(bench.source().join(place))
            .args(["c", "1", "3"])
            .status()
            .unwrap();
        assert!(status.success());
    }
    bench.pack(&[]);
    let report = bench.extract().await.unwrap();
    assert_eq!(report.skipped_devices, 1);
    assert!(!bench.target().join("dev/null").exists());
    assert!(!bench.target().join("etc/null").exists());
}

#[tokio::test]
async fn an_archive_cannot_leave_the_target() {
    let Some(bench) = Bench::new() else { return };
    bench.make_root();
    let outside = bench.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).unwrap();
    // First a link that leads out, then a file through it: what tar itself would refuse is also
    // absent from what it can see.
    symlink(&outside, bench.source().join("out")).unwrap();
    bench.pack(&[]);
    let evil = bench.directory.path().join("evil");
    fs::create_dir_all(evil.join("out")).unwrap();
    fs::write(evil.join("out/written"), "x").unwrap();
    let status = Command::new("tar")
        .args(["--append", "--file"])
        .arg(bench.archive())
        .arg("--directory")
        .arg(&evil)
        .arg("./out/written")
        .status()
        .unwrap();
    assert!(status.success());
    let _whatever_tar_thinks_of_it = bench.extract().await;
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn faults_are_told_apart() {
    let Some(bench) = Bench::new() else { return };
    fs::write(bench.archive(), "PK\x03\x04 this is no tar").unwrap();
    assert_eq!(bench.fault().await, ArchiveFault::UnknownFormat);

    bench.pack(&["--gzip"]);
    let missing = |what: &str| ArchiveFault::NotARoot {
        missing: what.to_owned(),
    };
    assert_eq!(bench.fault().await, missing("/etc directory"));

    bench.make_root();
    fs::write(bench.source().join("etc/large"), incompressible(300_000)).unwrap();
    fs::remove_file(bench.source().join("sbin/init")).unwrap();
    bench.pack(&["--gzip"]);
    assert_eq!(
        bench.fault().await,
        missing("init program (/sbin/init or systemd)")
    );

    let whole = fs::read(bench.archive()).unwrap();
    fs::write(bench.archive(), &whole[..whole.len() / 2]).unwrap();
    let fault = bench.fault().await;
    assert!(
        matches!(&fault, ArchiveFault::Damaged(line) if line.contains("nexpected")),
        "{fault}"
    );
}

fn incompressible(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
    .take(length)
    .collect()
}

#[tokio::test]
async fn unpacking_ends_with_whoever_asked_for_it() {
    let Some(bench) = Bench::new() else { return };
    bench.make_huge_archive();
    let begun = async {
        while !bench.target().join("huge").exists() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::select! {
        result = bench.extract() => panic!("that was quick: {result:?}"),
        () = begun => {}
    }
    let ended = async {
        while bench.is_unpacking() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended)
        .await
        .expect("tar ends");
}

#[tokio::test]
async fn the_hosts_own_ids_are_refused() {
    let Some(bench) = Bench::new() else { return };
    bench.make_root();
    bench.pack(&[]);
    let result = extract_with(
        Path::new(env!("CARGO_BIN_EXE_basalt-container")),
        File::open(bench.archive()).unwrap().into(),
        File::open(bench.target()).unwrap().into(),
        IdMap {
            host: 0,
            count: 65536,
        },
    )
    .await;
    assert!(matches!(
        result,
        Err(ExtractError::Fault(ArchiveFault::Setup(_)))
    ));
}
