//! A real registry (Debian's docker-registry) that serves the fixture release.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::process::{Process, free_port, wait_for};
use super::{Client, Fixture};

/// A running registry.
pub struct Registry {
    /// `host:port`.
    pub address: String,
    /// A client of it.
    pub client: Client,
    process: Process,
    storage: PathBuf,
    is_read_only: bool,
    home: TempDir,
}

/// One request out of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
}

impl Registry {
    /// A registry with the whole fixture that nobody can change.
    pub fn with_fixture(fixture: &Fixture) -> Self {
        Self::serve(shared_storage(fixture), true, tempfile::tempdir().expect("a directory"))
    }

    /// A registry with the whole fixture for one test to change as it likes.
    pub fn to_change(fixture: &Fixture) -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let storage = home.path().join("storage");
        copy(&shared_storage(fixture), &storage);
        Self::serve(storage, false, home)
    }

    /// A registry with nothing in it.
    pub fn empty() -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let storage = home.path().join("storage");
        fs::create_dir(&storage).expect("a directory");
        Self::serve(storage, false, home)
    }

    fn serve(storage: PathBuf, is_read_only: bool, home: TempDir) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let process = start(&address, &storage, is_read_only, home.path());
        let client = Client::new(&format!("http://{address}"));
        Self { address, client, process, storage, is_read_only, home }
    }

    /// Ends it. It may be started again.
    pub fn stop(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same address.
    pub fn start_again(&mut self) {
        self.process = start(&self.address, &self.storage, self.is_read_only, self.home.path());
    }

    /// The requests that it has answered since it was started.
    pub fn requests(&self) -> Vec<Request> {
        self.process.output().lines().filter_map(Request::parse).collect()
    }

    /// How often each blob was sent, most often first.
    pub fn pulls(&self) -> Vec<(String, usize)> {
        let mut counted = std::collections::BTreeMap::<String, usize>::new();
        for request in self.requests() {
            if request.method == "GET" && request.path.contains("/blobs/") && request.status < 300 {
                *counted.entry(request.path).or_default() += 1;
            }
        }
        let mut pulls: Vec<_> = counted.into_iter().collect();
        pulls.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        pulls
    }

    /// A manifest by tag or digest: its media type, its bytes and its digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> (String, Vec<u8>, String) {
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.docker.distribution.manifest.v2+json";
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.client.ask("GET", &path, &[("accept", accept)]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let digest = answer.header("docker-content-digest").to_owned();
        (answer.header("content-type").to_owned(), answer.body, digest)
    }

    /// Lets a tag name a manifest that is there already.
    pub fn tag(&self, repository: &str, reference: &str, tag: &str) {
        let (media_type, bytes, _) = self.manifest(repository, reference);
        let answer = self.client.put(&format!("/v2/{repository}/manifests/{tag}"), &media_type, bytes);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// Puts a blob there, and gives its digest.
    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
        let started = self.client.post(&format!("/v2/{repository}/blobs/uploads/"), "");
        assert_eq!(started.status, 202, "{}", started.text());
        let location = started.header("location");
        let path = location.strip_prefix(&format!("http://{}", self.address)).unwrap_or(location);
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}digest={digest}");
        let done = self.client.put(&path, "application/octet-stream", bytes.to_vec());
        assert_eq!(done.status, 201, "{}", done.text());
        digest
    }

    /// Puts a manifest under a tag, or under its digest when there is none, and gives its digest.
    pub fn push_manifest(&self, repository: &str, tag: Option<&str>, manifest: &serde_json::Value) -> String {
        let bytes = manifest.to_string().into_bytes();
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        let path = format!("/v2/{repository}/manifests/{}", tag.unwrap_or(&digest));
        let media_type = manifest["mediaType"].as_str().expect("a media type");
        let answer = self.client.put(&path, media_type, bytes);
        assert_eq!(answer.status, 201, "{}", answer.text());
        digest
    }

    /// Lets a tag name nothing any more.
    pub fn untag(&self, repository: &str, tag: &str) {
        let tags =
            self.storage.join("docker/registry/v2/repositories").join(repository).join("_manifests/tags");
        let _ = fs::remove_dir_all(tags.join(tag));
    }

    /// Digests (hex) of the layers below an index or manifest.
    pub fn layers(&self, repository: &str, reference: &str) -> Vec<String> {
        let (_, bytes, _) = self.manifest(repository, reference);
        let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        let hex = |entry: &serde_json::Value| {
            entry["digest"].as_str().expect("a digest").trim_start_matches("sha256:").to_owned()
        };
        if let Some(layers) = document["layers"].as_array() {
            return layers.iter().map(hex).collect();
        }
        let children = document["manifests"].as_array().expect("an index").iter();
        children.flat_map(|child| self.layers(repository, &format!("sha256:{}", hex(child)))).collect()
    }

    /// A blob; `None` when there is none.
    pub fn blob(&self, repository: &str, hex: &str) -> Option<Vec<u8>> {
        let answer = self.client.get(&format!("/v2/{repository}/blobs/sha256:{hex}"));
        (answer.status == 200).then_some(answer.body)
    }

    /// The files of all blobs, each in a folder that is called by its digest.
    pub fn blobs(&self) -> Vec<PathBuf> {
        let entries = |folder: &Path| {
            let entries = fs::read_dir(folder).expect("a directory");
            entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
        };
        let shards = entries(&self.storage.join("docker/registry/v2/blobs/sha256"));
        shards.iter().flat_map(|shard| entries(shard)).map(|blob| blob.join("data")).collect()
    }

    /// Changes a blob on the registry's disk by flipping one bit in its middle. The registry sends it as it is.
    pub fn damage(&self, hex: &str) {
        let path = self.storage.join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
        let mut bytes = fs::read(&path).expect("a blob");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(&path).expect("the shared file stays");
        fs::write(&path, bytes).expect("a damaged blob");
    }
}

impl Request {
    /// Reads a line in the combined log format.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("] \"")?;
        let (request, rest) = rest.split_once('"')?;
        let mut words = request.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let path = target.split('?').next()?.to_owned();
        let status = rest.split_whitespace().next()?.parse().ok()?;
        Some(Self { method, path, status })
    }
}

/// Copies a registry's storage. Blobs are shared by hard links, for the registry never writes to one again;
/// the files that say which tag is which blob are copied.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() == "data" {
            fs::hard_link(entry.path(), target).expect("a hard link");
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn start(address: &str, storage: &Path, is_read_only: bool, home: &Path) -> Process {
    // JSON is YAML.
    let config = serde_json::json!({
        "version": 0.1,
        "http": {"addr": address, "secret": "none"},
        "storage": {
            "filesystem": {"rootdirectory": storage},
            "maintenance": {"readonly": {"enabled": is_read_only}},
        },
        "log": {"level": "error", "accesslog": {"disabled": false}},
    });
    let file = home.join("registry.yml");
    fs::write(&file, config.to_string()).expect("a configuration");
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&file);
    let log = home.join("registry.log");
    let mut process = Process::start("docker-registry", "Debian", &mut command, &log);
    wait_for("the registry listens", Duration::from_secs(20), || {
        assert!(process.runs(), "docker-registry has ended:\n{}", process.tail());
        std::net::TcpStream::connect(address).ok()
    });
    process
}

/// The storage of a registry with the whole fixture. It is made once for each fixture and kept in the target
/// folder.
fn shared_storage(fixture: &Fixture) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut hash = Sha256::new();
    for file in [fixture.release.join("release-info.json"), fixture.key.clone()] {
        hash.update(fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
    let storage = target.join(format!("registry-{}", &hex::encode(hash.finalize())[..16]));
    let lock = File::create(target.join("registry.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if storage.exists() {
        return storage;
    }
    let unfinished = tempfile::tempdir_in(target).expect("a directory");
    let address = format!("127.0.0.1:{}", free_port());
    let home = tempfile::tempdir().expect("a directory");
    let registry = start(&address, &unfinished.path().join("storage"), false, home.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/fixture/make-release");
    let mut push = Command::new(&script);
    push.arg("--out").arg(&fixture.release).args(["--push-only", "--push", &format!("http://{address}")]);
    let output = push.output().unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop(registry);
    fs::rename(unfinished.path().join("storage"), &storage).expect("the storage moves");
    storage
}
