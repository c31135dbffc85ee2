//! Who we are for an object store: the first place that says so counts (51-builds-and-cache.md, 5).

use s3::creds::Credentials;
use s3::creds::error::CredentialsError;

/// Access keys of the environment and their names, in the order in which they are looked for.
const VARIABLES: [[&str; 2]; 2] =
    [["CF_ACCESS_KEY", "CF_SECRET_KEY"], ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]];

/// Finds credentials in `environment`, else in the shared credentials file, else with whoever the machine or
/// container belongs to. The last may ask services of the cloud, so this may block for some seconds.
///
/// # Errors
/// When there are none anywhere.
pub(super) fn find(environment: impl Fn(&str) -> Option<String>) -> Result<Credentials, CredentialsError> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    for [access, secret] in VARIABLES {
        if let (Some(access), Some(secret)) = (set(access), set(secret)) {
            let session = set("AWS_SESSION_TOKEN");
            return Credentials::new(Some(&access), Some(&secret), None, session.as_deref(), None);
        }
    }
    Credentials::new(None, None, None, None, set("AWS_PROFILE").as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_comes_first_and_empty_variables_do_not_count() {
        let with = |pairs: &'static [(&str, &str)]| {
            let found =
                find(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
            let found = found.unwrap();
            (found.access_key.unwrap(), found.session_token)
        };
        let aws = &[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_SESSION_TOKEN", "c")];
        assert_eq!(with(aws), ("a".to_owned(), Some("c".to_owned())));
        let both = &[
            ("CF_ACCESS_KEY", "x"),
            ("CF_SECRET_KEY", "y"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
        ];
        assert_eq!(with(both).0, "x");
        let half = &[
            ("CF_ACCESS_KEY", "x"),
            ("CF_SECRET_KEY", ""),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
        ];
        assert_eq!(with(half).0, "a");
    }
}
