//! Applying a schematic to what a path asks for (`20-profiles.md` §7).

use super::model::{ExtensionInput, InvalidEnrollKeys, Kind, Profile, Request};
use super::overlay::OverlayProfile;
use crate::asset::quoted;
use crate::catalog::{ExtensionCatalog, OverlayCatalog};
use crate::schematic::{Bootloader, Schematic, SchematicId};
use crate::version::TalosVersion;

/// Whether this server can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureBootService {
    /// It has keys.
    Enabled,
    /// It has none.
    Disabled,
}

/// What a schematic refers to.
#[derive(Clone, Copy, Debug)]
pub struct EnhanceInputs<'a> {
    /// Id of the schematic.
    pub schematic_id: SchematicId,
    /// Whether this server can sign.
    pub secure_boot: SecureBootService,
    /// Extensions of the version; looked at when the schematic names some.
    pub extensions: &'a ExtensionCatalog,
    /// Overlays of the version; looked at when the schematic names one.
    pub overlays: &'a OverlayCatalog,
    /// What the overlay's image has in `profiles/<name>.yaml`, if it has that.
    pub overlay_profile: Option<&'a OverlayProfile>,
}

/// Why a schematic cannot be applied. The texts are part of the HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The version cannot read an embedded configuration.
    #[error("embedding configuration is not supported for Talos version {}", .0.tag())]
    EmbeddedConfig(TalosVersion),
    /// The server has no keys.
    #[error("secure boot is disabled")]
    SecureBootDisabled,
    /// The schematic's choice does not exist.
    #[error(transparent)]
    EnrollKeys(#[from] InvalidEnrollKeys),
    /// The version has no overlays.
    #[error("overlay is not supported for Talos version {}", .0.tag())]
    Overlay(TalosVersion),
    /// The version has no such extension.
    #[error("official extension {} is not available for Talos version {}", quoted(name), version.tag())]
    UnknownExtension {
        /// Name in the schematic.
        name: String,
        /// The version.
        version: TalosVersion,
    },
    /// The version has no such overlay.
    #[error("official overlay {} is not available for Talos version {}", quoted(name), version.tag())]
    UnknownOverlay {
        /// Name in the schematic.
        name: String,
        /// The version.
        version: TalosVersion,
    },
}

/// What must be fetched before [`enhance`] can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookups {
    /// The extension list of the version.
    pub extensions: bool,
    /// The overlay list of the version, and from the overlay found there its profile.
    pub overlay: bool,
}

impl Lookups {
    /// What this request needs.
    pub fn of(request: &Request, schematic: &Schematic) -> Self {
        let has_initramfs = request.output.kind.has_initramfs();
        Self {
            extensions: has_initramfs && !schematic.customization.official_extensions.is_empty(),
            // For the command line only its arguments count, see `OverlayProfile::add_args_to_cmdline`.
            overlay: request.output.kind != Kind::Kernel && !schematic.overlay.name.is_empty(),
        }
    }
}

/// Applies `schematic` to `request`. What this kind of output or this version cannot take is left out;
/// see [`super::ignored`] for telling the user. A command line gets nothing of the overlay here; see
/// [`OverlayProfile::add_args_to_cmdline`].
///
/// # Errors
/// [`ProfileError`]; the first problem in the order in which the reference looks for them.
pub fn enhance(
    request: Request,
    schematic: &Schematic,
    version: &TalosVersion,
    inputs: &EnhanceInputs<'_>,
) -> Result<Profile, ProfileError> {
    let quirks = version.quirks();
    let wanted = &schematic.customization;
    let mut profile = Profile::plain(request, version.clone());
    let kind = profile.output.kind;

    if kind.has_initramfs() && !wanted.embedded_machine_configuration.is_empty() {
        if !quirks.has_embedded_config() {
            return Err(ProfileError::EmbeddedConfig(version.clone()));
        }
        profile.embedded_machine_configuration.clone_from(&wanted.embedded_machine_configuration);
    }
    apply_secure_boot(&mut profile, schematic, inputs.secure_boot)?;
    if !schematic.overlay.name.is_empty() && !quirks.has_overlays() {
        return Err(ProfileError::Overlay(version.clone()));
    }
    if kind == Kind::Installer {
        profile.base_installer = Some(quirks.base_installer());
    }
    if kind.has_initramfs() {
        add_extensions(&mut profile, schematic, inputs)?;
        add_overlay(&mut profile, schematic, inputs)?;
        if !profile.embedded_machine_configuration.is_empty() {
            profile.extensions.push(ExtensionInput::EmbeddedConfig);
        }
    }
    apply_kind(&mut profile, schematic);
    Ok(profile)
}

fn apply_secure_boot(
    profile: &mut Profile,
    schematic: &Schematic,
    service: SecureBootService,
) -> Result<(), ProfileError> {
    let Some(secure_boot) = &mut profile.secure_boot else { return Ok(()) };
    if service == SecureBootService::Disabled {
        return Err(ProfileError::SecureBootDisabled);
    }
    let wanted = &schematic.customization.secureboot;
    secure_boot.include_well_known_certificates = wanted.include_well_known_certificates;
    if wanted.enroll_keys.is_empty() {
        return Ok(());
    }
    let enroll_keys = wanted.enroll_keys.parse()?;
    match profile.output.kind {
        Kind::Iso => profile.output.iso.get_or_insert_default().enroll_keys = enroll_keys,
        Kind::Image => profile.output.image.get_or_insert_default().enroll_keys = enroll_keys,
        _ => {}
    }
    Ok(())
}

fn add_extensions(
    profile: &mut Profile,
    schematic: &Schematic,
    inputs: &EnhanceInputs<'_>,
) -> Result<(), ProfileError> {
    for name in &schematic.customization.official_extensions {
        let found = inputs.extensions.resolve(name).ok_or_else(|| ProfileError::UnknownExtension {
            name: name.clone(),
            version: profile.version.clone(),
        })?;
        profile.extensions.push(ExtensionInput::Official(found.reference.clone()));
    }
    let with_text = profile.version.quirks().has_overlays();
    profile.extensions.push(ExtensionInput::Schematic { id: inputs.schematic_id, with_text });
    Ok(())
}

fn add_overlay(
    profile: &mut Profile,
    schematic: &Schematic,
    inputs: &EnhanceInputs<'_>,
) -> Result<(), ProfileError> {
    let name = &schematic.overlay.name;
    if name.is_empty() {
        return Ok(());
    }
    let found = inputs.overlays.find(name).ok_or_else(|| ProfileError::UnknownOverlay {
        name: name.clone(),
        version: profile.version.clone(),
    })?;
    profile.overlay = Some(found.clone());
    profile.overlay_options.clone_from(&schematic.overlay.options);
    if let Some(overlay_profile) = inputs.overlay_profile {
        overlay_profile.merge_into(profile);
    }
    Ok(())
}

/// Adds the customisations that this kind of output carries.
fn apply_kind(profile: &mut Profile, schematic: &Schematic) {
    let wanted = &schematic.customization;
    let kind = profile.output.kind;
    let has_args = match kind {
        Kind::Cmdline | Kind::Iso | Kind::Image => true,
        Kind::Uki | Kind::Installer => {
            profile.secure_boot.is_some() || profile.version.quirks().has_unified_installer()
        }
        Kind::Kernel | Kind::Initramfs => false,
    };
    if has_args {
        profile.extra_kernel_args.extend_from_slice(&wanted.extra_kernel_args);
    }
    if matches!(kind, Kind::Cmdline | Kind::Iso | Kind::Image) {
        profile.meta.extend_from_slice(&wanted.meta);
    }
    let chosen = (wanted.bootloader != Bootloader::None).then_some(wanted.bootloader);
    match (kind, chosen) {
        (Kind::Iso, Some(chosen)) => profile.output.iso.get_or_insert_default().bootloader = chosen,
        (Kind::Image, Some(chosen)) => profile.output.image.get_or_insert_default().bootloader = chosen,
        _ => {}
    }
    if kind == Kind::Image && wanted.disk_image.sector_size != 0 {
        profile.output.image.get_or_insert_default().sector_size = wanted.disk_image.sector_size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::AssetPath;

    fn enhanced(
        path: &str,
        version: &str,
        overlay: Option<&OverlayProfile>,
        change: impl FnOnce(&mut Schematic),
    ) -> Result<Profile, ProfileError> {
        let mut schematic = Schematic::default();
        change(&mut schematic);
        let extensions = ExtensionCatalog::parse(
            b"ghcr.io/siderolabs/gvisor:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            None,
        )
        .unwrap();
        let overlays = OverlayCatalog::parse(
            b"overlays: [{name: rpi, image: 'ghcr.io/siderolabs/sbc:v1', digest: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}]",
        )
        .unwrap();
        let inputs = EnhanceInputs {
            schematic_id: SchematicId::of(b""),
            secure_boot: SecureBootService::Enabled,
            extensions: &extensions,
            overlays: &overlays,
            overlay_profile: overlay,
        };
        let request = AssetPath::parse(path).unwrap().request();
        enhance(request, &schematic, &TalosVersion::parse(version).unwrap(), &inputs)
    }

    #[test]
    fn an_overlay_may_bring_the_embedded_configuration() {
        let overlay =
            OverlayProfile::parse("rpi", b"customization: {embeddedMachineConfiguration: x}").unwrap();
        let profile =
            enhanced("metal-arm64.iso", "1.12.0", Some(&overlay), |s| s.overlay.name = "rpi".into()).unwrap();
        assert_eq!(profile.extensions.last(), Some(&ExtensionInput::EmbeddedConfig));
    }

    #[test]
    fn the_embedded_configuration_comes_last() {
        let profile = enhanced("metal-arm64.iso", "1.12.0", None, |schematic| {
            schematic.customization.embedded_machine_configuration = "x".into();
            schematic.customization.official_extensions = vec!["siderolabs/gvisor".into()];
        })
        .unwrap();
        use ExtensionInput::{EmbeddedConfig, Official, Schematic};
        assert!(matches!(profile.extensions.as_slice(), [Official(_), Schematic { .. }, EmbeddedConfig]));
    }

    #[test]
    fn unknown_names_are_told() {
        let extension = enhanced("metal-amd64.iso", "1.13.0", None, |schematic| {
            schematic.customization.official_extensions = vec!["siderolabs/x\"y".into()];
        });
        assert_eq!(
            extension.unwrap_err().to_string(),
            r#"official extension "siderolabs/x\"y" is not available for Talos version v1.13.0"#
        );
        let overlay = enhanced("metal-arm64.iso", "1.13.0", None, |s| s.overlay.name = "nosuch".into());
        assert_eq!(
            overlay.unwrap_err().to_string(),
            r#"official overlay "nosuch" is not available for Talos version v1.13.0"#
        );
    }

    #[test]
    fn lookups_are_for_what_is_named() {
        let lookups = |path: &str, change: fn(&mut Schematic)| {
            let mut schematic = Schematic::default();
            change(&mut schematic);
            let found = Lookups::of(&AssetPath::parse(path).unwrap().request(), &schematic);
            (found.extensions, found.overlay)
        };
        let both = |schematic: &mut Schematic| {
            schematic.overlay.name = "x".into();
            schematic.customization.official_extensions = vec!["y".into()];
        };
        assert_eq!(lookups("metal-amd64.iso", |_| {}), (false, false));
        assert_eq!(lookups("metal-amd64.iso", both), (true, true));
        assert_eq!(lookups("cmdline-metal-amd64", both), (false, true));
        assert_eq!(lookups("kernel-amd64", both), (false, false));
    }
}
