//! Every target, with its corpus and with what chance makes of it: nothing falls over what was found
//! before, and for a bounded time nothing else does. Finding what is new takes libFuzzer, and longer:
//! `cargo image fuzz --seconds 600`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use basalt_fuzz::targets::{ALL, Target};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How long a target gets inputs that chance made.
const TIME: Duration = Duration::from_secs(2);
/// Longest input, in bytes.
const LONGEST: usize = 4096;
/// Most changes between an input and the one that is made of it.
const MOST_CHANGES: usize = 6;
/// Numbers at which things end.
const EDGES: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];

/// Whether a thread of a target has panicked that is not the test's own.
static ELSEWHERE: AtomicBool = AtomicBool::new(false);

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What everybody has of a target's corpus; at least the empty input.
fn corpus(target: Target) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder().join("corpus").join(target.name));
    let files = files.into_iter().flatten().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    let mut inputs = vec![Vec::new()];
    inputs.extend(files.iter().map(|file| fs::read(file).unwrap()));
    inputs
}

/// An input made of one or two others.
fn vary(corpus: &[Vec<u8>], chance: &mut StdRng) -> Vec<u8> {
    let mut input = corpus[chance.gen_range(0..corpus.len())].clone();
    for _ in 0..chance.gen_range(1..=MOST_CHANGES) {
        let at = chance.gen_range(0..=input.len());
        match chance.gen_range(0..6) {
            0 => input.truncate(at),
            1 => {
                let other = &corpus[chance.gen_range(0..corpus.len())];
                let from = chance.gen_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            2 => {
                let more: Vec<u8> = (0..chance.gen_range(1..64))
                    .map(|_| chance.r#gen())
                    .collect();
                input.splice(at..at, more);
            }
            kind => {
                let Some(byte) = input.get_mut(at) else {
                    continue;
                };
                *byte = match kind {
                    3 => *byte ^ (1 << chance.gen_range(0..8)),
                    4 => EDGES[chance.gen_range(0..EDGES.len())],
                    _ => chance.r#gen(),
                };
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// Plays an input, and keeps it if it is a finding.
fn play(target: Target, input: &[u8]) {
    let played = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let elsewhere = ELSEWHERE.swap(false, Ordering::Relaxed);
    if played.is_ok() && !elsewhere {
        return;
    }
    let file = std::env::temp_dir().join(format!("finding-{}", target.name));
    fs::write(&file, input).unwrap();
    eprintln!("the input is {}", file.display());
    match played {
        Err(panic) => resume_unwind(panic),
        Ok(()) => panic!("another thread panicked"),
    }
}

/// Panics of threads that targets make are findings as well.
fn watch_other_threads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Tests run in threads that have their names.
        let name = std::thread::current().name().map(str::to_owned);
        let is_test = name.is_some_and(|name| ALL.iter().any(|target| name == target.name));
        ELSEWHERE.fetch_or(!is_test, Ordering::Relaxed);
        usual(panic);
    }));
}

fn bounded(name: &str) {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(watch_other_threads);
    let target = *ALL.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    for input in &corpus {
        play(target, input);
    }
    let mut chance = StdRng::from_entropy();
    let began = Instant::now();
    while began.elapsed() < TIME {
        play(target, &vary(&corpus, &mut chance));
    }
}

/// A test for each target, by its name.
macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                bounded(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_here() {
            let names: Vec<&str> = ALL.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

tests! {
    answer
    board
    bundle
    control
    fw_cfg
    i8042
    kernel
    pci
    properties
    qcow2
    qcow2_header
    ramfb
    rfb
    security_key
    sidecar
    state_restore
    state_tree
    ticket
    tpm
    transfer
    vfio
    virtio_balloon
    virtio_block
    virtio_console
    virtio_fs
    virtio_gpu
    virtio_input
    virtio_mem
    virtio_net
    virtio_ports
    virtio_rng
    virtio_scsi
    virtio_vsock
}
