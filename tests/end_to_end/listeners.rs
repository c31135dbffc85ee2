//! TLS for people, plain HTTP without redirects for machines that boot over the network.

use crate::EXTENDED;
use crate::support::fixture::NEWEST;
use crate::support::tools::{says, success, text};
use crate::support::{Client, Config, Fixture, Server};

#[test]
fn tls_and_plain_http_side_by_side() {
    let Some(fixture) = Fixture::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let (cert, key) = (home.path().join("tls.crt"), home.path().join("tls.key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config =
        Config::on_layouts(&fixture).set("http.certFile", text(&cert)).set("http.keyFile", text(&key));
    config.pxe_host = "127.0.0.1".to_owned();
    config.certificate = Some(made.cert.pem());
    let server = Server::start(&config, home.path());
    assert!(server.url.starts_with("https://"));
    let schematic = server.client.schematic(EXTENDED);

    // The script leads machines to the plain listener, whichever they got it from.
    let plain = Client::new(&server.pxe_url);
    let path = format!("/pxe/{schematic}/{NEWEST}/metal-amd64");
    let script = plain.get(&path);
    assert_eq!((script.status, script.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert_eq!(script.text(), server.client.get(&path).text());
    let script = script.text();
    assert!(script.starts_with("#!ipxe"), "{script}");
    let urls: Vec<&str> = script.split_whitespace().filter(|word| word.starts_with("http")).collect();
    assert_eq!(urls.len(), 2, "{script}");
    for url in urls {
        assert!(url.starts_with(&server.pxe_url), "{url}");
        let (over_plain, over_tls) =
            (plain.head(url), server.client.head(&url.replace(&server.pxe_url, &server.url)));
        assert_eq!((over_plain.status, over_tls.status), (200, 200), "no redirects for iPXE: {url}");
        assert_eq!(over_plain.header("etag"), over_tls.header("etag"));
    }
    // iPXE of some architectures names itself otherwise.
    let uname = plain.get(&path.replace("metal-amd64", "metal-x86_64"));
    assert_eq!(uname.text(), script);
    assert_eq!(plain.get(&path.replace("metal-amd64", "metal-${buildarch}")).status, 400);

    // Other clients and protocols at the same door.
    let version = |options: &[&str]| {
        let arguments =
            [&["-s", "-o", "/dev/null", "-w", "%{http_version}", "--cacert", text(&cert)], options];
        says("curl", "curl", &[&arguments.concat()[..], &[&format!("{}/versions", server.url)]].concat())
    };
    assert_eq!((version(&["--http2"]).as_str(), version(&["--http1.1"]).as_str()), ("2", "1.1"));
    assert!(
        says(
            "curl",
            "curl",
            &["-s", "--cacert", text(&cert), "--tls-max", "1.2", &format!("{}/versions", server.url)]
        )
        .contains(NEWEST)
    );

    // Registry clients come this way too.
    let trusted = home.path().join("certificates");
    std::fs::create_dir(&trusted).unwrap();
    std::fs::copy(&cert, trusted.join("ca.crt")).unwrap();
    let image = format!("docker://{}/installer/{schematic}:{NEWEST}", server.address);
    let (copy, state) = (home.path().join("copy"), home.path().join("podman"));
    let skopeo = ["--insecure-policy", "copy", "--all", "--src-cert-dir", text(&trusted), &image];
    success("skopeo", "skopeo", &[&skopeo[..], &[&format!("dir:{}", text(&copy))]].concat());
    assert!(copy.join("manifest.json").exists());
    let (root, run) = (state.join("root"), state.join("run"));
    let podman =
        ["--root", text(&root), "--runroot", text(&run), "--storage-driver", "vfs", "pull", "--quiet"];
    success("podman", "podman", &[&podman[..], &["--cert-dir", text(&trusted), &image]].concat());
    server.stop();
}

#[test]
fn a_key_without_its_certificate_is_told_at_once() {
    let home = tempfile::tempdir().unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    std::fs::write(home.path().join("tls.key"), pair.serialize_pem()).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(home.path().join("tls.crt"), other.cert.pem()).unwrap();
    let run = |cert: &str| {
        let output = std::process::Command::new(crate::support::server::PROGRAM)
            .args(["serve", "--set", "http.keyFile=tls.key", "--set", &format!("http.certFile={cert}")])
            .args(["--set", "store.path=store", "--set", "metrics.addr="])
            .args(["--set", "http.httpListenAddr=127.0.0.1:0"])
            .current_dir(home.path())
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(run("").contains("belong together"));
    assert!(run("missing.crt").contains("missing.crt"));
    assert!(run("tls.crt").contains("tls.key"), "a key for another certificate: {}", run("tls.crt"));
}
