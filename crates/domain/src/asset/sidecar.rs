//! Files about files: checksums and signatures under the name of the asset and a suffix.

/// What an asset's name with a suffix asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sidecar {
    /// SHA-256 of the asset.
    Sha256,
    /// SHA-512 of the asset.
    Sha512,
    /// A signature bundle.
    Sigstore,
}

impl Sidecar {
    /// The suffix of the asset's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Sha256 => ".sha256",
            Self::Sha512 => ".sha512",
            Self::Sigstore => ".sigstore.json",
        }
    }
}

/// Cuts one sidecar suffix off a path. Only the last one counts: `x.sha256.sigstore.json` asks for the
/// signature of an asset that is called `x.sha256`.
pub fn split_sidecar(path: &str) -> (&str, Option<Sidecar>) {
    [Sidecar::Sigstore, Sidecar::Sha512, Sidecar::Sha256]
        .into_iter()
        .find_map(|sidecar| Some((path.strip_suffix(sidecar.suffix())?, Some(sidecar))))
        .unwrap_or((path, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_suffix_is_cut() {
        for (path, asset, sidecar) in [
            ("metal-amd64.iso", "metal-amd64.iso", None),
            ("metal-amd64.iso.sha256", "metal-amd64.iso", Some(Sidecar::Sha256)),
            ("kernel-amd64.sha512", "kernel-amd64", Some(Sidecar::Sha512)),
            ("x.sha256.sigstore.json", "x.sha256", Some(Sidecar::Sigstore)),
            ("x.sigstore.json.sha256", "x.sigstore.json", Some(Sidecar::Sha256)),
            ("x.SHA256", "x.SHA256", None),
            (".sha256", "", Some(Sidecar::Sha256)),
        ] {
            assert_eq!(split_sidecar(path), (asset, sidecar));
        }
    }
}
