use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use der::Encode as _;
use serde_json::{Value, json};

use super::*;
use crate::Digest;
use crate::certificate::Certificate;
use crate::certificate::tests::{IDENTITY, TestKey, unarmored};
use crate::golden::{lines, text};
use crate::oracle;

const TIME: u64 = 1_559_424_892;

#[test]
fn the_well_known_certificates_are_those_of_the_specification() {
    // Specification 32, 5.3.
    let table = [
        (KEK[0], 1516, "a1117f516a32cefcba3f2d1ace10a87972fd6bbe8fe0d0b996e09e65d802a503"),
        (KEK[1], 1462, "3cd3f0309edae228767a976dd40d9f4affc4fbd5218f2e8cc3c9dd97e8ac6f9d"),
        (SIGNATURES[0], 1556, "48e99b991f57fc52f76149599bff0a58c47154229b9f8d603ac40d3500248507"),
        (SIGNATURES[1], 1459, "e5be3e64c6e66a281457ecdece0d6d0787577aad2a3a0144262c10c14ba8d8f1"),
        (SIGNATURES[2], 1448, "f6124e34125bee3fe6d79a574eaa7b91c0e7bd9d929c1a321178efd611dad901"),
    ];
    for (der, len, sha256) in table {
        assert_eq!((der.len(), Digest::of(der).hex().as_str()), (len, sha256));
        Certificate::from_der(der).unwrap();
    }
    for (variable, len, sha256) in [
        (Variable::Kek, 3066, "cc3a5dbc7b3aec3b60c0da33510bf93f402479bbf445dc360e6111afa70c6342"),
        (Variable::Db, 4595, "a681e5d502dc3b06ba0ebb571caeb5041ef082939323fd722cfb723965c6f869"),
    ] {
        let lists = database(variable, &IDENTITY.certificate, WellKnown::Include);
        let bytes: Vec<u8> = lists.iter().skip(1).flat_map(SignatureList::to_bytes).collect();
        assert_eq!((bytes.len(), Digest::of(&bytes).hex().as_str()), (len, sha256), "{variable:?}");
    }
}

#[test]
fn the_platform_key_is_the_own_one_alone() {
    let of = |variable, well_known| database(variable, &IDENTITY.certificate, well_known).len();
    assert_eq!(of(Variable::Pk, WellKnown::Include), 1);
    assert_eq!(of(Variable::Kek, WellKnown::LeaveOut), 1);
    assert_eq!((of(Variable::Kek, WellKnown::Include), of(Variable::Db, WellKnown::Include)), (3, 4));
}

fn auth(variable: Variable, well_known: WellKnown) -> Vec<u8> {
    let lists = database(variable, &IDENTITY.certificate, well_known);
    let update = update(variable, &lists, &IDENTITY.certificate, TIME).unwrap();
    update.sign(&IDENTITY.key.sign(update.digest())).unwrap()
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

#[test]
fn openssl_accepts_the_signatures_over_what_firmware_hashes() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("certificate"), IDENTITY.certificate.pem()).unwrap();
    for variable in Variable::ALL {
        let file = auth(variable, WellKnown::Include);
        let lists = 16 + u32_at(&file, 16);
        let mut content: Vec<u8> = variable.name().encode_utf16().flat_map(u16::to_le_bytes).collect();
        content.extend(variable.vendor().mixed_endian());
        content.extend([0x27, 0, 0, 0]);
        content.extend(&file[..16]);
        content.extend(&file[lists..]);
        let signed = der::AnyRef::try_from(&file[40..lists]).unwrap();
        let message = cms::content_info::ContentInfo {
            content_type: der::asn1::ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2"),
            content: der::Any::encode_from(&signed).unwrap(),
        };
        std::fs::write(at("message"), message.to_der().unwrap()).unwrap();
        std::fs::write(at("content"), &content).unwrap();
        let (message, input, trusted) = (at("message"), at("content"), at("certificate"));
        let args = [
            "cms",
            "-verify",
            "-inform",
            "der",
            "-in",
            &message,
            "-content",
            &input,
            "-binary",
            "-CAfile",
            &trusted,
            "-purpose",
            "any",
            "-no_check_time",
            "-out",
            "/dev/null",
        ];
        oracle::success("openssl", "openssl", &args);
        content[4] ^= 1;
        std::fs::write(&input, &content).unwrap();
        assert!(!oracle::run("openssl", "openssl", &args).status.success());
    }
}

#[test]
fn another_reader_finds_the_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let lists = database(Variable::Db, &IDENTITY.certificate, WellKnown::Include);
    let bytes: Vec<u8> = lists.iter().flat_map(SignatureList::to_bytes).collect();
    let path = directory.path().join("db.esl");
    std::fs::write(&path, &bytes).unwrap();
    let base = directory.path().join("found");
    let said = oracle::success("sig-list-to-certs", "efitools", &[oracle::text(&path), oracle::text(&base)]);
    assert_eq!(said.matches("X509").count(), 4, "{said}");
    for (index, list) in lists.iter().enumerate() {
        let found = std::fs::read(directory.path().join(format!("found-{index}.der"))).unwrap();
        assert!(found == list.certificate);
        assert!(said.contains(&list.owner.to_string()), "{said}");
    }
}

#[test]
fn the_time_is_the_signers() {
    let file = auth(Variable::Pk, WellKnown::LeaveOut);
    assert_eq!(file[..16], [0xE3, 7, 6, 1, 21, 34, 52, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(file, auth(Variable::Pk, WellKnown::LeaveOut), "nothing depends on a clock");
}

fn described(list: &SignatureList) -> Value {
    let bytes = list.to_bytes();
    let data = &bytes[44..];
    json!({
        "header_size": u32_at(&bytes, 20),
        "list_size": u32_at(&bytes, 16),
        "signature_size": u32_at(&bytes, 24),
        "signature_type": "a5c059a1-94e4-4aa7-87b5-ab155c2bf072",
        "signatures": [{
            "data_sha256": Digest::of(data).hex(),
            "data_size": data.len(),
            "data_starts_hex": hex::encode(&data[..8]),
            "owner": list.owner.to_string(),
        }],
    })
}

/// The time of signing inside of a recorded message, in seconds since 1970.
fn recorded_time(message: &[u8]) -> u64 {
    use der::Decode as _;
    let signed = cms::signed_data::SignedData::from_der(message).unwrap();
    let attributes = signed.signer_infos.0.as_slice()[0].signed_attrs.clone().unwrap();
    let time = attributes.iter().find(|attribute| attribute.oid.to_string().ends_with(".9.5")).unwrap();
    let time = time.values.as_slice()[0].to_der().unwrap();
    let time = x509_cert::time::Time::from_der(&time).unwrap();
    time.to_unix_duration().as_secs()
}

#[test]
fn golden_enrollment_files() {
    let Some(lines) = lines("secureboot-db.jsonl") else { return };
    let mut count = 0;
    for line in lines.iter().filter(|line| text(&line["case"]).starts_with("secureboot-db/")) {
        let (case, input, want) = (text(&line["case"]), &line["input"], &line["output"]);
        let certificate = Certificate::from_der(&unarmored(text(&input["certificate_pem"]))).unwrap();
        if case == "secureboot-db/owner-guid" {
            assert_eq!(owner_guid(&certificate).to_string(), text(want));
            assert_eq!(certificate.pem(), text(&input["certificate_pem_as_encoded"]));
            continue;
        }
        count += 1;
        let key = TestKey::from_pem(text(&input["key_pem"]));
        let variable = Variable::ALL.into_iter().find(|v| v.file_name() == text(&input["file"])).unwrap();
        let well_known = match input["include_well_known"].as_bool().unwrap() {
            true => WellKnown::Include,
            false => WellKnown::LeaveOut,
        };
        let lists = database(variable, &certificate, well_known);
        assert_eq!(json!(lists.iter().map(described).collect::<Vec<_>>()), want["esl"], "{case}");
        let made = |time: u64| {
            let update = update(variable, &lists, &certificate, time).unwrap();
            update.sign(&key.sign(update.digest())).unwrap()
        };
        let recorded = BASE64_STANDARD.decode(text(&want["pkcs7_base64"])).unwrap();
        // The file has the time of its making in two places, of which the record shows one.
        let time = recorded_time(&recorded);
        let file = made(time);
        assert_eq!(Some(file.len() as u64), want["size"].as_u64(), "{case}");
        let lists_at = 16 + u32_at(&file, 16);
        assert_eq!(Digest::of(&file[lists_at..]).hex(), text(&want["esl_sha256"]), "{case}");
        assert_eq!((file.len() - lists_at) as u64, want["esl_size"].as_u64().unwrap());
        assert!(file[7..16].iter().all(|byte| *byte == 0), "{case}");
        let head = &want["win_certificate"];
        assert_eq!(Some(u32_at(&file, 16) as u64), head["dwLength"].as_u64());
        assert_eq!(format!("0x{:04x}", u16::from_le_bytes([file[20], file[21]])), text(&head["wRevision"]));
        assert_eq!(
            format!("0x{:04x}", u16::from_le_bytes([file[22], file[23]])),
            text(&head["wCertificateType"])
        );
        let type_guid: Guid = text(&head["cert_type_guid"]).parse().unwrap();
        assert_eq!(file[24..40], type_guid.mixed_endian(), "{case}");
        let message = &file[40..lists_at];
        assert_eq!(Some(message.len() as u64), head["pkcs7_length"].as_u64());
        assert!(hex::encode(message).starts_with(text(&head["pkcs7_head_hex"])), "{case}");
        assert_eq!(message, &recorded[..], "{case}: the whole message, signature included");
    }
    println!("{count} files");
}

#[test]
fn golden_guids_of_labels() {
    let Some(lines) = lines("secureboot-db.jsonl") else { return };
    for line in lines.iter().filter(|line| text(&line["case"]).starts_with("guid-from-label/")) {
        assert_eq!(Guid::of_label(text(&line["input"])).to_string(), text(&line["output"]));
    }
}
