//! Are the keys of Secure Boot read, refused and made as their owner expects?

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use factory_adapters::keys::{
    GenerateError, KeyWarning, Passphrase, RsaFileKey, generate_secure_boot_keys, load_certificate,
};
use factory_domain::ports::{KeyError, RsaSigner as _, SecureBootKeys, SignatureHash, UnfitKeys};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tempfile::TempDir;

use super::signatures::openssl;

/// A directory with files by name.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A private file of these bytes.
    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn rsa(&self, name: &str, bits: &str) -> PathBuf {
        let size = format!("rsa_keygen_bits:{bits}");
        self.put(name, &openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", &size]))
    }

    fn certificate(&self, name: &str, key: &Path, more: &[&str]) -> PathBuf {
        let key = key.to_str().unwrap();
        let base = ["req", "-new", "-x509", "-key", key, "-sha256", "-days", "3650", "-subj", "/CN=test"];
        self.put(name, &openssl(&[&base[..], more].concat()))
    }
}

fn load(path: &Path) -> Result<RsaFileKey, KeyError> {
    RsaFileKey::load(path, &Passphrase::None).map(|(key, _)| key)
}

/// Whether OpenSSL accepts signatures of this key in all banks.
fn openssl_verifies(desk: &Desk, key: &RsaFileKey) {
    desk.put("public", key.public_key().pem().as_bytes());
    let message = b"message";
    for (hash, name, digest) in [
        (SignatureHash::Sha256, "sha256", Sha256::digest(message).to_vec()),
        (SignatureHash::Sha384, "sha384", Sha384::digest(message).to_vec()),
        (SignatureHash::Sha512, "sha512", Sha512::digest(message).to_vec()),
    ] {
        let signature = key.sign(hash, &digest).unwrap();
        assert_eq!(signature, key.sign(hash, &digest).unwrap(), "the same every time");
        desk.put("message", message);
        desk.put("signature", &signature);
        let (public, signature, message) =
            (desk.text("public"), desk.text("signature"), desk.text("message"));
        openssl(&["dgst", &format!("-{name}"), "-verify", &public, "-signature", &signature, &message]);
        assert!(key.sign(hash, &digest[1..]).is_err());
    }
}

#[test]
fn keys_made_by_openssl_are_read() {
    let desk = Desk::new();
    let plain = desk.rsa("pkcs8", "2048");
    let plain_text = desk.text("pkcs8");
    let old = desk.put("pkcs1", &openssl(&["rsa", "-in", &plain_text, "-traditional"]));
    for path in [&plain, &old] {
        openssl_verifies(&desk, &load(path).unwrap());
    }
    openssl_verifies(&desk, &load(&desk.rsa("large", "4096")).unwrap());
    let said = openssl(&["pkey", "-in", &plain_text, "-pubout"]);
    assert_eq!(load(&plain).unwrap().public_key().pem().into_bytes(), said);
    let text = [b"What is in front does not matter.\n", &fs::read(&plain).unwrap()[..]].concat();
    load(&desk.put("commented", &text)).unwrap();
}

#[test]
fn encrypted_keys_are_read_with_their_passphrase() {
    let desk = Desk::new();
    desk.rsa("plain", "2048");
    let plain = desk.text("plain");
    let topk8 = ["pkcs8", "-topk8", "-in", &plain, "-passout", "pass:s e c r e t"];
    let file = Passphrase::File(desk.put("passphrase", b"s e c r e t\n"));
    let value = Passphrase::Value("s e c r e t".to_owned());
    for more in
        [&[][..], &["-v2", "aes-128-cbc"], &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"], &["-scrypt"]]
    {
        let sealed = desk.put("sealed", &openssl(&[&topk8[..], more].concat()));
        for passphrase in [&file, &value] {
            let (key, warning) = RsaFileKey::load(&sealed, passphrase).unwrap();
            assert_eq!(warning, None);
            openssl_verifies(&desk, &key);
        }
        let wrong = Passphrase::Value("secret".to_owned());
        for (passphrase, expected) in
            [(wrong, "passphrase is another one"), (Passphrase::None, "no passphrase")]
        {
            let Err(KeyError::Invalid { reason, .. }) = RsaFileKey::load(&sealed, &passphrase) else {
                panic!("accepted with {passphrase:?}")
            };
            assert!(reason.contains(expected), "{reason}");
        }
        let nowhere = Passphrase::File(desk.path("nowhere"));
        assert!(matches!(RsaFileKey::load(&sealed, &nowhere), Err(KeyError::Unavailable { .. })));
    }
    assert!(!format!("{value:?}").contains("e c r e"), "secrets are not printed");
}

#[test]
fn other_keys_are_refused_with_a_reason() {
    let desk = Desk::new();
    desk.rsa("plain", "2048");
    let plain = desk.text("plain");
    let old = ["rsa", "-in", &plain, "-traditional", "-aes128", "-passout", "pass:x"];
    for (contents, expected) in [
        (openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]), "no RSA key"),
        (openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]), "no RSA key"),
        (openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]), "2048"),
        (openssl(&old), "openssl pkcs8 -topk8"),
        (openssl(&["pkey", "-in", &plain, "-pubout"]), "no private key"),
        (b"".to_vec(), "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec(), "no RSA key"),
        (vec![b'x'; 100_000], "too long"),
    ] {
        let path = desk.put("other", &contents);
        let Err(error) = load(&path) else { panic!("accepted: {expected}") };
        assert!(matches!(error, KeyError::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(expected) && error.to_string().contains("other"), "{error}");
    }
    assert!(matches!(load(&desk.path("nowhere")), Err(KeyError::Unavailable { .. })));
}

#[test]
fn a_key_that_others_can_read_works_with_a_warning() {
    let desk = Desk::new();
    let path = desk.rsa("key", "2048");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, warning) = RsaFileKey::load(&path, &Passphrase::None).unwrap();
    assert_eq!(warning, Some(KeyWarning::ReadableByOthers { path, mode: 0o644 }));
}

#[test]
fn key_and_certificate_must_belong_together() {
    let desk = Desk::new();
    let (own, other) = (desk.rsa("own", "2048"), desk.rsa("other", "2048"));
    let certificate = load_certificate(&desk.certificate("certificate", &own, &[])).unwrap();
    let key = |path: &Path| Arc::new(load(path).unwrap());
    let set = |signing: &Path| SecureBootKeys::new(certificate.clone(), key(signing), key(&other));
    set(&own).unwrap();
    assert_eq!(set(&other).unwrap_err(), UnfitKeys::Mismatch);
    let web = desk.certificate("web", &own, &["-addext", "extendedKeyUsage=serverAuth"]);
    let web = load_certificate(&web).unwrap();
    let error = SecureBootKeys::new(web, key(&own), key(&other)).unwrap_err();
    assert!(matches!(error, UnfitKeys::Certificate(_)), "{error}");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let desk = Desk::new();
    let key = desk.rsa("key", "2048");
    let whole = fs::read(desk.certificate("certificate", &key, &[])).unwrap();
    let mut der = openssl(&["x509", "-in", &desk.text("certificate"), "-outform", "der"]);
    for bytes in [&b""[..], &fs::read(&key).unwrap(), &der] {
        assert!(matches!(load_certificate(&desk.put("bad", bytes)), Err(KeyError::Invalid { .. })));
    }
    der.truncate(500);
    let cut = factory_formats::pem::encode("CERTIFICATE", &der);
    assert!(matches!(load_certificate(&desk.put("bad", cut.as_bytes())), Err(KeyError::Invalid { .. })));
    // A chain: the first counts.
    let other = fs::read(desk.certificate("other", &desk.rsa("second", "2048"), &[])).unwrap();
    let chain = load_certificate(&desk.put("chain", &[whole.clone(), other].concat())).unwrap();
    assert_eq!(chain.pem().into_bytes(), whole);
}

#[test]
fn a_generated_set_works_and_is_never_overwritten() {
    let desk = Desk::new();
    let directory = desk.path("new/keys");
    let made = generate_secure_boot_keys(&directory, "Test Keys").unwrap();
    let names: Vec<_> = made.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "uki-signing-key.pem",
            "uki-signing-cert.pem",
            "uki-signing-cert.der",
            "pcr-signing-key.pem",
            "PK.esl",
            "PK.auth",
            "KEK.esl",
            "KEK.auth",
            "db.esl",
            "db.auth"
        ]
    );
    for (path, name) in made.iter().zip(names) {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if name.ends_with("key.pem") { 0o600 } else { 0o644 }, "{name}");
    }
    let certificate = load_certificate(&made[1]).unwrap();
    SecureBootKeys::new(certificate, Arc::new(load(&made[0]).unwrap()), Arc::new(load(&made[3]).unwrap()))
        .unwrap();
    let text = openssl(&["x509", "-in", made[1].to_str().unwrap(), "-noout", "-text"]);
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("CN = Test Keys") && text.contains("Code Signing"), "{text}");
    let error = generate_secure_boot_keys(&directory, "Test Keys").unwrap_err();
    assert!(matches!(error, GenerateError::Exists(_)), "{error}");

    // Another reader of the lists.
    let base = desk.text("found");
    let output = Command::new("sig-list-to-certs").args([made[8].to_str().unwrap(), &base]).output();
    let output = output.expect("sig-list-to-certs runs: install the Debian package efitools");
    assert!(output.status.success());
    assert_eq!(fs::read(desk.path("found-0.der")).unwrap(), fs::read(&made[2]).unwrap());
}
