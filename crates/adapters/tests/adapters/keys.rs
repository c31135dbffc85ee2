//! Is the signing key made, kept and read as its owner expects?

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use factory_adapters::keys::{KeyWarning, LocalKey};
use factory_domain::ports::{KeyError, Signer as _};

use super::signatures::openssl;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Whether OpenSSL accepts a signature by the key in `path`.
fn openssl_verifies(path: &Path, key: &LocalKey, message: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let public = String::from_utf8(openssl(&["pkey", "-in", path.to_str().unwrap(), "-pubout"])).unwrap();
    assert_eq!(key.public_key_pem(), public, "the same bytes as OpenSSL writes");
    fs::write(at("public"), public).unwrap();
    fs::write(at("message"), message).unwrap();
    fs::write(at("signature"), key.sign(message).unwrap()).unwrap();
    openssl(&["dgst", "-sha256", "-verify", &at("public"), "-signature", &at("signature"), &at("message")]);
}

#[test]
fn a_key_is_made_once_and_read_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/er/signing.pem");
    let (made, warning) = LocalKey::load_or_create(&path).unwrap();
    assert_eq!(warning, None);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left over");
    openssl_verifies(&path, &made, b"message");
    let (read, _) = LocalKey::load_or_create(&path).unwrap();
    assert_eq!(read.public_key_pem(), made.public_key_pem());
    let (loaded, _) = LocalKey::load(&path).unwrap();
    assert_eq!(loaded.public_key_pem(), made.public_key_pem());
}

#[test]
fn replicas_that_start_together_agree_on_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("signing.pem");
    let pems: Vec<String> = thread::scope(|scope| {
        let make = || LocalKey::load_or_create(&path).unwrap().0.public_key_pem().to_owned();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(pems.iter().all(|pem| *pem == pems[0]));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn keys_made_by_openssl_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &at("pkcs8")]);
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-out", &at("sec1-with-parameters")]);
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &at("sec1")]);
    for name in ["pkcs8", "sec1", "sec1-with-parameters"] {
        let path = directory.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let (key, warning) = LocalKey::load_or_create(&path).unwrap();
        assert_eq!(warning, None);
        openssl_verifies(&path, &key, b"message");
    }
}

#[test]
fn a_key_that_others_can_read_works_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("signing.pem");
    LocalKey::load_or_create(&path).unwrap();
    for others in [0o640, 0o604, 0o644, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(others)).unwrap();
        let (_, warning) = LocalKey::load_or_create(&path).unwrap();
        assert_eq!(warning, Some(KeyWarning::ReadableByOthers { path: path.clone(), mode: others }));
        assert!(warning.unwrap().to_string().contains(&format!("{others:o}")));
    }
}

#[test]
fn other_keys_are_refused_with_a_reason_and_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("signing.pem");
    let generate = |arguments: &[&str]| openssl(&[&["genpkey"], arguments].concat());
    let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    for (contents, expected) in [
        (generate(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]), "P-256"),
        (generate(&["-algorithm", "ed25519"]), "P-256"),
        (generate(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]), "P-256"),
        (generate(&[&p256[..], &["-aes256", "-pass", "pass:x"]].concat()), "encrypted"),
        (b"".to_vec(), "no private key"),
        (b"hello".to_vec(), "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec(), "P-256"),
        (vec![b'x'; 100_000], "too long"),
    ] {
        fs::write(&path, &contents).unwrap();
        let Err(error) = LocalKey::load_or_create(&path) else { panic!("accepted: {expected}") };
        assert!(matches!(error, KeyError::Invalid { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("signing.pem"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), contents);
    }
    let nowhere = LocalKey::load(&directory.path().join("nowhere"));
    assert!(matches!(nowhere, Err(KeyError::Unavailable { .. })));
    // Where nothing can be written, that is said.
    let blocked = LocalKey::load_or_create(&path.join("below a file"));
    assert!(matches!(blocked, Err(KeyError::Unavailable { .. })));
}
