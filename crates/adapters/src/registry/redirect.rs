//! Which redirects are followed.

use std::net::IpAddr;

use reqwest::redirect::Policy;
use url::{Host, Url};

/// Redirects of one request that are followed.
const MAX_HOPS: usize = 5;

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("too many redirects")]
    TooMany,
    #[error("a redirect to something else than HTTP")]
    Scheme,
    #[error("a redirect from HTTPS to HTTP for content that no digest protects")]
    Downgrade,
    #[error("a redirect into a private network")]
    PrivateAddress,
}

/// The policy of all clients here. Credentials never go to another host: the client takes them off.
pub(super) fn policy() -> Policy {
    Policy::custom(|attempt| match check(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(refused) => attempt.error(refused),
    })
}

pub(super) fn check(previous: &[Url], next: &Url) -> Result<(), Refused> {
    let Some(first) = previous.first() else { return Ok(()) };
    if previous.len() > MAX_HOPS {
        return Err(Refused::TooMany);
    }
    match (first.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => {}
        // Blobs are checked against their digests by whoever receives them.
        ("https", "http") if first.path().contains("/blobs/") => {}
        ("https", "http") => return Err(Refused::Downgrade),
        _ => return Err(Refused::Scheme),
    }
    // A registry must not make this server ask its own network on the registry's behalf.
    if first.host() != next.host() && next.host().is_none_or(is_private) {
        return Err(Refused::PrivateAddress);
    }
    Ok(())
}

fn is_private(host: Host<&str>) -> bool {
    let address = match host {
        Host::Domain(name) => return name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address).to_canonical(),
    };
    match address {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(from: &str, to: &str) -> Result<(), Refused> {
        check(&[from.parse().unwrap()], &to.parse().unwrap())
    }

    #[test]
    fn storage_elsewhere_is_followed() {
        let blob = "https://ghcr.io/v2/a/blobs/sha256:00";
        for to in
            ["https://pkg-containers.example.com/x?sig=1", "http://cdn.example.com/x", "https://8.8.8.8/"]
        {
            assert_eq!(check_one(blob, to), Ok(()), "{to}");
        }
        // Another port of the same host is no way into the network that was not there before.
        assert_eq!(check_one("http://10.0.0.1:5000/v2/", "http://10.0.0.1:9000/x"), Ok(()));
    }

    #[test]
    fn private_networks_are_not_reached_by_redirect() {
        let to = [
            "http://127.0.0.1/",
            "http://10.1.2.3/",
            "http://172.20.0.1/",
            "http://192.168.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://2130706433/",
            "http://localhost/",
            "http://x.localhost:80/",
        ];
        for to in to {
            assert_eq!(
                check_one("http://registry.example.com/v2/", to),
                Err(Refused::PrivateAddress),
                "{to}"
            );
        }
    }

    #[test]
    fn only_what_a_digest_protects_may_lose_tls() {
        let downgrade =
            |path: &str| check_one(&format!("https://r.example.com{path}"), "http://s.example.com/");
        assert_eq!(downgrade("/v2/a/manifests/latest"), Err(Refused::Downgrade));
        assert_eq!(downgrade("/v2/a/tags/list"), Err(Refused::Downgrade));
        assert_eq!(downgrade("/v2/a/blobs/sha256:00"), Ok(()));
        assert_eq!(check_one("https://a/v2/", "ftp://b/"), Err(Refused::Scheme));
        assert_eq!(check_one("https://a/v2/", "file:///etc/passwd"), Err(Refused::Scheme));
    }

    #[test]
    fn endless_redirects_end() {
        let hops: Vec<Url> = (0..=MAX_HOPS).map(|n| format!("https://a/{n}").parse().unwrap()).collect();
        assert_eq!(check(&hops, &"https://a/x".parse().unwrap()), Err(Refused::TooMany));
        assert_eq!(check(&hops[1..], &"https://a/x".parse().unwrap()), Ok(()));
    }
}
