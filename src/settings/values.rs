//! Durations and sizes as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time span, written `90s`, `1h30m` or `300ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub std::time::Duration);

impl Duration {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }
}

impl Default for Duration {
    fn default() -> Self {
        Self::from_secs(0)
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A bare 0 is the one number that needs no unit.
        if text.trim() == "0" {
            return Ok(Self::default());
        }
        humantime::parse_duration(text.trim())
            .map(Self)
            .map_err(|_| format!("{text:?} is not a duration: write it like \"90s\" or \"1h30m\""))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = humantime::format_duration(self.0).to_string();
        f.write_str(&text.replace(' ', ""))
    }
}

/// A number of bytes, written `512`, `64MiB` or `20GB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    /// So many MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.trim().parse::<bytesize::ByteSize>();
        size.map(|size| Self(size.as_u64()))
            .map_err(|_| format!("{text:?} is not a size: write it like \"512\", \"64MiB\" or \"20GB\""))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.into_iter().find(|&(unit, _)| self.0 >= unit && self.0.is_multiple_of(unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

/// What a file may hold where text is meant: numbers need no quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Written::deserialize(deserializer)?.to_string().parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(Duration);
as_text!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read() {
        for text in ["1s", "1m 30s", "1h30m", "300ms", "0"] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.to_string().parse(), Ok(duration), "{text}");
        }
        for (text, bytes) in
            [("512", 512), ("64MiB", 64 << 20), ("20GB", 20_000_000_000), ("1 KiB", 1024), ("0", 0)]
        {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.0, bytes);
            assert_eq!(size.to_string().parse(), Ok(size), "{text}");
        }
        assert!("90".parse::<Duration>().unwrap_err().contains("90s"));
        assert!("many".parse::<Size>().unwrap_err().contains("MiB"));
    }
}
