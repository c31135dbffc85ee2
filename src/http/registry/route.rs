//! Paths below `/v2/` (10-http-api.md, 8.1).

use super::error::RegistryError;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// Whether there is a registry at all.
    Ping,
    /// Something of a repository.
    Resource {
        /// Of which.
        repository: Repository<'a>,
        /// What.
        resource: Resource<'a>,
    },
}

/// A repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Repository<'a> {
    /// Installers of a schematic.
    Installer {
        /// Name of the image.
        image: &'a str,
        /// Id of the schematic, as written.
        schematic: &'a str,
    },
    /// An image of the release, named without its first part.
    Source(&'a str),
}

/// What of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    /// A manifest, by tag or digest.
    Manifest(&'a str),
    /// A blob by digest.
    Blob(&'a str),
    /// What refers to this digest.
    Referrers(&'a str),
    /// All tags.
    Tags,
}

/// First part of the names of the release's own images.
const SOURCE: &str = "siderolabs/";

/// Reads a path without the `/v2/` in front.
pub(super) fn parse(path: &str) -> Result<Route<'_>, RegistryError> {
    let unknown = || RegistryError::no_route(path);
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Ok(Route::Ping);
    }
    let (rest, reference) = path.rsplit_once('/').ok_or_else(unknown)?;
    let (name, resource) = rest.rsplit_once('/').ok_or_else(unknown)?;
    let resource = match (resource, reference) {
        (_, "") => return Err(unknown()),
        ("manifests", reference) => Resource::Manifest(reference),
        ("blobs", digest) => Resource::Blob(digest),
        ("referrers", digest) => Resource::Referrers(digest),
        ("tags", "list") => Resource::Tags,
        _ => return Err(unknown()),
    };
    let repository = match (name.strip_prefix(SOURCE), name.split_once('/')) {
        (Some(name), _) => Repository::Source(name),
        (None, Some((image, schematic))) if !schematic.contains('/') => {
            Repository::Installer { image, schematic }
        }
        _ => return Err(unknown()),
    };
    Ok(Route::Resource { repository, resource })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        for path in ["", "/", "//"] {
            assert_eq!(parse(path).unwrap(), Route::Ping);
        }
        let installer = |resource| Route::Resource {
            repository: Repository::Installer { image: "aws-installer", schematic: "37" },
            resource,
        };
        for (path, resource) in [
            ("aws-installer/37/manifests/v1.12.4", Resource::Manifest("v1.12.4")),
            ("/aws-installer/37/manifests/v1.12.4/", Resource::Manifest("v1.12.4")),
            ("aws-installer/37/blobs/sha256:00", Resource::Blob("sha256:00")),
            ("aws-installer/37/referrers/sha256:00", Resource::Referrers("sha256:00")),
            ("aws-installer/37/tags/list", Resource::Tags),
        ] {
            assert_eq!(parse(path).unwrap(), installer(resource), "{path}");
        }
        for (path, name) in
            [("siderolabs/installer-base/tags/list", "installer-base"), ("siderolabs/a/b/tags/list", "a/b")]
        {
            let expected = Route::Resource { repository: Repository::Source(name), resource: Resource::Tags };
            assert_eq!(parse(path).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_none() {
        for path in [
            "_catalog",
            "foo",
            "foo/bar",
            "foo/manifests/v1",
            "a/b/c/manifests/v1",
            "image/schematic/tags/v1",
            "siderolabs/manifests/v1",
            "siderolabs/imager/foo/x",
            "installer/37/manifests",
            "installer/37/blobs/uploads/1",
        ] {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
