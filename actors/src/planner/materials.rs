//! What an installer is made from, by digest: release images as they were verified.

use factory_domain::Arch;
use factory_domain::ports::Reference;
use factory_domain::profile::ExtensionInput;
use factory_domain::provenance::Material;
use factory_domain::recipe::Recipe;
use factory_formats::Digest;

use super::{PlanError, State};
use crate::sources::{FetchFiles, ImageRef, Selection};

impl State {
    /// The materials of an installer on a base image of this digest. Everything was fetched before: these are
    /// look-ups.
    pub(super) async fn materials(&self, recipe: &Recipe, base: Digest) -> Result<Vec<Material>, PlanError> {
        let registry = &self.options.registry.host;
        let material = |part: &str, image: &ImageRef, digest: Digest| {
            Material::image(part, recipe.arch, registry, &image.repository.to_string(), digest)
        };
        let mut materials = vec![material("base-installer", &self.base_image(recipe)?, base)];

        let imager = self.image(&self.options.components.imager, Reference::Tag(recipe.version.tag()))?;
        let files = FetchFiles {
            image: imager.clone(),
            arch: Arch::Amd64,
            selection: Selection::Below("usr/install/"),
        };
        let release = self.peers.sources.ask(files).await?;
        materials.push(material("imager", &imager, release.image));

        for input in &recipe.extensions {
            if let ExtensionInput::Official(extension) = input {
                let image = self.image(&extension.repository, Reference::Digest(extension.digest))?;
                materials.push(material(
                    &format!("extension:{}", extension.repository),
                    &image,
                    extension.digest,
                ));
            }
        }
        if let Some(overlay) = &recipe.overlay {
            let image = self.image(&overlay.image.repository, Reference::Digest(overlay.digest))?;
            materials.push(material(&format!("overlay:{}", overlay.name), &image, overlay.digest));
        }
        Ok(materials)
    }
}
