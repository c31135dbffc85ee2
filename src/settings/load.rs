//! Reading the configuration: defaults, then files in order, then the environment, then `--set`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::keys::{Keys, Unknown, merge, nest};
use super::{Settings, later};

/// Where the configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Files in order, the later ones win. Empty: the first of the usual places that exists.
    pub files: Vec<PathBuf>,
    /// Environment variables; those that begin with `IF_` count.
    pub environment: BTreeMap<String, String>,
    /// `key=value` pairs of the command line.
    pub overrides: Vec<String>,
    /// Unknown keys are warnings.
    pub lenient: bool,
}

/// What is wrong with the configuration: everything that was found, a line each.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is wrong:\n  {}", .0.join("\n  "))]
pub struct LoadError(pub Vec<String>);

/// Where a configuration is looked for when none is named.
const USUAL_PLACES: &[&str] = &["image-factory.toml", "/etc/image-factory/config.toml"];

/// Reads the settings. Gives warnings beside them.
///
/// # Errors
/// [`LoadError`] with all faults at once.
pub fn load(source: &Source) -> Result<(Settings, Vec<String>), LoadError> {
    let keys = Keys::new();
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let mut merged = keys.defaults().clone();

    for file in files(source, &mut faults) {
        match read(&file) {
            Ok(given) => lay(
                &keys,
                &mut merged,
                given,
                &file.display().to_string(),
                source,
                &mut warnings,
                &mut faults,
            ),
            Err(fault) => faults.push(format!("{}: {fault}", file.display())),
        }
    }
    for (name, value) in &source.environment {
        let Some(rest) = name.strip_prefix("IF_") else { continue };
        let given = match keys.find_joined(rest) {
            Some(path) => nest(&path, from_text(value)),
            None if later::covers(rest) => {
                warnings.push(format!("{name} has no effect in this version"));
                continue;
            }
            None => {
                let unknown = Unknown { path: name.clone(), meant: keys.closest(&rest.replace('_', ".")) };
                complain(&unknown, "the environment", source.lenient, &mut warnings, &mut faults);
                continue;
            }
        };
        merge(&mut merged, keys.canonical(given, &mut Vec::new()));
    }
    for pair in &source.overrides {
        match pair.split_once('=') {
            Some((path, value)) => {
                let given = nest(path, from_text(value));
                lay(&keys, &mut merged, given, "--set", source, &mut warnings, &mut faults);
            }
            None => faults.push(format!("--set {pair}: write it as key=value")),
        }
    }

    let settings = config::Config::try_from(&merged).and_then(config::Config::try_deserialize::<Settings>);
    match settings {
        Ok(settings) if faults.is_empty() => Ok((settings, warnings)),
        Ok(_) => Err(LoadError(faults)),
        Err(error) => {
            faults.push(error.to_string());
            Err(LoadError(faults))
        }
    }
}

fn lay(
    keys: &Keys,
    merged: &mut Value,
    mut given: Value,
    place: &str,
    source: &Source,
    warnings: &mut Vec<String>,
    faults: &mut Vec<String>,
) {
    let (mut noted, mut refused, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    later::take_out(&mut given, &mut noted, &mut refused);
    let given = keys.canonical(given, &mut unknown);
    merge(merged, given);
    warnings.extend(noted.into_iter().map(|note| format!("{place}: {note}")));
    faults.extend(refused.into_iter().map(|fault| format!("{place}: {fault}")));
    for key in &unknown {
        complain(key, place, source.lenient, warnings, faults);
    }
}

fn complain(
    unknown: &Unknown,
    place: &str,
    lenient: bool,
    warnings: &mut Vec<String>,
    faults: &mut Vec<String>,
) {
    let hint = unknown.meant.as_ref().map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    let text = format!("{place}: there is no key {}{hint}", unknown.path);
    if lenient { warnings.push(text) } else { faults.push(text) }
}

/// Text from a variable or a flag: JSON lists and maps are read as such, all else is text.
fn from_text(text: &str) -> Value {
    let json = text.trim_start().starts_with(['[', '{']).then(|| serde_json::from_str(text).ok()).flatten();
    json.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn files(source: &Source, faults: &mut Vec<String>) -> Vec<PathBuf> {
    let mut files = source.files.clone();
    if files.is_empty() {
        files.extend(USUAL_PLACES.iter().map(PathBuf::from).find(|place| place.exists()));
    }
    let mut out = Vec::new();
    for file in files {
        let beside = file.parent().unwrap_or(Path::new(".")).join("config.d");
        let is_toml_main = file.file_name().is_some_and(|name| name == "config.toml");
        out.push(file);
        // Only the packaged main file has a directory of additions; a file named by hand stands alone.
        if is_toml_main && beside.is_dir() {
            match std::fs::read_dir(&beside) {
                Ok(entries) => {
                    let mut more: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
                    more.retain(|path| path.is_file() && !extension(path).is_empty());
                    more.sort();
                    out.extend(more);
                }
                Err(error) => faults.push(format!("{}: {error}", beside.display())),
            }
        }
    }
    out
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or("")
}

fn read(path: &Path) -> Result<Value, String> {
    let format = match extension(path) {
        "toml" => config::FileFormat::Toml,
        "yaml" | "yml" => config::FileFormat::Yaml,
        "json" => config::FileFormat::Json,
        "env" => return read_env(path),
        other => {
            return Err(format!("the file type {other:?} is unknown: use .toml, .yaml, .yml, .json or .env"));
        }
    };
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    config::Config::builder()
        .add_source(config::File::from_str(&text, format))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| error.to_string())
}

/// `NAME=value` lines; names as in the environment, or dotted paths.
fn read_env(path: &Path) -> Result<Value, String> {
    let keys = Keys::new();
    let mut out = Value::Object(serde_json::Map::new());
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim().trim_start_matches("export ");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {}: write it as NAME=value", number + 1));
        };
        let value = value.trim().trim_matches(['"', '\'']);
        let name = name.trim();
        let path = keys.find_joined(name.strip_prefix("IF_").unwrap_or(name));
        merge(&mut out, nest(path.as_deref().unwrap_or(name), from_text(value)));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(
        files: &[(&str, &str)],
        environment: &[(&str, &str)],
        overrides: &[&str],
    ) -> Result<(Settings, Vec<String>), LoadError> {
        let dir = tempfile::tempdir().unwrap();
        let files = files.iter().map(|(name, text)| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        });
        load(&Source {
            files: files.collect(),
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            overrides: overrides.iter().map(|o| (*o).to_owned()).collect(),
            lenient: false,
        })
    }

    #[test]
    fn later_sources_win() {
        let toml =
            "[http]\nexternalURL = \"http://file/\"\nhttpListenAddr = \":1\"\n[build]\nmaxConcurrency = 2\n";
        let (settings, _) = with(
            &[("a.toml", toml), ("b.yaml", "build:\n  maxConcurrency: \"3\"\n")],
            &[("IF_HTTP_EXTERNALURL", "http://env/"), ("IF_HTTP_HTTPLISTENADDR", ":2"), ("OTHER", "x")],
            &["http.http-listen-addr=:3"],
        )
        .unwrap();
        assert_eq!(settings.http.external_url, "http://env/");
        assert_eq!(settings.http.http_listen_addr, ":3");
        assert_eq!(settings.build.max_concurrency, 3);
    }

    #[test]
    fn one_setting_in_every_file_type() {
        for (name, text) in [
            ("a.toml", "[store]\nmaxBytes = \"2GiB\"\n[artifacts]\nrefreshInterval = \"90s\"\n"),
            ("a.yaml", "store: {maxBytes: 2GiB}\nartifacts: {refreshInterval: 90s}\n"),
            (
                "a.json",
                "{\"store\": {\"maxBytes\": 2147483648}, \"artifacts\": {\"refreshInterval\": \"1m30s\"}}",
            ),
            ("a.env", "# x\nIF_STORE_MAXBYTES=2GiB\nartifacts.refreshInterval='90s'\n"),
        ] {
            let (settings, warnings) = with(&[(name, text)], &[], &[]).unwrap();
            assert_eq!(settings.store.max_bytes.0, 2 << 30, "{name}");
            assert_eq!(settings.artifacts.refresh_interval.0.as_secs(), 90, "{name}");
            assert!(warnings.is_empty());
        }
    }

    #[test]
    fn all_faults_come_at_once_with_hints() {
        let error = with(
            &[("a.toml", "[http]\nexternalUrll = \"x\"\n[authentication]\nenabled = true\n"), ("b.txt", "")],
            &[("IF_STOR_PATH", "x")],
            &["nonsense"],
        )
        .unwrap_err();
        let text = error.to_string();
        for part in [
            "did you mean http.externalURL?",
            "authentication.enabled",
            "b.txt",
            "did you mean store.path?",
            "key=value",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn a_wrong_type_names_its_key() {
        let error = with(&[("a.toml", "[build]\nmaxConcurrency = \"many\"\n")], &[], &[]).unwrap_err();
        assert!(error.to_string().contains("maxConcurrency"), "{error}");
        let error = with(&[("a.toml", "[store]\nmaxBytes = \"many\"\n")], &[], &[]).unwrap_err();
        assert!(error.to_string().contains("MiB"), "{error}");
    }

    #[test]
    fn a_list_may_be_one_text_or_json() {
        let (settings, _) = with(
            &[("a.toml", "[http]\nallowedOrigins = \"https://a\"\n")],
            &[("IF_BUILD_BROKENTALOSVERSIONS", "[\"1.2.3\",\"1.2.4\"]")],
            &[],
        )
        .unwrap();
        assert_eq!(settings.http.allowed_origins, ["https://a"]);
        assert_eq!(settings.build.broken_talos_versions, ["1.2.3", "1.2.4"]);
    }

    #[test]
    fn a_file_of_the_reference_loads_and_keeps_its_places() {
        let yaml = "http:\n  httpListenAddr: :8080\n  externalURL: https://f.example/\ncache:\n  oci:\n    registry: r\n  signingKeyPath: /k\n  gsa:\n    keyFile: x\n  s3:\n    enabled: false\nsecureBoot:\n  enabled: false\nartifacts:\n  schematic:\n    registry: r\n  installer:\n    internal: r.example.com/installers\n  core:\n    registry: ghcr.io\nenterprise:\n";
        let (settings, warnings) = with(&[("reference.yaml", yaml)], &[], &[]).unwrap();
        assert_eq!(settings.cache.signing_key_path, "/k");
        let place = settings.artifacts.schematic.place("x").unwrap().unwrap();
        assert_eq!(place.path.unwrap().as_str(), "siderolabs/image-factory/schematics");
        let place = settings.artifacts.installer.internal.place("x").unwrap().unwrap();
        assert_eq!((place.registry.as_str(), place.path.unwrap().as_str()), ("r.example.com", "installers"));
        assert!(warnings.iter().any(|w| w.contains("cache.gsa")), "{warnings:?}");
        assert!(!warnings.iter().any(|w| w.contains("artifacts.schematic")), "{warnings:?}");
    }
}
