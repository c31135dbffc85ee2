//! Who we are to a registry: an entry of the configuration, the files of Docker and Podman with their
//! helper programs, a token from the environment, or nobody (specification 12, section 5).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde_json::Value;

use super::location::Location;
use super::options::{HostOptions, Password};

/// Key under which Docker keeps the credentials of its own registry.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What proves who we are.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Anonymous,
    Basic {
        user: String,
        password: String,
    },
    /// Exchanged for an access token (OAuth 2 refresh token).
    Identity(String),
    /// Sent as it is.
    Access(String),
}

/// Files and variables that hold credentials.
#[derive(Clone, Default)]
pub struct CredentialFiles {
    /// Of Docker and Podman, in the order in which they are looked for. Only the first that exists counts.
    pub files: Vec<PathBuf>,
    /// User and token for `ghcr.io`, used when the file has none for it.
    pub github: Option<(String, String)>,
}

/// A credential that is there and cannot be used. The registry is asked as nobody then.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialError {
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("the credential helper for {server} failed: {source}")]
    Helper { server: String, source: CredentialRetrievalError },
}

impl CredentialFiles {
    /// What the environment of this process names, in the order that Docker and Podman look in.
    pub fn from_environment() -> Self {
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        let docker = path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let config = path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let files = [
            docker.map(|directory| directory.join("config.json")),
            path("REGISTRY_AUTH_FILE"),
            path("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")),
            config.map(|directory| directory.join("containers/auth.json")),
        ];
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let github = text("GITHUB_TOKEN").map(|token| {
            let actor = text("GITHUB_ACTOR").unwrap_or_else(|| "unset".to_owned());
            (actor, token)
        });
        Self { files: files.into_iter().flatten().collect(), github }
    }

    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// The credential for a repository. Reads files and may run a program: it blocks.
    pub(super) fn find(
        &self,
        host: &HostOptions,
        location: &Location,
        repository: &str,
    ) -> Result<Credential, CredentialError> {
        if let Some(password) = &host.password {
            let password = match password {
                Password::Value(value) => value.clone(),
                Password::File(path) => read(path)?.trim().to_owned(),
            };
            return Ok(Credential::Basic { user: host.username.clone(), password });
        }
        if let Some(path) = self.files.iter().find(|path| path.is_file())
            && let Some(found) = look_into(path, location, repository)?
        {
            return Ok(found);
        }
        match &self.github {
            Some((user, password)) if location.host() == "ghcr.io" => {
                Ok(Credential::Basic { user: user.clone(), password: password.clone() })
            }
            _ => Ok(Credential::Anonymous),
        }
    }
}

fn read(path: &Path) -> Result<String, CredentialError> {
    fs::read_to_string(path)
        .map_err(|error| CredentialError::File { path: path.to_owned(), reason: error.to_string() })
}

/// Looks for the repository, the paths above it, and the registry, in this order.
fn look_into(
    path: &Path,
    location: &Location,
    repository: &str,
) -> Result<Option<Credential>, CredentialError> {
    let text = read(path)?;
    let config: Value = serde_json::from_str(&text)
        .map_err(|error| CredentialError::File { path: path.to_owned(), reason: error.to_string() })?;
    let server = match location.host() {
        "docker.io" => DOCKER_HUB_KEY,
        host => host,
    };
    let mut key = format!("{}/{}", location.host(), location.path_of(repository));
    while key.len() > location.host().len() {
        // Programs that know all credentials are asked about the registry only.
        let listed = |section: &str| config.get(section).is_some_and(|keys| keys.get(&key).is_some());
        if (listed("auths") || listed("credHelpers"))
            && let Some(found) = look_up(path, &config, &text, &key)?
        {
            return Ok(Some(found));
        }
        key.truncate(key.rfind('/').unwrap_or(0));
    }
    look_up(path, &config, &text, server)
}

fn look_up(
    path: &Path,
    config: &Value,
    text: &str,
    server: &str,
) -> Result<Option<Credential>, CredentialError> {
    let token = config.pointer("/auths").and_then(|auths| auths.get(server)?.get("registrytoken")?.as_str());
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        return Ok(Some(Credential::Access(token.to_owned())));
    }
    match docker_credential::get_credential_from_reader(text.as_bytes(), server) {
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::Identity(token))),
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Credential::Basic { user, password }))
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // This is how helpers say that they know nothing about a registry.
        Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
            if stdout.contains("credentials not found") || stderr.contains("credentials not found") =>
        {
            Ok(None)
        }
        Err(
            source @ (CredentialRetrievalError::HelperFailure { .. }
            | CredentialRetrievalError::HelperCommunicationError
            | CredentialRetrievalError::MalformedHelperResponse),
        ) => Err(CredentialError::Helper { server: server.to_owned(), source }),
        Err(error) => Err(CredentialError::File { path: path.to_owned(), reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn basic(user: &str, password: &str) -> Credential {
        Credential::Basic { user: user.to_owned(), password: password.to_owned() }
    }

    fn find(config: &str, registry: &str, repository: &str) -> Result<Credential, CredentialError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs::write(&path, config).unwrap();
        let files = CredentialFiles {
            files: vec![directory.path().join("not there"), path],
            github: Some(("actor".to_owned(), "ghs_token".to_owned())),
        };
        files.find(&HostOptions::default(), &Location::parse(registry).unwrap(), repository)
    }

    #[test]
    fn the_closest_entry_wins() {
        let auth = |pair: &str| STANDARD.encode(pair);
        let config = format!(
            r#"{{"auths":{{"r.example.com":{{"auth":"{}"}},"r.example.com/team":{{"auth":"{}"}},
                "r.example.com/team/app":{{"auth":"{}"}},"https://index.docker.io/v1/":{{"auth":"{}"}}}}}}"#,
            auth("host:1"),
            auth("team:2:3"),
            auth("app:4"),
            auth("hub:5"),
        );
        for (registry, repository, expected) in [
            ("r.example.com", "other/thing", basic("host", "1")),
            ("r.example.com", "team/thing", basic("team", "2:3")),
            ("r.example.com", "team/app", basic("app", "4")),
            ("r.example.com", "team/app/deeper", basic("app", "4")),
            ("r.example.com/team", "app", basic("app", "4")),
            ("docker.io", "nginx", basic("hub", "5")),
            ("ghcr.io", "a/b", basic("actor", "ghs_token")),
            ("quay.io", "a/b", Credential::Anonymous),
            ("r.example.com.evil.org", "a/b", Credential::Anonymous),
        ] {
            assert!(find(&config, registry, repository).unwrap() == expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn tokens_are_told_apart() {
        let config =
            r#"{"auths":{"a.io":{"identitytoken":"refresh"},"b.io":{"registrytoken":"access"},"c.io":{}}}"#;
        assert!(find(config, "a.io", "x").unwrap() == Credential::Identity("refresh".to_owned()));
        assert!(find(config, "b.io", "x").unwrap() == Credential::Access("access".to_owned()));
        assert!(find(config, "c.io", "x").unwrap() == Credential::Anonymous);
    }

    #[test]
    fn a_file_that_is_none_is_an_error_and_its_contents_stay_out_of_it() {
        for config in ["{", r#"{"auths":{"r.io":{"auth":"secret!"}}}"#] {
            let Err(error) = find(config, "r.io", "x") else { panic!("{config} was accepted") };
            assert!(error.to_string().contains("config.json"), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn helpers_are_asked() {
        let directory = tempfile::tempdir().unwrap();
        let script = r#"#!/bin/sh
read -r server
case "$server" in
known.io) echo '{"ServerURL":"known.io","Username":"u","Secret":"s"}' ;;
token.io) echo '{"ServerURL":"token.io","Username":"<token>","Secret":"t"}' ;;
broken.io) echo nonsense ;;
*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"#;
        let helper = directory.path().join("docker-credential-factorytest");
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        // Programs are looked for in PATH, so this runs itself with another one.
        let output = std::process::Command::new(env::current_exe().unwrap())
            .args(["--exact", "registry::credentials::tests::helpers_on_the_path", "--nocapture"])
            .env("PATH", format!("{}:{}", directory.path().display(), env::var("PATH").unwrap()))
            .env("FACTORY_HELPER_TEST", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("helpers were asked"), "{said}");
    }

    /// The part of the test above that needs another environment.
    #[test]
    fn helpers_on_the_path() {
        if env::var_os("FACTORY_HELPER_TEST").is_none() {
            return;
        }
        for config in [
            r#"{"credsStore":"factorytest"}"#,
            r#"{"credHelpers":{"known.io":"factorytest","token.io":"factorytest","broken.io":"factorytest"}}"#,
        ] {
            assert!(find(config, "known.io", "a/b").unwrap() == basic("u", "s"));
            assert!(find(config, "token.io", "a/b").unwrap() == Credential::Identity("t".to_owned()));
            assert!(find(config, "unknown.io", "a/b").unwrap() == Credential::Anonymous);
            assert!(matches!(find(config, "broken.io", "a/b"), Err(CredentialError::Helper { .. })));
        }
        println!("helpers were asked");
    }

    #[test]
    fn the_table_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        fs::write(&path, "from file\n").unwrap();
        let location = Location::parse("ghcr.io").unwrap();
        let files = CredentialFiles { files: Vec::new(), github: Some(("a".to_owned(), "t".to_owned())) };
        for (password, expected) in
            [(Password::Value("direct".to_owned()), "direct"), (Password::File(path), "from file")]
        {
            let host = HostOptions {
                username: "robot".to_owned(),
                password: Some(password),
                ..HostOptions::default()
            };
            assert!(files.find(&host, &location, "x").unwrap() == basic("robot", expected));
        }
        let missing = HostOptions {
            password: Some(Password::File(directory.path().join("none"))),
            ..HostOptions::default()
        };
        assert!(files.find(&missing, &location, "x").is_err());
    }
}
