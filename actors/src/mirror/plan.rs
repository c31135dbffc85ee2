//! What there is to copy, each image once, whatever versions need it.

use std::collections::{BTreeMap, BTreeSet};

use factory_domain::Arch;
use factory_domain::TalosVersion;
use factory_domain::catalog::{ExtensionCatalog, OverlayCatalog};
use factory_domain::mirror::{Component, Platforms, components_of};
use factory_domain::ports::Repository;
use factory_formats::Digest;
use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{Extensions, IMAGES_AT_A_TIME, Mirror, MirrorError};

/// An image to copy.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Its repository, without the namespace of the source.
    pub repository: Repository,
    pub digest: Digest,
    /// Tags that it gets.
    pub tags: BTreeSet<String>,
    pub platforms: Platforms,
    /// Names of images without which this one must not come on offer.
    pub needs: Vec<String>,
}

impl Wanted {
    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self.tags.first() {
            Some(tag) => format!("{}:{tag}", self.repository),
            None => format!("{}@{}", self.repository, self.digest),
        }
    }
}

/// Everything to copy.
#[derive(Default)]
pub(super) struct Plan {
    pub images: Vec<Wanted>,
    /// The images whose tags put versions on offer.
    pub imagers: Vec<Wanted>,
    /// What cannot be copied, as far as that is known beforehand.
    pub failed: Vec<(String, MirrorError)>,
}

/// What one version needs.
#[derive(Default)]
struct Needs {
    images: Vec<Wanted>,
    imager: Option<Wanted>,
    failed: Vec<(String, MirrorError)>,
}

impl Plan {
    pub async fn make(mirror: &Mirror, versions: &[TalosVersion]) -> Self {
        let needs = versions.iter().map(|version| Needs::of(mirror, version));
        let needs: Vec<Needs> = stream::iter(needs).buffered(IMAGES_AT_A_TIME).collect().await;
        let mut plan = Self::default();
        let mut images = BTreeMap::<(Repository, Digest), Wanted>::new();
        for Needs { images: wanted, imager, failed } in needs {
            for image in wanted {
                let key = (image.repository.clone(), image.digest);
                match images.get_mut(&key) {
                    Some(known) => {
                        known.tags.extend(image.tags);
                        known.platforms = known.platforms.union(&image.platforms);
                    }
                    None => drop(images.insert(key, image)),
                }
            }
            plan.imagers.extend(imager);
            plan.failed.extend(failed);
        }
        plan.images = images.into_values().collect();
        // Whoever waits for an image waits for it under the name that it got in the end.
        let names = |needed: &String, images: &[Wanted]| {
            images
                .iter()
                .find(|image| image.tags.iter().any(|tag| *needed == format!("{}:{tag}", image.repository)))
                .map(Wanted::name)
        };
        for imager in &mut plan.imagers {
            imager.needs = imager
                .needs
                .iter()
                .map(|needed| names(needed, &plan.images).unwrap_or_else(|| needed.clone()))
                .collect();
        }
        plan
    }
}

impl Needs {
    async fn of(mirror: &Mirror, version: &TalosVersion) -> Self {
        let mut needs = Self::default();
        let mut components = BTreeMap::new();
        for component in components_of(version) {
            let repository = mirror.options.components.repository(component).clone();
            match mirror.component(&repository, version).await {
                Ok(digest) => drop(components.insert(component, (repository, digest))),
                Err(error) => needs.failed.push((format!("{repository}:{}", version.tag()), error)),
            }
        }
        let is_whole = needs.failed.is_empty();
        let asked = mirror.platforms();
        let mut own = Vec::new();
        for (component, (repository, digest)) in &components {
            let image = Wanted {
                repository: repository.clone(),
                digest: *digest,
                tags: BTreeSet::from([version.tag()]),
                platforms: component.platforms(&asked),
                needs: Vec::new(),
            };
            match component {
                Component::Imager => needs.imager = Some(image),
                _ => {
                    own.push(image.name());
                    needs.images.push(image);
                }
            }
        }
        if let Some((repository, digest)) = components.get(&Component::Extensions) {
            let listed = mirror.extensions(version, repository, digest, &mut needs).await;
            needs.note(repository, version, listed);
        }
        if let Some((repository, digest)) = components.get(&Component::Overlays) {
            let listed = mirror.overlays(repository, digest, &mut needs).await;
            needs.note(repository, version, listed);
        }
        if let Some(imager) = needs.imager.as_mut() {
            imager.needs = own;
        }
        // A list that cannot be read is as bad as a missing image.
        let lists_failed =
            needs.failed.iter().any(|(_, error)| !matches!(error, MirrorError::NoExtension { .. }));
        if let Some(imager) = needs.imager.take_if(|_| !is_whole || lists_failed) {
            let missing = needs.failed.first().map(|(name, _)| name.clone()).unwrap_or_default();
            needs.failed.push((imager.name(), MirrorError::Incomplete(missing)));
        }
        needs
    }

    fn note(&mut self, repository: &Repository, version: &TalosVersion, outcome: Result<(), MirrorError>) {
        if let Err(error) = outcome {
            self.failed.push((format!("{repository}:{}", version.tag()), error));
        }
    }
}

impl Mirror {
    async fn component(
        &self,
        repository: &Repository,
        version: &TalosVersion,
    ) -> Result<Digest, MirrorError> {
        Ok(self.source.resolve_tag(&self.at_source(repository)?, &version.tag()).await?)
    }

    async fn extensions(
        &self,
        version: &TalosVersion,
        repository: &Repository,
        digest: &Digest,
        needs: &mut Needs,
    ) -> Result<(), MirrorError> {
        let mut texts = self.read_list(repository, digest).await?;
        let digests = texts.remove("image-digests").unwrap_or_default();
        let list = ExtensionCatalog::parse(&digests, None)?;
        let mut wanted: Vec<_> = list.entries().iter().map(|entry| &entry.reference).collect();
        if let Extensions::Named(names) = &self.options.extensions {
            let is_named = |path: &str, name: &String| path == name || path.rsplit('/').next() == Some(name);
            for name in names {
                if !wanted.iter().any(|entry| is_named(entry.repository.as_str(), name)) {
                    let error = MirrorError::NoExtension { version: version.tag(), name: name.clone() };
                    needs.failed.push((format!("{name} of {}", version.tag()), error));
                }
            }
            wanted.retain(|entry| names.iter().any(|name| is_named(entry.repository.as_str(), name)));
        }
        let images = wanted.into_iter().map(|entry| async move {
            Ok::<_, MirrorError>(Wanted {
                repository: entry.repository.clone(),
                digest: entry.digest,
                tags: self.own_tag(&entry.repository, &entry.tag, &entry.digest).await?,
                platforms: self.platforms(),
                needs: Vec::new(),
            })
        });
        let images: Vec<Wanted> = stream::iter(images).buffered(IMAGES_AT_A_TIME).try_collect().await?;
        needs.images.extend(images);
        Ok(())
    }

    async fn overlays(
        &self,
        repository: &Repository,
        digest: &Digest,
        needs: &mut Needs,
    ) -> Result<(), MirrorError> {
        let mut texts = self.read_list(repository, digest).await?;
        let list = OverlayCatalog::parse(&texts.remove("overlays.yaml").unwrap_or_default())?;
        let mut seen = BTreeSet::new();
        for entry in
            list.entries().iter().filter(|entry| seen.insert((&entry.image.repository, entry.digest)))
        {
            let tags = self.own_tag(&entry.image.repository, &entry.image.tag, &entry.digest).await?;
            needs.images.push(Wanted {
                repository: entry.image.repository.clone(),
                digest: entry.digest,
                tags,
                // Its program runs on the factory's machine, whatever board it is for.
                platforms: Arch::ALL.iter().fold(self.platforms(), |all, arch| all.and(*arch)),
                needs: Vec::new(),
            });
        }
        Ok(())
    }

    /// The tag by which a list names an image, if it is that image's: tags of extensions move on, and then
    /// stand for what a newer version lists.
    async fn own_tag(
        &self,
        repository: &Repository,
        tag: &str,
        digest: &Digest,
    ) -> Result<BTreeSet<String>, MirrorError> {
        let found = self.source.resolve_tag(&self.at_source(repository)?, tag).await;
        Ok(found.is_ok_and(|found| found == *digest).then(|| tag.to_owned()).into_iter().collect())
    }
}
