use authenticode::AttributeCertificateIterator;
use object::read::pe::PeFile64;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::Layout;
use crate::certificate::tests::{IDENTITY, Identity, STRANGER};
use crate::oracle;
use crate::pe::tests::{toy_program, toy_stub};
use crate::signed_data::SignedDataError;
use crate::testing::MemoryBlobs;

const TIME: u64 = 1_559_424_892;

fn sign(file: &Layout, blobs: &MemoryBlobs, who: &Identity) -> Layout {
    let program = Program::new(file, blobs).unwrap();
    let digest = program.digest(blobs).unwrap();
    let statement = statement(&digest, &who.certificate, TIME).unwrap();
    let message = statement.sign(&who.key.sign(statement.digest())).unwrap();
    program.with_signature(&message).unwrap()
}

/// The digest as another implementation computes it. It wants the padding to be in the file.
fn other_digest(bytes: &[u8]) -> [u8; 32] {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(8), 0);
    let file = PeFile64::parse(&*padded).unwrap();
    let mut hashed = Hashed(Sha256::new());
    authenticode::authenticode_digest(&file, &mut hashed).unwrap();
    hashed.0.finalize().into()
}

/// The hash, for the other implementation's generation of the trait.
struct Hashed(Sha256);

impl digest::Update for Hashed {
    fn update(&mut self, data: &[u8]) {
        sha2::Digest::update(&mut self.0, data);
    }
}

#[test]
fn the_toy_vectors() {
    let mut blobs = MemoryBlobs::new();
    let toy = toy_program(&mut blobs);
    let digest = |layout: &Layout, blobs: &MemoryBlobs| {
        hex::encode(Program::new(layout, blobs).unwrap().digest(blobs).unwrap())
    };
    assert_eq!(digest(&toy, &blobs), "5bd2a45fb470858d514d9bb87d982c9c7d4cd318405c89c1bf78943c7d5d4370");
    let mut longer = crate::LayoutBuilder::new();
    longer.append(&toy).slice(&[1, 2, 3]);
    let longer = longer.build();
    assert_eq!(digest(&longer, &blobs), "fc69e851a3aef85ffa924f8deab90fb39d57ad0cd2f0f80a2373de09ecb00047");
}

#[test]
fn a_signed_program_still_points_to_its_blobs() {
    let mut blobs = MemoryBlobs::new();
    let toy = toy_program(&mut blobs);
    let signed = sign(&toy, &blobs, &IDENTITY);
    assert_eq!(signed.blobs(), toy.blobs());
    assert!(signed.inline_len() < toy.inline_len() + 4096);
    let bytes = signed.to_vec(&blobs).unwrap();
    let file = PeFile64::parse(&*bytes).unwrap();
    let found: Vec<_> = AttributeCertificateIterator::new(&file).unwrap().unwrap().collect();
    assert_eq!(found.len(), 1);
    let signature = found[0].as_ref().unwrap().get_authenticode_signature().unwrap();
    assert_eq!(signature.digest(), other_digest(&bytes));
    assert_eq!(Program::new(&signed, &blobs).unwrap().digest(&blobs).unwrap(), other_digest(&bytes));
}

fn sbverify(layout: &Layout, blobs: &MemoryBlobs, certificate: &Identity) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let (file, pem) = (directory.path().join("program.efi"), directory.path().join("certificate.pem"));
    oracle::write_sparse(layout, blobs, &file);
    std::fs::write(&pem, certificate.certificate.pem()).unwrap();
    let args = ["--cert", oracle::text(&pem), oracle::text(&file)];
    oracle::run("sbverify", "sbsigntool", &args).status.success()
}

fn osslsigncode(layout: &Layout, blobs: &MemoryBlobs, certificate: &Identity) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let (file, pem) = (directory.path().join("program.efi"), directory.path().join("certificate.pem"));
    oracle::write_sparse(layout, blobs, &file);
    std::fs::write(&pem, certificate.certificate.pem()).unwrap();
    let args = ["verify", "-in", oracle::text(&file), "-CAfile", oracle::text(&pem)];
    let output = oracle::run("osslsigncode", "osslsigncode", &args);
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success() && text.contains("Signature verification: ok")
}

#[test]
fn other_verifiers_accept_it_and_only_it() {
    let mut blobs = MemoryBlobs::new();
    let toy = toy_program(&mut blobs);
    let mut odd = crate::LayoutBuilder::new();
    odd.append(&toy).slice(b"odd");
    for program in [toy.clone(), odd.build(), Layout::from_bytes(toy_stub())] {
        let signed = sign(&program, &blobs, &IDENTITY);
        assert!(sbverify(&signed, &blobs, &IDENTITY));
        assert!(osslsigncode(&signed, &blobs, &IDENTITY));
        assert!(!sbverify(&signed, &blobs, &STRANGER));
        assert!(!osslsigncode(&signed, &blobs, &STRANGER));
        assert!(!sbverify(&program, &blobs, &IDENTITY));
    }
    // One bit in a header, in a section, in the signature.
    let signed = sign(&toy, &blobs, &IDENTITY).to_vec(&blobs).unwrap();
    for at in [0x90, 0xA03, signed.len() - 100] {
        let mut bad = signed.clone();
        bad[at] ^= 1;
        assert!(!sbverify(&Layout::from_bytes(bad), &blobs, &IDENTITY), "{at:#x}");
    }
}

#[test]
fn signatures_add_up() {
    let mut blobs = MemoryBlobs::new();
    let toy = toy_program(&mut blobs);
    let twice = sign(&sign(&toy, &blobs, &IDENTITY), &blobs, &STRANGER);
    let bytes = twice.to_vec(&blobs).unwrap();
    let file = PeFile64::parse(&*bytes).unwrap();
    assert_eq!(AttributeCertificateIterator::new(&file).unwrap().unwrap().count(), 2);
    assert!(sbverify(&twice, &blobs, &IDENTITY));
    assert!(sbverify(&twice, &blobs, &STRANGER));
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let mut blobs = MemoryBlobs::new();
    let toy = toy_program(&mut blobs);
    let once = sign(&toy, &blobs, &IDENTITY);
    assert_eq!(once.fingerprint(), sign(&toy, &blobs, &IDENTITY).fingerprint());
    assert_ne!(once.fingerprint(), sign(&toy, &blobs, &STRANGER).fingerprint());
}

#[test]
fn what_is_no_signature_is_refused() {
    let statement = statement(&[7; 32], &IDENTITY.certificate, TIME).unwrap();
    for len in [0, 255, 257, 512] {
        let error = SignedDataError::Length { expected: 256, found: len };
        assert_eq!(statement.sign(&vec![0; len]), Err(error));
    }
    assert!(super::statement(&[7; 32], &IDENTITY.certificate, u64::MAX).is_err());
}

#[test]
fn a_misplaced_certificate_table_is_refused() {
    let mut blobs = MemoryBlobs::new();
    let signed = sign(&toy_program(&mut blobs), &blobs, &IDENTITY);
    let mut longer = crate::LayoutBuilder::new();
    longer.append(&signed).slice(&[0; 8]);
    assert!(Program::new(&longer.build(), &blobs).is_err());
    assert!(Program::new(&signed.slice(0, signed.len() - 8), &blobs).is_err());
}

proptest! {
    /// Whatever the section table says, the digest is that of the other implementation, or there is none.
    #[test]
    fn another_implementation_agrees(
        changes in proptest::collection::vec((0x148usize..0x198, any::<u8>()), 0..6),
        tail in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = toy_stub().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.extend(tail);
        let blobs = MemoryBlobs::new();
        if let Ok(program) = Program::new(&Layout::from_bytes(bytes.clone()), &blobs) {
            prop_assert_eq!(program.digest(&blobs).unwrap(), other_digest(&bytes));
        }
    }
}
