//! Parts to sections, sections to file.

use bytes::Bytes;

use super::section;
use crate::Layout;
use crate::pe::{AppendOptions, NewSection, Pe, PeError, PePlan, SectionName, append_sections};

/// A boot profile beyond the main one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Identifier, not `main`.
    pub id: String,
    /// Title in the boot menu; left out when empty.
    pub title: String,
    /// Command line instead of the main one.
    pub cmdline: String,
}

/// Boot profiles of a UKI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profiles {
    /// No `.profile` section at all: stubs before systemd 257, Talos before 1.10.
    Unsupported,
    /// `main` and these.
    Main(Vec<Profile>),
}

/// What a UKI is made of.
#[derive(Clone, Debug)]
pub struct UkiParts {
    /// systemd's stub.
    pub stub: Bytes,
    /// `os-release` text.
    pub os_release: String,
    /// Kernel command line. An empty one still makes a section, of length 0, as the reference does.
    pub cmdline: String,
    /// Kernel release, where it is known.
    pub kernel_release: Option<String>,
    /// Boot picture, an uncompressed BMP.
    pub splash: Option<Layout>,
    /// PEM of the key that signs PCR policies; with it every profile needs a signature document.
    pub pcr_public_key: Option<Bytes>,
    /// Kernel.
    pub kernel: Layout,
    /// Initramfs.
    pub initramfs: Layout,
    /// Boot profiles.
    pub profiles: Profiles,
}

/// Where kernel and initramfs begin in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadAlign {
    /// At the next multiple of the stub's FileAlignment, as the reference does.
    #[default]
    File,
    /// At multiples of 4096, so that an ISO image can point at them inside of the UKI.
    Page,
}

/// How a UKI is put together.
#[derive(Clone, Copy, Debug)]
pub struct UkiOptions {
    /// Time stamp of the header, in seconds since 1970.
    pub epoch: u32,
    /// Alignment of kernel and initramfs.
    pub payload_align: PayloadAlign,
}

/// Parts that make no UKI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UkiError {
    /// The stub is malformed, or the result would be.
    #[error("the UKI stub: {0}")]
    Pe(#[from] PeError),
    /// The stub has no `.sbat` section, which is measured.
    #[error("the UKI stub has no .sbat section")]
    NoSbat,
    /// A profile is called `main`, or two have one name.
    #[error("a boot profile cannot be called {0:?}: the name is taken")]
    ProfileTaken(String),
    /// An identifier or title is empty or has a line break.
    #[error("{0:?} cannot be the identifier or title of a boot profile")]
    ProfileText(String),
    /// The number of signature documents is not that of the profiles, or there is no key.
    #[error("{found} PCR signature documents for {expected} profiles to be signed")]
    Signatures {
        /// Documents that are needed.
        expected: usize,
        /// Documents that were given.
        found: usize,
    },
    /// What was given as PCR signature is none by this key.
    #[error("a PCR signature by this key has {expected} bytes, not {found}")]
    SignatureLength {
        /// Bytes of the key's modulus.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
}

/// One profile's stretch of the section list.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Its sections, without `.pcrsig`, which stands at the end.
    pub sections: Vec<(SectionName, Layout)>,
}

/// A UKI whose sections are known.
#[derive(Clone, Debug)]
pub struct Uki {
    pub(super) stub: Bytes,
    /// The stub's SBAT bytes.
    pub(super) sbat: Bytes,
    pub(super) is_signed: bool,
    /// The main profile with all shared sections, then the others.
    pub(super) groups: Vec<Group>,
}

const MAIN: &str = "main";

impl Uki {
    /// Checks the parts and puts the sections in order.
    ///
    /// # Errors
    /// See [`UkiError`].
    pub fn new(parts: UkiParts) -> Result<Self, UkiError> {
        let sbat = sbat(&parts.stub)?;
        let text = |text: String| Layout::from_bytes(text.into_bytes());
        let is_signed = parts.pcr_public_key.is_some();

        let mut sections =
            vec![(section::OSREL, text(parts.os_release)), (section::CMDLINE, text(parts.cmdline))];
        sections.extend(parts.kernel_release.map(|release| (section::UNAME, text(release))));
        sections.extend(parts.splash.map(|splash| (section::SPLASH, splash)));
        sections.extend(parts.pcr_public_key.map(|key| (section::PCRPKEY, Layout::from_bytes(key))));
        sections.push((section::LINUX, parts.kernel));
        sections.push((section::INITRD, parts.initramfs));
        let extra = match parts.profiles {
            Profiles::Unsupported => Vec::new(),
            Profiles::Main(extra) => {
                sections.push((section::PROFILE, text(format!("ID={MAIN}"))));
                extra
            }
        };
        let mut groups = vec![Group { sections }];
        let mut taken = vec![MAIN.to_owned()];
        for profile in extra {
            if taken.contains(&profile.id) {
                return Err(UkiError::ProfileTaken(profile.id));
            }
            if profile.id.is_empty() || profile.id.contains(['\n', '\r', '\0']) {
                return Err(UkiError::ProfileText(profile.id));
            }
            if profile.title.contains(['\n', '\r', '\0']) {
                return Err(UkiError::ProfileText(profile.title));
            }
            let title =
                if profile.title.is_empty() { String::new() } else { format!("\nTITLE={}", profile.title) };
            let described = text(format!("ID={}{title}", profile.id));
            taken.push(profile.id);
            groups.push(Group {
                sections: vec![(section::PROFILE, described), (section::CMDLINE, text(profile.cmdline))],
            });
        }
        Ok(Self { stub: parts.stub, sbat, is_signed, groups })
    }

    /// Profiles that need a signature document: all of them with a PCR key, else none.
    pub fn signatures_needed(&self) -> usize {
        if self.is_signed { self.groups.len() } else { 0 }
    }

    /// The file. `signatures` holds one `.pcrsig` text for each profile in order, and is empty for a
    /// UKI without PCR key.
    ///
    /// # Errors
    /// [`UkiError::Signatures`] when their number is wrong, [`UkiError::Pe`] when the file cannot be.
    pub fn assemble(&self, signatures: &[Bytes], options: UkiOptions) -> Result<PePlan, UkiError> {
        if signatures.len() != self.signatures_needed() {
            return Err(UkiError::Signatures { expected: self.signatures_needed(), found: signatures.len() });
        }
        let payload_align = match options.payload_align {
            PayloadAlign::File => 1,
            PayloadAlign::Page => 4096,
        };
        let mut sections = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            sections.extend(group.sections.iter().map(|(name, content)| NewSection {
                name: *name,
                content: content.clone(),
                align: if [section::LINUX, section::INITRD].contains(name) { payload_align } else { 1 },
            }));
            sections.extend(signatures.get(index).map(|text| NewSection {
                name: section::PCRSIG,
                content: Layout::from_bytes(text.clone()),
                align: 1,
            }));
        }
        Ok(append_sections(&self.stub, &sections, AppendOptions { timestamp: options.epoch })?)
    }
}

/// The stub's SBAT bytes, which are measured as they are in memory.
fn sbat(stub: &Bytes) -> Result<Bytes, UkiError> {
    let pe = Pe::parse(stub, stub.len() as u64)?;
    let range = pe.section(section::SBAT).ok_or(UkiError::NoSbat)?.content();
    if range.is_empty() {
        return Ok(Bytes::new());
    }
    // The reader made sure that the section is inside the file.
    Ok(stub.slice(range.start as usize..range.end as usize))
}
