//! Who refers to a manifest: by the referrers API, or by the tag that stands in for it.

use factory_domain::ports::{Descriptor, Reference, Repository};
use factory_formats::Digest;
use oci_distribution::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::endpoint::{Ask, Endpoint, Failure};
use super::tags::next_page;
use crate::documents::{MAX_MANIFEST_BYTES, index_entries, is_index_type, referrers_tag};

/// Pages of one list of referrers.
const MAX_PAGES: usize = 100;

/// What registries without the API answer.
const NO_SUCH_API: [u16; 4] = [400, 404, 405, 406];

impl Endpoint {
    /// Descriptors of the manifests that refer to `subject`.
    pub async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Failure> {
        match self.referrers_by_api(repository, subject).await? {
            Some(found) => Ok(found),
            None => self.referrers_by_tag(repository, subject).await,
        }
    }

    /// `None` when the registry does not have the API.
    async fn referrers_by_api(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Failure> {
        let what = format!("referrers of {repository}@{subject}");
        let mut url = self.url(repository, &format!("referrers/{subject}"));
        let mut found = Vec::new();
        for page in 0..MAX_PAGES {
            let ask = Ask {
                what: &what,
                repository,
                method: Method::GET,
                url: url.clone(),
                accept: OCI_IMAGE_INDEX_MEDIA_TYPE,
                from: None,
                body: None,
                expects: if page == 0 { &NO_SUCH_API } else { &[] },
            };
            let document = self.document(&ask, MAX_MANIFEST_BYTES).await?;
            let declared = document.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let declared = declared.and_then(|text| text.split(';').next()).map(str::trim);
            if document.status != 200 || declared != Some(OCI_IMAGE_INDEX_MEDIA_TYPE) {
                // Some registries answer unknown addresses with a page of their web interface.
                return Ok(None);
            }
            let entries = index_entries(&document.bytes);
            found.extend(entries.map_err(|error| Failure::Wrong(format!("its list of referrers: {error}")))?);
            match next_page(&url, &document.headers)? {
                Some(next) => url = next,
                None => return Ok(Some(found)),
            }
        }
        Err(Failure::Wrong("its list of referrers does not end".to_owned()))
    }

    async fn referrers_by_tag(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Failure> {
        match self.fetch_manifest(repository, &Reference::Tag(referrers_tag(subject))).await {
            // Something else under that tag says nothing about referrers.
            Ok(manifest) if is_index_type(&manifest.media_type) => {
                Ok(index_entries(&manifest.bytes).unwrap_or_default())
            }
            Ok(_) | Err(Failure::NotFound) => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }
}
