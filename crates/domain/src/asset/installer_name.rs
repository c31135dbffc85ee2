//! Names of installer images in the registry.

use std::fmt;
use std::str::FromStr;

/// What an image name such as `aws-installer-secureboot` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstallerName {
    /// Platform, as written; `metal` for the short names.
    pub platform: String,
    /// Whether everything in it is signed.
    pub secure_boot: bool,
}

/// A name that no installer image has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid image: {0}")]
pub struct InvalidInstallerName(pub String);

impl FromStr for InstallerName {
    type Err = InvalidInstallerName;

    /// `installer`, `<platform>-installer`, each with or without `-secureboot`. The platform is not
    /// looked up.
    fn from_str(name: &str) -> Result<Self, InvalidInstallerName> {
        let (rest, secure_boot) = match name.strip_suffix("-secureboot") {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        let platform = match rest {
            "installer" => Some("metal"),
            other => other.strip_suffix("-installer"),
        };
        let platform = platform.ok_or_else(|| InvalidInstallerName(name.chars().take(200).collect()))?;
        let platform = if platform.is_empty() { "metal" } else { platform };
        Ok(Self { platform: platform.to_owned(), secure_boot })
    }
}

impl fmt::Display for InstallerName {
    /// The shortest name of the image.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { platform, secure_boot } = self;
        let prefix = if platform == "metal" { "" } else { &format!("{platform}-") };
        write!(f, "{prefix}installer{}", if *secure_boot { "-secureboot" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, platform, secure_boot) in [
            ("installer", "metal", false),
            ("installer-secureboot", "metal", true),
            ("aws-installer", "aws", false),
            ("digital-ocean-installer-secureboot", "digital-ocean", true),
            ("-installer", "metal", false),
        ] {
            let expected = InstallerName { platform: platform.to_owned(), secure_boot };
            assert_eq!(name.parse(), Ok(expected.clone()), "{name}");
            assert_eq!(expected.to_string().parse(), Ok(expected), "{name}");
        }
        for name in ["", "imager", "installers", "installer-base", "awsinstaller", "aws-secureboot"] {
            let error = name.parse::<InstallerName>().unwrap_err();
            assert_eq!(error.to_string(), format!("invalid image: {name}"));
        }
    }
}
