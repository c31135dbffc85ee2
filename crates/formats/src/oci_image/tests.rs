use std::io::Write;

use serde_json::{Value, json};

use super::*;
use crate::decompress::Compression;
use crate::golden;
use crate::layout::Layout;
use crate::oracle;
use crate::tar_layer::{TarEntry, archive};
use crate::testing::{MemoryBlobs, noise};

const EPOCH: u64 = 1_559_424_892;

fn base(diff_id: Digest) -> BaseConfig {
    let json = json!({
        "architecture": "amd64",
        "created": "2020-01-01T00:00:00Z",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id, Digest::of(b"dropped")]},
        "history": [{"created_by": "COPY"}],
        "config": {"Entrypoint": ["/bin/installer"], "Labels": {"a": "b"}, "Env": ["VERSION=v1"]},
    });
    BaseConfig::read(json.to_string().as_bytes()).unwrap()
}

/// A base layer in gzip, a layer of our own that is plain, and the image of both.
fn example(blobs: &mut MemoryBlobs) -> (Image, Vec<Layout>) {
    let content = TarEntry::file("usr/bin/installer", blobs.layout(noise(5000, 1)));
    let below = archive(&[content]).unwrap().to_vec(blobs).unwrap();
    let diff_id = Digest::of(&below);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&below).unwrap();
    let packed = blobs.layout(gzip.finish().unwrap());
    let content = TarEntry::file("usr/install/amd64/vmlinuz.efi", blobs.layout(noise(70_000, 2)));
    let above = archive(&[content]).unwrap();
    let digest = Digest::of(&above.to_vec(blobs).unwrap());
    let layers = vec![
        Layer {
            kind: LayerType::Gzip,
            digest: Digest::of(&packed.to_vec(blobs).unwrap()),
            size: packed.len(),
            diff_id,
        },
        Layer { kind: LayerType::Tar, digest, size: above.len(), diff_id: digest },
    ];
    let annotations = Annotations::from([("dev.talos.factory.schematic".to_owned(), "1234".to_owned())]);
    let base = base(diff_id);
    let options =
        ImageOptions { architecture: "amd64", created: EPOCH, base: &base, annotations: &annotations };
    (Image::new(&options, layers), vec![packed, above])
}

fn read(document: &Document) -> Value {
    assert_eq!(document.digest, Digest::of(&document.bytes));
    serde_json::from_slice(&document.bytes).unwrap()
}

#[test]
fn what_runs_the_base_runs_the_image() {
    let (image, _) = example(&mut MemoryBlobs::new());
    let config = read(&image.config);
    let keys: Vec<&String> = config.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["architecture", "created", "history", "os", "rootfs", "config"]);
    assert_eq!(config["config"]["Entrypoint"], json!(["/bin/installer"]));
    assert_eq!(config["created"], "2019-06-01T21:34:52Z");
    assert_eq!(config["rootfs"]["diff_ids"][1], image.layers[1].diff_id.to_string());
    assert_eq!(config["history"].as_array().unwrap().len(), 2);
    let manifest = read(&image.manifest);
    assert_eq!(manifest["config"]["digest"], image.config.digest.to_string());
    assert_eq!(manifest["layers"][0]["mediaType"], media_type::LAYER_GZIP);
    assert_eq!(manifest["layers"][1]["mediaType"], media_type::LAYER);
    assert_eq!(manifest["annotations"]["dev.talos.factory.schematic"], "1234");
    assert_eq!(manifest.get("subject"), None);
    assert_eq!(example(&mut MemoryBlobs::new()).0, image, "two runs, the same bytes");
}

#[test]
fn golden_configurations_are_written_alike() {
    let Some(lines) = golden::lines("installers.jsonl") else { return };
    let mut seen = 0;
    for line in lines {
        let case = golden::text(&line["case"]);
        let text = golden::text(&line["response"]["text"]);
        if !case.contains("/config-") || text.is_empty() {
            continue;
        }
        let recorded: Value = serde_json::from_str(text).unwrap();
        let base = BaseConfig::read(text.as_bytes()).unwrap();
        let layer =
            |diff_id: &Digest| Layer { kind: LayerType::Gzip, digest: *diff_id, size: 1, diff_id: *diff_id };
        let layers = base.diff_ids.iter().map(layer).collect();
        let options = ImageOptions {
            architecture: golden::text(&recorded["architecture"]),
            created: EPOCH,
            base: &base,
            annotations: &Annotations::new(),
        };
        let ours = String::from_utf8(Image::new(&options, layers).config.bytes.to_vec()).unwrap();
        let created = golden::text(&recorded["created"]);
        assert_eq!(ours.replace("2019-06-01T21:34:52Z", created), text, "{case}");
        seen += 1;
    }
    assert!(seen > 0, "no configuration among the golden lines");
}

#[test]
fn golden_signature_images_are_written_alike() {
    let Some(lines) = golden::lines("installers.jsonl") else { return };
    let mut seen = 0;
    for line in lines {
        let case = golden::text(&line["case"]);
        if !case.ends_with("/sigtag") {
            continue;
        }
        let recorded: Value = serde_json::from_str(golden::text(&line["response"]["text"])).unwrap();
        let payload = simple_signing("r", &Digest::of(b"x"));
        let ours = signature_image(&payload, b"signature", EPOCH);
        assert_eq!(recorded["config"]["size"], json!(ours.config.size()), "{case}");
        let ours = read(&ours.manifest);
        for pointer in ["/mediaType", "/config/mediaType", "/layers/0/mediaType"] {
            assert_eq!(recorded.pointer(pointer), ours.pointer(pointer), "{case} {pointer}");
        }
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&recorded), keys(&ours));
        assert_eq!(keys(&recorded["layers"][0]), keys(&ours["layers"][0]));
        seen += 1;
    }
    assert!(seen > 0, "no signature among the golden lines");
}

#[test]
fn an_index_names_platforms_in_order() {
    let (image, _) = example(&mut MemoryBlobs::new());
    let other = Document::new(media_type::MANIFEST, &b"{ }"[..]);
    let index = index(&[("amd64", &image.manifest), ("arm64", &other)], &NO_ANNOTATIONS);
    let expected = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":{},"digest":"{}","platform":{{"architecture":"amd64","os":"linux"}}}},{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":3,"digest":"{}","platform":{{"architecture":"arm64","os":"linux"}}}}]}}"#,
        image.manifest.size(),
        image.manifest.digest,
        other.digest
    );
    assert_eq!(index.bytes, expected);
}

#[test]
fn skopeo_reads_the_archive() {
    let mut blobs = MemoryBlobs::new();
    let (image, contents) = example(&mut blobs);
    let tag = "factory.example/installer/1234:v1.0.0".to_owned();
    let layout = docker_archive(&image, &contents, std::slice::from_ref(&tag)).unwrap();
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("installer.tar");
    oracle::write_sparse(&layout, &blobs, &file);
    let names = oracle::success("tar", "tar", &["-tf", oracle::text(&file), "--force-local"]);
    let names: Vec<&str> = names.lines().collect();
    assert_eq!(names[0], image.config.digest.to_string());
    assert_eq!(names[1], format!("{}.tar.gz", image.layers[0].digest.hex()));
    assert_eq!(names[2], format!("{}.tar", image.layers[1].digest.hex()));
    assert_eq!(names[3], "manifest.json");
    let source = format!("docker-archive:{}", oracle::text(&file));
    let inspected = oracle::success("skopeo", "skopeo", &["--insecure-policy", "inspect", &source]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Architecture"], "amd64");
    assert_eq!(inspected["Labels"], json!({"a": "b"}));
    let copy = format!("dir:{}", oracle::text(&root.path().join("copy")));
    oracle::success("skopeo", "skopeo", &["--insecure-policy", "copy", &source, &copy]);
    for (layer, content) in image.layers.iter().zip(&contents).skip(1) {
        let copied = std::fs::read(root.path().join("copy").join(layer.diff_id.hex())).unwrap();
        assert_eq!(copied, content.to_vec(&blobs).unwrap());
    }
}

#[test]
fn signed_documents_are_exact() {
    let digest = Digest::of(b"manifest");
    let payload = simple_signing("factory.example/installer/1234", &digest);
    let expected = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"factory.example/installer/1234"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
    );
    assert_eq!(payload.bytes, expected);
    let statement = sign_statement("r", &digest);
    let expected = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"r","digest":{{"sha256":"{}"}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#,
        digest.hex()
    );
    assert_eq!(String::from_utf8(statement.clone()).unwrap(), expected);
    let signed = pre_authentication_encoding(b"{}");
    assert_eq!(signed, b"DSSEv1 28 application/vnd.in-toto+json 2 {}");
    let bundle = read(&sigstore_bundle(&statement, b"sig", &digest));
    assert_eq!(bundle["dsseEnvelope"]["signatures"], json!([{"sig": "c2ln"}]));
    assert_eq!(bundle["dsseEnvelope"]["payloadType"], "application/vnd.in-toto+json");
}

#[test]
fn referrers_name_their_subject_and_repeat_their_notes() {
    let (image, _) = example(&mut MemoryBlobs::new());
    let bundle = sigstore_bundle(b"{}", b"sig", &Digest::of(b"key"));
    let Document { media_type, digest, .. } = image.manifest;
    let subject = Subject { media_type, digest, size: image.manifest.size() };
    let referrer = sigstore_referrer(subject, (bundle.digest, bundle.size()), SIGN_PREDICATE, EPOCH);
    let manifest = read(&referrer.manifest);
    assert_eq!(manifest["subject"]["digest"], image.manifest.digest.to_string());
    assert_eq!(manifest["config"]["digest"], empty_config().digest.to_string());
    assert_eq!(
        empty_config().digest.hex(),
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
    let list = read(&referrers([&referrer]));
    assert_eq!(list["manifests"][0]["artifactType"], media_type::BUNDLE);
    assert_eq!(list["manifests"][0]["annotations"], manifest["annotations"]);
    let none = referrers([]);
    assert_eq!(
        none.bytes,
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#
    );
}

#[test]
fn odd_bases_are_refused() {
    for json in [
        "",
        "[]",
        "{}",
        r#"{"rootfs":{"diff_ids":["sha512:00"]}}"#,
        r#"{"rootfs":{"diff_ids":[]},"config":7}"#,
    ] {
        assert!(BaseConfig::read(json.as_bytes()).is_err(), "{json}");
    }
    assert_eq!(base(Digest::of(b"")).label("a"), Some("b"));
    assert_eq!(LayerType::try_from(Compression::Xz), Err(UnknownLayerType(Compression::Xz)));
}
