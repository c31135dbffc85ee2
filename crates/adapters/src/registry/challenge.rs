//! What a registry wants to see before it answers: the `WWW-Authenticate` of a 401.

use http_auth::parser::ChallengeParser;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How to prove who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a token from this service (OCI distribution specification; Docker's token authentication).
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// With user and password on every request.
    Basic,
}

impl Challenge {
    /// The strongest one of a response that we can meet.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut found = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let Ok(text) = value.to_str() else { continue };
            for challenge in ChallengeParser::new(text).map_while(Result::ok) {
                let parameter = |name: &str| {
                    let named = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    named.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    if let Some(realm) = parameter("realm") {
                        let (service, scope) = (parameter("service"), parameter("scope"));
                        return Some(Self::Bearer { realm, service, scope });
                    }
                } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                    found = Some(Self::Basic);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::from_headers(&headers)
    }

    #[test]
    fn bearer_is_preferred() {
        let bearer = r#"Bearer realm="https://auth.example.com/token",service="registry, the",scope="repository:a/b:pull""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example.com/token".to_owned(),
            service: Some("registry, the".to_owned()),
            scope: Some("repository:a/b:pull".to_owned()),
        };
        assert_eq!(read(&[bearer]), Some(expected.clone()));
        assert_eq!(read(&["Basic realm=\"x\"", bearer]), Some(expected.clone()));
        assert_eq!(read(&[&format!("Basic realm=\"x\", {bearer}")]), Some(expected));
        assert_eq!(read(&["basic realm=\"x\""]), Some(Challenge::Basic));
    }

    #[test]
    fn nonsense_is_no_challenge() {
        for value in
            ["", "Digest realm=\"x\", nonce=\"y\"", "Bearer", "Bearer service=\"x\"", "Bearer realm=", "\"\\"]
        {
            assert_eq!(read(&[value]), None, "{value}");
        }
        assert_eq!(read(&[]), None);
    }
}
