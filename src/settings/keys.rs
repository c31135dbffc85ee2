//! The space of keys: spelling, and what was probably meant.
//!
//! Keys are compared without regard to case, dashes and underscores, so `externalURL`, `external-url` and
//! `external_url` are one key. The set of keys is read off the defaults: there is no second list to keep.

use serde_json::Value;

use super::storage::split_repository;
use super::{OciRepository, Registry, Settings};

/// The form in which keys are compared.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// All keys, as a tree of the default values.
pub(super) struct Keys {
    defaults: Value,
}

/// A key that does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The whole path as written.
    pub path: String,
    /// The closest existing path.
    pub meant: Option<String>,
}

impl Keys {
    pub fn new() -> Self {
        let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
        Self { defaults }
    }

    /// The default settings as a tree.
    pub fn defaults(&self) -> &Value {
        &self.defaults
    }

    /// Rewrites all keys of `given` to their canonical spelling and takes out those that do not exist.
    pub fn canonical(&self, given: Value, unknown: &mut Vec<Unknown>) -> Value {
        rewrite(given, &self.defaults, "", unknown, &self.paths())
    }

    /// The canonical path for `text`, whose separators may be dots, dashes or underscores in any mix:
    /// `HTTP_EXTERNALURL` is `http.externalURL`.
    pub fn find_joined(&self, text: &str) -> Option<String> {
        let joined = |path: &str| plain(path).replace('.', "");
        let wanted = joined(text);
        self.paths().into_iter().chain(self.texts()).find(|path| joined(path) == wanted)
    }

    /// The canonical path closest to `path`.
    pub fn closest(&self, path: &str) -> Option<String> {
        closest(path, &self.paths())
    }

    /// The path of every section that may be written as one text.
    pub fn texts(&self) -> Vec<String> {
        let mut out = Vec::new();
        collect_texts("", &self.defaults, &mut out);
        out
    }

    /// The path of every leaf.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        collect("", &self.defaults, &mut out);
        out
    }
}

/// Whether a section is a repository, which may be written as one text.
fn is_repository(section: &serde_json::Map<String, Value>) -> bool {
    let schema = serde_json::to_value(OciRepository::default()).unwrap_or_default();
    schema.as_object().is_some_and(|schema| schema.keys().eq(section.keys()))
}

fn collect_texts(prefix: &str, value: &Value, out: &mut Vec<String>) {
    let Value::Object(map) = value else { return };
    if is_repository(map) {
        return out.push(prefix.to_owned());
    }
    for (key, value) in map {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        collect_texts(&path, value, out);
    }
}

/// Nests `value` under the dotted `path`.
pub(super) fn nest(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |inner, key| Value::Object([(key.to_owned(), inner)].into_iter().collect()))
}

/// Lays `over` on top of `base`: maps merge, everything else replaces.
pub(super) fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        // An empty section in a YAML file is null and says nothing.
        (Value::Object(_), Value::Null) => {}
        (base, over) => *base = over,
    }
}

fn collect(prefix: &str, value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                collect(&path, value, out);
            }
        }
        _ => out.push(prefix.to_owned()),
    }
}

fn rewrite(
    given: Value,
    schema: &Value,
    prefix: &str,
    unknown: &mut Vec<Unknown>,
    paths: &[String],
) -> Value {
    match (given, schema) {
        (Value::Object(given), Value::Object(schema)) => {
            let mut out = serde_json::Map::new();
            for (key, value) in given {
                let here =
                    |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
                match schema.iter().find(|(name, _)| plain(name) == plain(&key)) {
                    Some((name, below)) => {
                        let value = rewrite(value, below, &here(name), unknown, paths);
                        merge(out.entry(name.clone()).or_insert(Value::Null), value);
                    }
                    None => {
                        let path = here(&key);
                        let meant = closest(&path, paths);
                        unknown.push(Unknown { path, meant });
                    }
                }
            }
            Value::Object(out)
        }
        (Value::Array(items), Value::Array(_)) if prefix == "registries" => {
            let schema = serde_json::to_value(Registry::default()).unwrap_or_default();
            let mut paths = Vec::new();
            collect(prefix, &schema, &mut paths);
            Value::Array(
                items.into_iter().map(|item| rewrite(item, &schema, prefix, unknown, &paths)).collect(),
            )
        }
        (Value::String(text), Value::Object(section)) if is_repository(section) => split_repository(&text)
            .into_iter()
            .map(|(key, part)| (key.to_owned(), Value::String(part)))
            .collect(),
        // One text where a list is meant is a list of one.
        (Value::String(text), Value::Array(_)) => Value::Array(vec![Value::String(text)]),
        (given, _) => given,
    }
}

fn closest(path: &str, paths: &[String]) -> Option<String> {
    let wanted = plain(path);
    let last = |path: &str| plain(path.rsplit('.').next().unwrap_or(path));
    let score = |candidate: &&String| {
        let whole = distance(&wanted, &plain(candidate));
        // The right name in the wrong place is a common slip.
        let name = distance(&last(path), &last(candidate)) + 2;
        whole.min(name)
    };
    let best = paths.iter().min_by_key(|path| score(path))?;
    (score(&best) <= 2 + wanted.len() / 6).then(|| best.clone())
}

/// Levenshtein distance, by one row.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spelling_is_free_but_names_are_not() {
        let (keys, mut unknown) = (Keys::new(), Vec::new());
        let given = json!({"HTTP": {"external-url": "a", "external_pxe_url": "b"}, "artefacts": {}, "store": {"maxByte": 1}});
        let out = keys.canonical(given, &mut unknown);
        assert_eq!(out, json!({"http": {"externalURL": "a", "externalPXEURL": "b"}, "store": {}}));
        let said: Vec<_> = unknown.iter().map(|u| (u.path.as_str(), u.meant.as_deref())).collect();
        assert_eq!(said[1], ("store.maxByte", Some("store.maxBytes")));
        assert_eq!(said[0].0, "artefacts");
    }

    #[test]
    fn a_name_in_the_wrong_section_is_found() {
        assert_eq!(Keys::new().closest("externalURL").as_deref(), Some("http.externalURL"));
        assert_eq!(Keys::new().closest("server.maxSchematicSize").as_deref(), Some("http.maxSchematicSize"));
        assert_eq!(Keys::new().closest("completely.different"), None);
    }

    #[test]
    fn variables_name_keys_without_separators() {
        let keys = Keys::new();
        assert_eq!(keys.find_joined("HTTP_EXTERNALURL").as_deref(), Some("http.externalURL"));
        assert_eq!(
            keys.find_joined("ARTIFACTS_CORE_COMPONENTS_INSTALLERBASE").as_deref(),
            Some("artifacts.core.components.installerBase")
        );
        assert_eq!(keys.find_joined("STORE_MAX_BYTES").as_deref(), Some("store.maxBytes"));
        assert_eq!(keys.find_joined("HTTP"), None);
    }

    #[test]
    fn a_repository_may_be_one_text() {
        let (keys, mut unknown) = (Keys::new(), Vec::new());
        let given = json!({"artifacts": {"schematic": "r.example.com/a/b/c"}, "http": "x"});
        let out = keys.canonical(given, &mut unknown);
        let repository = json!({"registry": "r.example.com", "namespace": "a/b", "repository": "c"});
        assert_eq!(out, json!({"artifacts": {"schematic": repository}, "http": "x"}));
        let path = keys.find_joined("ARTIFACTS_INSTALLER_INTERNAL");
        assert_eq!(path.as_deref(), Some("artifacts.installer.internal"));
    }

    #[test]
    fn entries_of_the_registries_table_have_keys_too() {
        let (keys, mut unknown) = (Keys::new(), Vec::new());
        let given = json!({"registries": [{"host": "a", "plain-http": true, "usernam": "x"}]});
        let out = keys.canonical(given, &mut unknown);
        assert_eq!(out, json!({"registries": [{"host": "a", "plainHTTP": true}]}));
        assert_eq!(
            unknown,
            [Unknown { path: "registries.usernam".into(), meant: Some("registries.username".into()) }]
        );
    }
}
