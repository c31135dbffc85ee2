//! Listing tags, page by page.

use std::collections::HashSet;

use factory_domain::ports::Repository;
use reqwest::Method;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;
use url::Url;

use super::endpoint::{Ask, Endpoint, Failure};

/// Tags asked for at once.
const PAGE_SIZE: &str = "1000";

/// Longest page. Some registries give everything at once whatever they are asked for.
const MAX_PAGE_BYTES: usize = 32 << 20;

/// Pages of one list; a repository has a few thousand tags, not millions.
const MAX_PAGES: usize = 1000;

#[derive(Deserialize)]
struct Page {
    /// `null` in a repository whose tags were all removed.
    tags: Option<Vec<String>>,
}

impl Endpoint {
    /// All tags of a repository.
    pub async fn list_tags(&self, repository: &Repository) -> Result<Vec<String>, Failure> {
        let what = format!("repository {repository}");
        let mut url = self.url(repository, "tags/list");
        url.query_pairs_mut().append_pair("n", PAGE_SIZE);
        let mut seen = HashSet::new();
        let mut tags = Vec::new();
        loop {
            if seen.len() == MAX_PAGES || !seen.insert(url.clone()) {
                return Err(Failure::Wrong("its list of tags does not end".to_owned()));
            }
            let ask = Ask {
                what: &what,
                repository,
                method: Method::GET,
                url: url.clone(),
                accept: "application/json",
                from: None,
                body: None,
                expects: &[],
            };
            let document = self.document(&ask, MAX_PAGE_BYTES).await?;
            let page: Page = serde_json::from_slice(&document.bytes)
                .map_err(|error| Failure::Wrong(format!("its list of tags: {error}")))?;
            tags.extend(page.tags.unwrap_or_default());
            match next_page(&url, &document.headers)? {
                Some(next) => url = next,
                None => break,
            }
        }
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }
}

/// The address of the next page (RFC 8288). It must be on the same registry: another host would get our
/// credentials, or be one that only this server can reach.
pub(super) fn next_page(current: &Url, headers: &HeaderMap) -> Result<Option<Url>, Failure> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let Some(target) = links.flat_map(|value| value.split(',')).find_map(next_target) else {
        return Ok(None);
    };
    let next =
        current.join(target).map_err(|error| Failure::Wrong(format!("its next page {target:?}: {error}")))?;
    if next.origin() != current.origin() || !next.username().is_empty() || next.password().is_some() {
        return Err(Failure::Wrong(format!(
            "its next page is on another host, {}",
            next.origin().ascii_serialization()
        )));
    }
    Ok(Some(next))
}

/// The target of one link value when it is the next page.
fn next_target(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let next = parameters.split(';').any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
    });
    next.then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(link: &str) -> Result<Option<String>, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, link.parse().unwrap());
        let current = "https://r.example.com/v2/a/tags/list?n=2".parse().unwrap();
        Ok(next_page(&current, &headers)?.map(String::from))
    }

    #[test]
    fn the_next_page_is_found() {
        let expected = "https://r.example.com/v2/a/tags/list?n=2&last=b";
        for link in [
            "</v2/a/tags/list?n=2&last=b>; rel=\"next\"",
            "<https://r.example.com/v2/a/tags/list?n=2&last=b>; rel=next",
            "<https://r.example.com:443/v2/a/tags/list?n=2&last=b>;title=\"x\"; REL=\"Next\"",
            "</first>; rel=\"first\", </v2/a/tags/list?n=2&last=b>; rel=\"next\"",
            "<?n=2&last=b>; rel=\"next\"",
        ] {
            assert_eq!(next(link).unwrap().as_deref(), Some(expected), "{link}");
        }
        for link in ["", "</x>; rel=\"prev\"", "/x; rel=\"next\"", "</x>"] {
            assert_eq!(next(link).unwrap(), None, "{link}");
        }
    }

    #[test]
    fn a_next_page_elsewhere_is_refused() {
        for target in [
            "https://evil.example.com/v2/a/tags/list",
            "http://r.example.com/v2/a/tags/list",
            "https://r.example.com:8443/v2/a/tags/list",
            "//evil.example.com/v2",
            "https://u:p@r.example.com/v2",
            "file:///etc/passwd",
        ] {
            assert!(matches!(next(&format!("<{target}>; rel=\"next\"")), Err(Failure::Wrong(_))), "{target}");
        }
    }
}
