//! Encrypted connections: which files they need, and reading those.

use std::path::{Path, PathBuf};

use redis::{ClientTlsConfig, ErrorKind, RedisError, RedisResult, TlsCertificates};

use super::address::AddressError;

/// Files of an encrypted connection, PEM. They are read anew for each connection, so that
/// certificates can be replaced while serving.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Whom to believe; `None`: the certificates of this machine.
    pub ca: Option<PathBuf>,
    /// Certificate and key that show the server who we are.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn certificates(&self) -> RedisResult<TlsCertificates> {
        let root_cert = self.ca.as_deref().map(read).transpose()?;
        let client_tls = match &self.identity {
            Some((cert, key)) => Some(ClientTlsConfig {
                client_cert: read(cert)?,
                client_key: read(key)?,
            }),
            None => None,
        };
        Ok(TlsCertificates {
            client_tls,
            root_cert,
        })
    }
}

fn read(file: &Path) -> RedisResult<Vec<u8>> {
    std::fs::read(file).map_err(|error| {
        let what = format!("{}: {error}", file.display());
        let why = "a file of the encrypted connection cannot be read";
        RedisError::from((ErrorKind::InvalidClientConfig, why, what))
    })
}

/// Files that parameters of an address name.
#[derive(Debug, Default)]
pub(super) struct Files {
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Files {
    /// Takes a parameter; false: not one of these.
    pub(super) fn take(files: &mut Option<Self>, parameter: &str, value: &str) -> bool {
        let Some(files) = files else { return false };
        let file = match parameter {
            "ca" => &mut files.ca,
            "cert" => &mut files.cert,
            "key" => &mut files.key,
            _ => return false,
        };
        *file = Some(PathBuf::from(value));
        true
    }

    pub(super) fn whole(self) -> Result<Tls, AddressError> {
        let Self { ca, cert, key } = self;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(AddressError::HalfIdentity),
        };
        Ok(Tls { ca, identity })
    }
}
