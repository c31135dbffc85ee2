//! Keys of the reference that this version knows but does not act on.
//!
//! They are neither typing errors nor silently ignored: a setting without effect is a warning, one whose
//! absence would be dangerous refuses to start.

use serde_json::Value;

/// A section of the reference's configuration.
pub(super) struct Later {
    /// Key path.
    path: &'static str,
    /// What is said about it.
    note: &'static str,
    /// The key below `path` that must not be true.
    refused: Option<&'static str>,
}

const LATER: &[Later] = &[
    Later {
        path: "authentication",
        note: "authentication is not available in this version",
        refused: Some("enabled"),
    },
    Later { path: "enterprise", note: "this feature is not available in this version", refused: None },
    Later { path: "audit", note: "the audit log is not available in this version", refused: None },
    Later { path: "cache.gsa", note: "the factory signs with its own key", refused: None },
    Later { path: "registry.debug", note: "log.level shows what registry clients do", refused: None },
];

/// Takes the keys of this list out of `given`; says what was found and what must not be.
pub(super) fn take_out(given: &mut Value, warnings: &mut Vec<String>, faults: &mut Vec<String>) {
    for later in LATER {
        let Some(found) = remove(given, later.path) else { continue };
        match later.refused {
            Some(key) if is_true(&found, key) => {
                faults.push(format!("{}.{key}: {}; remove it or set it to false", later.path, later.note));
            }
            _ => warnings.push(format!("{} has no effect: {}", later.path, later.note)),
        }
    }
}

/// Whether `path` lies in one of these sections.
pub(super) fn covers(joined: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace(['.', '_', '-'], "");
    LATER.iter().any(|later| plain(joined).starts_with(&plain(later.path)))
}

fn remove(value: &mut Value, path: &str) -> Option<Value> {
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    let map = value.as_object_mut()?;
    let key =
        map.keys().find(|key| key.to_lowercase().replace(['-', '_'], "") == head.to_lowercase())?.clone();
    if rest.is_empty() { map.remove(&key) } else { remove(map.get_mut(&key)?, rest) }
}

fn is_true(value: &Value, key: &str) -> bool {
    let found = value.as_object().and_then(|map| map.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)));
    match found {
        Some((_, Value::Bool(on))) => *on,
        Some((_, Value::String(text))) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_without_effect_are_told_and_dangerous_ones_refused() {
        let mut given = json!({
            "cache": {"gsa": {"keyFile": "f"}, "signingKeyPath": "k"},
            "authentication": {"enabled": true},
            "secureboot": {"enabled": "true"},
            "enterprise": {"spdx": {"enabled": true}},
        });
        let (mut warnings, mut faults) = (Vec::new(), Vec::new());
        take_out(&mut given, &mut warnings, &mut faults);
        let left = json!({"cache": {"signingKeyPath": "k"}, "secureboot": {"enabled": "true"}});
        assert_eq!(given, left);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("authentication.enabled"));
        assert!(covers("ENTERPRISE_SPDX_CACHE_REGISTRY") && !covers("SECUREBOOT_FILE_SIGNINGKEYPATH"));
    }
}
