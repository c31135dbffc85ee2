//! Are boot files signed so that the field's own tools accept them, with the keys that are configured?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use factory_formats::pe::{Pe, SectionName};
use factory_formats::uki::{BANKS, SectionDigests, policy, replay, section};
use serde_json::Value;

use crate::support::fixture::{NEWEST, OLDEST_UKI};
use crate::support::server::PROGRAM;
use crate::support::tools::{run, says, success, text};
use crate::support::{Config, Fixture, Server};
use crate::{EMPTY, EXTENDED};

/// A set of keys that the program made.
pub struct Keys(PathBuf);

impl Keys {
    pub fn make(folder: PathBuf) -> Self {
        let output =
            Command::new(PROGRAM).args(["secureboot", "generate-keys", text(&folder)]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("[secureBoot.file]"));
        Self(folder)
    }

    pub fn path(&self, name: &str) -> String {
        text(&self.0.join(name)).to_owned()
    }

    fn configure(&self, config: Config) -> Config {
        config
            .set("secureBoot.enabled", true)
            .set("secureBoot.file.signingKeyPath", self.path("uki-signing-key.pem"))
            .set("secureBoot.file.signingCertPath", self.path("uki-signing-cert.pem"))
            .set("secureBoot.file.pcrKeyPath", self.path("pcr-signing-key.pem"))
    }
}

/// A factory that signs with such a set.
pub struct Downloads {
    /// The factory.
    pub server: Server,
    /// The set.
    pub keys: Keys,
    /// The release.
    pub fixture: Fixture,
    home: tempfile::TempDir,
}

impl Downloads {
    pub fn start() -> Option<Self> {
        let fixture = Fixture::find()?;
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let keys = Keys::make(home.path().join("keys"));
        let config = keys.configure(Config::on_layouts(&fixture));
        let server = Server::start(&config, &home.path().join("factory"));
        Some(Self { server, keys, fixture, home })
    }

    fn save(&self, schematic: &str, version: &str, name: &str) -> PathBuf {
        self.server.client.save(&Server::image(schematic, version, name), self.home.path())
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.home.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}

fn sbverify(file: &Path, certificate: &str) -> Output {
    run("sbverify", "sbsigntool", &["--cert", certificate, text(file)])
}

fn assert_signed(file: &Path, certificate: &str) {
    let output = sbverify(file, certificate);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", file.display());
    let said = says("osslsigncode", "osslsigncode", &["verify", "-in", text(file), "-CAfile", certificate]);
    assert!(said.contains("Signature verification: ok"), "{}: {said}", file.display());
}

/// All sections of a program: name and content.
fn sections(file: &[u8]) -> Vec<(SectionName, Vec<u8>)> {
    let pe = Pe::parse(file, file.len() as u64).unwrap();
    let content = |range: std::ops::Range<u64>| file[range.start as usize..range.end as usize].to_vec();
    pe.sections().iter().map(|section| (section.name, content(section.content()))).collect()
}

/// Checks every PCR signature of a UKI with OpenSSL, against what a machine would measure. Gives their number.
fn assert_measured(uki: &[u8], folder: &Path) -> usize {
    let at = |name: &str| text(&folder.join(name)).to_owned();
    let all = sections(uki);
    let main: Vec<_> = all.iter().take_while(|(name, _)| *name != section::PROFILE).collect();
    let groups: Vec<&[(SectionName, Vec<u8>)]> =
        all[main.len()..].chunk_by(|_, (name, _)| *name != section::PROFILE).collect();
    let key = &main.iter().find(|(name, _)| *name == section::PCRPKEY).expect("a PCR key").1;
    fs::write(at("pcr.pub"), key).unwrap();
    let mut count = 0;
    for group in groups {
        let overlaid = group.iter().chain(main.iter().copied());
        let view: Vec<_> = overlaid.map(|(name, content)| (*name, SectionDigests::of(content))).collect();
        let document = &group.iter().find(|(name, _)| *name == section::PCRSIG).expect("PCR signatures").1;
        let document: Value = serde_json::from_slice(document).unwrap();
        for bank in BANKS {
            let policy = policy(bank, replay(bank, &view).signed());
            let entry = &document[bank.name()][0];
            assert_eq!(entry["pol"].as_str(), Some(hex::encode(policy).as_str()));
            let signature = entry["sig"].as_str().unwrap();
            fs::write(at("signature.b64"), signature).unwrap();
            let decode = ["base64", "-d", "-A", "-in", &at("signature.b64"), "-out", &at("signature")];
            success("openssl", "openssl", &decode);
            fs::write(at("policy"), policy).unwrap();
            let hash = format!("-{}", bank.name());
            let (public, signature, message) = (at("pcr.pub"), at("signature"), at("policy"));
            let verify = ["dgst", &hash, "-verify", &public, "-signature", &signature, &message];
            success("openssl", "openssl", &verify);
            count += 1;
        }
    }
    count
}

#[test]
fn a_uki_is_signed_for_firmware_and_tpm() {
    let Some(downloads) = Downloads::start() else { return };
    let served = downloads.server.client.get("/secureboot/signing-cert.pem");
    assert_eq!((served.status, served.header("content-type")), (200, "application/x-pem-file"));
    assert_eq!(served.body, fs::read(downloads.keys.path("uki-signing-cert.pem")).unwrap());
    let certificate = downloads.keys.path("uki-signing-cert.pem");

    let schematic = downloads.server.client.schematic(EXTENDED);
    for version in [NEWEST, OLDEST_UKI] {
        let uki = downloads.save(&schematic, version, "metal-amd64-secureboot-uki.efi");
        assert_signed(&uki, &certificate);
        let bytes = fs::read(&uki).unwrap();
        assert_eq!(assert_measured(&bytes, &downloads.folder("measured")), BANKS.len());
        let content = |wanted: SectionName| sections(&bytes).into_iter().find(|(name, _)| *name == wanted);
        let line = String::from_utf8(content(section::CMDLINE).unwrap().1).unwrap();
        assert!(line.contains("end.to.end=1"), "{line}");

        let other = Keys::make(downloads.home.path().join(format!("other-{version}")));
        assert!(!sbverify(&uki, &other.path("uki-signing-cert.pem")).status.success());
        let mut altered = bytes;
        let place = altered.len() / 2;
        altered[place] ^= 1;
        fs::write(&uki, altered).unwrap();
        assert!(!sbverify(&uki, &certificate).status.success(), "one byte is another");
    }
}

/// Files of the FAT file system in a file, at an offset.
fn unpack_fat(image: &Path, offset: u64, into: &Path) {
    let at = format!("{}@@{offset}", text(image));
    success("mcopy", "mtools", &["-s", "-n", "-i", &at, "::/", text(into)]);
}

/// Finds `name` below `folder`, whatever its case.
fn find(folder: &Path, name: &str) -> PathBuf {
    let mut found = folder.to_owned();
    for part in name.split('/') {
        let entries = fs::read_dir(&found).unwrap_or_else(|error| panic!("{}: {error}", found.display()));
        let entry = entries.map(|entry| entry.unwrap().path()).find(|path| {
            path.file_name().is_some_and(|own| own.to_string_lossy().eq_ignore_ascii_case(part))
        });
        found = entry.unwrap_or_else(|| panic!("{name} is not below {}", folder.display()));
    }
    found
}

fn assert_esp(esp: &Path, keys: &Keys, loader_conf: &str) {
    let certificate = keys.path("uki-signing-cert.pem");
    assert_signed(&find(esp, "EFI/BOOT/BOOTX64.EFI"), &certificate);
    assert_signed(&find(esp, &format!("EFI/Linux/Talos-{NEWEST}.efi")), &certificate);
    let text = fs::read_to_string(find(esp, "loader/loader.conf")).unwrap();
    assert!(text.ends_with(loader_conf), "{text}");
    for name in ["PK.auth", "KEK.auth", "db.auth"] {
        let made = fs::read(find(esp, &format!("loader/keys/auto/{name}"))).unwrap();
        assert!(made == fs::read(keys.0.join(name)).unwrap(), "{name} is what generate-keys makes too");
    }
}

#[test]
fn media_carry_signed_files_and_keys() {
    let Some(downloads) = Downloads::start() else { return };
    let schematic =
        downloads.server.client.schematic("customization:\n  secureboot:\n    enrollKeys: force\n");
    let iso = downloads.save(&schematic, NEWEST, "metal-amd64-secureboot.iso");
    let tree = downloads.folder("iso");
    success("xorriso", "xorriso", &["-osirrox", "on", "-indev", text(&iso), "-extract", "/", text(&tree)]);
    success("chmod", "coreutils", &["-R", "u+rwX", text(&tree)]);
    assert_esp(&tree, &downloads.keys, "\nsecure-boot-enroll force\n");
    let der = fs::read(find(&tree, "EFI/keys/uki-signing-cert.der")).unwrap();
    assert!(der == fs::read(downloads.keys.path("uki-signing-cert.der")).unwrap());

    let uki = fs::read(find(&tree, &format!("EFI/Linux/Talos-{NEWEST}.efi"))).unwrap();
    let profiles = 2;
    assert_eq!(assert_measured(&uki, &downloads.folder("measured")), profiles * BANKS.len());

    let disk = downloads.save(&schematic, NEWEST, "metal-amd64-secureboot.raw");
    let esp = downloads.folder("esp");
    unpack_fat(&disk, 1 << 20, &esp);
    assert_esp(&esp, &downloads.keys, "\nsecure-boot-enroll force\n");

    let off = downloads.server.client.schematic("customization:\n  secureboot:\n    enrollKeys: 'off'\n");
    let disk = downloads.save(&off, NEWEST, "metal-amd64-secureboot.raw");
    let esp = downloads.folder("esp-off");
    unpack_fat(&disk, 1 << 20, &esp);
    assert!(!find(&esp, "loader").join("keys").exists());

    let known = "customization:\n  secureboot:\n    includeWellKnownCertificates: true\n";
    let known = downloads.server.client.schematic(known);
    let iso = downloads.save(&known, NEWEST, "metal-amd64-secureboot.iso");
    let tree = downloads.folder("known");
    let extract = ["-osirrox", "on", "-indev", text(&iso), "-extract", "/loader", text(&tree)];
    success("xorriso", "xorriso", &extract);
    let db = fs::read(find(&tree, "keys/auto/db.auth")).unwrap();
    assert!(db.len() > 5000, "{} bytes with Microsoft's certificates", db.len());
}

#[test]
fn signatures_are_kept_and_belong_to_their_keys() {
    let Some(downloads) = Downloads::start() else { return };
    let Downloads { server, keys, fixture, home } = downloads;
    let schematic = server.client.schematic(EMPTY);
    let names =
        ["metal-amd64-secureboot-uki.efi", "metal-amd64-secureboot.iso", "installer-amd64-secureboot.tar"];
    let tags = |server: &Server| {
        names.map(|name| {
            let head = server.client.head(&Server::image(&schematic, NEWEST, name));
            assert_eq!(head.status, 200, "{name}: {}", head.text());
            assert!(head.header("content-length").parse::<u64>().unwrap() > 1 << 20);
            head.header("etag").to_owned()
        })
    };
    let first = tags(&server);
    assert!(server.metrics().sum("image_factory_parts_built_total", &["signed"]) > 0.0);
    server.stop();

    let config = keys.configure(Config::on_layouts(&fixture));
    let server = Server::start(&config, &home.path().join("factory"));
    assert_eq!(tags(&server), first);
    assert_eq!(server.metrics().sum("image_factory_parts_built_total", &["signed"]), 0.0, "signed again");
    server.stop();

    let other = Keys::make(home.path().join("other"));
    let config = other.configure(Config::on_layouts(&fixture));
    let server = Server::start(&config, &home.path().join("factory"));
    for (old, new) in first.iter().zip(tags(&server)) {
        assert_ne!(*old, new, "made with another key");
    }
    let uki = server.client.save(&Server::image(&schematic, NEWEST, names[0]), home.path());
    assert_signed(&uki, &other.path("uki-signing-cert.pem"));
}

#[test]
fn keys_that_do_not_fit_keep_the_program_from_starting() {
    let home = tempfile::tempdir().unwrap();
    let (own, other) = (Keys::make(home.path().join("own")), Keys::make(home.path().join("other")));
    let cases = [
        (other.path("uki-signing-cert.pem"), own.path("pcr-signing-key.pem"), "do not belong together"),
        (own.path("pcr-signing-key.pem"), own.path("pcr-signing-key.pem"), "holds no certificate"),
        (own.path("uki-signing-cert.pem"), own.path("uki-signing-cert.pem"), "holds no private key"),
        (own.path("uki-signing-cert.pem"), own.path("nowhere.pem"), "nowhere.pem"),
        (own.path("uki-signing-cert.pem"), String::new(), "lacks pcrKeyPath"),
    ];
    for (certificate, pcr, expected) in cases {
        let config = own
            .configure(Config::default())
            .set("secureBoot.file.signingCertPath", certificate)
            .set("secureBoot.file.pcrKeyPath", pcr)
            .set("http.httpListenAddr", "127.0.0.1:0")
            .set("metrics.addr", "")
            .set("artifacts.core.registry", "127.0.0.1:1")
            .set("store.path", text(&home.path().join("store")));
        let file = home.path().join("config.toml");
        fs::write(&file, config.to_toml()).unwrap();
        let output = Command::new(PROGRAM).args(["serve", "--config", text(&file)]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn without_keys_it_is_said_that_secure_boot_is_off() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    assert_eq!(server.client.get("/secureboot/signing-cert.pem").status, 404);
    let schematic = server.client.schematic(EMPTY);
    let answer = server.client.get(&Server::image(&schematic, NEWEST, "metal-amd64-secureboot.iso"));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("secure boot is disabled"), "{}", answer.text());
}

/// A token of SoftHSM with the keys of a set, and the settings that use it.
#[cfg(feature = "pkcs11")]
fn on_token(keys: &Keys, home: &Path, pin: &str) -> Config {
    let folder = home.join("tokens");
    fs::create_dir_all(&folder).unwrap();
    let settings = home.join("softhsm2.conf");
    fs::write(&settings, format!("directories.tokendir = {}\n", folder.display())).unwrap();
    let environment = format!("SOFTHSM2_CONF={}", settings.display());
    let tool = |arguments: &[&str]| {
        let arguments = [&[&*environment, "softhsm2-util"], arguments].concat();
        success("env", "softhsm2", &arguments);
    };
    tool(&["--init-token", "--free", "--label", "factory", "--pin", "1234", "--so-pin", "12345678"]);
    for (file, label, id) in [("uki-signing-key.pem", "signing", "A1"), ("pcr-signing-key.pem", "pcr", "A2")]
    {
        let key = keys.path(file);
        tool(&["--import", &key, "--token", "factory", "--label", label, "--id", id, "--pin", "1234"]);
    }
    let mut config = Config::default()
        .set("secureBoot.enabled", true)
        .set("secureBoot.pkcs11.module", "/usr/lib/softhsm/libsofthsm2.so")
        .set("secureBoot.pkcs11.tokenLabel", "factory")
        .set("secureBoot.pkcs11.pin", pin)
        .set("secureBoot.pkcs11.signingKeyLabel", "signing")
        .set("secureBoot.pkcs11.signingCertPath", keys.path("uki-signing-cert.pem"))
        .set("secureBoot.pkcs11.pcrKeyLabel", "pcr");
    config.runner = vec!["env".to_owned(), environment];
    config
}

#[cfg(feature = "pkcs11")]
#[test]
fn a_token_signs_like_the_same_keys_in_files() {
    let Some(downloads) = Downloads::start() else { return };
    let home = downloads.folder("token");
    let config = on_token(&downloads.keys, &home, "1234")
        .set("artifacts.core.registry", format!("oci-layout:{}", downloads.fixture.release.display()))
        .trusting(&downloads.fixture.key);
    let server = Server::start(&config, &home.join("factory"));
    let (schematic, same) = (server.client.schematic(EMPTY), downloads.server.client.schematic(EMPTY));
    assert_eq!(schematic, same);
    for name in ["metal-amd64-secureboot-uki.efi", "metal-amd64-secureboot.iso"] {
        let path = Server::image(&schematic, NEWEST, name);
        assert_eq!(server.client.digest(&path), downloads.server.client.digest(&path), "{name}");
    }
}

#[cfg(feature = "pkcs11")]
#[test]
fn a_token_that_does_not_open_keeps_the_program_from_starting() {
    let home = tempfile::tempdir().unwrap();
    let keys = Keys::make(home.path().join("keys"));
    let right = on_token(&keys, home.path(), "1234");
    for (key, value, expected) in [
        ("secureBoot.pkcs11.pin", "4321", "the PIN is wrong"),
        ("secureBoot.pkcs11.tokenLabel", "other", "no token with this label"),
        ("secureBoot.pkcs11.pcrKeyLabel", "other", "no private RSA key with this label"),
        ("secureBoot.pkcs11.signingKeyLabel", "pcr", "do not belong together"),
        ("secureBoot.pkcs11.module", "/nowhere.so", "nowhere.so"),
    ] {
        let config = right
            .clone()
            .set(key, value)
            .set("http.httpListenAddr", "127.0.0.1:0")
            .set("metrics.addr", "")
            .set("artifacts.core.registry", "127.0.0.1:1")
            .set("store.path", text(&home.path().join("store")));
        let file = home.path().join("config.toml");
        fs::write(&file, config.to_toml()).unwrap();
        let mut command = Command::new("env");
        command.args(&config.runner[1..]).args([PROGRAM, "serve", "--config", text(&file)]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{expected}: {said}");
    }
}
