//! Are answers what HTTP promises: lengths, tags, ranges, conditions, names, origins?

use crate::EXTENDED;
use crate::support::fixture::NEWEST;
use crate::support::{Client, Config, Fixture, Server};

struct Served {
    server: Server,
    iso: String,
    _home: tempfile::TempDir,
}

/// A factory, and the path of an ISO that it has never made.
fn served() -> Option<Served> {
    let fixture = Fixture::find()?;
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&Config::on_layouts(&fixture), home.path());
    let schematic = server.client.schematic(EXTENDED);
    let iso = Server::image(&schematic, NEWEST, "metal-amd64.iso");
    Some(Served { server, iso, _home: home })
}

impl Served {
    fn client(&self) -> &Client {
        &self.server.client
    }

    fn part(&self, headers: &[(&str, &str)]) -> crate::support::client::Answer {
        self.client().ask("GET", &self.iso, headers)
    }
}

#[test]
fn head_tells_everything_before_anything_was_made_and_get_keeps_to_it() {
    let Some(served) = served() else { return };
    let head = served.client().head(&served.iso);
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty());
    let get = served.client().get(&served.iso);
    assert_eq!(get.status, 200);
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    for name in ["etag", "content-type", "content-disposition", "accept-ranges", "content-length"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
        assert!(!get.header(name).is_empty(), "{name} is missing");
    }
    let etag = get.header("etag");
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10, "a strong tag: {etag}");
    assert_eq!(get.header("content-type"), "application/x-iso9660-image");
    assert_eq!(get.header("content-disposition"), "attachment; filename=\"metal-amd64.iso\"");
    assert!(get.header("server").starts_with("Image Factory v"), "{}", get.header("server"));
    assert_eq!(&get.body[32769..32774], b"CD001");
}

#[test]
fn ranges_are_stretches_of_the_whole() {
    let Some(served) = served() else { return };
    let whole = served.client().get(&served.iso).body;
    let len = whole.len();
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=32768-36863", 32768, 36864),
        ("bytes=-512", len - 512, len),
        ("bytes=1000001-", 1_000_001, len),
        (&format!("bytes={}-{}", len - 10, len + 1000), len - 10, len),
    ] {
        let answer = served.part(&[("range", range)]);
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {start}-{}/{len}", end - 1));
        assert_eq!(answer.header("content-length"), (end - start).to_string());
        assert!(answer.body == whole[start..end], "{range} gives other bytes");
    }
    let behind = served.part(&[("range", &format!("bytes={len}-"))]);
    assert_eq!((behind.status, behind.header("content-range")), (416, format!("bytes */{len}").as_str()));
    // What is malformed, or of another unit, is as if it were not there.
    for ignored in ["bytes=2-1", "bytes=a-b", "lines=0-1", "bytes=0-1,5-6"] {
        let answer = served.client().ask("HEAD", &served.iso, &[("range", ignored)]);
        assert_eq!(answer.status, 200, "{ignored}");
    }
}

#[test]
fn conditions_are_kept() {
    let Some(served) = served() else { return };
    let etag = served.client().head(&served.iso).header("etag").to_owned();
    for known in [etag.clone(), format!("\"other\", {etag}"), format!("W/{etag}"), "*".to_owned()] {
        let answer = served.part(&[("if-none-match", &known)]);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), etag);
    }
    let range = ("range", "bytes=0-9");
    assert_eq!(served.part(&[range, ("if-none-match", "\"other\"")]).status, 206);
    assert_eq!(served.part(&[range, ("if-range", &etag)]).status, 206);
    for changed in ["\"other\"", &format!("W/{etag}"), "Wed, 21 Oct 2015 07:28:00 GMT"] {
        let answer = served.client().ask("HEAD", &served.iso, &[range, ("if-range", changed)]);
        assert_eq!(answer.status, 200, "{changed}");
    }
    assert_eq!(served.part(&[("if-match", "\"other\"")]).status, 412);
    assert_eq!(served.part(&[range, ("if-match", &etag)]).status, 206);
}

#[test]
fn a_range_of_every_encoding_can_be_gone_on_with() {
    let Some(served) = served() else { return };
    let schematic = served.client().schematic(EXTENDED);
    for name in ["initramfs-amd64.xz", "metal-amd64.raw.xz", "metal-amd64.raw.zst", "metal-amd64.raw.gz"] {
        let path = Server::image(&schematic, NEWEST, name);
        let whole = served.client().get(&path).body;
        let half = whole.len() / 2;
        let rest = served.client().ask("GET", &path, &[("range", &format!("bytes={half}-"))]);
        assert_eq!(rest.status, 206, "{name}");
        assert!(rest.body == whole[half..], "{name}: the second half is another one");
    }
}

#[test]
fn files_can_be_named_by_the_client() {
    let Some(served) = served() else { return };
    let named = |query: &str| {
        let answer = served.client().head(&format!("{}?filename={query}", served.iso));
        assert_eq!(answer.status, 200, "{query}");
        answer.header("content-disposition").to_owned()
    };
    assert_eq!(named("talos.iso"), "attachment; filename=\"talos.iso\"");
    for hostile in
        ["a%22;b%5C.iso", "a%0d%0aSet-Cookie:%20x=1", "..%2F..%2Fetc%2Fpasswd", "%00", "%E2%82%AC.iso"]
    {
        let value = named(hostile);
        assert!(value.starts_with("attachment"), "{value}");
        assert!(!value.contains(['\r', '\n', '\0']) && value.is_ascii(), "{value:?}");
        assert!(!value.contains("../") && !value.contains('\\'), "{value}");
        let quotes = value.matches('"').count();
        assert!(quotes == 2 || quotes == 0, "it breaks out of its quotes: {value}");
    }
}

#[test]
fn browsers_of_other_origins_may_read() {
    let Some(served) = served() else { return };
    let plain = served.client().ask("GET", "/versions", &[("origin", "https://ui.example")]);
    assert_eq!(plain.header("access-control-allow-origin"), "*");
    assert!(plain.all("vary").contains("Origin"));
    assert!(plain.header("access-control-expose-headers").contains("ETag"));
    let headers = [("origin", "https://ui.example"), ("access-control-request-method", "GET")];
    let preflight = served.client().ask("OPTIONS", &served.iso, &headers);
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-methods"), "GET");
    let headers = [("origin", "https://ui.example"), ("access-control-request-method", "DELETE")];
    let refused = served.client().ask("OPTIONS", &served.iso, &headers);
    assert!(!refused.has("access-control-allow-origin"));
}

#[test]
fn only_some_origins_when_the_operator_says_so() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let origins = toml::Value::Array(vec!["https://*.example.com".into()]);
    let config = Config::on_layouts(&fixture).set("http.allowedOrigins", origins);
    let server = Server::start(&config, home.path());
    let allowed = |origin: &str| {
        let answer = server.client.ask("GET", "/versions", &[("origin", origin)]);
        answer.header("access-control-allow-origin").to_owned()
    };
    assert_eq!(allowed("https://ui.example.com"), "https://ui.example.com");
    assert_eq!(allowed("https://evil.example"), "");
}

#[test]
fn every_answer_has_an_id_and_every_route_answers_head() {
    let Some(served) = served() else { return };
    let client = served.client();
    let schematic = client.schematic(EXTENDED);
    for path in [
        "/".to_owned(),
        "/healthz".to_owned(),
        "/readyz".to_owned(),
        "/versions".to_owned(),
        format!("/version/{NEWEST}/extensions/official"),
        format!("/version/{NEWEST}/overlays/official"),
        format!("/talosctl/{NEWEST}"),
        format!("/talosctl/{NEWEST}/talosctl-linux-amd64"),
        format!("/schematics/{schematic}"),
        Server::image(&schematic, NEWEST, "cmdline-metal-amd64"),
        format!("/pxe/{schematic}/{NEWEST}/metal-amd64"),
        "/oci/cosign/signing-key.pub".to_owned(),
    ] {
        let (get, head) = (client.get(&path), client.head(&path));
        assert_eq!((get.status, head.status), (200, 200), "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.body.is_empty(), "{path}");
        assert!(!get.header("x-request-id").is_empty(), "{path}");
        assert_ne!(get.header("x-request-id"), head.header("x-request-id"), "{path}");
    }
    let mine = client.ask("GET", "/versions", &[("x-request-id", "rack-17.a")]);
    assert_eq!(mine.header("x-request-id"), "rack-17.a");
    let odd = client.ask("GET", "/versions", &[("x-request-id", &"x".repeat(500))]);
    assert!(odd.header("x-request-id").len() < 100);
}

#[test]
fn checksums_lie_beside_assets() {
    let Some(served) = served() else { return };
    let (sum, _) = served.client().digest(&served.iso);
    let sidecar = served.client().get(&format!("{}.sha256", served.iso));
    assert_eq!(sidecar.text(), format!("{sum}  metal-amd64.iso\n"));
    let renamed = served.client().get(&format!("{}.sha256?filename=a.iso", served.iso));
    assert_eq!(renamed.text(), format!("{sum}  a.iso\n"));
    let long = served.client().get(&format!("{}.sha512", served.iso)).text();
    assert_eq!(long.split("  ").next().map(str::len), Some(128), "{long}");
}
