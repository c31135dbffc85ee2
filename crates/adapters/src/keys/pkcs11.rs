//! RSA keys behind PKCS#11: a token, a security module, or a service that speaks like one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use factory_domain::ports::{KeyError, RsaSigner, SignatureHash};
use factory_formats::certificate::RsaPublicKey;

/// A token with its user logged in.
#[derive(Clone)]
pub struct Token {
    module: Pkcs11,
    slot: Slot,
    /// Where it is, for messages.
    location: String,
    pin: Arc<AuthPin>,
    /// As long as one session is open, its user stays logged in for all of them.
    _session: Arc<Mutex<Session>>,
}

/// An RSA key that never leaves its token.
pub struct Pkcs11Key {
    token: Token,
    label: String,
    public: RsaPublicKey,
    open: Mutex<Option<Open>>,
}

/// A session and the key in it.
struct Open {
    session: Session,
    key: ObjectHandle,
}

impl Token {
    /// Loads the module and logs in to the token of this label.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`] when the module or the token does not answer, [`KeyError::Invalid`] when there
    /// is no such token or the PIN is wrong.
    pub fn open(module: &Path, label: &str, pin: &str) -> Result<Self, KeyError> {
        let location = format!("token {label} of {}", PathBuf::from(module).display());
        let failed = |error: Error| unavailable(&location, &error);
        let loaded = Pkcs11::new(module).map_err(failed)?;
        match loaded.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(error)),
        }
        let mut found = None;
        for slot in loaded.get_slots_with_token().map_err(failed)? {
            if loaded.get_token_info(slot).map_err(failed)?.label() == label {
                found = Some(slot);
            }
        }
        let slot = found.ok_or_else(|| invalid(&location, "there is no token with this label"))?;
        let pin = Arc::new(AuthPin::new(pin.to_owned().into()));
        let session = session(&loaded, slot, &pin, &location)?;
        Ok(Self { module: loaded, slot, location, pin, _session: Arc::new(Mutex::new(session)) })
    }

    /// The RSA key of this label.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] when there is none, or several, or its size is none that firmware takes.
    pub fn key(&self, label: &str) -> Result<Pkcs11Key, KeyError> {
        let location = format!("{label} in {}", self.location);
        let open = self.find(label)?;
        let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
        let found = open.session.get_attributes(open.key, &wanted);
        let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
        for attribute in found.map_err(|error| unavailable(&location, &error))? {
            match attribute {
                Attribute::Modulus(bytes) => modulus = bytes,
                Attribute::PublicExponent(bytes) => exponent = bytes,
                _ => {}
            }
        }
        let public = RsaPublicKey::from_parts(&modulus, &exponent)
            .map_err(|error| invalid(&location, &error.to_string()))?;
        Ok(Pkcs11Key { token: self.clone(), label: label.to_owned(), public, open: Mutex::new(Some(open)) })
    }

    fn find(&self, label: &str) -> Result<Open, KeyError> {
        let location = format!("{label} in {}", self.location);
        let session = session(&self.module, self.slot, &self.pin, &self.location)?;
        let wanted = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        let found = session.find_objects(&wanted).map_err(|error| unavailable(&location, &error))?;
        match found[..] {
            [key] => Ok(Open { session, key }),
            [] => Err(invalid(&location, "there is no private RSA key with this label")),
            _ => Err(invalid(&location, "several private RSA keys have this label")),
        }
    }
}

fn session(module: &Pkcs11, slot: Slot, pin: &AuthPin, location: &str) -> Result<Session, KeyError> {
    let session = module.open_ro_session(slot).map_err(|error| unavailable(location, &error))?;
    match session.login(UserType::User, Some(pin)) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
            Err(invalid(location, "the PIN is wrong"))
        }
        Err(error) => Err(unavailable(location, &error)),
    }
}

impl Pkcs11Key {
    fn try_sign(&self, info: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut held = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match held.take() {
            Some(open) => open,
            None => self.token.find(&self.label)?,
        };
        let signature = open
            .session
            .sign(&Mechanism::RsaPkcs, open.key, info)
            .map_err(|error| unavailable(&self.token.location, &error))?;
        // Only a session that works is kept: after a failure the next call begins anew.
        *held = Some(open);
        Ok(signature)
    }
}

impl RsaSigner for Pkcs11Key {
    fn public_key(&self) -> &RsaPublicKey {
        &self.public
    }

    fn sign(&self, hash: SignatureHash, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        if digest.len() != hash.digest_len() {
            return Err(invalid(&self.token.location, "what it shall sign is no digest"));
        }
        let info = [digest_info(hash), digest].concat();
        // A session can be lost while the token is well: one more attempt, with a new one.
        self.try_sign(&info).or_else(|_| self.try_sign(&info))
    }
}

/// `DigestInfo` up to the digest itself (RFC 8017, 9.2, note 1); tokens add the padding only.
const fn digest_info(hash: SignatureHash) -> &'static [u8] {
    match hash {
        SignatureHash::Sha256 => {
            b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
        }
        SignatureHash::Sha384 => {
            b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"
        }
        SignatureHash::Sha512 => {
            b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"
        }
    }
}

fn invalid(location: &str, reason: &str) -> KeyError {
    KeyError::Invalid { location: location.to_owned(), reason: reason.to_owned() }
}

fn unavailable(location: &str, error: &Error) -> KeyError {
    KeyError::Unavailable { location: location.to_owned(), reason: error.to_string() }
}
