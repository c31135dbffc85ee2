//! Programs of UEFI: headers and section table.

use object::LittleEndian as LE;
use object::pe::IMAGE_DIRECTORY_ENTRY_SECURITY;
use object::read::pe::PeFile64;
use serde_json::{Value, json};

use super::{printable, sha256};

/// Headers and sections of a PE32+ program.
pub fn describe(bytes: &[u8]) -> Value {
    let file = PeFile64::parse(bytes).expect("a PE32+ program");
    let headers = file.nt_headers();
    let (coff, optional) = (&headers.file_header, &headers.optional_header);
    let certificates = file.data_directory(IMAGE_DIRECTORY_ENTRY_SECURITY);
    let (offset, size) =
        certificates.map_or((0, 0), |directory| (directory.virtual_address.get(LE), directory.size.get(LE)));
    let sections = file.section_table();
    let sections = sections.iter().map(|section| {
        let (start, raw_size) = (section.pointer_to_raw_data.get(LE), section.size_of_raw_data.get(LE));
        let virtual_size = section.virtual_size.get(LE);
        let len = raw_size.min(virtual_size) as usize;
        let content = bytes.get(start as usize..start as usize + len).expect("a section in the file");
        let name = section.name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte));
        let mut told = json!({
            "name": name.collect::<String>(),
            "characteristics": format!("{:#x}", section.characteristics.get(LE)),
            "virtual_address": section.virtual_address.get(LE),
            "virtual_size": virtual_size,
            "raw_offset": start,
            "raw_size": raw_size,
            "content_sha256": sha256(content),
        });
        if let Some(text) = printable(content) {
            told["content"] = text.into();
        }
        told
    });
    let mut told = json!({
        "machine": format!("{:#x}", coff.machine.get(LE)),
        "number_of_sections": coff.number_of_sections.get(LE),
        "timestamp": coff.time_date_stamp.get(LE),
        "size_of_optional_header": coff.size_of_optional_header.get(LE),
        "coff_characteristics": format!("{:#x}", coff.characteristics.get(LE)),
        "pe_offset": file.dos_header().nt_headers_offset(),
        "file_size": bytes.len(),
        "sha256": sha256(bytes),
        "sections": sections.collect::<Vec<_>>(),
        "optional": {
            "linker": [optional.major_linker_version, optional.minor_linker_version],
            "size_of_code": optional.size_of_code.get(LE),
            "size_of_initialized_data": optional.size_of_initialized_data.get(LE),
            "size_of_uninitialized_data": optional.size_of_uninitialized_data.get(LE),
            "entry": optional.address_of_entry_point.get(LE),
            "base_of_code": optional.base_of_code.get(LE),
            "image_base": optional.image_base.get(LE),
            "section_alignment": optional.section_alignment.get(LE),
            "file_alignment": optional.file_alignment.get(LE),
            "size_of_image": optional.size_of_image.get(LE),
            "size_of_headers": optional.size_of_headers.get(LE),
            "checksum": optional.check_sum.get(LE),
            "subsystem": optional.subsystem.get(LE),
            "dll_characteristics": format!("{:#x}", optional.dll_characteristics.get(LE)),
            "number_of_rva_and_sizes": optional.number_of_rva_and_sizes.get(LE),
            "certificate_table": {"offset": offset, "size": size},
        },
    });
    if size > 0 {
        let head = bytes.get(offset as usize..offset as usize + 8).expect("a certificate in the file");
        told["authenticode_head_hex"] = hex::encode(head).into();
    }
    told
}
