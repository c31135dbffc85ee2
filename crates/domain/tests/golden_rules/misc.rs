//! Tables, defaults, labels and texts, and the parts of disk layouts that profiles decide.

use factory_domain::Arch;
use factory_domain::meta;
use factory_domain::platform::{Board, Platform};
use factory_domain::profile::{
    Profile, built_in, check_profile, disk_size, fill_defaults, inner_file_name, validate,
};
use factory_domain::recipe::{ReleaseFile, iso_label, iso_volume_id, os_release};
use factory_domain::schematic::{Bootloader, MetaValue};
use serde_json::{Value, json};

use crate::support::{built_in_json, lines, meta_value, profile_json, text, version};

/// Lines of `misc.jsonl` of one kind.
fn misc(kind: &str) -> Vec<Value> {
    let mut lines = lines("misc.jsonl");
    lines.retain(|line| text(&line["case"]).starts_with(&format!("{kind}/")));
    lines
}

#[test]
fn golden_platforms() {
    for line in misc("platform") {
        let platform = Platform::find(text(&line["input"])).unwrap();
        let min_version = if platform.min_version.is_empty() { "0.0.0" } else { platform.min_version };
        let made = json!({
            "name": platform.name,
            "label": platform.label,
            "description": platform.description,
            "documentation": platform.documentation,
            "architectures": platform.architectures,
            "disk_image_suffix": platform.disk_suffix,
            "boot_methods": platform.boot_methods,
            "secureboot_supported": platform.offers_secure_boot,
            "min_version": min_version,
        });
        assert_eq!(made, line["output"]);
    }
}

#[test]
fn golden_boards() {
    for line in misc("sbc") {
        let board = Board::find(text(&line["input"])).unwrap();
        let min_version = if board.min_version.is_empty() { "0.0.0" } else { board.min_version };
        let made = json!({
            "Name": board.name,
            "OverlayName": board.overlay_name,
            "OverlayImage": board.overlay_image,
            "Label": board.label,
            "MinVersion": min_version,
            "Documentation": board.documentation,
        });
        assert_eq!(made, line["output"]);
    }
}

#[test]
fn golden_built_in_profiles() {
    for line in misc("default-profile") {
        let name = text(&line["input"]);
        let mut made = built_in_json(&built_in(name).unwrap().request(Arch::Amd64));
        made["arch"] = json!("");
        assert_eq!(made, line["output"], "{name}");
    }
}

#[test]
fn golden_filled_defaults() {
    for line in misc("filled-defaults") {
        let case = text(&line["case"]);
        let arch: Arch = text(&line["input"]["arch"]).parse().unwrap();
        let version = version(text(&line["input"]["version"]));
        let request = built_in(text(&line["input"]["profile"])).unwrap().request(arch);
        let mut profile = Profile::plain(request, version.clone());
        fill_defaults(&mut profile);

        let mut made = profile_json(&profile, &Value::Null);
        made["secureboot"] = json!(profile.secure_boot.is_some());
        made.as_object_mut().unwrap().remove("name");
        let path = |file: ReleaseFile| json!({"path": format!("/{}", file.path(arch))});
        made["input"]["kernel"] = path(ReleaseFile::Kernel);
        made["input"]["initramfs"] = path(ReleaseFile::Initramfs);
        made["input"]["sdBoot"] = path(ReleaseFile::SdBoot);
        made["input"]["sdStub"] = path(ReleaseFile::SdStub);
        let base = version.quirks().base_installer();
        made["input"]["baseInstaller"] =
            json!({"imageRef": format!("REFERENCE.EXAMPLE/{base}:{}", version.tag())});
        if let Some(image) = &profile.output.image {
            made["output"]["imageOptions"]["diskSize"] = json!(disk_size(image, version.quirks()));
        }
        if profile.secure_boot.is_some() {
            // Where the reference's command line looks for keys.
            made["input"]["secureboot"] = json!({
                "secureBootSigner": {
                    "keyPath": "/secureboot/uki-signing-key.pem",
                    "certPath": "/secureboot/uki-signing-cert.pem",
                },
                "pcrSigner": {"keyPath": "/secureboot/pcr-signing-key.pem"},
            });
        }
        assert_eq!(made, line["output"], "{case}");
        assert_eq!(inner_file_name(&profile), text(&line["output_file"]), "{case}");
        let error = validate(&profile).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), line.get("validate_error").and_then(Value::as_str), "{case}");
    }
}

#[test]
fn golden_boot_loaders_and_disk_sizes() {
    for line in lines("layouts.jsonl") {
        let (case, input) = (text(&line["case"]), &line["input"]);
        let request =
            built_in(text(&input["default_profile"])).unwrap().request(text(&input["arch"]).parse().unwrap());
        let mut profile = Profile::plain(request, version(text(&input["version"])));
        let image = profile.output.image.as_mut().unwrap();
        image.bootloader = match text(&input["requested_bootloader"]) {
            "grub" => Bootloader::Grub,
            "sd-boot" => Bootloader::SdBoot,
            "dual-boot" => Bootloader::DualBoot,
            _ => Bootloader::None,
        };
        image.sector_size = input["sector_size"].as_u64().unwrap();
        fill_defaults(&mut profile);
        let image = profile.output.image.clone().unwrap();
        let effective = match image.bootloader {
            Bootloader::Grub => "grub",
            Bootloader::SdBoot => "sd-boot",
            Bootloader::DualBoot => "dual-boot",
            Bootloader::None => "none",
        };
        assert_eq!(effective, text(&line["effective_bootloader"]), "{case}");
        assert_eq!(json!(disk_size(&image, profile.version.quirks())), line["disk_size"], "{case}");
        let refused = validate(&profile)
            .map_err(|error| error.to_string())
            .and_then(|()| check_profile(&mut profile).map_err(|error| error.to_string()));
        assert_eq!(refused.err().as_deref(), line.get("error").and_then(Value::as_str), "{case}");
    }
}

#[test]
fn golden_iso_labels() {
    for line in misc("iso-volume-id") {
        assert_eq!(iso_volume_id(text(&line["input"])), text(&line["output"]));
    }
    for line in misc("iso-label") {
        assert_eq!(iso_label(text(&line["input"])), text(&line["output"]["plain"]));
    }
}

#[test]
fn golden_os_release() {
    for line in misc("os-release") {
        let input = &line["input"];
        assert_eq!(os_release(text(&input[0]), text(&input[1])), text(&line["output"]));
    }
}

#[test]
fn golden_meta_arguments() {
    for line in misc("meta-env") {
        let values: Vec<MetaValue> = line["input"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| meta_value(value, "key", "value"))
            .collect();
        assert_eq!(meta::encode(&values, false), text(&line["output"]["plain"]));
        let (made, expected) = (meta::encode(&values, true), text(&line["output"]["gzip_allowed"]));
        if expected.starts_with("H4sI") {
            // Nine of the ten bytes of the header, which is the same; the stream behind it is not.
            assert_eq!(made[..12], expected[..12], "the header of the compressed form");
            assert_eq!(meta::decode(&made).unwrap(), meta::decode(expected).unwrap());
        } else {
            assert_eq!(made, expected);
        }
    }
}

#[test]
fn golden_meta_arguments_are_read() {
    for line in misc("meta-env-decode") {
        let case = text(&line["case"]);
        let read = meta::decode(text(&line["input"]));
        if let Some(expected) = line.get("error") {
            let (error, expected) = (read.unwrap_err().to_string(), text(expected));
            // Texts about keys and compression belong to libraries of the reference.
            if expected.starts_with("illegal base64") || expected.starts_with("invalid value") {
                assert_eq!(error, expected, "{case}");
            }
            continue;
        }
        let expected: Vec<MetaValue> = line["output"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| meta_value(value, "Key", "Value"))
            .collect();
        assert_eq!(read.unwrap(), expected, "{case}");
    }
}
