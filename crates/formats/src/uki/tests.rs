use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::authenticode;
use crate::certificate::tests::{TestKey, unarmored};
use crate::certificate::{Certificate, RsaPublicKey};
use crate::golden::{lines, text};
use crate::pe::{Pe, PePlan, SectionName};
use crate::testing::{MemoryBlobs, noise};
use crate::{Digest, Layout};

const EPOCH: u32 = 1_559_424_892;
const OPTIONS: UkiOptions = UkiOptions { epoch: EPOCH, payload_align: PayloadAlign::File };

fn name(text: &str) -> SectionName {
    SectionName::of(text)
}

fn hex_policies(uki: &Uki, blobs: &MemoryBlobs) -> Vec<[String; 3]> {
    let all = uki.policies(blobs).unwrap();
    all.iter().map(|profile| profile.policies.map(|(_, digest)| hex::encode(digest))).collect()
}

fn toy(blobs: &mut MemoryBlobs) -> UkiParts {
    UkiParts {
        stub: crate::pe::tests::toy_stub(),
        os_release: "NAME=\"Talos\"\nID=talos\n".to_owned(),
        cmdline: "console=ttyS0".to_owned(),
        kernel_release: None,
        splash: None,
        pcr_public_key: None,
        kernel: blobs.layout(vec![b'A'; 5000]),
        initramfs: blobs.layout(vec![b'B'; 4096]),
        profiles: Profiles::Main(vec![Profile {
            id: "reset".to_owned(),
            title: "Reset system disk".to_owned(),
            cmdline: "console=ttyS0 talos.experimental.wipe=system".to_owned(),
        }]),
    }
}

#[test]
fn vector_a_all_sections() {
    let sections = MEASURED.map(|name| (name, SectionDigests::of(name.as_bytes())));
    let pcr = replay(Bank::Sha256, &sections);
    assert_eq!(hex::encode(pcr.signed()), "535f91bd7887cccefedd0b0344b3ce7d4fc390f356b276960547502657258839");
    let policies = BANKS.map(|bank| hex::encode(policy(bank, replay(bank, &sections).signed())));
    assert_eq!(
        policies,
        [
            "c0c4f61f8ac39267a7638cde8029b82a0ccd378b2acbfdffb77ee1f0f9d464ec",
            "e8f6311e36f9ee038df65255ae7c471d1d1f91ce742b98a152be72337f6c937d",
            "207a8217158f9cc521dca50358a593dc61ed9308ef27da9df4ef64d634309160"
        ]
    );
}

#[test]
fn vectors_b_and_d_few_sections() {
    let signed = |bank, sections: &[(SectionName, SectionDigests)]| {
        let pcr = replay(bank, sections);
        (hex::encode(pcr.signed()), hex::encode(policy(bank, pcr.signed())))
    };
    let (_, none) = signed(Bank::Sha384, &[]);
    assert_eq!(none, "0e95cc52af0c7ab1e4a54eaf3d85531bbf1d2f686155540af2e4ce087cf5415a");
    let four = [
        (name(".linux"), SectionDigests::of(&[b'A'; 5000])),
        (name(".osrel"), SectionDigests::of(b"NAME=\"Talos\"\nID=talos\n")),
        (name(".cmdline"), SectionDigests::of(b"console=ttyS0")),
        (name(".initrd"), SectionDigests::of(&[b'B'; 4096])),
    ];
    let (pcr, policy) = signed(Bank::Sha256, &four);
    assert_eq!(pcr, "23b6ebb8f03c3d0008cf28430406d3777ddd9508d654c786651e1eae90198838");
    assert_eq!(policy, "3cc99ccc9c84ccdf0396cd783201dd0000c65adfc0670c0f892c83000764f233");
    let (_, policy) = signed(Bank::Sha384, &four);
    assert_eq!(policy, "c029abaafffef2ce868e2fed5dd65fa14cb37802589484028893a6a3fb50884b");
}

#[test]
fn vector_c_both_profiles_of_the_toy() {
    let mut blobs = MemoryBlobs::new();
    let uki = Uki::new(toy(&mut blobs)).unwrap();
    assert_eq!(
        hex_policies(&uki, &blobs),
        [
            [
                "a9945972af92636bbaea95fe7d2d661ef5512073417064dc0bd782971a03f922",
                "2e0985edb2aeb4d933550249d8b2ee0665d2c6a2a4ad31b07993fcceb9bb0071",
                "a8870341ef095699dc884db35a5ca91fcb4af978c7c55ebd0eab35d21ba1026d"
            ],
            [
                "9f23e18356d8e4e5b5efabab88653a9a950ef570ac8f8510077521a5b8c875ce",
                "4ea48a7f4f0920fba6cc331e5d4c948aef5ca113a1705aa001c6c23176a2b853",
                "6ec9b544c85e715928b566a15b71fdfd0ddf448339b17de83a61079ceaa557df"
            ]
        ]
    );
    let plan = uki.assemble(&[], OPTIONS).unwrap();
    assert_eq!(
        Digest::of(&plan.layout.to_vec(&blobs).unwrap()).hex(),
        "96a38e0d8325bc58ed11b9ce5b95c2caa2644fe65c91506a13feaf1df4ff36e4"
    );
}

#[test]
fn measuring_reads_zeros_and_blobs_alike() {
    let mut blobs = MemoryBlobs::new();
    let mut builder = crate::LayoutBuilder::new();
    builder.slice(b"head").zero(200_000).append(&blobs.layout(noise(300_000, 5))).zero(70_000);
    let layout = builder.build();
    let bytes = layout.to_vec(&blobs).unwrap();
    assert_eq!(SectionDigests::of_layout(&layout, &blobs).unwrap(), SectionDigests::of(&bytes));
}

#[test]
fn pieces_of_any_length_are_measured_alike() {
    use sha2::Digest as _;

    let bytes = noise(3_000_000, 7);
    let whole = pcr::SectionDigests::of(&bytes);
    assert_eq!(whole.get(Bank::Sha256), &sha2::Sha256::digest(&bytes)[..]);
    assert_eq!(whole.get(Bank::Sha384), &sha2::Sha384::digest(&bytes)[..]);
    assert_eq!(whole.get(Bank::Sha512), &sha2::Sha512::digest(&bytes)[..]);
    for len in [1000, 128 << 10, (128 << 10) + 1, 1 << 20] {
        let (mut hasher, mut beside) = (pcr::SectionHasher::default(), Vec::new());
        for piece in bytes.chunks(len) {
            hasher.update_beside(piece, || beside.extend_from_slice(piece));
        }
        assert_eq!((hasher.finish(), beside.len()), (whole, bytes.len()), "pieces of {len}");
    }
}

#[test]
fn a_uki_can_be_taken_apart() {
    let mut blobs = MemoryBlobs::new();
    let parts = toy(&mut blobs);
    for payload_align in [PayloadAlign::File, PayloadAlign::Page] {
        let plan = Uki::new(parts.clone())
            .unwrap()
            .assemble(&[], UkiOptions { epoch: EPOCH, payload_align })
            .unwrap();
        let content = read(&plan.layout, &blobs).unwrap();
        let bytes = |layout: &Layout| layout.to_vec(&blobs).unwrap();
        assert_eq!(bytes(&content.kernel), bytes(&parts.kernel));
        assert_eq!(bytes(&content.initramfs), bytes(&parts.initramfs));
        assert_eq!(bytes(&content.cmdline), parts.cmdline.as_bytes());
    }
    let stub = Layout::from_bytes(parts.stub);
    assert!(read(&stub, &blobs).unwrap_err().to_string().contains(".linux"));
    assert!(read(&Layout::default(), &blobs).is_err());
}

#[test]
fn a_key_asks_for_one_document_a_profile() {
    let mut blobs = MemoryBlobs::new();
    let uki = Uki::new(UkiParts { pcr_public_key: Some(Bytes::from("PEM")), ..toy(&mut blobs) }).unwrap();
    assert_eq!(uki.signatures_needed(), 2);
    assert_eq!(uki.assemble(&[], OPTIONS).unwrap_err(), UkiError::Signatures { expected: 2, found: 0 });
    let plan = uki.assemble(&[Bytes::from("{1}"), Bytes::from("{2}")], OPTIONS).unwrap();
    let names: Vec<String> = plan.sections.iter().skip(2).map(|section| section.name.to_string()).collect();
    assert_eq!(
        names,
        [
            ".osrel", ".cmdline", ".pcrpkey", ".linux", ".initrd", ".profile", ".pcrsig", ".profile",
            ".cmdline", ".pcrsig"
        ]
    );
    let plain = Uki::new(toy(&mut blobs)).unwrap();
    assert!(plain.assemble(&[Bytes::new()], OPTIONS).is_err());
    assert_ne!(hex_policies(&uki, &blobs), hex_policies(&plain, &blobs), "the key is measured");
}

#[test]
fn bad_profiles_are_refused() {
    let mut blobs = MemoryBlobs::new();
    let profile = |id: &str, title: &str| Profile {
        id: id.to_owned(),
        title: title.to_owned(),
        cmdline: String::new(),
    };
    for profiles in [
        vec![profile("main", "")],
        vec![profile("a", ""), profile("a", "b")],
        vec![profile("", "x")],
        vec![profile("a\nTITLE=b", "x")],
        vec![profile("a", "x\ny")],
    ] {
        let parts = UkiParts { profiles: Profiles::Main(profiles.clone()), ..toy(&mut blobs) };
        assert!(Uki::new(parts).is_err(), "{profiles:?}");
    }
}

/// Golden inputs by name.
fn inputs<'a>(lines: &'a [Value], prefix: &str) -> BTreeMap<&'a str, Vec<u8>> {
    let named = lines.iter().filter_map(|line| Some((text(&line["case"]).strip_prefix(prefix)?, line)));
    named
        .map(|(name, line)| {
            let data = if line["output"]["base64"].is_string() { &line["output"] } else { &line["input"] };
            (name, BASE64_STANDARD.decode(text(&data["base64"])).unwrap())
        })
        .collect()
}

/// `v1.10.0` and later have profiles, and so has what is no version; the rule itself belongs to the domain.
fn has_profiles(version: &str) -> bool {
    let numbers: Option<Vec<u32>> =
        version.trim_start_matches('v').split(['.', '-']).take(2).map(|number| number.parse().ok()).collect();
    numbers.is_none_or(|numbers| numbers >= vec![1, 10])
}

fn golden_parts(
    line: &Value,
    stubs: &BTreeMap<&str, Vec<u8>>,
    kernels: &BTreeMap<&str, Vec<u8>>,
    blobs: &mut MemoryBlobs,
) -> UkiParts {
    let input = &line["input"];
    let sections = line["output"]["uki"]["sections"].as_array().cloned().unwrap_or_default();
    let recorded = |name: &str| sections.iter().find(|section| text(&section["name"]) == name).cloned();
    // Where the data do not hold a kernel, one of the recorded length takes its place.
    let kernel = kernels.get(text(&input["kernel"])).cloned().unwrap_or_else(|| {
        vec![0; recorded(".linux").map_or(1, |section| section["virtual_size"].as_u64().unwrap() as usize)]
    });
    let initrd = text(&input["initrd"]["repeat"]).repeat(input["initrd"]["times"].as_u64().unwrap() as usize);
    let extra = input["extra_profiles"]
        .as_array()
        .cloned()
        .unwrap_or_default()
        .iter()
        .map(|profile| Profile {
            id: text(&profile["id"]).to_owned(),
            title: text(&profile["title"]).to_owned(),
            cmdline: text(&profile["cmdline"]).to_owned(),
        })
        .collect();
    UkiParts {
        stub: stubs[text(&input["stub"])].clone().into(),
        os_release: recorded(".osrel")
            .map_or_else(String::new, |section| text(&section["content"]).to_owned()),
        cmdline: text(&input["cmdline"]).to_owned(),
        kernel_release: recorded(".uname").map(|section| text(&section["content"]).to_owned()),
        // The picture is not ours to ship; its length is.
        splash: recorded(".splash").map(|section| {
            let mut zeros = crate::LayoutBuilder::new();
            zeros.zero(section["virtual_size"].as_u64().unwrap());
            zeros.build()
        }),
        pcr_public_key: None,
        kernel: blobs.layout(kernel),
        initramfs: blobs.layout(initrd.into_bytes()),
        profiles: if has_profiles(text(&input["version"])) {
            Profiles::Main(extra)
        } else {
            Profiles::Unsupported
        },
    }
}

/// The public key of a golden private key.
fn public_key(pem: &str, directory: &std::path::Path) -> RsaPublicKey {
    let path = directory.join("key.pem");
    std::fs::write(&path, pem).unwrap();
    let args = ["pkey", "-in", crate::oracle::text(&path), "-pubout"];
    RsaPublicKey::from_spki(&unarmored(&crate::oracle::success("openssl", "openssl", &args))).unwrap()
}

fn pcr_signatures(policies: &[ProfilePolicies], key: &TestKey) -> Vec<Vec<PolicySignature>> {
    let signed = |(bank, policy): (Bank, [u8; 32])| PolicySignature {
        bank,
        policy,
        signature: key.sign(&bank.hash(&[&policy])),
    };
    policies.iter().map(|profile| profile.policies.map(signed).into()).collect()
}

/// A signed build, as the reference makes it.
fn signed_build(
    parts: UkiParts,
    keys: &BTreeMap<&str, String>,
    certificate: &Certificate,
    blobs: &MemoryBlobs,
) -> Result<(PePlan, Layout), UkiError> {
    let directory = tempfile::tempdir().unwrap();
    let (pcr, own) = (TestKey::from_pem(&keys["pcr.key"]), TestKey::from_pem(&keys["sb.key"]));
    let public = public_key(&keys["pcr.key"], directory.path());
    let uki = Uki::new(UkiParts { pcr_public_key: Some(public.pem().into_bytes().into()), ..parts })?;
    let signer = PolicySigner { fingerprint: public.fingerprint(), modulus_len: public.modulus_len() };
    let mut pass = uki.sign(signer, OPTIONS)?;
    let policies = pass.policies(blobs).unwrap();
    assert_eq!(policies, uki.policies(blobs).unwrap(), "one pass or two");
    let made = pass.finish(&pcr_signatures(&policies, &pcr), blobs).unwrap();
    let program = authenticode::Program::new(&made.plan.layout, blobs).unwrap();
    assert_eq!(made.digest, program.digest(blobs).unwrap(), "one pass or two");
    let statement = authenticode::statement(&made.digest, certificate, u64::from(EPOCH)).unwrap();
    let message = statement.sign(&own.sign(statement.digest())).unwrap();
    Ok((made.plan, program.with_signature(&message).unwrap()))
}

fn compare(case: &str, plan: &PePlan, recorded: &Value, blobs: &MemoryBlobs, known: &[&str]) {
    let bytes = plan.layout.to_vec(blobs).unwrap();
    assert_eq!(bytes.len() as u64, recorded["file_size"].as_u64().unwrap(), "{case}");
    let optional = &recorded["optional"];
    let field = |at: usize| u64::from(u32::from_le_bytes(bytes[0x98 + at..0x9C + at].try_into().unwrap()));
    for (at, key) in [
        (4, "size_of_code"),
        (8, "size_of_initialized_data"),
        (12, "size_of_uninitialized_data"),
        (16, "entry"),
        (20, "base_of_code"),
        (32, "section_alignment"),
        (36, "file_alignment"),
        (56, "size_of_image"),
        (60, "size_of_headers"),
        (64, "checksum"),
        (108, "number_of_rva_and_sizes"),
    ] {
        assert_eq!(Some(field(at)), optional[key].as_u64(), "{case}: {key}");
    }
    assert_eq!(
        u64::from(u32::from_le_bytes(bytes[0x88..0x8C].try_into().unwrap())),
        recorded["timestamp"],
        "{case}"
    );
    assert_eq!(bytes[0x9A..0x9C], [0, 0], "{case}: linker version");
    let sections = recorded["sections"].as_array().unwrap();
    assert_eq!(plan.sections.len(), sections.len(), "{case}");
    for (ours, theirs) in plan.sections.iter().zip(sections) {
        assert_eq!(ours.name.to_string(), text(&theirs["name"]), "{case}");
        let numbers =
            [ours.virtual_size, ours.virtual_address, ours.raw_size, ours.raw_offset].map(u64::from);
        let want = ["virtual_size", "virtual_address", "raw_size", "raw_offset"]
            .map(|key| theirs[key].as_u64().unwrap());
        assert_eq!(numbers, want, "{case}: {}", ours.name);
        assert_eq!(format!("{:#x}", ours.characteristics), text(&theirs["characteristics"]), "{case}");
        if known.contains(&text(&theirs["name"])) {
            let content = ours.content();
            let digest = Digest::of(&bytes[content.start as usize..content.end as usize]).hex();
            assert_eq!(digest, text(&theirs["content_sha256"]), "{case}: {}", ours.name);
        }
    }
}

#[test]
fn golden_unsigned_builds() {
    let Some(lines) = lines("uki.jsonl") else { return };
    let stubs = inputs(&lines, "uki/input/stub/");
    let kernels = inputs(&lines, "uki/kernel-version/");
    let mut count = 0;
    for line in &lines {
        let case = text(&line["case"]);
        if !case.starts_with("uki/build/") || line["input"]["signed"].as_bool() != Some(false) {
            continue;
        }
        if !stubs.contains_key(text(&line["input"]["stub"])) {
            println!("skipped: {case}: the stub is not in the data");
            continue;
        }
        count += 1;
        let mut blobs = MemoryBlobs::new();
        let parts = golden_parts(line, &stubs, &kernels, &mut blobs);
        let made = Uki::new(parts).and_then(|uki| uki.assemble(&[], OPTIONS));
        if line["error"].is_string() {
            // The reference refuses a stub with COFF symbols; specification 31, 8 has us drop them.
            let stub = &stubs[text(&line["input"]["stub"])];
            if !Pe::parse(stub, stub.len() as u64).is_ok_and(|pe| pe.has_symbols()) {
                made.expect_err(case);
            }
            continue;
        }
        let mut known = vec![
            ".text", ".data", ".sbat", ".sdmagic", ".osrel", ".cmdline", ".uname", ".initrd", ".profile",
        ];
        if kernels.contains_key(text(&line["input"]["kernel"])) {
            known.push(".linux");
        }
        compare(case, &made.expect(case), &line["output"]["uki"], &blobs, &known);
    }
    println!("{count} builds");
}

#[test]
fn golden_signed_builds() {
    let Some(lines) = lines("uki.jsonl") else { return };
    let stubs = inputs(&lines, "uki/input/stub/");
    let kernels = inputs(&lines, "uki/kernel-version/");
    let keys: BTreeMap<&str, String> = lines
        .iter()
        .filter_map(|line| {
            let name = text(&line["case"]).strip_prefix("uki/input/key/")?;
            Some((name, text(&line["output"]["pem"]).to_owned()))
        })
        .collect();
    let certificate = Certificate::from_der(&unarmored(&keys["sb.crt"])).unwrap();
    let mut count = 0;
    for line in &lines {
        let case = text(&line["case"]);
        if !case.starts_with("uki/build/") || line["input"]["signed"].as_bool() != Some(true) {
            continue;
        }
        if !stubs.contains_key(text(&line["input"]["stub"])) {
            println!("skipped: {case}: the stub is not in the data");
            continue;
        }
        count += 1;
        let mut blobs = MemoryBlobs::new();
        let parts = golden_parts(line, &stubs, &kernels, &mut blobs);
        let made = signed_build(parts, &keys, &certificate, &blobs);
        if line["error"].is_string() {
            let stub = &stubs[text(&line["input"]["stub"])];
            if !Pe::parse(stub, stub.len() as u64).is_ok_and(|pe| pe.has_symbols()) {
                made.expect_err(case);
            }
            continue;
        }
        let (plan, signed) = made.expect(case);
        // Kernels and the splash are not all in the data, so neither are the signatures over them.
        let known =
            [".text", ".data", ".sbat", ".osrel", ".cmdline", ".uname", ".initrd", ".profile", ".pcrpkey"];
        let recorded = &line["output"]["uki"];
        let table = u64::from(plan.sections.iter().map(|s| s.raw_offset + s.raw_size).max().unwrap());
        assert_eq!(Some(signed.len()), recorded["file_size"].as_u64(), "{case}");
        assert_table(case, &signed, table, recorded, &blobs);
        assert_policies(line, &stubs, &kernels, recorded);
        let mut recorded = recorded.clone();
        recorded["file_size"] = table.into();
        compare(case, &plan, &recorded, &blobs, &known);
    }
    println!("{count} builds");
}

/// What each profile's document signs in the SHA-256 bank, from the recorded digests of the sections.
fn assert_policies(
    line: &Value,
    stubs: &BTreeMap<&str, Vec<u8>>,
    kernels: &BTreeMap<&str, Vec<u8>>,
    recorded: &Value,
) {
    let sections = recorded["sections"].as_array().unwrap();
    let named = |section: &Value| name(text(&section["name"]));
    let main = sections.iter().skip_while(|section| named(section) != section::OSREL);
    let main: Vec<_> = main
        .take_while(|section| named(section) != section::PCRSIG)
        .map(|section| {
            let mut sha256 = [0; 32];
            hex::decode_to_slice(text(&section["content_sha256"]), &mut sha256).unwrap();
            (named(section), SectionDigests::of_sha256(sha256))
        })
        .collect();
    let mut blobs = MemoryBlobs::new();
    let uki = Uki::new(golden_parts(line, stubs, kernels, &mut blobs)).unwrap();
    let policies = uki.policies_over(main, &blobs).unwrap();
    let documents: Vec<Value> = sections
        .iter()
        .filter(|section| named(section) == section::PCRSIG)
        .map(|section| serde_json::from_str(text(&section["content"])).unwrap())
        .collect();
    assert_eq!(policies.len(), documents.len(), "{}", line["case"]);
    for (profile, document) in policies.iter().zip(documents) {
        let (_, policy) = profile.policies[0];
        assert_eq!(hex::encode(policy), text(&document["sha256"][0]["pol"]), "{}", line["case"]);
    }
}

/// The certificate table of a signed golden file.
fn assert_table(case: &str, signed: &Layout, at: u64, recorded: &Value, blobs: &MemoryBlobs) {
    let table = &recorded["optional"]["certificate_table"];
    let pe = Pe::of_layout(signed, blobs).unwrap();
    let (offset, size) = pe.certificate_table().unwrap();
    assert_eq!((Some(u64::from(offset)), u64::from(offset)), (table["offset"].as_u64(), at), "{case}");
    assert_eq!(Some(u64::from(size)), table["size"].as_u64(), "{case}");
    let head = signed.slice(at, at + 8).to_vec(blobs).unwrap();
    assert_eq!(hex::encode(head), text(&recorded["authenticode_head_hex"]), "{case}");
}

#[test]
fn golden_signed_boot_loader() {
    let Some(lines) = lines("uki.jsonl") else { return };
    let find = |case: &str| lines.iter().find(|line| text(&line["case"]) == case);
    let pem = |case: &str| text(&find(case).unwrap()["output"]["pem"]).to_owned();
    let Some(loader) = find("uki/input/sd-boot") else { return };
    let loader = Layout::from_bytes(BASE64_STANDARD.decode(text(&loader["output"]["base64"])).unwrap());
    let certificate = Certificate::from_der(&unarmored(&pem("uki/input/key/sb.crt"))).unwrap();
    let key = TestKey::from_pem(&pem("uki/input/key/sb.key"));
    let blobs = MemoryBlobs::new();
    let program = authenticode::Program::new(&loader, &blobs).unwrap();
    let statement =
        authenticode::statement(&program.digest(&blobs).unwrap(), &certificate, u64::from(EPOCH)).unwrap();
    let message = statement.sign(&key.sign(statement.digest())).unwrap();
    let signed = program.with_signature(&message).unwrap();
    let mut count = 0;
    for line in lines.iter().filter(|line| line["input"]["signed"].as_bool() == Some(true)) {
        let recorded = &line["output"]["sd_boot"];
        if recorded.is_null() {
            continue;
        }
        count += 1;
        let case = text(&line["case"]);
        assert_eq!(Some(signed.len()), recorded["file_size"].as_u64(), "{case}");
        assert_table(case, &signed, loader.len(), recorded, &blobs);
    }
    println!("{count} boot loaders");
}

#[test]
fn golden_sbat() {
    let Some(lines) = lines("uki.jsonl") else { return };
    let stubs = inputs(&lines, "uki/input/stub/");
    for line in lines.iter().filter(|line| text(&line["case"]).starts_with("uki/sbat/")) {
        let Some(stub) = stubs.get(text(&line["input"]["stub"])) else { continue };
        let mut blobs = MemoryBlobs::new();
        let made = Uki::new(UkiParts { stub: stub.clone().into(), ..toy(&mut blobs) });
        match made {
            Ok(uki) => {
                assert_eq!(uki.sbat, text(&line["output"]["text"]).as_bytes(), "{}", line["case"]);
                assert_eq!(Some(uki.sbat.len() as u64), line["output"]["length"].as_u64());
            }
            Err(e) => assert!(line["error"].is_string(), "{}: {e}", line["case"]),
        }
    }
}

#[test]
fn golden_pcr_values() {
    let Some(lines) = lines("uki.jsonl") else { return };
    let key = lines.iter().find(|line| text(&line["case"]) == "uki/input/key/pcr.key").unwrap();
    let pem = text(&key["output"]["pem"]);
    let directory = tempfile::tempdir().unwrap();
    let (key, public) = (TestKey::from_pem(pem), public_key(pem, directory.path()));
    let mut count = 0;
    for line in lines.iter().filter(|line| text(&line["case"]).starts_with("pcr/")) {
        let case = text(&line["case"]);
        if case == "pcr/section-order" {
            let order: Vec<String> = MEASURED.iter().map(|name| name.to_string()).collect();
            assert_eq!(serde_json::json!(order), line["output"]);
            continue;
        }
        count += 1;
        let sections: Vec<_> = line["input"]["sections"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, content)| (name(key), SectionDigests::of(text(content).as_bytes())))
            .collect();
        let mut signed = Vec::new();
        for bank in BANKS {
            let pcr = replay(bank, &sections);
            let want = &line["output"]["pcr11"][bank.name()];
            assert_eq!(hex::encode(&pcr.after_sections), text(&want["after_sections"]), "{case}");
            for (phase, (value, recorded)) in
                PHASES.iter().zip(pcr.after_phases.iter().zip(want["phases"].as_array().unwrap()))
            {
                assert_eq!(
                    (*phase, &*hex::encode(value)),
                    (text(&recorded["phase"]), text(&recorded["pcr11_after"])),
                    "{case}"
                );
            }
            let policy = policy(bank, pcr.signed());
            let signature = key.sign(&bank.hash(&[&policy]));
            signed.push(PolicySignature { bank, policy, signature });
        }
        assert_eq!(
            signature_document(&public.fingerprint(), &signed),
            text(&line["output"]["signature_json"]),
            "{case}"
        );
    }
    println!("{count} replays");
}
