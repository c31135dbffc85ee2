//! Where a registry is: host, port, path prefix, and whether it speaks TLS.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// The host of the Docker Hub as people write it.
const DOCKER_HUB: &str = "docker.io";

/// Where the Docker Hub answers.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// A registry, or a part of one: `ghcr.io`, `127.0.0.1:5000`, `harbor.example.com/ghcr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    host: String,
    prefix: String,
    plain_http: Option<bool>,
}

/// A text that does not say where a registry is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no registry: expected a host, perhaps a port and a path, such as harbor.example.com/ghcr")]
pub struct InvalidLocation(pub String);

impl Location {
    /// Reads `[http://|https://]host[:port][/path]`.
    ///
    /// # Errors
    /// [`InvalidLocation`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidLocation> {
        let invalid = || InvalidLocation(text.chars().take(200).collect());
        let (plain_http, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(true), rest),
            Some(("https", rest)) => (Some(false), rest),
            Some(_) => return Err(invalid()),
            None => (None, text),
        };
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_');
        let parsed = url::Url::parse(&format!("https://{host}/"));
        let plain = parsed.is_ok_and(|url| url.path() == "/" && url.username().is_empty());
        if host.is_empty() || !host.bytes().all(known) || !plain {
            return Err(invalid());
        }
        if !prefix.is_empty() && prefix.parse::<factory_domain::ports::Repository>().is_err() {
            return Err(invalid());
        }
        Ok(Self { host: host.to_ascii_lowercase(), prefix: prefix.to_owned(), plain_http })
    }

    /// Host and port as written.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What comes before every repository path; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Host and port to connect to.
    pub(super) fn api_host(&self) -> &str {
        if self.host == DOCKER_HUB { DOCKER_HUB_API } else { &self.host }
    }

    /// The path of a repository here. The Docker Hub keeps single names below `library`.
    pub(super) fn path_of(&self, repository: &str) -> String {
        let library = if self.host == DOCKER_HUB && !repository.contains('/') { "library" } else { "" };
        let parts = [self.prefix.as_str(), library, repository];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }

    /// Whether to speak plain HTTP: when the text says so, else when `told` says so, else by the host.
    pub(super) fn plain_http(&self, told: Option<bool>) -> bool {
        self.plain_http.or(told).unwrap_or_else(|| is_local(&self.host))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// The scheme rule: hosts that are spoken to without TLS unless something else is said. `host` may have
/// a port (specification 50, section 2).
pub fn is_local(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.split(']').next().unwrap_or_default();
        return address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    }
    let (name, has_port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, true),
        _ => (host, false),
    };
    match name.parse::<Ipv4Addr>() {
        Ok(address) => address == Ipv4Addr::LOCALHOST || address.is_private(),
        Err(_) => name.ends_with(".localhost") || (name == "localhost" && has_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_rule() {
        let local = [
            "127.0.0.1",
            "127.0.0.1:5000",
            "localhost:5000",
            "registry.localhost",
            "registry.localhost:5000",
            "10.1.2.3",
            "10.1.2.3:80",
            "172.16.0.1",
            "172.31.255.255:5000",
            "192.168.1.1",
            "[::1]",
            "[::1]:5000",
        ];
        for host in local {
            assert!(is_local(host), "{host}");
        }
        let remote = [
            "ghcr.io",
            "localhost",
            "127.0.0.2",
            "172.32.0.1",
            "172.15.0.1:5000",
            "11.0.0.1",
            "192.169.1.1",
            "10.0.0.1.example.com",
            "localhost.example.com:5000",
            "mylocalhost:5000",
            "[::2]:5000",
            "[fd00::1]",
            "169.254.1.1",
        ];
        for host in remote {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn locations() {
        let at = |text: &str| Location::parse(text).unwrap();
        assert_eq!(at("ghcr.io").to_string(), "ghcr.io");
        assert_eq!(at("Harbor.Example.com:8443/ghcr/").to_string(), "harbor.example.com:8443/ghcr");
        assert_eq!(at("harbor.example.com/a/b").path_of("siderolabs/imager"), "a/b/siderolabs/imager");
        assert_eq!(at("docker.io").path_of("nginx"), "library/nginx");
        assert_eq!(at("docker.io").api_host(), "registry-1.docker.io");
        assert_eq!(at("ghcr.io").path_of("nginx"), "nginx");
        for (text, told, plain) in [
            ("ghcr.io", None, false),
            ("ghcr.io", Some(true), true),
            ("10.0.0.1:5000", None, true),
            ("10.0.0.1:5000", Some(false), false),
            ("http://ghcr.io", None, true),
            ("http://ghcr.io", Some(false), true),
            ("https://10.0.0.1", None, false),
        ] {
            assert_eq!(at(text).plain_http(told), plain, "{text} {told:?}");
        }
        let bad = [
            "",
            "/",
            "ftp://x",
            "a b",
            "user@host",
            "x/Upper",
            "x/..",
            "host?q",
            "host#f",
            "http://",
            "h:port",
            "ö.de",
        ];
        for text in bad {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }
}
