//! A CDN in front of a bucket: the same address, at another host, without the start of its path
//! (51-builds-and-cache.md, 6).

use url::Url;

/// How addresses of the bucket are changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cdn {
    /// Scheme when another one is wished for, host, port.
    base: Url,
    keeps_scheme: bool,
    trim_prefix: String,
}

/// A text that does not say where a CDN is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host: write it as \"cdn.example.com\", perhaps with a scheme in front and a port behind"
)]
pub struct InvalidCdn(pub String);

impl Cdn {
    /// A CDN at `host`, which may have a scheme and a port, for paths that lose `trim_prefix`.
    ///
    /// # Errors
    /// [`InvalidCdn`] when `host` is none.
    pub fn new(host: &str, trim_prefix: &str) -> Result<Self, InvalidCdn> {
        let invalid = || InvalidCdn(host.chars().take(200).collect());
        let keeps_scheme = !host.contains("://");
        let text = if keeps_scheme { format!("http://{host}") } else { host.to_owned() };
        let base = Url::parse(&text).map_err(|_| invalid())?;
        let is_host = matches!(base.scheme(), "http" | "https")
            && base.has_host()
            && matches!(base.path(), "" | "/")
            && base.query().is_none()
            && base.username().is_empty();
        if !is_host {
            return Err(invalid());
        }
        let trim_prefix = match trim_prefix.trim_end_matches('/') {
            "" => String::new(),
            prefix if prefix.starts_with('/') => prefix.to_owned(),
            prefix => format!("/{prefix}"),
        };
        Ok(Self { base, keeps_scheme, trim_prefix })
    }

    /// The address of the same object at the CDN. The query, which holds the signature, stays byte for byte.
    pub fn rewrite(&self, address: &str) -> Option<String> {
        let url = Url::parse(address).ok()?;
        let scheme = if self.keeps_scheme { url.scheme() } else { self.base.scheme() };
        let authority = self.base.host_str()?;
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = url.path();
        let path = match path.strip_prefix(&self.trim_prefix) {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        let query = address.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
        Some(format!("{scheme}://{authority}{port}{path}{query}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "http://127.0.0.1:9000/images/blobs/sha256/aa/aabb?X-Amz-Signature=00&x=a%22%20b";

    #[test]
    fn host_and_path_change_and_the_signature_stays() {
        for (host, prefix, expected) in [
            ("cdn.example.com", "/images", "http://cdn.example.com/blobs/sha256/aa/aabb"),
            ("cdn.example.com:8080", "images/", "http://cdn.example.com:8080/blobs/sha256/aa/aabb"),
            ("https://cdn.example.com", "", "https://cdn.example.com/images/blobs/sha256/aa/aabb"),
            // Not at the border of a segment.
            ("cdn.example.com", "/imag", "http://cdn.example.com/images/blobs/sha256/aa/aabb"),
        ] {
            let rewritten = Cdn::new(host, prefix).unwrap().rewrite(ADDRESS).unwrap();
            assert_eq!(rewritten, format!("{expected}?X-Amz-Signature=00&x=a%22%20b"), "{host} {prefix}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in ["", "a/b", "https://a/b", "ftp://a", "a?b", "u@a", "a b"] {
            assert!(Cdn::new(bad, "/x").is_err(), "{bad}");
        }
    }
}
