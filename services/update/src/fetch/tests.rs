//! Fetching from a server in this process that cuts lines, lies, and knows no stretches.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::testing::{self, Ears, FakeHost};
use sha2::Digest as _;

/// What a server does with every request.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Good,
    /// Never gives more than so many bytes.
    Cuts(u64),
    /// Gives the whole file, whatever is asked for.
    Whole,
    /// After so many bytes in all it gives nothing any more.
    Dies(u64),
}

struct Server {
    url: String,
    sent: Arc<AtomicU64>,
}

fn serve(content: Vec<u8>, manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/bundle", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that has what it wants hangs up; that is no fault of the server.
            let _ = answer(stream.unwrap(), &content, manner, &counter);
        }
    });
    Server { url, sent }
}

fn answer(
    mut stream: TcpStream,
    content: &[u8],
    manner: Manner,
    sent: &AtomicU64,
) -> std::io::Result<()> {
    let mut range = None;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        range = range.or_else(|| {
            let (from, to) = line.strip_prefix("range: bytes=")?.split_once('-')?;
            Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?))
        });
    }
    let size = content.len() as u64;
    let mut head = String::new();
    let (from, end) = match range.filter(|_| manner != Manner::Whole) {
        Some((from, to)) => {
            let end = (to + 1).min(size);
            head = format!(
                "HTTP/1.1 206 Partial\r\nContent-Range: bytes {from}-{}/{size}\r\n",
                end - 1
            );
            (from, end)
        }
        None => {
            head.push_str("HTTP/1.1 200 OK\r\n");
            (0, size)
        }
    };
    let allowed = match manner {
        Manner::Good | Manner::Whole => u64::MAX,
        Manner::Cuts(limit) => limit,
        Manner::Dies(limit) => limit.saturating_sub(sent.load(Ordering::SeqCst)),
    };
    write!(
        stream,
        "{head}Content-Length: {}\r\nConnection: close\r\n\r\n",
        end - from
    )?;
    let end = end.min(from.saturating_add(allowed));
    sent.fetch_add(end - from, Ordering::SeqCst);
    stream.write_all(&content[from as usize..end as usize])
}

fn noise(blocks: std::ops::Range<u32>) -> Vec<u8> {
    blocks
        .flat_map(|number| {
            let seed = sha2::Sha256::digest(number.to_le_bytes());
            seed.into_iter().cycle().take(BLOCK)
        })
        .collect()
}

/// Puts a root and the beginning of its hash tree into the running slot.
fn put_root(fake: &FakeHost, root: &[u8]) {
    use std::os::unix::fs::FileExt;
    let table = Table::read(&fake.host.disk).unwrap();
    let disk = fs::File::options()
        .write(true)
        .open(&fake.host.disk)
        .unwrap();
    let mut superblock = vec![0; 512];
    superblock[..6].copy_from_slice(b"verity");
    superblock[64..68].copy_from_slice(&(BLOCK as u32).to_le_bytes());
    superblock[72..80].copy_from_slice(&((root.len() / BLOCK) as u64).to_le_bytes());
    for (number, bytes) in [(2, root), (3, superblock.as_slice())] {
        let offset = table.entry(number).unwrap().offset;
        disk.write_all_at(bytes, offset).unwrap();
    }
}

fn fetch(fake: &FakeHost, url: &str) -> (Result<PathBuf, Error>, u64, Vec<String>) {
    let mut fetch = Fetch::new(&fake.host, url);
    fetch.pause = Duration::ZERO;
    let mut ears = Ears::default();
    let result = fetch.run(&fake.host, Options::default(), testing::ALL, &mut ears);
    (result, fetch.moved, ears.said)
}

/// The 1.2 MB of blocks 0 to 300 are in the slot; the new version has a block more in front and
/// another one in the middle.
fn case() -> (FakeHost, Vec<u8>) {
    let fake = testing::host();
    put_root(&fake, &noise(0..300));
    let root = [
        noise(900..901),
        noise(0..150),
        noise(901..902),
        noise(151..300),
    ]
    .concat();
    let path = testing::bundle_with("0.2.0", root).write(fake.dir.path());
    let content = fs::read(&path).unwrap();
    (fake, content)
}

#[test]
fn only_what_is_missing_moves() {
    let (fake, content) = case();
    let server = serve(content.clone(), Manner::Good);
    let (path, moved, said) = fetch(&fake, &server.url);
    let path = path.unwrap();
    assert_eq!(read_parts(&path), read_parts_of(&content));
    // Two blocks, hash tree, kernel image, list of blocks and the head.
    assert!(moved < 300_000, "{moved} of {}", content.len());
    assert!(
        said.iter().any(|text| text.contains("in the slots")),
        "{said:?}"
    );
    let options = Options::default();
    let slot = install(
        &fake.host,
        &path,
        options,
        testing::ALL,
        &mut Ears::default(),
    );
    assert_eq!(slot.unwrap().slot, basalt_layout::Slot::B);
}

/// Everything but the headers, which hold times and owners.
fn read_parts(path: &Path) -> Vec<(String, Vec<u8>)> {
    read_parts_of(&fs::read(path).unwrap())
}

fn read_parts_of(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        })
        .collect()
}

#[test]
fn a_broken_line_goes_on_where_it_was() {
    let fake = testing::host();
    let path = testing::bundle("0.2.0").write(fake.dir.path());
    let content = fs::read(&path).unwrap();
    let size = content.len() as u64;
    let server = serve(content, Manner::Cuts(400_000));
    let (path, moved, said) = fetch(&fake, &server.url);
    assert_eq!(
        read_parts(&path.unwrap()),
        read_parts(&fake.dir.path().join("bundle.tar"))
    );
    assert!(moved < size + 100_000, "{moved} of {size}");
    let lost = said.iter().filter(|text| text.contains("is lost"));
    assert!(lost.count() >= 4, "{said:?}");
}

#[test]
fn another_try_goes_on_where_the_first_has_ended() {
    let fake = testing::host();
    let path = testing::bundle_with("0.2.0", noise(0..700)).write(fake.dir.path());
    let content = fs::read(&path).unwrap();
    let server = serve(content.clone(), Manner::Dies(1_500_000));
    let (result, _, _) = fetch(&fake, &server.url);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("given up after"), "{error}");
    assert!(server.sent.load(Ordering::SeqCst) >= 1_500_000);

    let server = serve(content.clone(), Manner::Good);
    let (path, moved, said) = fetch(&fake, &server.url);
    assert_eq!(read_parts(&path.unwrap()), read_parts_of(&content));
    let left = content.len() as u64 - 1_500_000;
    assert!(moved < left + 200_000, "{moved}, {left} were left");
    assert!(
        said.iter().any(|text| text.contains("from before")),
        "{said:?}"
    );
}

#[test]
fn a_server_without_stretches_will_do() {
    let (fake, content) = case();
    let server = serve(content.clone(), Manner::Whole);
    let (path, _, _) = fetch(&fake, &server.url);
    assert_eq!(read_parts(&path.unwrap()), read_parts_of(&content));
}

#[test]
fn what_a_server_should_not_give_is_refused_and_changes_nothing() {
    let (fake, content) = case();
    let before = fake.fingerprint();
    let refuse = |content: Vec<u8>, expected: &str| {
        let server = serve(content, Manner::Good);
        // Nothing is left from the try before.
        let _ = fs::remove_file(fake.host.state.join("download.bundle"));
        let (result, moved, _) = fetch(&fake, &server.url);
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fake.fingerprint(), before);
        moved
    };
    let mut changed = content.clone();
    let last = changed.len() - 20_000;
    changed[last] ^= 1;
    refuse(changed, "is not what the manifest names");
    let mut changed = content.clone();
    changed[6_000] ^= 1;
    refuse(changed, "list of blocks is damaged");
    refuse(b"<html>nothing here</html>".to_vec(), "no tar archive");
    let bundle = |change: &dyn Fn(&mut testing::BundleBuilder)| {
        let mut bundle = testing::bundle("0.2.0");
        change(&mut bundle);
        fs::read(bundle.write(fake.dir.path())).unwrap()
    };
    refuse(bundle(&|b| b.key = Some(9)), "no key that this host trusts");
    refuse(
        bundle(&|b| b.manifest.parts.root.size = 2 << 30),
        "wrong size",
    );
    let older = testing::bundle("0.0.9").write(fake.dir.path());
    let moved = refuse(fs::read(older).unwrap(), "older than the running");
    assert!(moved <= HEAD, "refused before it is fetched: {moved}");

    let (result, _, _) = fetch(&fake, "http://127.0.0.1:1/none");
    assert!(matches!(result, Err(Error::Http { .. })));
    let (result, _, _) = fetch(&fake, "no address");
    assert!(matches!(result, Err(Error::Http { .. })));
}
