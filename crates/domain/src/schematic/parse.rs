//! Reading schematics, from users and from the store.

use super::{
    Bootloader, Customization, DiskImage, InvalidBootloader, MetaValue, Overlay, Schematic, SecureBoot,
};
use crate::goyaml::{self, Decoder, Error, Field, Limits, NodeId, UnknownKeys};

/// Bytes of a schematic a user may send.
pub const MAX_SCHEMATIC_SIZE: usize = 1 << 20;

/// Stored texts are canonical, which may take more room than what the user sent.
const STORED_LIMITS: Limits =
    Limits { bytes: 64 << 20, nodes: 200_000, depth: 1000, expanded_bytes: 64 << 20 };

/// Why a text is not a schematic. Clients of the reference know these messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchematicError {
    /// The text cannot be read, or has another shape.
    #[error(transparent)]
    Yaml(#[from] Error),
    /// Owners are for factories that know users.
    #[error("owner field is only supported in Enterprise edition")]
    OwnerNotSupported,
}

impl Schematic {
    /// Reads a schematic as a user wrote it: the first document of the text, with known keys only.
    ///
    /// # Errors
    /// [`SchematicError::Yaml`], for texts above [`MAX_SCHEMATIC_SIZE`] with
    /// [`Error::TooLong`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SchematicError> {
        let limits = Limits { bytes: MAX_SCHEMATIC_SIZE, ..Limits::default() };
        decode(&goyaml::read(bytes, &limits)?, &limits, UnknownKeys::Refuse)
    }

    /// Reads a schematic from the store: a canonical text, in which newer factories may have put keys
    /// that are not known here.
    ///
    /// # Errors
    /// [`SchematicError::Yaml`] for texts that are not canonical.
    pub fn parse_stored(bytes: &[u8]) -> Result<Self, SchematicError> {
        decode(&goyaml::read_emitted(bytes, &STORED_LIMITS)?, &STORED_LIMITS, UnknownKeys::Ignore)
    }

    /// Checks what only a factory that knows users may accept.
    ///
    /// # Errors
    /// [`SchematicError::OwnerNotSupported`].
    pub fn check_without_users(&self) -> Result<(), SchematicError> {
        if self.owner.is_empty() { Ok(()) } else { Err(SchematicError::OwnerNotSupported) }
    }
}

fn decode(
    document: &goyaml::Document,
    limits: &Limits,
    unknown_keys: UnknownKeys,
) -> Result<Schematic, SchematicError> {
    let mut decoder = Decoder::new(document, limits, unknown_keys);
    let mut schematic = Schematic::default();
    decoder.structure(document.root(), "schematic.Schematic", &mut |decoder, key, value| {
        match key {
            "owner" => decoder.string(value, &mut schematic.owner)?,
            "overlay" => overlay(decoder, value, &mut schematic.overlay)?,
            "customization" => customization(decoder, value, &mut schematic.customization)?,
            _ => return Ok(Field::Unknown),
        };
        Ok(Field::Known)
    })?;
    decoder.finish()?;
    Ok(schematic)
}

fn overlay(decoder: &mut Decoder<'_>, node: NodeId, overlay: &mut Overlay) -> Result<bool, Error> {
    decoder.structure(node, "schematic.Overlay", &mut |decoder, key, value| {
        match key {
            "image" => decoder.string(value, &mut overlay.image)?,
            "name" => decoder.string(value, &mut overlay.name)?,
            "options" => decoder.free_mapping(value, "map[string]interface {}", &mut overlay.options)?,
            _ => return Ok(Field::Unknown),
        };
        Ok(Field::Known)
    })
}

fn customization(decoder: &mut Decoder<'_>, node: NodeId, out: &mut Customization) -> Result<bool, Error> {
    decoder.structure(node, "schematic.Customization", &mut |decoder, key, value| {
        match key {
            "embeddedMachineConfiguration" => {
                decoder.string(value, &mut out.embedded_machine_configuration)?
            }
            "extraKernelArgs" => texts(decoder, value, &mut out.extra_kernel_args)?,
            "meta" => meta(decoder, value, &mut out.meta)?,
            "systemExtensions" => extensions(decoder, value, &mut out.official_extensions)?,
            "bootloader" => bootloader(decoder, value, &mut out.bootloader)?,
            "secureboot" => secureboot(decoder, value, &mut out.secureboot)?,
            "diskImage" => disk_image(decoder, value, &mut out.disk_image)?,
            _ => return Ok(Field::Unknown),
        };
        Ok(Field::Known)
    })
}

fn texts(decoder: &mut Decoder<'_>, node: NodeId, out: &mut Vec<String>) -> Result<bool, Error> {
    let mut items = Vec::new();
    let found = decoder.sequence(node, "[]string", &mut |decoder, item| {
        let mut text = String::new();
        if decoder.string(item, &mut text)? {
            items.push(text);
        }
        Ok(())
    })?;
    if found {
        *out = items;
    }
    Ok(found)
}

fn meta(decoder: &mut Decoder<'_>, node: NodeId, out: &mut Vec<MetaValue>) -> Result<bool, Error> {
    let mut items = Vec::new();
    let found = decoder.sequence(node, "[]schematic.MetaValue", &mut |decoder, item| {
        let mut meta = MetaValue::default();
        if meta_value(decoder, item, &mut meta)? {
            items.push(meta);
        }
        Ok(())
    })?;
    if found {
        *out = items;
    }
    Ok(found)
}

fn meta_value(decoder: &mut Decoder<'_>, node: NodeId, meta: &mut MetaValue) -> Result<bool, Error> {
    decoder.structure(node, "schematic.MetaValue", &mut |decoder, key, value| {
        match key {
            "key" => {
                let mut number = 0;
                let found = decoder.unsigned(value, "uint8", u8::MAX.into(), &mut number)?;
                meta.key = u8::try_from(number).unwrap_or_default();
                found
            }
            "value" => decoder.string(value, &mut meta.value)?,
            _ => return Ok(Field::Unknown),
        };
        Ok(Field::Known)
    })
}

fn extensions(decoder: &mut Decoder<'_>, node: NodeId, out: &mut Vec<String>) -> Result<bool, Error> {
    decoder.structure(node, "schematic.SystemExtensions", &mut |decoder, key, value| {
        match key {
            "officialExtensions" => texts(decoder, value, out)?,
            _ => return Ok(Field::Unknown),
        };
        Ok(Field::Known)
    })
}

fn bootloader(decoder: &mut Decoder<'_>, node: NodeId, out: &mut Bootloader) -> Result<bool, Error> {
    decoder.text(node, "imageropts.BootloaderKind", out, |text| {
        text.parse().map_err(|error: InvalidBootloader| error.to_string())
    })
}

fn secureboot(decoder: &mut Decoder<'_>, node: NodeId, out: &mut SecureBoot) -> Result<bool, Error> {
    decoder.structure(node, "schematic.SecureBootCustomization", &mut |decoder, key, value| {
        match key {
            "enrollKeys" => decoder.string(value, &mut out.enroll_keys)?,
            "includeWellKnownCertificates" => {
                decoder.boolean(value, &mut out.include_well_known_certificates)?
            }
            _ => return Ok(Field::Unknown),
        };
        Ok(Field::Known)
    })
}

fn disk_image(decoder: &mut Decoder<'_>, node: NodeId, out: &mut DiskImage) -> Result<bool, Error> {
    decoder.structure(node, "schematic.DiskImageCustomization", &mut |decoder, key, value| {
        match key {
            "sectorSize" => decoder.unsigned(value, "uint", u64::MAX, &mut out.sector_size)?,
            _ => return Ok(Field::Unknown),
        };
        Ok(Field::Known)
    })
}
