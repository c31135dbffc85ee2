//! Who may sign without a key of his own: names in certificates, and who vouches for them.

use std::fmt;

use regex::Regex;

use super::authority::Refusal;

/// Names of signers that count, and the issuers that may vouch for them (spec 50, section 9.2).
///
/// Expressions are searched for, not matched as a whole: whoever means all of it writes `^` and `$`.
#[derive(Clone, Debug)]
pub struct SignerPolicy {
    subject: Regex,
    issuer: Issuer,
}

#[derive(Clone, Debug)]
enum Issuer {
    Exactly(String),
    Like(Regex),
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// No expression.
    #[error("containerSignature.{key} {text:?} is no regular expression: {source}")]
    Expression {
        /// The setting.
        key: &'static str,
        /// Its value.
        text: String,
        /// What is wrong with it.
        source: regex::Error,
    },
    /// Nobody vouches for the names.
    #[error(
        "containerSignature.issuer and containerSignature.issuerRegExp are empty: \
         without an issuer a name means nothing"
    )]
    NoIssuer,
}

impl SignerPolicy {
    /// Reads the settings of the same names. `issuer_reg_exp` takes the place of `issuer` unless it is blank.
    ///
    /// # Errors
    /// [`InvalidPolicy`].
    pub fn new(subject_reg_exp: &str, issuer: &str, issuer_reg_exp: &str) -> Result<Self, InvalidPolicy> {
        let expression = |key: &'static str, text: &str| {
            Regex::new(text).map_err(|source| InvalidPolicy::Expression {
                key,
                text: text.to_owned(),
                source,
            })
        };
        let subject = expression("subjectRegExp", subject_reg_exp)?;
        let issuer = match (issuer_reg_exp.trim().is_empty(), issuer.trim().is_empty()) {
            (false, _) => Issuer::Like(expression("issuerRegExp", issuer_reg_exp)?),
            (true, false) => Issuer::Exactly(issuer.to_owned()),
            (true, true) => return Err(InvalidPolicy::NoIssuer),
        };
        Ok(Self { subject, issuer })
    }

    /// Whether somebody of this name, for whom this issuer vouches, may sign.
    ///
    /// # Errors
    /// [`Refusal::WrongIdentity`] or [`Refusal::WrongIssuer`].
    pub fn check(&self, identity: Option<&str>, issuer: Option<&str>) -> Result<(), Refusal> {
        let (identity, issuer) = (identity.unwrap_or_default(), issuer.unwrap_or_default());
        if identity.is_empty() || !self.subject.is_match(identity) {
            return Err(Refusal::WrongIdentity {
                found: short(identity),
                wanted: self.subject.as_str().to_owned(),
            });
        }
        let known = match &self.issuer {
            Issuer::Exactly(wanted) => issuer == wanted,
            Issuer::Like(wanted) => !issuer.is_empty() && wanted.is_match(issuer),
        };
        if known {
            return Ok(());
        }
        let wanted = match &self.issuer {
            Issuer::Exactly(wanted) => wanted.clone(),
            Issuer::Like(wanted) => wanted.as_str().to_owned(),
        };
        Err(Refusal::WrongIssuer { identity: short(identity), found: short(issuer), wanted })
    }
}

/// Everything that decides, so that two policies with the same text accept the same signers.
impl fmt::Display for SignerPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.issuer {
            Issuer::Exactly(issuer) => write!(f, "subject {:?} issuer {issuer:?}", self.subject.as_str()),
            Issuer::Like(issuer) => {
                write!(f, "subject {:?} issuer like {:?}", self.subject.as_str(), issuer.as_str())
            }
        }
    }
}

/// Foreign text for a message.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: &str = r"(@siderolabs\.com$|^releasemgr-svc@talos-production\.iam\.gserviceaccount\.com$)";
    const GOOGLE: &str = "https://accounts.google.com";

    #[test]
    fn the_default_knows_those_who_release_talos() {
        let policy = SignerPolicy::new(SUBJECT, GOOGLE, "").unwrap();
        for name in ["somebody@siderolabs.com", "releasemgr-svc@talos-production.iam.gserviceaccount.com"] {
            assert_eq!(policy.check(Some(name), Some(GOOGLE)), Ok(()), "{name}");
        }
        for name in [
            "somebody@siderolabs.com.example.com",
            "somebody@sideroxlabs.com",
            "somebody@siderolabs-com",
            "x-releasemgr-svc@talos-production.iam.gserviceaccount.com",
            "releasemgr-svc@talos-production.iam.gserviceaccount.com.example.com",
            "",
        ] {
            assert!(policy.check(Some(name), Some(GOOGLE)).is_err(), "{name}");
        }
        assert!(policy.check(None, Some(GOOGLE)).is_err());
        for issuer in
            [None, Some(""), Some("https://accounts.google.com.example.com"), Some("https://github.com")]
        {
            let refused = policy.check(Some("somebody@siderolabs.com"), issuer).unwrap_err();
            assert!(matches!(refused, Refusal::WrongIssuer { .. }), "{issuer:?}: {refused}");
        }
    }

    #[test]
    fn expressions_are_searched_for_and_replace_the_issuer() {
        let policy = SignerPolicy::new("example", GOOGLE, "^https://.*\\.example$").unwrap();
        assert_eq!(policy.check(Some("https://example/x"), Some("https://a.example")), Ok(()));
        assert!(policy.check(Some("https://example/x"), Some(GOOGLE)).is_err());
        let policy = SignerPolicy::new("example", GOOGLE, " ").unwrap();
        assert_eq!(policy.check(Some("an.example.org"), Some(GOOGLE)), Ok(()));
        // Nobody vouches for a name without an issuer, whatever the expression.
        assert!(SignerPolicy::new(".*", "", ".*").unwrap().check(Some("x"), None).is_err());
    }

    #[test]
    fn what_makes_no_policy() {
        assert!(matches!(SignerPolicy::new("x", "", ""), Err(InvalidPolicy::NoIssuer)));
        for (subject, issuer) in [("(", ""), ("x", "(")] {
            assert!(matches!(SignerPolicy::new(subject, "i", issuer), Err(InvalidPolicy::Expression { .. })));
        }
    }

    #[test]
    fn other_policies_have_other_texts() {
        let text = |a, b, c| SignerPolicy::new(a, b, c).unwrap().to_string();
        let texts = [text("a", "b", ""), text("a", "c", ""), text("a", "b", "b"), text("b", "b", "")];
        for (at, one) in texts.iter().enumerate() {
            assert!(!texts[..at].contains(one), "{one}");
        }
    }
}
