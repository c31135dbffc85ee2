//! Reading golden lines, and our types in the form that they use.

use std::path::PathBuf;

use factory_domain::asset::AssetPath;
use factory_domain::catalog::{ExtensionCatalog, OverlayCatalog};
use factory_domain::profile::{
    Compression, EnhanceInputs, EnrollKeys, ExtensionInput, Output, OverlayProfile, Profile, ProfileError,
    Request, SecureBootService, enhance,
};
use factory_domain::schematic::{Bootloader, MetaValue, Schematic, SchematicId};
use factory_domain::version::TalosVersion;
use serde_json::{Map, Value, json};

/// The lines of a golden file; none, with a note, when the file is not there.
pub fn lines(name: &str) -> Vec<Value> {
    let fixed = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden"));
    let path = std::env::var_os("GOLDEN_DIR").map_or(fixed, PathBuf::from).join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return Vec::new();
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub fn version(text: &str) -> TalosVersion {
    TalosVersion::parse(text).unwrap()
}

/// For each version of a line: the version, and what the line says with this version in it.
pub fn per_version(line: &Value) -> Vec<(TalosVersion, Result<Value, String>)> {
    let versions: Vec<&str> = line["input"]["versions"].as_array().unwrap().iter().map(text).collect();
    versions
        .iter()
        .map(|&tag| {
            let renamed = |value: &Value| value.to_string().replace(versions[0], tag);
            let answer = match line.get("error") {
                Some(error) => Err(serde_json::from_str(&renamed(error)).unwrap()),
                None => Ok(serde_json::from_str(&renamed(&line["output"])).unwrap()),
            };
            (version(tag), answer)
        })
        .collect()
}

/// A schematic text with its overlay options.
///
/// The only place that reads schematics here: `Schematic::parse` can take over.
pub fn schematic(yaml: &str) -> (Schematic, Value) {
    let value: Value = serde_yaml::from_str(yaml).unwrap();
    let mut schematic = Schematic::default();
    let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let strings = |value: &Value| value.as_array().into_iter().flatten().map(string).collect();
    schematic.owner = string(&value["owner"]);
    schematic.overlay.name = string(&value["overlay"]["name"]);
    schematic.overlay.image = string(&value["overlay"]["image"]);
    let from = &value["customization"];
    let to = &mut schematic.customization;
    to.embedded_machine_configuration = string(&from["embeddedMachineConfiguration"]);
    to.extra_kernel_args = strings(&from["extraKernelArgs"]);
    to.official_extensions = strings(&from["systemExtensions"]["officialExtensions"]);
    let meta = from["meta"].as_array().into_iter().flatten();
    to.meta = meta.map(|value| meta_value(value, "key", "value")).collect();
    to.bootloader = match string(&from["bootloader"]).as_str() {
        "grub" => Bootloader::Grub,
        "sd-boot" => Bootloader::SdBoot,
        "dual-boot" => Bootloader::DualBoot,
        _ => Bootloader::None,
    };
    to.secureboot.enroll_keys = string(&from["secureboot"]["enrollKeys"]);
    to.secureboot.include_well_known_certificates =
        from["secureboot"]["includeWellKnownCertificates"] == json!(true);
    to.disk_image.sector_size = from["diskImage"]["sectorSize"].as_u64().unwrap_or_default();
    (schematic, value["overlay"]["options"].clone())
}

pub fn meta_value(value: &Value, key: &str, text: &str) -> MetaValue {
    MetaValue {
        key: value[key].as_u64().unwrap() as u8,
        value: value[text].as_str().unwrap_or_default().to_owned(),
    }
}

/// The catalogues and overlay profiles that the golden lines were made with.
pub struct Fixture {
    extensions: ExtensionCatalog,
    overlays: OverlayCatalog,
}

const EXTENSIONS: [&str; 13] = [
    "gvisor:20250101.0",
    "amd-ucode:20250101",
    "v4l-uvc-drivers:v1.0",
    "usb-modem-drivers:v1.0",
    "gasket-driver:x",
    "vmtoolsd-guest-agent:v1",
    "xen-guest-agent:0.4",
    "nvidia-container-toolkit-lts:1",
    "nvidia-open-gpu-kernel-modules-lts:1",
    "nonfree-kmod-nvidia-lts:1",
    "nvidia-fabric-manager-lts:1",
    "i915:1",
    "amdgpu:1",
];

const OVERLAYS: [(&str, &str, &str); 3] = [
    (
        "rpi_generic",
        "sbc-raspberrypi:v0.1.0",
        "output: {imageOptions: {diskSize: 1306525696, bootloader: grub}}",
    ),
    (
        "turingrk1",
        "sbc-rockchip:v0.1.0",
        "{customization: {extraKernelArgs: [overlayarg=1, console=ttyS9]}, \
          output: {imageOptions: {bootloader: sd-boot}}}",
    ),
    ("plain", "sbc-plain:v1", ""),
];

impl Fixture {
    pub fn new() -> Self {
        let digest = factory_formats::Digest::of(b"");
        let extensions: String =
            EXTENSIONS.iter().map(|name| format!("ghcr.io/siderolabs/{name}@{digest}\n")).collect();
        let overlays: Vec<Value> = OVERLAYS
            .iter()
            .map(|(name, image, _)| {
                json!({"name": name, "image": format!("ghcr.io/siderolabs/{image}"), "digest": digest})
            })
            .collect();
        let overlays = json!({ "overlays": overlays }).to_string();
        Self {
            extensions: ExtensionCatalog::parse(extensions.as_bytes(), None).unwrap(),
            overlays: OverlayCatalog::parse(overlays.as_bytes()).unwrap(),
        }
    }

    pub fn enhance(
        &self,
        path: &str,
        schematic: &Schematic,
        schematic_id: SchematicId,
        version: &TalosVersion,
        secure_boot: SecureBootService,
    ) -> Result<Profile, ProfileError> {
        let overlay = OVERLAYS
            .iter()
            .find(|(name, ..)| *name == schematic.overlay.name)
            .map(|(name, _, yaml)| OverlayProfile::parse(name, yaml.as_bytes()).unwrap());
        let inputs = EnhanceInputs {
            schematic_id,
            secure_boot,
            extensions: &self.extensions,
            overlays: &self.overlays,
            overlay_profile: overlay.as_ref(),
        };
        enhance(AssetPath::parse(path).unwrap().request(), schematic, version, &inputs)
    }
}

fn output(output: &Output) -> Value {
    let bootloader = |bootloader| match bootloader {
        Bootloader::None => Value::Null,
        Bootloader::DualBoot => json!("dual-boot"),
        Bootloader::SdBoot => json!("sd-boot"),
        Bootloader::Grub => json!("grub"),
    };
    let compression = match output.compression {
        Compression::None => "raw",
        packed => packed.suffix(),
    };
    let mut out = json!({"kind": output.kind.as_str(), "outFormat": compression});
    if let Some(image) = &output.image {
        out["imageOptions"] = without_empty(json!({
            "diskFormat": image.format.map(|format| format.as_str()),
            "diskFormatOptions": Some(image.format_options).filter(|options| !options.is_empty()),
            "diskSectorSize": Some(image.sector_size).filter(|size| *size != 0),
            "bootloader": bootloader(image.bootloader),
            "sdBootEnrollKeys": Some(image.enroll_keys)
                .filter(|keys| *keys != EnrollKeys::IfSafe)
                .map(|keys| keys.as_str()),
            "diskSize": image.base_size,
        }));
    }
    if let Some(iso) = &output.iso {
        out["isoOptions"] = without_empty(json!({
            "bootloader": bootloader(iso.bootloader),
            "sdBootEnrollKeys": iso.enroll_keys.as_str(),
        }));
    }
    out
}

/// Leaves out fields that are null.
pub fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

/// A request as a golden profile.
pub fn request_json(request: &Request) -> Value {
    json!({
        "arch": request.arch,
        "platform": request.platform,
        "secureboot": Some(true).filter(|_| request.secure_boot),
        "version": "",
        "input": {"kernel": {"path": ""}, "initramfs": {"path": ""}},
        "output": output(&request.output),
    })
}

/// A profile as a golden profile, with the names that stand for files there.
pub fn profile_json(profile: &Profile, overlay_options: &Value) -> Value {
    let arch = profile.arch;
    let tag = profile.version.tag();
    let extension = |input: &ExtensionInput| match input {
        ExtensionInput::Official(reference) => Some(json!({
            "imageRef": "",
            "ociPath": format!("EXT/{arch}-{}:{}.oci", reference.repository, reference.tag),
        })),
        ExtensionInput::Schematic { id, with_text } => Some(json!({
            "imageRef": "",
            "tarballPath": format!("SCHEMATICS/{id}-{with_text}.tar"),
        })),
        // The builder of the reference adds it later.
        ExtensionInput::EmbeddedConfig => None,
    };
    let extensions: Vec<Value> = profile.extensions.iter().filter_map(extension).collect();
    let overlay_image = |arch: &str| {
        let overlay = profile.overlay.as_ref()?;
        let path = format!("OVERLAY/{arch}-{}:{}.oci", overlay.image.repository, overlay.image.tag);
        Some(json!({"imageRef": "", "ociPath": path}))
    };
    let secure_boot = profile.secure_boot.map(|input| {
        without_empty(json!({
            "secureBootSigner": {"keyPath": "/keys/sb.key", "certPath": "/keys/sb.crt"},
            "pcrSigner": {"keyPath": "/keys/pcr.key"},
            "includeWellKnownCerts": Some(true).filter(|_| input.include_well_known_certificates),
        }))
    });
    let meta: Vec<Value> =
        profile.meta.iter().map(|meta| json!({"key": meta.key, "value": meta.value})).collect();
    let embedded = &profile.embedded_machine_configuration;
    let customization = without_empty(json!({
        "extraKernelArgs": Some(&profile.extra_kernel_args).filter(|args| !args.is_empty()),
        "metaContents": Some(meta).filter(|meta| !meta.is_empty()),
        "embeddedMachineConfiguration": Some(embedded).filter(|text| !text.is_empty()),
    }));
    let input = without_empty(json!({
        "kernel": {"path": ""},
        "initramfs": {"path": ""},
        "baseInstaller": profile.base_installer.map(|repository| json!({
            "imageRef": format!("{repository}:{tag}"),
            "ociPath": format!("INSTALLER/{arch}-{tag}"),
        })),
        "overlayInstaller": overlay_image(arch.as_str()),
        "secureboot": secure_boot,
        "systemExtensions": Some(extensions).filter(|list| !list.is_empty()),
    }));
    // The overlay's program ran on amd64 when the lines were made.
    let overlay = profile.overlay.as_ref().map(|overlay| {
        without_empty(json!({
            "name": overlay.name,
            "image": overlay_image("amd64"),
            "options": overlay_options,
        }))
    });
    let mut out = without_empty(json!({
        "arch": arch,
        "platform": profile.platform,
        "name": "Talos",
        "version": tag,
        "customization": Some(customization).filter(|map| map.as_object().is_some_and(|map| !map.is_empty())),
        "input": input,
        "overlay": overlay,
        "output": output(&profile.output),
    }));
    out["secureboot"] = json!(profile.secure_boot.map(|_| true));
    out
}

/// A profile made from a built-in one, with the names that the reference's own command line uses.
pub fn built_in_json(request: &Request) -> Value {
    let mut out = request_json(request);
    out["secureboot"] = json!(request.secure_boot);
    out
}
