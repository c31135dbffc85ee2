//! Do registries get the credentials that they ask for, and nobody else?

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory_adapters::registry::{CredentialFiles, HostOptions, Password, RegistryOptions};
use factory_adapters::testing::HandClock;
use factory_domain::ports::{ReleaseSource as _, SourceError};
use futures_util::future::join_all;

use super::scripted::{Answer, Asked, Scripted};
use super::{quick, registry, repository};

pub fn with_password(host: &str) -> HostOptions {
    HostOptions {
        host: host.to_owned(),
        username: "robot".to_owned(),
        password: Some(Password::Value("secret".to_owned())),
        ..HostOptions::default()
    }
}

fn known(options: &mut RegistryOptions, host: &str) {
    options.hosts = vec![with_password(host)];
}

fn tags() -> Answer {
    Answer::new(200, r#"{"tags":["v1"]}"#)
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode("robot:secret"))
}

/// A registry with a token service on the same server. `token` answers the service's requests.
fn with_tokens(token: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |number, asked| {
        if asked.path.starts_with("/token") {
            return token(number, asked);
        }
        let host = asked.headers["host"].clone();
        match asked.headers.get("authorization") {
            Some(value) if value.starts_with("Bearer good") => tags(),
            _ => Answer::new(401, "").header(
                "WWW-Authenticate",
                format!("Bearer realm=\"http://{host}/token\",service=\"the registry\",scope=\"repository:a/b:pull\""),
            ),
        }
    })
}

fn tokens_asked(server: &Scripted) -> Vec<Asked> {
    server.asked().into_iter().filter(|asked| asked.path.starts_with("/token")).collect()
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_again() {
    let server = with_tokens(|_, _| Answer::new(200, r#"{"token":"good","expires_in":300}"#));
    let mut options = quick();
    known(&mut options, &server.host);
    let source = registry(&server.host, &options);
    for _ in 0..3 {
        source.list_tags(&repository("a/b")).await.unwrap();
    }
    let tokens = tokens_asked(&server);
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].path, "/token?scope=repository%3Aa%2Fb%3Apull&service=the+registry");
    assert_eq!(tokens[0].headers["authorization"], basic());
    assert_eq!(server.asked().len(), 1 + 1 + 3);
}

#[tokio::test]
async fn many_who_need_a_token_share_it() {
    let server = with_tokens(|_, _| Answer::new(200, r#"{"access_token":"good"}"#));
    let source = registry(&server.host, &quick());
    let at = repository("a/b");
    let all = join_all((0..10).map(|_| source.list_tags(&at))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    let tokens = tokens_asked(&server);
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].headers.get("authorization"), None, "nobody is anonymous");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_when_it_is_refused() {
    let clock = Arc::new(HandClock::at(Duration::from_secs(1_700_000_000)));
    let server =
        with_tokens(|number, _| Answer::new(200, format!(r#"{{"token":"good{number}","expires_in":100}}"#)));
    let source = registry(&server.host, &RegistryOptions { clock: clock.clone(), ..quick() });
    let at = repository("a/b");
    source.list_tags(&at).await.unwrap();
    clock.advance(Duration::from_secs(80));
    source.list_tags(&at).await.unwrap();
    assert_eq!(tokens_asked(&server).len(), 1);
    clock.advance(Duration::from_secs(15));
    source.list_tags(&at).await.unwrap();
    assert_eq!(tokens_asked(&server).len(), 2);

    // One that is withdrawn early is found out by the refusal.
    let server = Scripted::start(|number, asked| {
        let host = asked.headers["host"].clone();
        let challenge =
            Answer::new(401, "").header("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""));
        match (asked.path.starts_with("/token"), asked.headers.get("authorization")) {
            (true, _) => Answer::new(200, format!(r#"{{"token":"t{number}","expires_in":9999}}"#)),
            (false, Some(value)) if value == "Bearer t1" && number < 4 => tags(),
            (false, Some(value)) if value == "Bearer t5" => tags(),
            _ => challenge,
        }
    });
    let source = registry(&server.host, &quick());
    for _ in 0..4 {
        source.list_tags(&at).await.unwrap();
    }
    assert_eq!(tokens_asked(&server).len(), 2);
}

#[tokio::test]
async fn identity_tokens_are_exchanged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    let server = with_tokens(|_, asked| {
        let right = asked.method == "POST" && asked.body.contains("refresh_token=refresh%2Fme");
        assert!(!asked.path.contains("refresh"), "secrets do not belong into addresses");
        if right { Answer::new(200, r#"{"access_token":"good"}"#) } else { Answer::new(401, "") }
    });
    std::fs::write(&path, format!(r#"{{"auths":{{"{}":{{"identitytoken":"refresh/me"}}}}}}"#, server.host))
        .unwrap();
    let credentials = CredentialFiles { files: vec![path], github: None };
    let source = registry(&server.host, &RegistryOptions { credentials, ..quick() });
    source.list_tags(&repository("a/b")).await.unwrap();
    let asked = &tokens_asked(&server)[0];
    for part in ["grant_type=refresh_token", "service=the+registry", "scope=repository%3Aa%2Fb%3Apull"] {
        assert!(asked.body.contains(part), "{}", asked.body);
    }
}

#[tokio::test]
async fn plain_passwords_are_sent_when_asked_for() {
    let server = Scripted::start(|_, asked| match asked.headers.get("authorization") {
        Some(value) if *value == basic() => tags(),
        _ => Answer::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let mut options = quick();
    known(&mut options, &server.host);
    let source = registry(&server.host, &options);
    source.list_tags(&repository("a/b")).await.unwrap();
    source.list_tags(&repository("a/b")).await.unwrap();
    assert_eq!(server.asked().len(), 3);

    let nobody = registry(&server.host, &quick()).list_tags(&repository("a/b")).await;
    assert!(matches!(nobody, Err(SourceError::Unauthorized { .. })), "{nobody:?}");
}

#[tokio::test]
async fn rotated_credentials_are_picked_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "old").unwrap();
    let server = Scripted::start(|number, asked| {
        let password = if number < 2 { "old" } else { "new" };
        let right = format!("Basic {}", STANDARD.encode(format!("robot:{password}")));
        match asked.headers.get("authorization") {
            Some(value) if *value == right => tags(),
            _ => Answer::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\""),
        }
    });
    let clock = Arc::new(HandClock::default());
    let mut options = RegistryOptions { clock: clock.clone(), ..quick() };
    known(&mut options, &server.host);
    options.hosts[0].password = Some(Password::File(path.clone()));
    let source = registry(&server.host, &options);
    source.list_tags(&repository("a/b")).await.unwrap();
    std::fs::write(&path, "new").unwrap();
    clock.advance(options.refresh_credentials_every);
    source.list_tags(&repository("a/b")).await.unwrap();
}

#[tokio::test]
async fn refusals_are_told_and_not_repeated() {
    for status in [401, 403] {
        let server = Scripted::start(move |_, _| Answer::new(status, ""));
        let refused = registry(&server.host, &quick()).list_tags(&repository("a/b")).await;
        assert!(matches!(refused, Err(SourceError::Unauthorized { .. })), "{refused:?}");
        assert_eq!(server.asked().len(), 1);
    }
    for (token, unauthorized) in [
        (Answer::new(401, ""), true),
        (Answer::new(403, ""), true),
        (Answer::new(200, r#"{"token":"bad"}"#), true),
        (Answer::new(200, r#"{"token":""}"#), false),
        (Answer::new(200, "nonsense"), false),
        (Answer::new(503, ""), false),
    ] {
        let server = with_tokens(move |_, _| token.clone());
        let Err(error) = registry(&server.host, &quick()).list_tags(&repository("a/b")).await else {
            panic!("it works")
        };
        assert_eq!(matches!(error, SourceError::Unauthorized { .. }), unauthorized, "{error}");
        assert!(!matches!(error, SourceError::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_token_service_that_is_busy_is_asked_again() {
    let server = with_tokens(|number, _| match number {
        0..4 => Answer::new(503, ""),
        _ => Answer::new(200, r#"{"token":"good"}"#),
    });
    registry(&server.host, &quick()).list_tags(&repository("a/b")).await.unwrap();
}

#[tokio::test]
async fn a_credential_file_that_cannot_be_used_leaves_public_images_readable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    std::fs::write(&path, "{").unwrap();
    let server = with_tokens(|_, _| Answer::new(200, r#"{"token":"good"}"#));
    let credentials = CredentialFiles { files: vec![path], github: None };
    let source = registry(&server.host, &RegistryOptions { credentials, ..quick() });
    source.list_tags(&repository("a/b")).await.unwrap();
}
