//! Cross-origin requests: who may read what from a browser.

/// What `http.allowedOrigins` allows.
#[derive(Clone, Debug)]
pub struct Origins {
    all: bool,
    exact: Vec<String>,
    /// Text before and after the wildcard.
    patterns: Vec<(String, String)>,
}

/// Methods that scripts of other origins may use.
const METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// The one request header beyond the harmless ones that they may send.
const HEADERS: [&str; 1] = ["cache-control"];

/// Response headers that they may read.
pub const EXPOSED: &str = "Content-Disposition, Content-Length, Content-Type, ETag, X-Request-ID";

/// What an allowed preflight is answered with.
#[derive(Debug, PartialEq, Eq)]
pub struct Allowed {
    /// `Access-Control-Allow-Origin`.
    pub origin: String,
    /// `Access-Control-Allow-Methods`.
    pub method: String,
    /// `Access-Control-Allow-Headers`, when any were asked for.
    pub headers: Option<String>,
}

impl Origins {
    /// Entries are compared without regard to case; `*` alone allows all.
    pub fn new(entries: &[String]) -> Self {
        let mut origins = Self { all: false, exact: Vec::new(), patterns: Vec::new() };
        for entry in entries.iter().map(|entry| entry.to_lowercase()) {
            match entry.split_once('*') {
                Some(("", "")) => origins.all = true,
                Some((before, after)) => origins.patterns.push((before.to_owned(), after.to_owned())),
                None => origins.exact.push(entry),
            }
        }
        origins
    }

    /// The value of `Access-Control-Allow-Origin` for a request from `origin`; `None` when it is not allowed.
    pub fn allow(&self, origin: &str) -> Option<String> {
        if self.all {
            return Some("*".to_owned());
        }
        let lower = origin.to_lowercase();
        let fits = |(before, after): &(String, String)| {
            lower.len() >= before.len() + after.len() && lower.starts_with(before) && lower.ends_with(after)
        };
        (self.exact.contains(&lower) || self.patterns.iter().any(fits)).then(|| origin.to_owned())
    }

    /// Answers a preflight; `None` gives no permission.
    pub fn preflight(&self, origin: &str, method: &str, headers: Option<&str>) -> Option<Allowed> {
        let origin = self.allow(origin)?;
        let names = headers.unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty());
        let known = |name: &str| HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name));
        (METHODS.contains(&method) && names.clone().all(known)).then(|| Allowed {
            origin,
            method: method.to_owned(),
            headers: headers.filter(|_| names.clone().next().is_some()).map(str::to_owned),
        })
    }

    /// Whether a plain request with this method may be read by scripts of other origins.
    pub fn covers(method: &str) -> bool {
        METHODS.contains(&method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(entries: &[&str]) -> Origins {
        Origins::new(&entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn who_is_allowed() {
        assert_eq!(origins(&["*"]).allow("https://a").as_deref(), Some("*"));
        let some = origins(&["https://A.example", "https://*.b.example"]);
        assert_eq!(some.allow("https://a.EXAMPLE").as_deref(), Some("https://a.EXAMPLE"));
        assert!(some.allow("https://x.b.example").is_some());
        for other in ["https://b.example", "http://a.example", "null", "https://a.example.evil"] {
            assert_eq!(some.allow(other), None, "{other}");
        }
        assert_eq!(origins(&["ab*ba"]).allow("aba"), None, "the two ends must not overlap");
    }

    #[test]
    fn preflights() {
        let all = origins(&["*"]);
        let allowed = all.preflight("https://a", "GET", Some("Cache-Control")).unwrap();
        assert_eq!(
            allowed,
            Allowed { origin: "*".into(), method: "GET".into(), headers: Some("Cache-Control".into()) }
        );
        assert_eq!(all.preflight("https://a", "HEAD", None).unwrap().headers, None);
        assert_eq!(all.preflight("https://a", "DELETE", None), None);
        assert_eq!(all.preflight("https://a", "GET", Some("cache-control, x-evil")), None);
        assert!(!Origins::covers("POST"));
    }
}
