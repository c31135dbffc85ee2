//! Certificates of Microsoft that third-party loaders and option ROMs are signed with: public files, here as
//! they are published (specification 32, 5.3). Windows' own are left out.

use crate::gpt::Guid;

/// Owner of these certificates in signature lists.
pub const MICROSOFT: Guid = Guid::from_u128(0x77fa9abd_0359_4d32_bd60_28f4e78f784b);

/// Key exchange keys, in DER: Microsoft Corporation KEK CA 2011, KEK 2K CA 2023.
pub const KEK: [&[u8]; 2] = [
    include_bytes!("../../data/well_known/microsoft-kek-2011.der"),
    include_bytes!("../../data/well_known/microsoft-kek-2023.der"),
];

/// Certificates of the signature database, in DER: Microsoft Corporation UEFI CA 2011, Option ROM UEFI CA
/// 2023, UEFI CA 2023. Firmware does not look at dates, so the first still counts for old option ROMs.
pub const SIGNATURES: [&[u8]; 3] = [
    include_bytes!("../../data/well_known/microsoft-uefi-2011.der"),
    include_bytes!("../../data/well_known/microsoft-uefi-rom-2023.der"),
    include_bytes!("../../data/well_known/microsoft-uefi-2023.der"),
];
