//! A client that follows no redirect and unpacks nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use sha2::{Digest, Sha256};

/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(240);

/// A client of one server.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::blocking::Client,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    headers: HeaderMap,
    /// All of the body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client for the server at `base`, such as `http://127.0.0.1:8080`.
    pub fn new(base: &str) -> Self {
        Self::with(base, reqwest::blocking::Client::builder())
    }

    /// A client that trusts this certificate alone.
    pub fn trusting(base: &str, certificate: &str) -> Self {
        let certificate = reqwest::Certificate::from_pem(certificate.as_bytes()).expect("a certificate");
        Self::with(base, reqwest::blocking::Client::builder().tls_certs_only([certificate]))
    }

    fn with(base: &str, builder: reqwest::blocking::ClientBuilder) -> Self {
        let redirects = reqwest::redirect::Policy::none();
        let http = builder.redirect(redirects).no_proxy().timeout(TIMEOUT).build().expect("a client");
        Self { base: base.trim_end_matches('/').to_owned(), http }
    }

    /// Asks with further headers.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let response = self.send(method, path, headers, None);
        Answer::read(response)
    }

    /// Asks with further headers and a body.
    pub fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Answer {
        Answer::read(self.send(method, path, headers, body))
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    /// `HEAD`.
    pub fn head(&self, path: &str) -> Answer {
        self.ask("HEAD", path, &[])
    }

    /// `POST`.
    pub fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        Answer::read(self.send("POST", path, &[], Some(body.into())))
    }

    /// Puts a body to a path. Registries take manifests so.
    pub fn put(&self, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
        Answer::read(self.send("PUT", path, &[("content-type", content_type)], Some(body)))
    }

    /// Creates a schematic and gives its id.
    pub fn schematic(&self, yaml: &str) -> String {
        let answer = self.post("/schematics", yaml);
        assert_eq!(answer.status, 201, "{yaml}\n{}", answer.text());
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    /// SHA-256 of a body, and its length. The body is never held.
    pub fn digest(&self, path: &str) -> (String, u64) {
        let mut response = self.send("GET", path, &[], None);
        if response.status() != StatusCode::OK {
            panic!("{path}: {} {}", response.status(), Answer::read(response).text());
        }
        let (mut hash, mut len) = (Sha256::new(), 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = response.read(&mut buffer).unwrap_or_else(|error| panic!("{path}: {error}"));
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            len += read as u64;
        }
        (hex::encode(hash.finalize()), len)
    }

    /// Saves a body below `folder`, with holes where it is zero.
    pub fn save(&self, path: &str, folder: &Path) -> PathBuf {
        let name = path.rsplit('/').next().expect("a name").split('?').next().expect("a name");
        let target = folder.join(name);
        let mut response = self.send("GET", path, &[], None);
        if response.status() != StatusCode::OK {
            panic!("{path}: {} {}", response.status(), Answer::read(response).text());
        }
        let mut file = Sparse { file: File::create(&target).expect("a file"), len: 0 };
        std::io::copy(&mut response, &mut file).unwrap_or_else(|error| panic!("{path}: {error}"));
        file.file.set_len(file.len).expect("the end of a file");
        target
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Response {
        let url = if path.contains("://") { path.to_owned() } else { format!("{}{path}", self.base) };
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request: RequestBuilder = self.http.request(method, &url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        request.send().unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }
}

impl Answer {
    fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().expect("the body arrives").to_vec();
        Self { status, headers, body }
    }

    /// A header; nothing when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("printable"))
    }

    /// Whether there is such a header.
    pub fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// All values of a header in one text.
    pub fn all(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter().map(|value| value.to_str().expect("printable"));
        values.collect::<Vec<_>>().join(", ")
    }

    /// SHA-256 of the body, in hex digits.
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.body))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as JSON texts.
    pub fn list(&self) -> Vec<String> {
        let value = self.json();
        let items = value.as_array().unwrap_or_else(|| panic!("not a list: {value}")).iter();
        items.map(|item| item.as_str().expect("a text").to_owned()).collect()
    }
}

/// A file that gets holes where zeros are written.
struct Sparse {
    file: File,
    len: u64,
}

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        use std::os::unix::fs::FileExt;
        if bytes.iter().any(|byte| *byte != 0) {
            self.file.write_all_at(bytes, self.len)?;
        }
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
