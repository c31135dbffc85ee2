//! A whole Sigstore in memory: certificate authority, certificate log, both kinds of transparency log, and a
//! timestamp authority, which is OpenSSL's. The real cosign accepts what it signs (`real_cosign`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _,
    SanType, SerialNumber, SigningKey as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const IN_TOTO: &str = "application/vnd.in-toto+json";
const START: &str = "2020-01-01T00:00:00Z";

/// Extensions of certificates: who vouches for the name, in the old form and in the new one.
const ISSUER: &[u64] = &[1, 3, 6, 1, 4, 1, 57264, 1, 1];
const ISSUER_V2: &[u64] = &[1, 3, 6, 1, 4, 1, 57264, 1, 8];

/// The extension with the word of certificate logs (RFC 6962).
const SCT_LIST: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

/// The transparency log that has seen a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Rekor 1: an entry with a time of its own, a promise, and a proof.
    Promised,
    /// Rekor 2: an entry with a proof; the time is a timestamp's.
    Tiled,
}

/// What a certificate log says about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sct {
    Good,
    Missing,
    /// By a log that nobody knows.
    Unknown,
    /// By the right log, about another certificate.
    Other,
}

/// Somebody who signs, and when. Times are minutes from now.
#[derive(Clone, Debug)]
pub struct Signer {
    pub name: String,
    pub issuer: String,
    pub from: i64,
    pub until: i64,
    pub logged: i64,
    pub sct: Sct,
}

impl Signer {
    /// A certificate for twenty minutes, used while it is good.
    pub fn new(name: &str, issuer: &str) -> Self {
        let (name, issuer) = (name.to_owned(), issuer.to_owned());
        Self { name, issuer, from: -10, until: 10, logged: -5, sct: Sct::Good }
    }
}

pub struct VirtualSigstore {
    root: Vec<u8>,
    intermediate: Vec<u8>,
    authority: Issuer<'static, KeyPair>,
    certificate_log: KeyPair,
    stranger: KeyPair,
    promising_log: KeyPair,
    tiled_log: KeyPair,
    timestamps: (KeyPair, Vec<u8>),
}

impl VirtualSigstore {
    pub fn new() -> Self {
        let p256 = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let root_key = p256();
        let root_params = authority("virtual root", &[]);
        let root = root_params.self_signed(&root_key).unwrap().der().to_vec();
        let root_issuer = Issuer::new(root_params, root_key);
        let params = authority("virtual intermediate", &[ExtendedKeyUsagePurpose::CodeSigning]);
        let key = p256();
        let intermediate = params.signed_by(&key, &root_issuer).unwrap().der().to_vec();
        let timestamps = p256();
        let mut stamping = CertificateParams::default();
        stamping.distinguished_name = named("virtual timestamps");
        stamping.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        stamping.use_authority_key_identifier_extension = true;
        // Marked as critical, which the generator does not do for this purpose: RFC 3161, section 2.3.
        stamping.custom_extensions = vec![critical(
            &[2, 5, 29, 37],
            &[0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08],
        )];
        years(&mut stamping);
        let stamping = stamping.signed_by(&timestamps, &root_issuer).unwrap().der().to_vec();
        Self {
            root,
            intermediate,
            authority: Issuer::new(params, key),
            certificate_log: p256(),
            stranger: p256(),
            promising_log: p256(),
            tiled_log: KeyPair::generate_for(&PKCS_ED25519).unwrap(),
            timestamps: (timestamps, stamping),
        }
    }

    /// The `trusted_root.json` of this Sigstore.
    pub fn trusted_root(&self) -> Value {
        let chain = |certificates: &[&[u8]]| -> Value {
            certificates.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect()
        };
        let subject = json!({"organization": "virtual", "commonName": "virtual"});
        let valid = json!({"start": START});
        let log = |url: &str, key: &KeyPair, kind: &str, id: &[u8]| {
            json!({
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.subject_public_key_info()),
                    "keyDetails": kind,
                    "validFor": valid,
                },
                "logId": {"keyId": STANDARD.encode(id)},
            })
        };
        let p256 = "PKIX_ECDSA_P256_SHA_256";
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log("https://rekor.virtual", &self.promising_log, p256, &log_id(&self.promising_log)),
                log("https://tiles.virtual", &self.tiled_log, "PKIX_ED25519", &self.tiled_id()),
            ],
            "certificateAuthorities": [{
                "subject": subject,
                "uri": "https://fulcio.virtual",
                "certChain": {"certificates": chain(&[&self.intermediate, &self.root])},
                "validFor": valid,
            }],
            "ctlogs": [log("https://ct.virtual", &self.certificate_log, p256, &log_id(&self.certificate_log))],
            "timestampAuthorities": [{
                "subject": subject,
                "uri": "https://timestamps.virtual",
                "certChain": {"certificates": chain(&[&self.timestamps.1, &self.root])},
                "validFor": valid,
            }],
        })
    }

    /// A bundle around a statement.
    pub fn bundle(&self, signer: &Signer, payload: &[u8], log: Log) -> Value {
        let (certificate, key) = self.certificate(signer);
        let head = format!("DSSEv1 {} {IN_TOTO} {} ", IN_TOTO.len(), payload.len());
        let signed = [head.as_bytes(), payload].concat();
        let signature = key.sign(&signed).unwrap();
        let (kind, version, body) = match log {
            Log::Promised => (
                "dsse",
                "0.0.1",
                json!({
                    "apiVersion": "0.0.1",
                    "kind": "dsse",
                    "spec": {
                        "envelopeHash": {"algorithm": "sha256", "value": hex::encode(Sha256::digest(&signed))},
                        "payloadHash": {"algorithm": "sha256", "value": hex::encode(Sha256::digest(payload))},
                        "signatures": [{
                            "signature": STANDARD.encode(&signature),
                            "verifier": STANDARD.encode(pem("CERTIFICATE", &certificate)),
                        }],
                    },
                }),
            ),
            Log::Tiled => (
                "hashedrekord",
                "0.0.2",
                json!({
                    "apiVersion": "0.0.2",
                    "kind": "hashedrekord",
                    "spec": {"hashedRekordV002": {
                        "data": {"algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(&signed))},
                        "signature": {
                            "content": STANDARD.encode(&signature),
                            "verifier": {
                                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                                "x509Certificate": {"rawBytes": STANDARD.encode(&certificate)},
                            },
                        },
                    }},
                }),
            ),
        };
        let mut material = json!({
            "certificate": {"rawBytes": STANDARD.encode(&certificate)},
            "tlogEntries": [self.entry(kind, version, body.to_string().as_bytes(), signer.logged, log)],
        });
        if log == Log::Tiled {
            let stamp = STANDARD.encode(self.timestamp(&signature));
            material["timestampVerificationData"] =
                json!({"rfc3161Timestamps": [{"signedTimestamp": stamp}]});
        }
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": STANDARD.encode(&signature)}],
            },
        })
    }

    /// The annotations of a layer that holds `payload`.
    pub fn annotations(&self, signer: &Signer, payload: &[u8]) -> BTreeMap<String, String> {
        let (certificate, key) = self.certificate(signer);
        let signature = key.sign(payload).unwrap();
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hex::encode(Sha256::digest(payload))}},
                "signature": {
                    "content": STANDARD.encode(&signature),
                    "publicKey": {"content": STANDARD.encode(pem("CERTIFICATE", &certificate))},
                },
            },
        });
        let entry = self.promise(body.to_string().as_bytes(), signer.logged);
        let chain = [pem("CERTIFICATE", &self.intermediate), pem("CERTIFICATE", &self.root)].concat();
        let named = |name: &str, value: String| (format!("dev.sigstore.cosign/{name}"), value);
        BTreeMap::from([
            ("dev.cosignproject.cosign/signature".to_owned(), STANDARD.encode(&signature)),
            named("certificate", pem("CERTIFICATE", &certificate)),
            named("chain", chain),
            named("bundle", entry.to_string()),
        ])
    }

    /// A log's promise to keep an entry, as cosign writes it beside a signature.
    pub fn promise(&self, body: &[u8], logged: i64) -> Value {
        let payload = json!({
            "body": STANDARD.encode(body),
            "integratedTime": from_now(logged),
            "logID": hex::encode(log_id(&self.promising_log)),
            "logIndex": 1001,
        });
        let promise = self.promising_log.sign(payload.to_string().as_bytes()).unwrap();
        json!({"SignedEntryTimestamp": STANDARD.encode(promise), "Payload": payload})
    }

    /// An entry as bundles carry it.
    fn entry(&self, kind: &str, version: &str, body: &[u8], logged: i64, log: Log) -> Value {
        // The second of three leaves.
        let leaf = |bytes: &[u8]| Sha256::digest([&[0], bytes].concat()).to_vec();
        let node = |left: &[u8], right: &[u8]| Sha256::digest([&[1], left, right].concat()).to_vec();
        let (first, third) = (leaf(b"first"), leaf(b"third"));
        let root = node(&node(&first, &leaf(body)), &third);
        let proof = |checkpoint: String| {
            json!({
                "logIndex": "1",
                "treeSize": "3",
                "rootHash": STANDARD.encode(&root),
                "hashes": [STANDARD.encode(&first), STANDARD.encode(&third)],
                "checkpoint": {"envelope": checkpoint},
            })
        };
        let mut entry = json!({
            "kindVersion": {"kind": kind, "version": version},
            "canonicalizedBody": STANDARD.encode(body),
        });
        match log {
            Log::Promised => {
                let id = log_id(&self.promising_log);
                let promise = self.promise(body, logged);
                entry["logIndex"] = json!("1001");
                entry["integratedTime"] = json!(from_now(logged).to_string());
                entry["logId"] = json!({"keyId": STANDARD.encode(id)});
                entry["inclusionPromise"] = json!({"signedEntryTimestamp": promise["SignedEntryTimestamp"]});
                entry["inclusionProof"] = proof(self.checkpoint(log, &root));
            }
            Log::Tiled => {
                let id = self.tiled_id();
                entry["logIndex"] = json!("1");
                entry["logId"] = json!({"keyId": STANDARD.encode(&id)});
                entry["inclusionProof"] = proof(self.checkpoint(log, &root));
            }
        }
        entry
    }

    /// A log's word that its three entries have this root: a signed note.
    pub fn checkpoint(&self, log: Log, root: &[u8]) -> String {
        let (origin, name, key, id) = match log {
            Log::Promised => {
                let key = &self.promising_log;
                ("rekor.virtual - 42", "rekor.virtual", key, log_id(key).to_vec())
            }
            Log::Tiled => ("tiles.virtual", "tiles.virtual", &self.tiled_log, self.tiled_id()),
        };
        let text = format!("{origin}\n3\n{}\n", STANDARD.encode(root));
        let signature = [&id[..4], &key.sign(text.as_bytes()).unwrap()].concat();
        format!("{text}\n\u{2014} {name} {}\n", STANDARD.encode(signature))
    }

    /// A certificate and its key.
    fn certificate(&self, signer: &Signer) -> (Vec<u8>, KeyPair) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from(from_now(0) as u64));
        params.not_before =
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(from_now(signer.from) as u64);
        params.not_after =
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(from_now(signer.until) as u64);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.use_authority_key_identifier_extension = true;
        let name = signer.name.clone().try_into().unwrap();
        params.subject_alt_names =
            vec![if signer.name.contains("://") { SanType::URI(name) } else { SanType::Rfc822Name(name) }];
        let length = u8::try_from(signer.issuer.len()).unwrap();
        params.custom_extensions = vec![
            CustomExtension::from_oid_content(ISSUER, signer.issuer.as_bytes().to_vec()),
            CustomExtension::from_oid_content(
                ISSUER_V2,
                [&[0x0c, length], signer.issuer.as_bytes()].concat(),
            ),
        ];
        let issue =
            |params: &CertificateParams| params.signed_by(&key, &self.authority).unwrap().der().to_vec();
        if signer.sct != Sct::Missing {
            let list = self.scts(&to_be_signed(&issue(&params)), signer.sct);
            params.custom_extensions.push(CustomExtension::from_oid_content(SCT_LIST, list));
        }
        (issue(&params), key)
    }

    /// The word of a certificate log about a certificate without that word (RFC 6962, section 3.2).
    fn scts(&self, certificate: &[u8], sct: Sct) -> Vec<u8> {
        let log = if sct == Sct::Unknown { &self.stranger } else { &self.certificate_log };
        let issuer = Sha256::digest(self.authority.key().subject_public_key_info());
        let time = u64::try_from(from_now(-20) * 1000).unwrap().to_be_bytes();
        let mut certificate = certificate.to_vec();
        if sct == Sct::Other {
            *certificate.last_mut().unwrap() ^= 1;
        }
        let length = u32::try_from(certificate.len()).unwrap().to_be_bytes();
        let signed = [&[0, 0][..], &time, &[0, 1], &issuer, &length[1..], &certificate, &[0, 0]].concat();
        let signature = log.sign(&signed).unwrap();
        let length = u16::try_from(signature.len()).unwrap().to_be_bytes();
        let id = log_id(log);
        let sct = [&[0][..], &id, &time, &[0, 0], &[4, 3], &length, &signature].concat();
        let length = |of: usize| u16::try_from(of).unwrap().to_be_bytes();
        let list = [&length(sct.len() + 2)[..], &length(sct.len()), &sct].concat();
        [&[0x04, u8::try_from(list.len()).unwrap()], &list[..]].concat()
    }

    /// A timestamp over `signed`, of now.
    pub fn timestamp(&self, signed: &[u8]) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("key.pem"), self.timestamps.0.serialize_pem()).unwrap();
        fs::write(at("signer.pem"), pem("CERTIFICATE", &self.timestamps.1)).unwrap();
        fs::write(at("signed"), signed).unwrap();
        fs::write(at("serial"), "01\n").unwrap();
        fs::write(at("ts.cnf"), TIMESTAMPS).unwrap();
        run(directory.path(), &["ts", "-query", "-data", "signed", "-sha256", "-cert", "-out", "query"]);
        run(directory.path(), &["ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-out", "reply"]);
        fs::read(at("reply")).unwrap()
    }

    /// Key of the tiled log, as signed notes name it.
    fn tiled_id(&self) -> Vec<u8> {
        Sha256::digest([b"tiles.virtual\n\x01", self.tiled_log.public_key_raw()].concat()).to_vec()
    }
}

const TIMESTAMPS: &str = "[tsa]\ndefault_tsa = virtual\n[virtual]\nserial = serial\nsigner_cert = signer.pem\n\
    signer_key = key.pem\nsigner_digest = sha256\ndefault_policy = 1.3.6.1.4.1.57264.2\n\
    digests = sha256\ness_cert_id_alg = sha256\n";

fn run(directory: &Path, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(directory).output();
    let done = done.expect("openssl: install the Debian package openssl");
    assert!(done.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::OrganizationName, "virtual");
    names.push(DnType::CommonName, name);
    names
}

fn authority(name: &str, purposes: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = purposes.to_vec();
    params.use_authority_key_identifier_extension = true;
    years(&mut params);
    params
}

fn years(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
}

fn critical(oid: &[u64], content: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(true);
    extension
}

/// What a certificate's signature is over: the first element inside of it.
fn to_be_signed(der: &[u8]) -> Vec<u8> {
    let header = |der: &[u8]| match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        short => (2, usize::from(short)),
    };
    let inner = &der[header(der).0..];
    let (head, length) = header(inner);
    inner[..head + length].to_vec()
}

fn log_id(key: &KeyPair) -> [u8; 32] {
    Sha256::digest(key.subject_public_key_info()).into()
}

pub fn pem(tag: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {tag}-----\n{}\n-----END {tag}-----\n", lines.join("\n"))
}

/// Seconds since 1970.
fn from_now(minutes: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + minutes * 60
}
