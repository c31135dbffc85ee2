//! Command-line flags of the reference's early releases, which published how-tos still use.

/// Flag and the key that it set.
const FLAGS: &[(&str, &str)] = &[
    ("http-port", "http.httpListenAddr"),
    ("http-cert-file", "http.certFile"),
    ("http-key-file", "http.keyFile"),
    ("external-url", "http.externalURL"),
    ("external-pxe-url", "http.externalPXEURL"),
    ("min-talos-version", "build.minTalosVersion"),
    ("asset-builder-max-concurrency", "build.maxConcurrency"),
    ("image-registry", "artifacts.core.registry"),
    ("insecure-image-registry", "artifacts.core.insecure"),
    ("registry-refresh-interval", "artifacts.refreshInterval"),
    ("talos-versions-recheck-interval", "artifacts.talosVersionRecheckInterval"),
    ("schematic-service-repository", "artifacts.schematic"),
    ("insecure-schematic-service-repository", "artifacts.schematic.insecure"),
    ("installer-internal-repository", "artifacts.installer.internal"),
    ("insecure-installer-internal-repository", "artifacts.installer.internal.insecure"),
    ("installer-external-repository", "artifacts.installer.external"),
    ("installer-base-image", "artifacts.core.components.installerBase"),
    ("installer-image", "artifacts.core.components.installer"),
    ("imager-image", "artifacts.core.components.imager"),
    ("extension-manifest-image", "artifacts.core.components.extensionManifest"),
    ("overlay-manifest-image", "artifacts.core.components.overlayManifest"),
    ("talosctl-image", "artifacts.core.components.talosctl"),
    ("container-signature-disabled", "containerSignature.disabled"),
    ("container-signature-subject-regexp", "containerSignature.subjectRegExp"),
    ("container-signature-issuer-regexp", "containerSignature.issuerRegExp"),
    ("container-signature-issuer", "containerSignature.issuer"),
    ("container-signature-pubkey", "containerSignature.publicKeyFile"),
    ("container-signature-pubkey-hashalgo", "containerSignature.publicKeyHashAlgo"),
    ("cache-repository", "cache.oci"),
    ("insecure-cache-repository", "cache.oci.insecure"),
    ("cache-signing-key-path", "cache.signingKeyPath"),
    ("cache-s3-enabled", "cache.s3.enabled"),
    ("cache-s3-bucket", "cache.s3.bucket"),
    ("cache-s3-region", "cache.s3.region"),
    ("cache-s3-endpoint", "cache.s3.endpoint"),
    ("insecure-cache-s3", "cache.s3.insecure"),
    ("cache-cdn-enabled", "cache.cdn.enabled"),
    ("cache-cdn-host", "cache.cdn.host"),
    ("cache-cdn-trim-prefix", "cache.cdn.trimPrefix"),
    ("metrics-listen-addr", "metrics.addr"),
    ("secureboot", "secureBoot.enabled"),
    ("secureboot-signing-key-path", "secureBoot.file.signingKeyPath"),
    ("secureboot-signing-cert-path", "secureBoot.file.signingCertPath"),
    ("secureboot-pcr-key-path", "secureBoot.file.pcrKeyPath"),
    ("secureboot-azure-key-vault-url", "secureBoot.azureKeyVault.url"),
    ("secureboot-azure-certificate-name", "secureBoot.azureKeyVault.certificateName"),
    ("secureboot-azure-key-name", "secureBoot.azureKeyVault.keyName"),
    ("secureboot-aws-kms-id-key-id", "secureBoot.awsKMS.keyID"),
    ("secureboot-aws-pcr-kms-key-id", "secureBoot.awsKMS.pcrKeyID"),
    ("secureboot-aws-cert-path", "secureBoot.awsKMS.certPath"),
    ("secureboot-aws-region", "secureBoot.awsKMS.region"),
    ("log-level", "log.level"),
];

/// Flags that need no value.
const SWITCHES: &[&str] = &[
    "insecure-image-registry",
    "insecure-schematic-service-repository",
    "insecure-installer-internal-repository",
    "container-signature-disabled",
    "insecure-cache-repository",
    "cache-s3-enabled",
    "insecure-cache-s3",
    "cache-cdn-enabled",
    "secureboot",
];

/// Rewrites old flags, with one dash or two, as `--set key=value`. Gives the new arguments and a line to log
/// for each flag that was rewritten.
pub fn translate_arguments(arguments: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter();
    // The program's own name comes first.
    out.extend(arguments.next());
    while let Some(argument) = arguments.next() {
        let bare = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
        let (name, value) =
            match bare.map(|bare| bare.split_once('=').map_or((bare, None), |(n, v)| (n, Some(v)))) {
                Some(split) => split,
                None => {
                    out.push(argument);
                    continue;
                }
            };
        let Some((flag, key)) = FLAGS.iter().find(|(flag, _)| *flag == name) else {
            out.push(argument);
            continue;
        };
        let value = match value {
            Some(value) => value.to_owned(),
            None if SWITCHES.contains(flag) => "true".to_owned(),
            None => arguments.next().unwrap_or_default(),
        };
        notes.push(format!(
            "--{flag} is an old flag: use {key} in the configuration file or --set {key}={value}"
        ));
        out.extend(["--set".to_owned(), format!("{key}={value}")]);
    }
    (out, notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::keys::Keys;

    fn translate(arguments: &[&str]) -> (Vec<String>, usize) {
        let (out, notes) = translate_arguments(arguments.iter().map(|a| (*a).to_owned()));
        (out, notes.len())
    }

    #[test]
    fn old_flags_in_every_spelling() {
        let (out, notes) = translate(&[
            "if",
            "-http-port",
            ":80",
            "--external-url=http://a/",
            "-secureboot",
            "--config",
            "x",
        ]);
        let want = [
            "if",
            "--set",
            "http.httpListenAddr=:80",
            "--set",
            "http.externalURL=http://a/",
            "--set",
            "secureBoot.enabled=true",
            "--config",
            "x",
        ];
        assert_eq!((out, notes), (want.map(str::to_owned).to_vec(), 3));
        assert_eq!(translate(&["if", "serve", "--set", "a=b"]).1, 0);
    }

    #[test]
    fn every_flag_leads_to_a_key_that_exists_or_is_known() {
        let keys = Keys::new();
        for (flag, key) in FLAGS {
            assert!(
                keys.paths().iter().any(|path| path == key)
                    || keys.texts().iter().any(|path| path == key)
                    || super::super::later::covers(key),
                "{flag} → {key}"
            );
        }
        assert!(SWITCHES.iter().all(|switch| FLAGS.iter().any(|(flag, _)| flag == switch)));
    }
}
