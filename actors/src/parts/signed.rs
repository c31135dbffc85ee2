//! Signatures: made once for each content and key, then kept. Those of RSA keys come out the same every time,
//! but a key may be far away, and a UKI has to be read for its digests.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use factory_domain::ports::{KeyError, SecureBootKeys, SignatureHash};
use factory_formats::authenticode::{Program, statement};
use factory_formats::efi_signatures::{Variable, WellKnown, database, update};
use factory_formats::pe::PePlan;
use factory_formats::signed_data::SignedDataError;
use factory_formats::uki::{
    Bank, PolicySignature, PolicySigner, ProfilePolicies, SigningError, Uki, UkiError, UkiOptions,
};
use factory_formats::{Digest, Layout, ReadBlob};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::piece::disk;
use super::{Bench, Built, PartError, PartKind};

/// Bytes that are kept as base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(pub Bytes);

impl Serialize for Encoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

/// Signatures of single programs.
pub struct SignedPrograms;

/// Which program, and who signs.
#[derive(Clone, Debug)]
pub struct ProgramSpec {
    /// For people: `systemd-boot v1.12.4 amd64`.
    pub name: String,
    /// The program.
    pub program: Layout,
    /// The keys.
    pub keys: Arc<SecureBootKeys>,
}

/// A PKCS#7 message that belongs to one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSignature {
    /// In DER.
    pub message: Encoded,
}

impl ProgramSpec {
    /// The program with its signature.
    ///
    /// # Errors
    /// [`PartError`] when a blob is gone, or the file is no program.
    pub fn signed(&self, signature: &ProgramSignature, blobs: &dyn ReadBlob) -> Result<Layout, PartError> {
        attach(&self.program, &signature.message, blobs, &self.name)
    }
}

impl PartKind for SignedPrograms {
    const NAME: &'static str = "signed-program/v1";
    type Spec = ProgramSpec;
    type Value = ProgramSignature;

    fn subject(spec: &ProgramSpec) -> String {
        format!("{} {}", spec.keys.certificate().fingerprint(), spec.program.fingerprint())
    }

    fn label(spec: &ProgramSpec) -> String {
        format!("signature of {}", spec.name)
    }

    fn inputs(spec: &ProgramSpec) -> Vec<Digest> {
        spec.program.blobs()
    }

    fn build(spec: &ProgramSpec, bench: &Bench) -> Result<Built<ProgramSignature>, PartError> {
        let program =
            Program::new(&spec.program, &*bench.store).map_err(|error| unreadable(&spec.name, &error))?;
        let digest = program.digest(&*bench.store).map_err(|error| disk(&error))?;
        let message = Encoded(sign_program(&digest, &spec.keys, &spec.name)?);
        Ok(Built { value: ProgramSignature { message }, blobs: Vec::new() })
    }
}

/// Signatures of UKIs, for the firmware and for the TPM.
pub struct SignedUkis;

/// Which UKI, and who signs.
#[derive(Clone, Debug)]
pub struct UkiSpec {
    /// For people: `UKI v1.12.4 amd64`.
    pub name: String,
    uki: Arc<Uki>,
    options: UkiOptions,
    signer: PolicySigner,
    draft: Digest,
    inputs: Vec<Digest>,
    keys: Arc<SecureBootKeys>,
}

/// The signatures of one UKI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UkiSignature {
    /// The texts of `.pcrsig`, one for each profile.
    pub documents: Vec<String>,
    /// PKCS#7 message over the file with these texts in it, in DER.
    pub message: Encoded,
}

impl UkiSpec {
    /// A UKI that has the keys' PCR key in it.
    ///
    /// # Errors
    /// [`UkiError`] when it cannot be assembled.
    pub fn new(
        name: String,
        uki: Uki,
        options: UkiOptions,
        keys: Arc<SecureBootKeys>,
    ) -> Result<Self, UkiError> {
        let public = keys.pcr().public_key();
        let signer = PolicySigner { fingerprint: public.fingerprint(), modulus_len: public.modulus_len() };
        let draft = uki.draft(signer, options)?.layout;
        let (inputs, draft) = (draft.blobs(), draft.fingerprint());
        Ok(Self { name, uki: Arc::new(uki), options, signer, draft, inputs, keys })
    }

    /// The UKI with its signatures.
    ///
    /// # Errors
    /// [`PartError`] when a blob is gone, or the signatures are not for this UKI.
    pub fn signed(&self, signature: &UkiSignature, blobs: &dyn ReadBlob) -> Result<PePlan, PartError> {
        let documents: Vec<Bytes> = signature.documents.iter().map(|text| text.clone().into()).collect();
        let plan = self.uki.assemble(&documents, self.options);
        let mut plan = plan.map_err(|error| PartError::input(self.name.as_str(), error))?;
        plan.layout = attach(&plan.layout, &signature.message, blobs, &self.name)?;
        Ok(plan)
    }
}

impl PartKind for SignedUkis {
    const NAME: &'static str = "signed-uki/v1";
    type Spec = UkiSpec;
    type Value = UkiSignature;

    fn subject(spec: &UkiSpec) -> String {
        // The draft holds the fingerprint of the PCR key.
        format!("{} {}", spec.keys.certificate().fingerprint(), spec.draft)
    }

    fn label(spec: &UkiSpec) -> String {
        format!("signatures of {}", spec.name)
    }

    fn inputs(spec: &UkiSpec) -> Vec<Digest> {
        spec.inputs.clone()
    }

    fn build(spec: &UkiSpec, bench: &Bench) -> Result<Built<UkiSignature>, PartError> {
        let wrong = |error: UkiError| PartError::input(spec.name.as_str(), error);
        let mut pass = spec.uki.sign(spec.signer, spec.options).map_err(wrong)?;
        let policies = pass.policies(&*bench.store).map_err(|error| disk(&error))?;
        let signed: Vec<_> =
            policies.iter().map(|profile| sign_policies(profile, &spec.keys)).collect::<Result<_, _>>()?;
        let parts = pass.finish(&signed, &*bench.store).map_err(|error| match error {
            SigningError::Io(error) => disk(&error),
            SigningError::Uki(error) => wrong(error),
            other => PartError::input(spec.name.as_str(), other),
        })?;
        let documents = parts.documents.iter().map(|text| String::from_utf8_lossy(text).into_owned());
        let documents = documents.collect();
        let message = Encoded(sign_program(&parts.digest, &spec.keys, &spec.name)?);
        Ok(Built { value: UkiSignature { documents, message }, blobs: Vec::new() })
    }
}

/// Files that enroll the keys into a firmware.
pub struct Enrollments;

/// Whose keys.
#[derive(Clone, Debug)]
pub struct EnrollmentSpec {
    /// Whether well-known certificates are trusted too.
    pub well_known: WellKnown,
    /// The keys.
    pub keys: Arc<SecureBootKeys>,
}

/// The files, in the order of [`Variable::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentFiles {
    /// Contents of `PK.auth`, `KEK.auth` and `db.auth`.
    pub files: [Encoded; Variable::ALL.len()],
}

impl PartKind for Enrollments {
    const NAME: &'static str = "enrollment/v1";
    type Spec = EnrollmentSpec;
    type Value = EnrollmentFiles;

    fn subject(spec: &EnrollmentSpec) -> String {
        format!("{} {:?}", spec.keys.certificate().fingerprint(), spec.well_known)
    }

    fn label(spec: &EnrollmentSpec) -> String {
        format!("enrollment files of {}", spec.keys.certificate().fingerprint())
    }

    fn inputs(_: &EnrollmentSpec) -> Vec<Digest> {
        Vec::new()
    }

    fn build(spec: &EnrollmentSpec, _: &Bench) -> Result<Built<EnrollmentFiles>, PartError> {
        let certificate = spec.keys.certificate();
        let wrong = |error: SignedDataError| PartError::input("the Secure Boot certificate", error);
        let mut files = [const { Encoded(Bytes::new()) }; Variable::ALL.len()];
        for (variable, file) in Variable::ALL.into_iter().zip(&mut files) {
            let lists = database(variable, certificate, spec.well_known);
            let update = update(variable, &lists, certificate, certificate.not_before()).map_err(wrong)?;
            let signature = spec.keys.signing().sign(SignatureHash::Sha256, update.digest())?;
            *file = Encoded(update.sign(&signature).map_err(wrong)?.into());
        }
        Ok(Built { value: EnrollmentFiles { files }, blobs: Vec::new() })
    }
}

/// Puts a signature behind a program.
fn attach(
    program: &Layout,
    message: &Encoded,
    blobs: &dyn ReadBlob,
    name: &str,
) -> Result<Layout, PartError> {
    let program = Program::new(program, blobs).map_err(|error| unreadable(name, &error))?;
    program.with_signature(&message.0).map_err(|error| PartError::input(name, error))
}

/// Signs the digest of a program. The time that signatures must name is the beginning of the certificate's
/// validity: it belongs to the key, and does not make every signature another one.
fn sign_program(digest: &[u8; 32], keys: &SecureBootKeys, name: &str) -> Result<Bytes, PartError> {
    let wrong = |error: SignedDataError| PartError::input(name, error);
    let certificate = keys.certificate();
    let statement = statement(digest, certificate, certificate.not_before()).map_err(wrong)?;
    let signature = keys.signing().sign(SignatureHash::Sha256, statement.digest())?;
    Ok(statement.sign(&signature).map_err(wrong)?.into())
}

/// Signs what measured boot will have seen, in every bank.
fn sign_policies(profile: &ProfilePolicies, keys: &SecureBootKeys) -> Result<Vec<PolicySignature>, KeyError> {
    let sign = |&(bank, policy): &(Bank, [u8; 32])| {
        let hash = match bank {
            Bank::Sha256 => SignatureHash::Sha256,
            Bank::Sha384 => SignatureHash::Sha384,
            Bank::Sha512 => SignatureHash::Sha512,
        };
        // Other than one may expect, the bank's hash and not the policy's own.
        let signature = keys.pcr().sign(hash, &bank.hash(&[&policy]))?;
        Ok(PolicySignature { bank, policy, signature })
    };
    profile.policies.iter().map(sign).collect()
}

/// A program that cannot be read, or is none.
fn unreadable(name: &str, error: &std::io::Error) -> PartError {
    match error.kind() {
        std::io::ErrorKind::InvalidData => PartError::input(name, error),
        _ => disk(error),
    }
}
