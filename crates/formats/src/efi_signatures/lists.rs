//! `EFI_SIGNATURE_LIST`s of one certificate each.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::Variable;
use super::well_known::{KEK, MICROSOFT, SIGNATURES};
use crate::certificate::Certificate;
use crate::gpt::Guid;
use crate::record::Record;

/// `EFI_CERT_X509_GUID`.
const X509: Guid = Guid::from_u128(0xa5c059a1_94e4_4aa7_87b5_ab155c2bf072);
/// Bytes in front of the first signature of a list.
const HEADER_LEN: usize = 28;
/// Bytes of the owner in front of a certificate.
const OWNER_LEN: usize = 16;

/// Namespace of X.500 names (RFC 9562, 6.6).
const X500: Guid = Guid::from_u128(0x6ba7b814_9dad_11d1_80b4_00c04fd430c8);

/// A certificate and who put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureList {
    /// Who.
    pub owner: Guid,
    /// The certificate in DER.
    pub certificate: Bytes,
}

/// Whether the certificates of [`well_known`](super::KEK) are trusted too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WellKnown {
    /// Only the own one.
    LeaveOut,
    /// These too.
    Include,
}

impl SignatureList {
    /// The list as firmware keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Certificates are shorter than 64 KiB.
        let signature = OWNER_LEN + self.certificate.len();
        let mut list = Record::zeroed(HEADER_LEN + signature);
        list.put(0, &X509.mixed_endian());
        list.le32(16, (HEADER_LEN + signature) as u32).le32(24, signature as u32);
        list.put(HEADER_LEN, &self.owner.mixed_endian()).put(HEADER_LEN + OWNER_LEN, &self.certificate);
        list.into_vec()
    }
}

/// The owner of a certificate that nobody has named one for, as the reference derives it: a UUID of version 4
/// out of SHA-256 over the certificate's PEM text.
pub fn owner_guid(certificate: &Certificate) -> Guid {
    let hash = Sha256::new().chain_update(X500.as_bytes()).chain_update(certificate.pem()).finalize();
    Guid::of_hash(&hash.into(), 4)
}

/// What a variable holds when `certificate` is trusted: its own first.
pub fn database(variable: Variable, certificate: &Certificate, well_known: WellKnown) -> Vec<SignatureList> {
    let more: &[&[u8]] = match (variable, well_known) {
        (Variable::Pk, _) | (_, WellKnown::LeaveOut) => &[],
        (Variable::Kek, WellKnown::Include) => &KEK,
        (Variable::Db, WellKnown::Include) => &SIGNATURES,
    };
    let own = SignatureList { owner: owner_guid(certificate), certificate: certificate.der().clone() };
    let more =
        more.iter().map(|der| SignatureList { owner: MICROSOFT, certificate: Bytes::from_static(der) });
    std::iter::once(own).chain(more).collect()
}
