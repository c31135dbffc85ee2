//! The canonical text of a schematic, whose digest is its id.

use super::{Bootloader, Customization, DiskImage, Overlay, Schematic, SchematicId, SecureBoot};
use crate::goyaml::{Mapping, Value, emit};

impl Schematic {
    /// The one text of this schematic: keys in fixed order, what is empty left out.
    pub fn canonical(&self) -> String {
        let mut schematic = Mapping::new();
        push_text(&mut schematic, "owner", &self.owner);
        push_mapping(&mut schematic, "overlay", overlay(&self.overlay));
        schematic.push("customization", Value::Mapping(customization(&self.customization)));
        emit(&Value::Mapping(schematic))
    }

    /// The digest of [`canonical`](Self::canonical).
    pub fn id(&self) -> SchematicId {
        SchematicId::of(self.canonical().as_bytes())
    }
}

fn overlay(overlay: &Overlay) -> Mapping {
    let mut mapping = Mapping::new();
    if overlay.image.is_empty() && overlay.name.is_empty() && overlay.options.is_empty() {
        return mapping;
    }
    // Image and name are there even when they are empty.
    mapping.push("image", text(&overlay.image));
    mapping.push("name", text(&overlay.name));
    push_mapping(&mut mapping, "options", overlay.options.clone());
    mapping
}

fn customization(customization: &Customization) -> Mapping {
    let mut mapping = Mapping::new();
    let meta = customization.meta.iter().map(|meta| {
        let mut mapping = Mapping::new();
        mapping.push("key", Value::Int(meta.key.into()));
        mapping.push("value", text(&meta.value));
        Value::Mapping(mapping)
    });
    push_text(&mut mapping, "embeddedMachineConfiguration", &customization.embedded_machine_configuration);
    push_sequence(&mut mapping, "extraKernelArgs", texts(&customization.extra_kernel_args));
    push_sequence(&mut mapping, "meta", meta.collect());
    let mut extensions = Mapping::new();
    push_sequence(&mut extensions, "officialExtensions", texts(&customization.official_extensions));
    push_mapping(&mut mapping, "systemExtensions", extensions);
    if customization.bootloader != Bootloader::None {
        mapping.push("bootloader", text(customization.bootloader.name()));
    }
    push_mapping(&mut mapping, "secureboot", secureboot(&customization.secureboot));
    push_mapping(&mut mapping, "diskImage", disk_image(&customization.disk_image));
    mapping
}

fn secureboot(secureboot: &SecureBoot) -> Mapping {
    let mut mapping = Mapping::new();
    push_text(&mut mapping, "enrollKeys", &secureboot.enroll_keys);
    if secureboot.include_well_known_certificates {
        mapping.push("includeWellKnownCertificates", Value::Bool(true));
    }
    mapping
}

fn disk_image(disk_image: &DiskImage) -> Mapping {
    let mut mapping = Mapping::new();
    if disk_image.sector_size != 0 {
        mapping.push("sectorSize", Value::Uint(disk_image.sector_size));
    }
    mapping
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|item| text(item)).collect()
}

fn push_text(mapping: &mut Mapping, key: &str, value: &str) {
    if !value.is_empty() {
        mapping.push(key, text(value));
    }
}

fn push_sequence(mapping: &mut Mapping, key: &str, items: Vec<Value>) {
    if !items.is_empty() {
        mapping.push(key, Value::Sequence(items));
    }
}

fn push_mapping(mapping: &mut Mapping, key: &str, value: Mapping) {
    if !value.is_empty() {
        mapping.push(key, Value::Mapping(value));
    }
}
