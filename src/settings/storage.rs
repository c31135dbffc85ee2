//! Where things live outside of the embedded store: repositories, a bucket, a CDN in front of it.

use factory_adapters::bucket::{Cdn as CdnRule, InvalidCdn};
use factory_adapters::registry::Location;
use factory_domain::ports::Repository;
use serde::{Deserialize, Serialize};

use super::Duration;

/// A repository, or a place for repositories, in a registry. Without a registry it is not used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OciRepository {
    /// Registry host, with its port if any. Empty: not used.
    pub registry: String,
    /// Path in front of the repository.
    pub namespace: String,
    /// Last part of the repository.
    pub repository: String,
    /// Plain HTTP.
    pub insecure: bool,
}

/// A repository that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Registry host.
    pub registry: String,
    /// Path in it; `None` is its root.
    pub path: Option<Repository>,
    /// Plain HTTP.
    pub insecure: bool,
}

impl OciRepository {
    /// A repository that is used once a registry is given.
    pub(super) fn without_registry(namespace: &str, repository: &str) -> Self {
        Self { namespace: namespace.to_owned(), repository: repository.to_owned(), ..Self::default() }
    }

    /// The repository as it is used; `None` when it is not.
    ///
    /// # Errors
    /// What is wrong with it, naming `key`.
    pub fn place(&self, key: &str) -> Result<Option<Place>, String> {
        if self.registry.is_empty() {
            return Ok(None);
        }
        Location::parse(&self.registry).map_err(|error| format!("{key}.registry: {error}"))?;
        let parts = [&self.namespace, &self.repository].map(|part| part.trim_matches('/'));
        let path = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let path = match path.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error| format!("{key}: {error}"))?),
        };
        Ok(Some(Place { registry: self.registry.clone(), path, insecure: self.insecure }))
    }
}

/// Reads a repository written as one text: one part is the repository, a first part that looks like a host is
/// the registry, what is in between the namespace (12-config.md, 1.3).
pub(super) fn split_repository(text: &str) -> [(&'static str, String); 3] {
    let mut parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let registry = match parts.first() {
        Some(first) if parts.len() > 1 && is_host(first) => parts.remove(0),
        _ => "",
    };
    let repository = parts.pop().unwrap_or_default();
    [("registry", registry.to_owned()), ("namespace", parts.join("/")), ("repository", repository.to_owned())]
}

/// `artifacts.installer`: where installer images are pushed to and pulled from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Installer {
    /// They are pushed below this. Without a registry they are served by the factory alone.
    pub internal: OciRepository,
    /// Pulls are sent to the images below this. Without a registry the factory serves them itself.
    pub external: OciRepository,
}

impl Default for Installer {
    fn default() -> Self {
        Self {
            internal: OciRepository::without_registry("siderolabs", ""),
            external: OciRepository::default(),
        }
    }
}

/// `cache.s3`: a bucket for whole assets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct S3 {
    /// Keep whole assets in a bucket, and schematics too unless `artifacts.schematic` names a registry.
    pub enabled: bool,
    /// The bucket. It must exist.
    pub bucket: String,
    /// `host[:port]`; empty means Amazon's in `region`.
    pub endpoint: String,
    /// Region.
    pub region: String,
    /// Plain HTTP.
    pub insecure: bool,
    /// How long an address is good for that a client is sent to.
    #[serde(rename = "presignedURLTTL")]
    pub presigned_url_ttl: Duration,
    /// Whom to send to the bucket: everybody but machines that boot (`auto`), everybody (`always`), nobody (`never`).
    pub redirect: String,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            enabled: false,
            bucket: "image-factory".to_owned(),
            endpoint: String::new(),
            region: String::new(),
            insecure: false,
            presigned_url_ttl: Duration::from_secs(3600),
            redirect: "auto".to_owned(),
        }
    }
}

/// `cache.cdn`: a CDN in front of the bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cdn {
    /// Send clients to the CDN instead of the bucket.
    pub enabled: bool,
    /// Its host, perhaps with scheme and port.
    pub host: String,
    /// What is taken away from the start of paths, such as `/image-factory`.
    pub trim_prefix: String,
}

impl Cdn {
    /// How addresses are changed, when they are.
    ///
    /// # Errors
    /// [`InvalidCdn`] when the host is none.
    pub fn rule(&self) -> Result<Option<CdnRule>, InvalidCdn> {
        if self.enabled { CdnRule::new(&self.host, &self.trim_prefix).map(Some) } else { Ok(None) }
    }
}

/// Longest time for which a store signs an address.
const LONGEST_LINK: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

/// Checks all of it; one line for each fault.
pub(super) fn check(artifacts: &super::Artifacts, cache: &super::Cache, faults: &mut Vec<String>) {
    let places = [
        ("artifacts.schematic", &artifacts.schematic, true),
        ("artifacts.installer.internal", &artifacts.installer.internal, false),
        ("artifacts.installer.external", &artifacts.installer.external, false),
        ("cache.oci", &cache.oci, true),
    ];
    for (key, repository, needs_path) in places {
        match repository.place(key) {
            Ok(Some(Place { path: None, .. })) if needs_path => {
                faults.push(format!("{key} names no repository: set {key}.repository"));
            }
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
    }
    if !artifacts.installer.external.registry.is_empty() && artifacts.installer.internal.registry.is_empty() {
        faults.push(
            "artifacts.installer.external is set, but nothing is pushed anywhere: set artifacts.installer.internal too"
                .to_owned(),
        );
    }
    let (s3, cdn) = (&cache.s3, &cache.cdn);
    if s3.enabled {
        if s3.bucket.is_empty() {
            faults.push("cache.s3.bucket is empty: name a bucket that exists".to_owned());
        }
        if s3.endpoint.contains('/') {
            faults.push(format!(
                "cache.s3.endpoint is {:?}: leave out scheme and path, and say cache.s3.insecure for plain HTTP",
                s3.endpoint
            ));
        }
        if s3.endpoint.is_empty() && s3.region.is_empty() {
            faults.push("cache.s3: set cache.s3.endpoint, or cache.s3.region for Amazon's".to_owned());
        }
        let ttl = s3.presigned_url_ttl;
        if ttl.0 < std::time::Duration::from_secs(1) || ttl.0 > LONGEST_LINK {
            faults
                .push(format!("cache.s3.presignedURLTTL is {ttl}: between a second and a week is possible"));
        }
        if !["auto", "always", "never"].contains(&s3.redirect.as_str()) {
            let given = &s3.redirect;
            faults.push(format!("cache.s3.redirect is {given:?}: use \"auto\", \"always\" or \"never\""));
        }
    }
    if cdn.enabled {
        if !s3.enabled {
            faults.push(
                "cache.cdn is enabled without cache.s3: there is no bucket to stand in front of".to_owned(),
            );
        }
        if cdn.trim_prefix.is_empty() {
            faults.push(format!(
                "cache.cdn.trimPrefix is empty: set it to what is in front of objects, such as \"/{}\", or to \"/\" to keep all",
                s3.bucket
            ));
        }
        if let Err(error) = cdn.rule() {
            faults.push(format!("cache.cdn.host: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn one_text_is_a_repository() {
        for (text, registry, namespace, repository) in [
            ("nginx", "", "", "nginx"),
            ("example.com/foo/bar/nginx", "example.com", "foo/bar", "nginx"),
            ("foo/nginx", "", "foo", "nginx"),
            ("localhost/nginx", "localhost", "", "nginx"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000", "a", "b"),
            ("", "", "", ""),
        ] {
            let expected = [("registry", registry), ("namespace", namespace), ("repository", repository)];
            assert_eq!(split_repository(text), expected.map(|(key, part)| (key, part.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_registry_alone_takes_the_names_of_the_reference() {
        let mut settings = Settings::default();
        assert_eq!(settings.artifacts.schematic.place("x"), Ok(None));
        settings.artifacts.schematic.registry = "r.example.com".to_owned();
        let place = settings.artifacts.schematic.place("x").unwrap().unwrap();
        assert_eq!(place.path.unwrap().as_str(), "siderolabs/image-factory/schematics");
        settings.artifacts.installer.internal.registry = "r.example.com".to_owned();
        let place = settings.artifacts.installer.internal.place("x").unwrap().unwrap();
        assert_eq!(place.path.unwrap().as_str(), "siderolabs");
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let faults = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            let mut faults = Vec::new();
            check(&settings.artifacts, &settings.cache, &mut faults);
            faults.join("\n")
        };
        assert_eq!(faults(|_| {}), "");
        let bucket = faults(|s| s.cache.s3.enabled = true);
        assert!(bucket.contains("cache.s3.region"), "{bucket}");
        let cdn = faults(|s| s.cache.cdn.enabled = true);
        assert!(
            cdn.contains("without cache.s3") && cdn.contains("trimPrefix") && cdn.contains("cdn.host"),
            "{cdn}"
        );
        let endpoint = faults(|s| {
            s.cache.s3.enabled = true;
            s.cache.s3.endpoint = "https://s3.example.com".to_owned();
            s.cache.s3.redirect = "maybe".to_owned();
            s.cache.s3.presigned_url_ttl = Duration::from_secs(0);
        });
        assert_eq!(endpoint.lines().count(), 3, "{endpoint}");
        let external = faults(|s| s.artifacts.installer.external.registry = "r".to_owned());
        assert!(external.contains("artifacts.installer.internal"), "{external}");
        let name = faults(|s| {
            s.artifacts.schematic.registry = "r".to_owned();
            s.artifacts.schematic.repository = "Upper".to_owned();
        });
        assert!(name.contains("artifacts.schematic"), "{name}");
    }
}
