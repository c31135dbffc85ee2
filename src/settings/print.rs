//! Printing the settings that are in force.

use serde_json::Value;

use super::Settings;

/// How settings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// TOML.
    #[default]
    Toml,
    /// YAML.
    Yaml,
    /// Environment variables.
    Env,
}

/// What stands in place of a secret.
const MASK: &str = "***";

/// The settings as text, secrets masked.
///
/// # Errors
/// When a value has no form in this format, which the types of [`Settings`] exclude.
pub fn print(settings: &Settings, format: Format) -> Result<String, String> {
    let mut shown = settings.clone();
    for registry in &mut shown.registries {
        if !registry.password.is_empty() {
            registry.password = MASK.to_owned();
        }
    }
    for secret in shown.secure_boot.secrets().into_iter().filter(|secret| !secret.is_empty()) {
        *secret = MASK.to_owned();
    }
    match format {
        Format::Toml => toml::to_string_pretty(&shown).map_err(|error| error.to_string()),
        Format::Yaml => serde_yaml::to_string(&shown).map_err(|error| error.to_string()),
        Format::Env => {
            let tree = serde_json::to_value(&shown).map_err(|error| error.to_string())?;
            let mut out = String::new();
            variables("IF", &tree, &mut out);
            Ok(out)
        }
    }
}

fn variables(name: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            map.iter()
                .for_each(|(key, value)| variables(&format!("{name}_{}", key.to_uppercase()), value, out));
        }
        Value::String(text) => out.push_str(&format!("{name}={text}\n")),
        other => out.push_str(&format!("{name}={other}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Registry, Source, load};

    #[test]
    fn what_is_printed_loads_to_the_same_settings() {
        let settings = Settings::default();
        let dir = tempfile::tempdir().unwrap();
        for (format, name) in [(Format::Toml, "a.toml"), (Format::Yaml, "a.yaml"), (Format::Env, "a.env")] {
            let path = dir.path().join(name);
            std::fs::write(&path, print(&settings, format).unwrap()).unwrap();
            let (loaded, warnings) = load(&Source { files: vec![path], ..Source::default() }).unwrap();
            assert_eq!(loaded, settings, "{name}");
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }

    #[test]
    fn secrets_are_masked() {
        let entry = Registry { host: "a".into(), password: "hunter2".into(), ..Registry::default() };
        let mut settings = Settings { registries: vec![entry], ..Settings::default() };
        settings.secure_boot.file.pcr_key_passphrase = "hunter2".to_owned();
        for format in [Format::Toml, Format::Yaml, Format::Env] {
            let text = print(&settings, format).unwrap();
            assert!(!text.contains("hunter2") && text.contains(MASK), "{text}");
        }
    }
}
