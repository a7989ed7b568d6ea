//! A token made of files signs an EFI program and a manifest; others check both.

use super::*;
use crate::keys::{BootKey, Keys, Role, Tokens, authenticode};
use crate::tools::{self, Tool};
use ed25519_dalek::Signature;
use std::path::Path;
use std::process::Command;

/// Where SoftHSM finds its configuration.
const CONFIGURATION: &str = "SOFTHSM2_CONF";
/// Its module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "123456";

#[test]
fn a_uri_names_a_key_and_no_pin() {
    let uri: Uri =
        "pkcs11:token=our%20keys;object=boot;type=private?module-path=/m.so&pin-source=file:/p"
            .parse()
            .unwrap();
    assert_eq!(
        (uri.token.as_str(), uri.object.as_str()),
        ("our keys", "boot")
    );
    assert_eq!(uri.module, Path::new("/m.so"));
    assert_eq!(uri.pin.as_deref(), Some(Path::new("/p")));
    for (text, reason) in [
        ("token=a", "does not begin with `pkcs11:`"),
        ("pkcs11:object=a?module-path=/m", "`token=` is missing"),
        ("pkcs11:token=a?module-path=/m", "`object=` is missing"),
        ("pkcs11:token=a;object=b", "`module-path=` is missing"),
        (
            "pkcs11:token=a;object=b;colour=red",
            "`colour` is not understood",
        ),
        ("pkcs11:token=%zz;object=b", "`token` is badly encoded"),
        ("pkcs11:token=a;object=b?pin-value=1234", "use `pin-source`"),
    ] {
        let error = text.parse::<Uri>().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("1234"), "{error}");
    }
}

/// Runs itself once more with a token of its own: the module reads its configuration from the
/// environment of the process.
#[test]
fn a_token_signs_what_others_verify() {
    if std::env::var_os(CONFIGURATION).is_some() {
        sign_and_verify(Path::new(&std::env::var_os("BASALT_TEST_TOKEN").unwrap()));
        return;
    }
    tools::ensure(&[Tool::SoftHsm, Tool::SbVerify, Tool::Openssl]).unwrap();
    let place = tempfile::tempdir().unwrap();
    let configuration = fill(place.path());
    let again = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "keys::token::tests::a_token_signs_what_others_verify",
        ])
        .env(CONFIGURATION, configuration)
        .env("BASALT_TEST_TOKEN", place.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(
        again.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// Makes a token with both keys.
fn fill(place: &Path) -> PathBuf {
    let tokens = place.join("tokens");
    fs::create_dir(&tokens).unwrap();
    let configuration = place.join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    fs::write(&configuration, text).unwrap();
    fs::write(place.join("pin"), format!("{PIN}\n")).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(place)
            .env(CONFIGURATION, &configuration)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    };
    let begin = [
        "--init-token",
        "--free",
        "--label",
        "our keys",
        "--pin",
        PIN,
        "--so-pin",
        PIN,
    ];
    run("softhsm2-util", &begin);
    for (name, id, algorithm) in [("boot", "01", "RSA"), ("update", "02", "ED25519")] {
        let file = format!("{name}.pem");
        run(
            "openssl",
            &["genpkey", "-algorithm", algorithm, "-out", &file],
        );
        let import = ["--import", &file, "--token", "our keys", "--label", name];
        run(
            "softhsm2-util",
            &[&import[..], &["--id", id, "--pin", PIN]].concat(),
        );
    }
    configuration
}

fn sign_and_verify(place: &Path) {
    let uri = |object: &str| -> Uri {
        let pin = place.join("pin");
        let text = format!(
            "pkcs11:token=our%20keys;object={object}?module-path={MODULE}&pin-source=file:{}",
            pin.display()
        );
        text.parse().unwrap()
    };
    let tokens = Tokens {
        boot: Some(uri("boot")),
        update: Some(uri("update")),
    };
    let keys = Keys::make(&place.join("set"), &tokens).unwrap();
    for secret in ["boot.key", "update.key"] {
        assert!(!keys.dir().join(secret).exists(), "{secret}");
    }
    assert_eq!(keys.boot_key().unwrap(), BootKey::Token(uri("boot")));
    boot_key_signs(place, &keys, &uri("boot"));

    let update = keys.update_key().unwrap();
    let signature = Signature::from_bytes(&update.sign(b"a manifest").unwrap());
    let public = update.public();
    public.verify_strict(b"a manifest", &signature).unwrap();

    let kind = TokenKey::open(&uri("boot")).unwrap().ed25519_public();
    assert!(kind.unwrap_err().to_string().contains("no Ed25519 key"));
    let none = TokenKey::open(&uri("none")).err().unwrap().to_string();
    assert!(none.contains("0 private keys have this name"), "{none}");
    // Another key under the same name does not go unnoticed.
    fs::copy(
        Keys::development().unwrap().dir().join("update.pub"),
        keys.dir().join("update.pub"),
    )
    .unwrap();
    let error = keys.update_key().err().unwrap().to_string();
    assert!(error.contains("not the public half"), "{error}");
}

/// `sbverify` checks the signature of a program as firmware does.
fn boot_key_signs(place: &Path, keys: &Keys, uri: &Uri) {
    let certificate = keys.certificate(Role::Boot);
    let pem = fs::read(&certificate).unwrap();
    let der = x509_parser::pem::parse_x509_pem(&pem).unwrap().1.contents;
    let key = TokenKey::open(uri).unwrap();
    let program = program();
    let path = place.join("program.efi");
    let sign = || authenticode::sign(&path, &program, &der, |bytes| key.sign_rsa(bytes)).unwrap();
    let signed = sign();
    assert_eq!(signed, sign(), "equal inputs give equal bits");
    let verifies = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let mut verify = Command::new("sbverify");
        let verify = verify.arg("--cert").arg(&certificate).arg(&path);
        verify.output().unwrap().status.success()
    };
    assert!(verifies(&signed));
    let mut changed = signed.clone();
    changed[0x400] ^= 1;
    assert!(!verifies(&changed));
    assert!(!verifies(&program));
    let again = authenticode::sign(&path, &signed, &der, |bytes| key.sign_rsa(bytes));
    assert!(again.unwrap_err().to_string().contains("without signature"));
}

/// A small 64-bit EFI program: headers and two sections.
fn program() -> Vec<u8> {
    let mut image = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x80_u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    // x86-64, two sections, an optional header with 16 directories, an executable.
    put(0x84, &0x8664_u16.to_le_bytes());
    put(0x86, &2_u16.to_le_bytes());
    put(0x94, &240_u16.to_le_bytes());
    put(0x96, &0x22_u16.to_le_bytes());
    put(0x98, &0x20b_u16.to_le_bytes());
    // Section and file alignment, sizes of image and headers, an EFI application.
    put(0x98 + 32, &0x1000_u32.to_le_bytes());
    put(0x98 + 36, &0x200_u32.to_le_bytes());
    put(0x98 + 56, &0x3000_u32.to_le_bytes());
    put(0x98 + 60, &0x400_u32.to_le_bytes());
    put(0x98 + 68, &10_u16.to_le_bytes());
    put(0x98 + 108, &16_u32.to_le_bytes());
    for (index, name) in [b".text\0\0\0", b".data\0\0\0"].iter().enumerate() {
        let at = 0x98 + 240 + 40 * index;
        let step = index as u32;
        put(at, *name);
        put(at + 8, &0x200_u32.to_le_bytes());
        put(at + 12, &(0x1000 + 0x1000 * step).to_le_bytes());
        put(at + 16, &0x200_u32.to_le_bytes());
        put(at + 20, &(0x400 + 0x200 * step).to_le_bytes());
    }
    image.extend((0..0x400_u32).map(|n| n as u8));
    image
}
