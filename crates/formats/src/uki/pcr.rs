//! PCR 11 as systemd's stub and the boot phases extend it, and the policy that is signed
//! (specification 31, 6).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::section;
use crate::pe::SectionName;

/// A bank of PCRs, named by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bank {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// The banks that are signed, in the order of the signature document.
pub const BANKS: [Bank; 3] = [Bank::Sha256, Bank::Sha384, Bank::Sha512];

/// What the stub measures, in its order, whatever the order in the file.
pub const MEASURED: [SectionName; 13] = [
    section::LINUX,
    section::OSREL,
    section::CMDLINE,
    section::INITRD,
    SectionName::of(".ucode"),
    section::SPLASH,
    SectionName::of(".dtb"),
    section::UNAME,
    section::SBAT,
    section::PCRPKEY,
    section::PROFILE,
    SectionName::of(".dtbauto"),
    SectionName::of(".hwids"),
];

/// The boot phases after the stub. The state behind the last one is signed.
pub const PHASES: [&str; 3] = ["enter-initrd", "leave-initrd", "enter-machined"];

impl Bank {
    /// The name in the signature document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// `TPM_ALG_ID` of the hash.
    const fn algorithm(self) -> u16 {
        match self {
            Self::Sha256 => 0x000B,
            Self::Sha384 => 0x000C,
            Self::Sha512 => 0x000D,
        }
    }

    /// The digest of what lies in `parts`, one behind the other.
    pub fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        fn of<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            parts.iter().fold(D::new(), |hash, part| hash.chain_update(part)).finalize().to_vec()
        }
        match self {
            Self::Sha256 => of::<Sha256>(parts),
            Self::Sha384 => of::<Sha384>(parts),
            Self::Sha512 => of::<Sha512>(parts),
        }
    }

    const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// The digests of one section's bytes, one per bank. They do not depend on the profile, so that every
/// section is read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionDigests {
    sha256: [u8; 32],
    sha384: [u8; 48],
    sha512: [u8; 64],
}

/// Computes [`SectionDigests`] of bytes that come in pieces.
#[derive(Clone, Default)]
pub(super) struct SectionHasher {
    sha256: Sha256,
    sha384: Sha384,
    sha512: Sha512,
}

/// Length from which on a piece is worth threads of its own.
const WORTH_THREADS: usize = 128 << 10;

impl SectionHasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.update_beside(bytes, || {});
    }

    /// Takes a piece while something else is done with it. The two long hashes take twice as long as everything
    /// else, and nothing is sent to whoever waits for the image before it is signed.
    pub fn update_beside(&mut self, bytes: &[u8], other: impl FnOnce()) {
        let Self { sha256, sha384, sha512 } = self;
        if bytes.len() < WORTH_THREADS {
            other();
            sha256.update(bytes);
            sha384.update(bytes);
            sha512.update(bytes);
            return;
        }
        std::thread::scope(|scope| {
            scope.spawn(|| sha384.update(bytes));
            scope.spawn(|| sha512.update(bytes));
            other();
            sha256.update(bytes);
        });
    }

    pub fn finish(self) -> SectionDigests {
        SectionDigests {
            sha256: self.sha256.finalize().into(),
            sha384: self.sha384.finalize().into(),
            sha512: self.sha512.finalize().into(),
        }
    }
}

impl SectionDigests {
    /// The digests of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = SectionHasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// What is known of a section when only its SHA-256 was recorded.
    #[cfg(test)]
    pub(super) fn of_sha256(sha256: [u8; 32]) -> Self {
        Self { sha256, sha384: [0; 48], sha512: [0; 64] }
    }

    /// The digest for a bank.
    pub fn get(&self, bank: Bank) -> &[u8] {
        match bank {
            Bank::Sha256 => &self.sha256,
            Bank::Sha384 => &self.sha384,
            Bank::Sha512 => &self.sha512,
        }
    }
}

/// Values of PCR 11 on the way through a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcr11 {
    /// After the stub has measured its sections.
    pub after_sections: Vec<u8>,
    /// After each of [`PHASES`].
    pub after_phases: [Vec<u8>; PHASES.len()],
}

impl Pcr11 {
    /// The value whose policy is signed.
    pub fn signed(&self) -> &[u8] {
        let [.., last] = &self.after_phases;
        last
    }
}

/// Replays the measurements of one boot profile; `sections` in any order, names that are not
/// [`MEASURED`] do not count.
pub fn replay(bank: Bank, sections: &[(SectionName, SectionDigests)]) -> Pcr11 {
    let mut pcr = vec![0; bank.digest_len()];
    let extend = |pcr: &mut Vec<u8>, digest: &[u8]| *pcr = bank.hash(&[pcr, digest]);
    for name in MEASURED {
        let found = sections.iter().filter(|(candidate, _)| *candidate == name);
        for (_, digests) in found.take(1) {
            extend(&mut pcr, &bank.hash(&[name.as_bytes(), &[0]]));
            extend(&mut pcr, digests.get(bank));
        }
    }
    let after_sections = pcr.clone();
    let after_phases = PHASES.map(|phase| {
        extend(&mut pcr, &bank.hash(&[phase.as_bytes()]));
        pcr.clone()
    });
    Pcr11 { after_sections, after_phases }
}

/// Digest of the TPM 2 policy "PCR 11 of this bank has this value" (TPM 2.0 library, part 3,
/// `TPM2_PolicyPCR`); SHA-256 whatever the bank.
pub fn policy(bank: Bank, pcr11: &[u8]) -> [u8; 32] {
    const COMMAND_POLICY_PCR: u32 = 0x17F;
    const ONE_SELECTION: u32 = 1;
    const BITMAP_PCR_11: [u8; 4] = [3, 0x00, 0x08, 0x00];
    Sha256::new()
        .chain_update([0; 32])
        .chain_update(COMMAND_POLICY_PCR.to_be_bytes())
        .chain_update(ONE_SELECTION.to_be_bytes())
        .chain_update(bank.algorithm().to_be_bytes())
        .chain_update(BITMAP_PCR_11)
        .chain_update(Sha256::digest(pcr11))
        .finalize()
        .into()
}

/// A signed policy of one bank. The signature is RSASSA-PKCS1-v1_5 with the **bank's** hash over the
/// policy digest.
#[derive(Clone, Debug)]
pub struct PolicySignature {
    /// The bank.
    pub bank: Bank,
    /// The policy digest.
    pub policy: [u8; 32],
    /// Signature, as long as the key's modulus.
    pub signature: Vec<u8>,
}

/// The text of `.pcrsig`. `key_fingerprint` is the SHA-256 of the PKCS#1 `RSAPublicKey` in DER.
pub fn signature_document(key_fingerprint: &[u8; 32], signatures: &[PolicySignature]) -> String {
    let entries: Vec<String> = signatures
        .iter()
        .map(|signed| {
            format!(
                r#""{}":[{{"pcrs":[11],"pkfp":"{}","pol":"{}","sig":"{}"}}]"#,
                signed.bank.name(),
                hex::encode(key_fingerprint),
                hex::encode(signed.policy),
                BASE64_STANDARD.encode(&signed.signature)
            )
        })
        .collect();
    format!("{{{}}}", entries.join(","))
}
