//! Is the trusted root always the newest one that its authority has signed, with and without the network?

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use factory_adapters::trust_root::{Origin, Refreshed, TrustRoot, TrustRootError, Updates};
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::sources::{Answer, Scripted};
use super::virtual_sigstore::VirtualSigstore;

/// A repository of The Update Framework, and a mirror that shows some state of it.
struct Repository {
    key: KeyPair,
    shown: Arc<Mutex<Files>>,
    mirror: Scripted,
}

type Files = BTreeMap<String, Vec<u8>>;

impl Repository {
    fn new() -> Self {
        crate::install_tls();
        let shown: Arc<Mutex<Files>> = Arc::default();
        let files = Arc::clone(&shown);
        let mirror = Scripted::start(move |_, asked| {
            match files.lock().unwrap().get(asked.path.trim_start_matches('/')) {
                Some(bytes) => Answer::new(200, bytes.clone()),
                None => Answer::new(404, ""),
            }
        });
        Self { key: KeyPair::generate_for(&PKCS_ED25519).unwrap(), shown, mirror }
    }

    fn show(&self, files: Files) {
        *self.shown.lock().unwrap() = files;
    }

    fn updates(&self, directory: &Path) -> Updates {
        let mirror = format!("http://{}", self.mirror.host);
        Updates::signed_by(&self.root(), &mirror, directory).unwrap()
    }

    async fn open(&self, directory: &Path) -> TrustRoot {
        TrustRoot::public(Some(self.updates(directory))).await.unwrap()
    }

    fn signed(&self, signed: Value) -> Vec<u8> {
        let signature = self.key.sign(sorted(&signed).to_string().as_bytes()).unwrap();
        let by = json!([{"keyid": self.key_id(), "sig": hex::encode(signature)}]);
        sorted(&json!({"signed": signed, "signatures": by})).to_string().into_bytes()
    }

    fn key_object(&self) -> Value {
        let public = hex::encode(self.key.public_key_raw());
        json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}})
    }

    fn key_id(&self) -> String {
        hex::encode(Sha256::digest(sorted(&self.key_object()).to_string()))
    }

    fn root(&self) -> Vec<u8> {
        let role = json!({"keyids": [self.key_id()], "threshold": 1});
        let mut root = head("root", 1, "2999-01-01T00:00:00Z");
        root["consistent_snapshot"] = json!(true);
        root["keys"] = json!({self.key_id(): self.key_object()});
        root["roles"] = json!({"root": role, "timestamp": role, "snapshot": role, "targets": role});
        self.signed(root)
    }

    /// All files of one version of the repository.
    fn version(&self, version: u64, trusted_root: &Value, expires: &str) -> Files {
        let target = trusted_root.to_string().into_bytes();
        let hash = hex::encode(Sha256::digest(&target));
        let mut targets = head("targets", version, "2999-01-01T00:00:00Z");
        targets["targets"] =
            json!({"trusted_root.json": {"length": target.len(), "hashes": {"sha256": hash}}});
        let mut snapshot = head("snapshot", version, "2999-01-01T00:00:00Z");
        snapshot["meta"] = json!({"targets.json": {"version": version}});
        let mut timestamp = head("timestamp", version, expires);
        timestamp["meta"] = json!({"snapshot.json": {"version": version}});
        BTreeMap::from([
            (format!("targets/{hash}.trusted_root.json"), target),
            (format!("{version}.targets.json"), self.signed(targets)),
            (format!("{version}.snapshot.json"), self.signed(snapshot)),
            ("timestamp.json".to_owned(), self.signed(timestamp)),
            ("1.root.json".to_owned(), self.root()),
        ])
    }
}

const LATER: &str = "2999-01-01T00:00:00Z";

fn head(kind: &str, version: u64, expires: &str) -> Value {
    json!({"_type": kind, "spec_version": "1.0.0", "version": version, "expires": expires})
}

/// The form that is signed: keys in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<_, _> =
                map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        other => other.clone(),
    }
}

fn failed(refreshed: Result<Refreshed, TrustRootError>) -> String {
    match refreshed {
        Err(error @ TrustRootError::Update { .. }) => error.to_string(),
        other => panic!("it did not fail: {other:?}"),
    }
}

#[tokio::test]
async fn updates_are_taken_kept_and_used_without_the_network() {
    let (repository, kept) = (Repository::new(), tempfile::tempdir().unwrap());
    let root = repository.open(kept.path()).await;
    let embedded = root.current();
    assert_eq!(*embedded.origin(), Origin::Embedded);
    failed(root.refresh().await);
    assert_eq!(root.current().digest(), embedded.digest(), "without an answer nothing changes");

    repository.show(repository.version(1, &VirtualSigstore::new().trusted_root(), LATER));
    assert_eq!(root.refresh().await.unwrap(), Refreshed::Changed);
    let first = root.current();
    assert_eq!(*first.origin(), Origin::Fetched);
    assert_ne!(first.digest(), embedded.digest());
    assert_eq!(root.refresh().await.unwrap(), Refreshed::Unchanged);

    repository.show(repository.version(2, &VirtualSigstore::new().trusted_root(), LATER));
    assert_eq!(root.refresh().await.unwrap(), Refreshed::Changed);
    let second = root.current();
    assert_ne!(second.digest(), first.digest());
    repository.show(Files::new());
    let again = repository.open(kept.path()).await;
    assert_eq!((again.current().origin(), again.current().digest()), (&Origin::Kept, second.digest()));
    assert_eq!(again.name(), root.name(), "images are not judged anew for an update");
}

#[tokio::test]
async fn a_rolled_back_root_is_refused() {
    let (repository, kept) = (Repository::new(), tempfile::tempdir().unwrap());
    let old = repository.version(1, &VirtualSigstore::new().trusted_root(), LATER);
    let new = repository.version(2, &VirtualSigstore::new().trusted_root(), LATER);
    let root = repository.open(kept.path()).await;
    repository.show(new);
    root.refresh().await.unwrap();
    let newest = root.current().digest();
    repository.show(old.clone());
    println!("{}", failed(root.refresh().await));
    assert_eq!(root.current().digest(), newest);
    // Neither does a restart help whoever shows the old one.
    let again = repository.open(kept.path()).await;
    failed(again.refresh().await);
    assert_eq!(again.current().digest(), newest);
    // The old one was good in its time.
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(repository.open(elsewhere.path()).await.refresh().await.unwrap(), Refreshed::Changed);
}

#[tokio::test]
async fn only_what_the_authority_has_signed_is_taken() {
    let (repository, kept) = (Repository::new(), tempfile::tempdir().unwrap());
    let good = repository.version(1, &VirtualSigstore::new().trusted_root(), LATER);
    let root = repository.open(kept.path()).await;
    let before = root.current().digest();
    repository.show(Repository::new().version(1, &VirtualSigstore::new().trusted_root(), LATER));
    println!("another authority: {}", failed(root.refresh().await));
    for name in good.keys().filter(|name| *name != "1.root.json") {
        let mut changed = good.clone();
        let bytes = changed.get_mut(name).unwrap();
        let at = bytes.len() / 2;
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        repository.show(changed);
        println!("{name}: {}", failed(root.refresh().await));
    }
    let old = "2020-01-01T00:00:00Z";
    repository.show(repository.version(2, &VirtualSigstore::new().trusted_root(), old));
    let expired = failed(root.refresh().await);
    assert!(expired.contains("expired"), "{expired}");
    assert_eq!(root.current().digest(), before);
    // Signed by the right one, and nothing to verify with.
    repository.show(repository.version(3, &json!({"mediaType": "x", "tlogs": []}), LATER));
    assert!(root.refresh().await.is_err());
    assert_eq!(root.current().digest(), before);
    let changed = kept.path().join("targets.json");
    assert!(changed.exists(), "verified files are kept");
}

#[tokio::test]
async fn what_expired_since_is_kept_until_there_is_better() {
    let (repository, kept) = (Repository::new(), tempfile::tempdir().unwrap());
    let soon = SystemTime::now() + Duration::from_secs(3);
    let expires = jiff::Timestamp::try_from(soon).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    repository.show(repository.version(1, &VirtualSigstore::new().trusted_root(), &expires));
    let root = repository.open(kept.path()).await;
    root.refresh().await.unwrap();
    let last = root.current().digest();
    tokio::time::sleep(Duration::from_millis(4100)).await;
    failed(root.refresh().await);
    assert_eq!(root.current().digest(), last, "a server that runs keeps it");
    let again = repository.open(kept.path()).await;
    assert_eq!(
        (again.current().origin(), again.current().digest()),
        (&Origin::Kept, last),
        "and so after a restart"
    );
    repository.show(repository.version(2, &VirtualSigstore::new().trusted_root(), LATER));
    assert_eq!(again.refresh().await.unwrap(), Refreshed::Changed);
}

#[tokio::test]
async fn a_damaged_directory_costs_the_update_and_nothing_else() {
    let (repository, kept) = (Repository::new(), tempfile::tempdir().unwrap());
    repository.show(repository.version(1, &VirtualSigstore::new().trusted_root(), LATER));
    let root = repository.open(kept.path()).await;
    root.refresh().await.unwrap();
    for entry in walk(kept.path()) {
        let good = std::fs::read(&entry).unwrap();
        std::fs::write(&entry, &good[..good.len() / 2]).unwrap();
        let again = repository.open(kept.path()).await;
        let origin = again.current().origin().clone();
        assert!(matches!(origin, Origin::Embedded | Origin::Kept), "{}: {origin}", entry.display());
        assert!(again.refresh().await.is_ok(), "{}", entry.display());
        assert_eq!(again.current().digest(), root.current().digest());
    }
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn files_are_read_and_wrong_ones_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trusted_root.json");
    let error = |path: &Path| TrustRoot::from_file(path).err().unwrap().to_string();
    assert!(error(&path).contains("trusted_root.json"), "{}", error(&path));
    std::fs::write(&path, "{}").unwrap();
    assert!(error(&path).contains("is no trusted root"), "{}", error(&path));
    let mut root = VirtualSigstore::new().trusted_root();
    root["ctlogs"] = json!([]);
    std::fs::write(&path, root.to_string()).unwrap();
    assert!(error(&path).contains("certificate log"), "{}", error(&path));
    let (one, other) = (VirtualSigstore::new().trusted_root(), VirtualSigstore::new().trusted_root());
    let name = |root: &Value| {
        std::fs::write(&path, root.to_string()).unwrap();
        TrustRoot::from_file(&path).unwrap().name().to_owned()
    };
    assert_ne!(name(&one), name(&other), "images are judged anew");
}
