//! The same images, put into each kind of source.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use factory_adapters::testing::MemorySource;
use factory_domain::ports::Repository;
use factory_formats::Digest;
use factory_formats::testing::noise;
use oci_distribution::client::{ClientConfig, ClientProtocol};
use oci_distribution::secrets::RegistryAuth;
use oci_distribution::{Client, Reference};
use serde_json::json;

use super::repository;

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Repositories with their blobs, manifests and tags.
#[derive(Default)]
pub struct Content {
    repositories: BTreeMap<Repository, Contents>,
}

#[derive(Default)]
struct Contents {
    blobs: BTreeMap<Digest, Vec<u8>>,
    /// In the order in which they refer to each other.
    manifests: Vec<(Digest, &'static str, Vec<u8>)>,
    tags: Vec<(String, Digest)>,
}

/// An image of one layer for one platform.
#[derive(Clone)]
pub struct Image {
    pub index: Digest,
    pub manifest: Digest,
    pub layer: Vec<u8>,
}

impl Content {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn blob(&mut self, repository: &Repository, bytes: impl Into<Vec<u8>>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.contents(repository).blobs.insert(digest, bytes);
        digest
    }

    pub fn manifest(
        &mut self,
        repository: &Repository,
        media_type: &'static str,
        value: &serde_json::Value,
    ) -> Digest {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = Digest::of(&bytes);
        self.contents(repository).manifests.push((digest, media_type, bytes));
        digest
    }

    pub fn tag(&mut self, repository: &Repository, tag: &str, digest: Digest) {
        self.contents(repository).tags.push((tag.to_owned(), digest));
    }

    /// Adds an image with an index, of Docker's types or of OCI's.
    pub fn image(&mut self, path: &str, tag: &str, docker: bool) -> Image {
        let at = repository(path);
        let layer = noise(700_000 + tag.len(), path.len() as u64);
        let config = br#"{"architecture":"amd64","os":"linux"}"#.to_vec();
        let (index_type, manifest_type) =
            if docker { (DOCKER_LIST, DOCKER_MANIFEST) } else { (OCI_INDEX, OCI_MANIFEST) };
        let (layer_size, config_size) = (layer.len(), config.len());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.blob(&at, config).to_string(),
                "size": config_size,
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": self.blob(&at, layer.clone()).to_string(),
                "size": layer_size,
            }],
        });
        let size = serde_json::to_vec(&manifest).unwrap().len();
        let manifest = self.manifest(&at, manifest_type, &manifest);
        let index = json!({
            "schemaVersion": 2,
            "mediaType": index_type,
            "manifests": [{
                "mediaType": manifest_type,
                "digest": manifest.to_string(),
                "size": size,
                "platform": { "architecture": "amd64", "os": "linux" },
            }],
        });
        let index = self.manifest(&at, index_type, &index);
        self.tag(&at, tag, index);
        Image { index, manifest, layer }
    }

    /// Adds a manifest of one blob that refers to `subject`; `by_tag` also lists it under the tag that
    /// stands in for the referrers API.
    pub fn referrer(
        &mut self,
        at: &Repository,
        subject: &Digest,
        blob_type: &str,
        artifact_type: &str,
        blob: &[u8],
        by_tag: bool,
    ) -> Digest {
        let size = self.contents(at).manifests.iter().find(|(digest, ..)| digest == subject);
        let (_, subject_type, subject_bytes) = size.cloned().unwrap();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": {
                "mediaType": "application/vnd.oci.empty.v1+json",
                "digest": self.blob(at, "{}").to_string(),
                "size": 2,
            },
            "layers": [{ "mediaType": blob_type, "digest": self.blob(at, blob).to_string(), "size": blob.len() }],
            "subject": { "mediaType": subject_type, "digest": subject.to_string(), "size": subject_bytes.len() },
        });
        let size = serde_json::to_vec(&manifest).unwrap().len();
        let digest = self.manifest(at, OCI_MANIFEST, &manifest);
        if by_tag {
            let list = json!({
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [{
                    "mediaType": OCI_MANIFEST,
                    "digest": digest.to_string(),
                    "size": size,
                    "artifactType": artifact_type,
                }],
            });
            let list = self.manifest(at, OCI_INDEX, &list);
            self.tag(at, &format!("sha256-{}", subject.hex()), list);
        }
        digest
    }

    /// Adds an image of signed documents under the tag that belongs to `digest`.
    pub fn signatures(&mut self, at: &Repository, digest: &Digest, layers: &[(&[u8], &str)]) {
        let key = || "dev.cosignproject.cosign/signature".to_owned();
        let layers = layers
            .iter()
            .map(|(payload, signature)| (*payload, BTreeMap::from([(key(), (*signature).to_owned())])));
        self.signature_image(at, digest, layers.collect());
    }

    /// The same with one document and all annotations of its layer.
    pub fn annotated(
        &mut self,
        at: &Repository,
        digest: &Digest,
        payload: &[u8],
        annotations: &BTreeMap<String, String>,
    ) {
        self.signature_image(at, digest, vec![(payload, annotations.clone())]);
    }

    fn signature_image(
        &mut self,
        at: &Repository,
        digest: &Digest,
        layers: Vec<(&[u8], BTreeMap<String, String>)>,
    ) {
        let mut described = Vec::new();
        for (payload, annotations) in layers {
            described.push(json!({
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": self.blob(at, payload).to_string(),
                "size": payload.len(),
                "annotations": annotations,
            }));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.blob(at, "{}").to_string(),
                "size": 2,
            },
            "layers": described,
        });
        let manifest = self.manifest(at, OCI_MANIFEST, &manifest);
        self.tag(at, &format!("sha256-{}.sig", digest.hex()), manifest);
    }

    pub fn put_into_memory(&self) -> MemorySource {
        let source = MemorySource::default();
        for (repository, contents) in &self.repositories {
            for bytes in contents.blobs.values() {
                source.add_blob(repository, bytes.clone());
            }
            for (_, media_type, bytes) in &contents.manifests {
                source.add_manifest(repository, media_type, bytes.clone());
            }
            for (tag, digest) in &contents.tags {
                source.tag(repository, tag, *digest);
            }
        }
        source
    }

    /// Writes one OCI layout for each repository.
    pub fn put_into_directory(&self, root: &Path) {
        for (repository, contents) in &self.repositories {
            let layout = root.join(repository.as_str());
            fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
            fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
            for (digest, bytes) in &contents.blobs {
                fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
            }
            let mut entries = Vec::new();
            for (digest, media_type, bytes) in &contents.manifests {
                fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
                let entry =
                    json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()});
                let tags: Vec<_> = contents.tags.iter().filter(|(_, tagged)| tagged == digest).collect();
                for (tag, _) in &tags {
                    let mut entry = entry.clone();
                    entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
                    entries.push(entry);
                }
                if tags.is_empty() && bytes.windows(9).any(|window| window == b"\"subject\"") {
                    entries.push(entry);
                }
            }
            let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
            fs::write(layout.join("index.json"), index.to_string()).unwrap();
        }
    }

    /// Pushes everything to a registry without TLS, by somebody else's client.
    pub async fn put_into_registry(&self, host: &str) {
        crate::install_tls();
        let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
        let client = Client::try_from(config).unwrap();
        for (repository, contents) in &self.repositories {
            let place =
                |tag: &str| Reference::with_tag(host.to_owned(), repository.to_string(), tag.to_owned());
            client.store_auth_if_needed(host, &RegistryAuth::Anonymous).await;
            for (digest, bytes) in &contents.blobs {
                client.push_blob(&place("x"), bytes.clone(), &digest.to_string()).await.unwrap();
            }
            for (digest, media_type, bytes) in &contents.manifests {
                let at = Reference::with_digest(host.to_owned(), repository.to_string(), digest.to_string());
                client.push_manifest_raw(&at, bytes.clone(), media_type.parse().unwrap()).await.unwrap();
                for (tag, _) in contents.tags.iter().filter(|(_, tagged)| tagged == digest) {
                    client
                        .push_manifest_raw(&place(tag), bytes.clone(), media_type.parse().unwrap())
                        .await
                        .unwrap();
                }
            }
        }
    }

    fn contents(&mut self, repository: &Repository) -> &mut Contents {
        self.repositories.entry(repository.clone()).or_default()
    }
}
