//! Whether settings make sense, all faults at once, and what follows from them.

use std::path::PathBuf;

use url::Url;

use super::{Settings, storage};

/// What the settings come down to.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Address of the factory for clients, ending in `/`.
    pub external_url: Url,
    /// Address of the factory in iPXE scripts, ending in `/`.
    pub external_pxe_url: Url,
    /// Directory of all state.
    pub store_path: PathBuf,
    /// Main listener, `host:port`.
    pub listen: String,
    /// Plain listener for iPXE.
    pub pxe_listen: Option<String>,
    /// Metrics listener.
    pub metrics_listen: Option<String>,
}

/// Checks the settings. `environment` answers for the few variables that say where state belongs.
///
/// # Errors
/// One line for each fault, naming key, value and what to do.
pub fn check(
    settings: &Settings,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Checked, Vec<String>> {
    let mut faults = Vec::new();
    let http = &settings.http;
    let external_url = address("http.externalURL", &http.external_url, &mut faults);
    let external_pxe_url = match http.external_pxe_url.as_str() {
        "" => external_url.clone(),
        given => address("http.externalPXEURL", given, &mut faults),
    };
    if http.cert_file.is_empty() != http.key_file.is_empty() {
        faults.push("http.certFile and http.keyFile belong together: set both or none".to_owned());
    }
    if settings.build.max_concurrency == 0 {
        faults.push("build.maxConcurrency is 0: at least one build must be possible".to_owned());
    }
    if settings.registry.jobs == 0 {
        faults.push("registry.jobs is 0: at least one transfer must be possible".to_owned());
    }
    if http.max_pending_requests == 0 {
        faults.push("http.maxPendingRequests is 0: at least one request must be possible".to_owned());
    }
    if settings.artifacts.refresh_interval.0.is_zero() {
        faults.push("artifacts.refreshInterval is 0: credentials must live for some time".to_owned());
    }
    if settings.artifacts.talos_version_recheck_interval.0.is_zero() {
        faults
            .push("artifacts.talosVersionRecheckInterval is 0: the list must live for some time".to_owned());
    }
    if !["text", "json"].contains(&settings.log.format.as_str()) {
        faults.push(format!("log.format is {:?}: use \"text\" or \"json\"", settings.log.format));
    }
    let mirror = &settings.container_signature.tuf_mirror;
    if !mirror.is_empty() {
        address("containerSignature.tufMirror", mirror, &mut faults);
    }
    settings.secure_boot.check(&mut faults);
    if !["preferred", "required", "off"].contains(&settings.build.overlay_sandbox.as_str()) {
        let given = &settings.build.overlay_sandbox;
        faults.push(format!("build.overlaySandbox is {given:?}: use \"preferred\", \"required\" or \"off\""));
    }
    storage::check(&settings.artifacts, &settings.cache, &mut faults);
    for entry in &settings.registries {
        if entry.host.is_empty() {
            faults.push("registries: an entry has no host".to_owned());
        }
        if !entry.password.is_empty() && !entry.password_file.is_empty() {
            faults.push(format!("registries, {}: set password or passwordFile, not both", entry.host));
        }
    }
    let listen = listener("http.httpListenAddr", &http.http_listen_addr, &mut faults);
    let pxe_listen = listener("http.pxeListenAddr", &http.pxe_listen_addr, &mut faults);
    let metrics_listen = listener("metrics.addr", &settings.metrics.addr, &mut faults);
    if listen.is_none() && http.http_listen_addr.is_empty() {
        faults.push("http.httpListenAddr is empty: the factory must listen somewhere".to_owned());
    }
    let store_path = store_path(&settings.store.path, environment);
    if store_path.is_none() {
        faults
            .push("store.path is not set and there is no home directory: say where state belongs".to_owned());
    }
    match (external_url, external_pxe_url, store_path, listen) {
        (Some(external_url), Some(external_pxe_url), Some(store_path), Some(listen)) if faults.is_empty() => {
            Ok(Checked { external_url, external_pxe_url, store_path, listen, pxe_listen, metrics_listen })
        }
        _ => Err(faults),
    }
}

fn address(key: &str, text: &str, faults: &mut Vec<String>) -> Option<Url> {
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
        Ok(_) | Err(_) => {
            faults.push(format!(
                "{key} is {text:?}: write a whole address such as \"https://factory.example.com/\""
            ));
            return None;
        }
    };
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        faults.push(format!("{key} is {text:?}: leave out user, query and fragment"));
        return None;
    }
    // Relative paths are joined to it, so it must read as a directory.
    let mut url = url;
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

/// `:port` means all addresses, IPv6 and IPv4.
fn listener(key: &str, text: &str, faults: &mut Vec<String>) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let (host, port) = text.rsplit_once(':')?;
    if port.parse::<u16>().is_err() {
        faults.push(format!("{key} is {text:?}: write it as \"host:port\" or \":port\""));
        return None;
    }
    Some(if host.is_empty() { format!("[::]:{port}") } else { text.to_owned() })
}

fn store_path(given: &str, environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if !given.is_empty() {
        return Some(PathBuf::from(given));
    }
    set("STATE_DIRECTORY")
        .or_else(|| Some(set("XDG_STATE_HOME")?.join("image-factory")))
        .or_else(|| Some(set("HOME")?.join(".local/state/image-factory")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/someone".to_owned())
    }

    #[test]
    fn the_defaults_are_fine() {
        let checked = check(&Settings::default(), home).unwrap();
        assert_eq!(checked.external_pxe_url.as_str(), "https://localhost/");
        assert_eq!(checked.store_path, PathBuf::from("/home/someone/.local/state/image-factory"));
        assert_eq!((checked.listen.as_str(), checked.pxe_listen), ("[::]:8080", None));
    }

    #[test]
    fn addresses_must_be_whole() {
        for bad in
            ["", "factory.example.com", "ftp://a/", "http://", "https://u:p@a/", "https://a/?q", "/path"]
        {
            let mut settings = Settings::default();
            settings.http.external_url = bad.to_owned();
            let faults = check(&settings, home).unwrap_err();
            assert!(faults[0].contains("http.externalURL"), "{bad}: {faults:?}");
        }
        let mut settings = Settings::default();
        settings.http.external_url = "http://a:1/base".to_owned();
        assert_eq!(check(&settings, home).unwrap().external_url.as_str(), "http://a:1/base/");
    }

    #[test]
    fn all_faults_at_once() {
        let mut settings = Settings::default();
        settings.http.cert_file = "x".to_owned();
        settings.build.max_concurrency = 0;
        settings.metrics.addr = ":metrics".to_owned();
        settings.log.format = "xml".to_owned();
        settings.build.overlay_sandbox = "maybe".to_owned();
        assert_eq!(check(&settings, |_| None).unwrap_err().len(), 6);
    }
}
