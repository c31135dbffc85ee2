//! `EFI_VARIABLE_AUTHENTICATION_2`: a new value for a variable, with a time and a signature.

use der::Encode as _;
use sha2::{Digest as _, Sha256};

use super::{SignatureList, Variable};
use crate::calendar::Civil;
use crate::certificate::Certificate;
use crate::gpt::Guid;
use crate::record::Record;
use crate::signed_data::{Content, SignedDataError, Unsigned};

/// Non-volatile, for boot and run time, authenticated by time (UEFI 2.10, 8.2).
const ATTRIBUTES: u32 = 0x27;
/// `WIN_CERT_REVISION_2_0` and `WIN_CERT_TYPE_EFI_GUID` (UEFI 2.10, 32.2.4).
const REVISION: u16 = 0x0200;
const EFI_GUID: u16 = 0x0EF1;
/// `EFI_CERT_TYPE_PKCS7_GUID`.
const PKCS7: Guid = Guid::from_u128(0x4aafd29d_68df_49ee_8aa9_347d375665a7);
/// Bytes of an `EFI_TIME`.
const TIME_LEN: usize = 16;
/// Bytes of a `WIN_CERTIFICATE_UEFI_GUID` in front of its data.
const HEADER_LEN: usize = 24;

/// An update that lacks its signature.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    time: [u8; TIME_LEN],
    lists: Vec<u8>,
    unsigned: Unsigned<'a>,
}

/// A new value for `variable`, to be signed by the key of `certificate`. `time` is in seconds since 1970:
/// firmware refuses to replace a value that has a later one.
///
/// # Errors
/// [`SignedDataError::Encoding`].
pub fn update<'a>(
    variable: Variable,
    lists: &[SignatureList],
    certificate: &'a Certificate,
    time: u64,
) -> Result<Update<'a>, SignedDataError> {
    let lists: Vec<u8> = lists.iter().flat_map(SignatureList::to_bytes).collect();
    let efi_time = efi_time(time);
    let name: Vec<u8> = variable.name().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update(variable.vendor().mixed_endian())
        .chain_update(ATTRIBUTES.to_le_bytes())
        .chain_update(efi_time)
        .chain_update(&lists)
        .finalize();
    let unsigned = Unsigned::new(certificate, Content::Detached(digest.into()), time)?;
    Ok(Update { time: efi_time, lists, unsigned })
}

impl Update<'_> {
    /// SHA-256 of what the certificate's key has to sign, with RSASSA-PKCS1-v1_5.
    pub fn digest(&self) -> &[u8; 32] {
        self.unsigned.digest()
    }

    /// The file with its signature.
    ///
    /// # Errors
    /// [`SignedDataError::Length`] when the key gives no signature of this length.
    pub fn sign(&self, signature: &[u8]) -> Result<Vec<u8>, SignedDataError> {
        // Firmware wants the bare SignedData, without the ContentInfo around it.
        let message = self.unsigned.signed(signature)?.to_der()?;
        let mut head = Record::zeroed(TIME_LEN + HEADER_LEN);
        head.put(0, &self.time);
        // Certificates are shorter than 64 KiB, signatures than 2 KiB.
        head.le32(TIME_LEN, (HEADER_LEN + message.len()) as u32);
        head.le16(TIME_LEN + 4, REVISION).le16(TIME_LEN + 6, EFI_GUID);
        head.put(TIME_LEN + 8, &PKCS7.mixed_endian());
        Ok([head.as_slice(), &message, &self.lists].concat())
    }
}

/// `EFI_TIME` in UTC; pads, nanoseconds, time zone and daylight are zero, as they must be here.
fn efi_time(seconds: u64) -> [u8; TIME_LEN] {
    let date = Civil::from_epoch(seconds);
    let mut time = [0; TIME_LEN];
    let [low, high] = (date.year as u16).to_le_bytes();
    time[..7].copy_from_slice(&[low, high, date.month, date.day, date.hour, date.minute, date.second]);
    time
}
