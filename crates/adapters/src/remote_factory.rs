//! Another factory, asked over HTTP.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use url::Url;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Of an answer that says no, so many characters are repeated.
const MAX_REASON: usize = 2000;

/// Why a factory did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// It cannot be reached, or does not speak as a factory does.
    #[error("{url} does not answer as a factory: {reason}")]
    NoAnswer {
        /// What was asked.
        url: Url,
        /// What went wrong.
        reason: String,
    },
    /// It says no.
    #[error("{reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
}

/// A factory at an address.
pub struct RemoteFactory {
    schematics: Url,
    http: Client,
}

impl RemoteFactory {
    /// The factory at `url`; nothing is sent yet.
    ///
    /// # Errors
    /// [`RemoteError::NoAnswer`] when there can be none at this address.
    pub fn new(url: &Url) -> Result<Self, RemoteError> {
        let no_answer = |reason: String| RemoteError::NoAnswer { url: url.clone(), reason };
        let mut base = url.clone();
        // Paths are joined to it, so it must read as a directory.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", url.path()));
        }
        let schematics = base.join("schematics").map_err(|error| no_answer(error.to_string()))?;
        let http =
            Client::builder().timeout(TIMEOUT).build().map_err(|error| no_answer(reason_of(&error)))?;
        Ok(Self { schematics, http })
    }

    /// Creates a schematic; gives its id.
    ///
    /// # Errors
    /// [`RemoteError`], the factory's own words when it says no.
    pub async fn create_schematic(&self, yaml: Vec<u8>) -> Result<String, RemoteError> {
        #[derive(Deserialize)]
        struct Created {
            id: String,
        }
        let no_answer = |reason: String| RemoteError::NoAnswer { url: self.schematics.clone(), reason };
        let failed = |error: reqwest::Error| no_answer(reason_of(&error));
        let answer = self.http.post(self.schematics.clone()).body(yaml).send().await.map_err(failed)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(failed)?;
        if status == StatusCode::CREATED || status == StatusCode::OK {
            let created = serde_json::from_slice::<Created>(&body);
            return created.map(|created| created.id).map_err(|error| no_answer(error.to_string()));
        }
        let said: String = String::from_utf8_lossy(&body).trim().chars().take(MAX_REASON).collect();
        Err(RemoteError::Refused { reason: if said.is_empty() { status.to_string() } else { said } })
    }
}

/// The causes too: reqwest's own text names the address only.
fn reason_of(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
