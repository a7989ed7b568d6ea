//! Update bundles: archives as they come, and manifests by whoever could sign them; and the headers of
//! the kernel images in them.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::files;
use crate::input::Input;
use basalt_update::Observer;
use basalt_update::bundle::{self, Nothing};
use basalt_update::observer::Span;
use basalt_update::pe;
use basalt_update::signature::Keys;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer, SigningKey};

const ALL: Span = Span { from: 0, to: 100 };

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("basalt-fuzz-{}", std::process::id()));
    let pem = KEY.verifying_key().to_public_key_pem(LineEnding::LF);
    std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::write(dir.join("fuzz.pub"), pem.expect("a key can be written")))
        .expect("there is room for a key");
    let keys = Keys::read(&dir).expect("the key was written just now");
    let _ = std::fs::remove_dir_all(&dir);
    keys
});

struct Deaf;

impl Observer for Deaf {
    fn say(&mut self, _text: &str) {}
}

/// Reads a bundle that lies in memory.
fn read(bytes: &[u8]) {
    let file: File = files::with(bytes);
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let _ = bundle::manifest(&path, &KEYS);
    let _ = bundle::read(&path, &KEYS, &mut Nothing, ALL, &mut Deaf);
}

/// An archive with this manifest, well signed, and one more file.
fn signed(manifest: &[u8], more: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let signature = KEY.sign(manifest).to_bytes();
    let entries = [
        ("manifest.json", manifest),
        ("manifest.json.sig", &signature),
        ("basalt_1.0.0.blocks", more),
    ];
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive
            .append_data(&mut header, name, content)
            .expect("memory can be written");
    }
    archive.into_inner().expect("memory can be written")
}

/// Plays one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => read(input.rest()),
        1 => {
            let more = input.bytes(8);
            read(&signed(input.rest(), more));
        }
        _ => {
            let headers = input.rest();
            for name in [".linux", ".osrel", ".cmdline"] {
                let _ = pe::content(headers, name);
            }
            let _ = pe::is_whole(headers, headers.len() as u64);
        }
    }
}
