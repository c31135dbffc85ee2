//! Which source images are accepted, out of the settings `containerSignature`.

use std::path::Path;
use std::sync::Arc;

use factory_adapters::cosign::{
    AnyOf, CosignCheck, HashAlgorithm, Keyless, PublicKey, SignerPolicy, Unchecked,
};
use factory_adapters::trust_root::{TrustRoot, Updates};
use factory_domain::ports::{ReleaseSource, SignatureCheck};
use factory_formats::Digest;

use crate::settings::ContainerSignature;

/// Everything that decides about source images.
pub struct Verification {
    /// Accepts or refuses.
    pub check: Arc<dyn SignatureCheck>,
    /// Whom the operator trusts, as a text that changes with it: images accepted under another one are
    /// judged anew.
    pub trust: String,
    /// What keyless signatures are judged by, to be kept fresh. None when there is no need.
    pub root: Option<Arc<TrustRoot>>,
}

/// Reads key and trusted root. `kept` is the directory of verified updates of the trusted root.
///
/// # Errors
/// One line that says which setting leads to what.
pub async fn verification(
    wanted: &ContainerSignature,
    source: &Arc<dyn ReleaseSource>,
    kept: &Path,
) -> Result<Verification, String> {
    if wanted.disabled {
        tracing::warn!("containerSignature.disabled is set: every source image is accepted");
        let check = Arc::new(Unchecked);
        return Ok(Verification { check, trust: "unverified".to_owned(), root: None });
    }
    let (mut checks, mut trusted): (Vec<Arc<dyn SignatureCheck>>, Vec<String>) = (Vec::new(), Vec::new());
    if !wanted.public_key_file.is_empty() {
        let (key, name) = public_key(wanted)?;
        trusted.push(name);
        checks.push(Arc::new(CosignCheck::new(Arc::clone(source), key)));
    }
    let mut root = None;
    if !wanted.subject_reg_exp.is_empty() {
        let policy = SignerPolicy::new(&wanted.subject_reg_exp, &wanted.issuer, &wanted.issuer_reg_exp)
            .map_err(|error| error.to_string())?;
        let judge = Arc::new(trust_root(wanted, kept).await?);
        tracing::info!(signers = %policy, root = %judge.current().origin(), "keyless signatures count");
        trusted.push(format!("{policy} root {}", judge.name()));
        let signers = Keyless::new(policy, Arc::clone(&judge));
        checks.push(Arc::new(CosignCheck::new(Arc::clone(source), signers)));
        root = Some(judge);
    }
    let trust = if trusted.is_empty() { "nobody".to_owned() } else { trusted.join("\n") };
    Ok(Verification { check: Arc::new(AnyOf::new(checks)), trust, root })
}

/// The key, and a text that changes with it.
fn public_key(wanted: &ContainerSignature) -> Result<(PublicKey, String), String> {
    let at = |error: &dyn std::fmt::Display| {
        format!("containerSignature.publicKeyFile {}: {error}", wanted.public_key_file)
    };
    let pem = std::fs::read_to_string(&wanted.public_key_file).map_err(|error| at(&error))?;
    let algorithm: HashAlgorithm = wanted
        .public_key_hash_algo
        .parse()
        .map_err(|error| format!("containerSignature.publicKeyHashAlgo: {error}"))?;
    let key = PublicKey::from_pem(&pem, algorithm).map_err(|error| at(&error))?;
    Ok((key, format!("key {} {}", Digest::of(pem.trim().as_bytes()), wanted.public_key_hash_algo)))
}

async fn trust_root(wanted: &ContainerSignature, kept: &Path) -> Result<TrustRoot, String> {
    if !wanted.trusted_root_file.is_empty() {
        return TrustRoot::from_file(wanted.trusted_root_file.as_ref())
            .map_err(|error| format!("containerSignature.trustedRootFile: {error}"));
    }
    let updates = match wanted.tuf_mirror.as_str() {
        "" => None,
        mirror => Some(Updates::public(mirror, kept).map_err(|error| error.to_string())?),
    };
    TrustRoot::public(updates).await.map_err(|error| error.to_string())
}
