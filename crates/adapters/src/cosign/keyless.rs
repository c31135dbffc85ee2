//! Signatures without a key of one's own: a certificate for some minutes, and logs that saw it being used.
//!
//! What must hold, for both forms of signatures (spec 50, sections 9.2 and 9.3): the certificate comes from an
//! authority of the trusted root that was valid when it was used; a certificate log has seen it; a
//! transparency log of the trusted root has seen the signature, or a timestamp authority has, while the
//! certificate was valid; the log's entry is about this very signature; and the name in the certificate, and
//! who vouches for it, are those of the policy. Nothing of that needs the network.

use std::error::Error;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sigstore_verify::VerificationPolicy;
use sigstore_verify::types::bundle::{
    InclusionPromise, LogId, MessageSignature, VerificationMaterial, X509Certificate,
};
use sigstore_verify::types::{
    Artifact, Bundle as Evidence, CanonicalizedBody, DerCertificate, KindVersion, LogIndex, LogKeyId,
    MediaType, Sha256Hash, SignatureBytes, SignatureContent, SignedTimestamp, TransparencyLogEntry,
    VerificationMaterialContent,
};

use super::authority::{Authority, LayerSignature, Refusal};
use super::bundle::Bundle;
use super::identity::SignerPolicy;
use super::statement::first_subject;
use crate::trust_root::TrustRoot;

/// Annotation of a layer that holds the certificate, as PEM.
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";

/// Annotation with the certificates between that one and its root, as PEM.
const CHAIN: &str = "dev.sigstore.cosign/chain";

/// Annotation with the entry of the transparency log and the log's promise to keep it.
const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";

/// Longest chain that is looked at; real ones have two.
const MAX_CHAIN: usize = 8;

/// Signers with certificates whose signatures count.
pub struct Keyless {
    policy: SignerPolicy,
    root: Arc<TrustRoot>,
}

impl Keyless {
    /// Accepts signers of `policy`, judged by `root`.
    pub fn new(policy: SignerPolicy, root: Arc<TrustRoot>) -> Self {
        Self { policy, root }
    }

    fn check(&self, evidence: &Evidence, artifact: Artifact<'_>) -> Result<(), Refusal> {
        let root = self.root.current();
        // The library knows exact names only, so it is asked for everything else.
        let anybody = VerificationPolicy::any_identity();
        let verified = root
            .verifier()
            .verify(artifact, evidence, &anybody)
            .map_err(|error| Refusal::Untrusted(told(&error)))?;
        if !(verified.certificate_verified() && verified.sct_verified() && verified.tlog_verified()) {
            return Err(Refusal::Untrusted("it was not verified as a whole".to_owned()));
        }
        self.policy.check(verified.identity().map(|name| name.as_str()), verified.issuer())
    }
}

impl Authority for Keyless {
    fn name(&self) -> &str {
        "certificate subject"
    }

    fn check_layer(&self, signed: &LayerSignature<'_>) -> Result<(), Refusal> {
        self.check(&evidence(signed)?, Artifact::from_blob(signed.payload))
    }

    fn check_bundle(&self, bundle: &Bundle) -> Result<(), Refusal> {
        if !bundle.has_certificate() {
            return Err(Refusal::KeyUsed);
        }
        let read = serde_json::from_slice::<Evidence>(bundle.json());
        let evidence = read.map_err(|error| Refusal::Malformed(error.to_string()))?;
        // Two readers of one document must have read the same, or one judges what the other uses.
        let same = match &evidence.content {
            SignatureContent::DsseEnvelope(envelope) => {
                envelope.payload.as_bytes() == bundle.payload()
                    && envelope.payload_type == bundle.payload_type()
                    && envelope.signature.sig.as_bytes() == bundle.signature()
            }
            _ => false,
        };
        if !same {
            return Err(Refusal::Malformed("it reads in more than one way".to_owned()));
        }
        // What the statement is about is checked by whoever asks; here it is about itself.
        let subject = Sha256Hash::from_hex(&first_subject(bundle)?)
            .map_err(|_| Refusal::Malformed("its subject has no SHA-256".to_owned()))?;
        self.check(&evidence, Artifact::from_digest(subject))
    }
}

/// A log's entry as cosign writes it beside a signature.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Logged {
    signed_entry_timestamp: String,
    payload: LoggedPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedPayload {
    body: String,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

/// What the body of an entry says about its form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    api_version: String,
    kind: String,
}

/// The annotations of a layer as what a bundle of the first version would hold.
fn evidence(signed: &LayerSignature<'_>) -> Result<Evidence, Refusal> {
    let annotation =
        |name: &str| signed.annotations.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let mut certificates = certificates(annotation(CERTIFICATE).ok_or(Refusal::KeyUsed)?)?;
    certificates.truncate(1);
    if let Some(chain) = annotation(CHAIN) {
        certificates.extend(self::certificates(chain)?.into_iter().take(MAX_CHAIN));
    }
    let entry = entry(annotation(LOG_ENTRY).ok_or(Refusal::NotLogged)?)?;
    let content = VerificationMaterialContent::X509CertificateChain { certificates };
    let signature = MessageSignature::new(SignatureBytes::from_bytes(signed.signature));
    Ok(Evidence::new(
        MediaType::Bundle0_1,
        VerificationMaterial::new(content).with_tlog_entries(vec![entry]),
        SignatureContent::MessageSignature(signature),
    ))
}

fn certificates(text: &str) -> Result<Vec<X509Certificate>, Refusal> {
    let blocks =
        pem::parse_many(text).map_err(|error| Refusal::Malformed(format!("its certificate: {error}")))?;
    let blocks = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE");
    let found: Vec<_> =
        blocks.map(|block| X509Certificate::new(DerCertificate::new(block.into_contents()))).collect();
    if found.is_empty() {
        return Err(Refusal::Malformed("its certificate is no PEM".to_owned()));
    }
    Ok(found)
}

fn entry(json: &str) -> Result<TransparencyLogEntry, Refusal> {
    let malformed = |what: &str| Refusal::Malformed(format!("the {what} of its log entry"));
    let Logged { signed_entry_timestamp, payload } =
        serde_json::from_str(json).map_err(|error| Refusal::Malformed(format!("its log entry: {error}")))?;
    let body = STANDARD.decode(&payload.body).map_err(|_| malformed("body"))?;
    let promise = STANDARD.decode(&signed_entry_timestamp).map_err(|_| malformed("promise"))?;
    let kind: Kind = serde_json::from_slice(&body).map_err(|_| malformed("body"))?;
    if (kind.kind.as_str(), kind.api_version.as_str()) != ("hashedrekord", "0.0.1") {
        return Err(malformed("kind"));
    }
    let log = Sha256Hash::from_hex(&payload.log_id).map_err(|_| malformed("log"))?;
    let index = LogIndex::new(payload.log_index).map_err(|_| malformed("index"))?;
    let time = jiff::Timestamp::from_second(payload.integrated_time).map_err(|_| malformed("time"))?;
    Ok(TransparencyLogEntry::new(
        index,
        LogId::new(LogKeyId::from_bytes(log.as_slice())),
        KindVersion::HashedRekordV001,
        CanonicalizedBody::new(body),
    )
    .with_integrated_time(time)
    .with_inclusion_promise(InclusionPromise::new(SignedTimestamp::new(promise))))
}

/// An error with its causes, as far as they say more.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text.chars().take(500).collect()
}
