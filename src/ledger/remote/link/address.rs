//! Where the store is, as an operator writes it.
//!
//! | form | meaning |
//! |---|---|
//! | `redis://[user[:password]@]host[:port][/database]` | one server |
//! | `unix:/path[?db=n&user=name&password=word]` | one server on this machine |
//! | `redis+sentinel://[user[:password]@]host[:port],.../name[?db=n&sentinel_user=name&sentinel_password=word]` | whichever server Sentinel calls the primary of that name |
//! | `redis+cluster://[user[:password]@]host[:port],...` | the cluster that these nodes belong to |
//!
//! `rediss` instead of `redis` speaks TLS, with every server and
//! Sentinel. The parameters `ca`, `cert` and `key` name PEM files: whom to believe instead of the
//! certificates of this machine, and who we are to servers that ask.
//!
//! Names and passwords may be percent-encoded. No message and no `Debug` output shows a password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::dial::Dial;
use super::tls::{Files, Tls};

/// Port of a server that names none.
const SERVER_PORT: u16 = 6379;

/// Port of a Sentinel that names none.
const SENTINEL_PORT: u16 = 26379;

/// The address of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Who is asked.
    pub place: Place,
    /// For the servers that hold the data.
    pub login: Login,
    /// Number of the database; a cluster has only 0.
    pub database: u16,
    /// How connections are encrypted; `None`: not at all.
    pub tls: Option<Tls>,
    /// Who makes connections; `None`: the system.
    pub dial: Option<Dial>,
}

/// What lets a connection in.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub(super) login: &'a Login,
    pub(super) tls: Option<&'a Tls>,
    pub(super) database: u16,
    pub(super) dial: Option<&'a Dial>,
}

impl Address {
    /// For the servers that hold the data.
    pub const fn entry(&self) -> Entry<'_> {
        Entry {
            login: &self.login,
            tls: self.tls.as_ref(),
            database: self.database,
            dial: self.dial.as_ref(),
        }
    }

    /// For its Sentinels.
    pub const fn entry_of_sentinels<'a>(&'a self, login: &'a Login) -> Entry<'a> {
        Entry {
            login,
            tls: self.tls.as_ref(),
            database: 0,
            dial: self.dial.as_ref(),
        }
    }

    const fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "rediss",
            None => "redis",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Server(Endpoint::Unix(path)) => write!(f, "unix:{}", path.display())?,
            Place::Server(endpoint) => write!(f, "{}://{endpoint}", self.scheme())?,
            Place::Sentinel {
                sentinels, name, ..
            } => {
                write!(f, "{}+sentinel://", self.scheme())?;
                listed(f, sentinels)?;
                return write!(f, "/{name}");
            }
            Place::Cluster(nodes) => {
                write!(f, "{}+cluster://", self.scheme())?;
                listed(f, nodes)?;
            }
        }
        match self.database {
            0 => Ok(()),
            n => write!(f, "/{n}"),
        }
    }
}

fn listed(f: &mut fmt::Formatter<'_>, endpoints: &[Endpoint]) -> fmt::Result {
    for (at, endpoint) in endpoints.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(f, "{comma}{endpoint}")?;
    }
    Ok(())
}

/// Who is asked for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A server.
    Server(Endpoint),
    /// Sentinels, which know where the primary is.
    Sentinel {
        /// Asked in this order until one answers.
        sentinels: Vec<Endpoint>,
        /// What they call the primary and its replicas.
        name: String,
        /// For the Sentinels themselves.
        login: Login,
    },
    /// Some nodes of a cluster, which know the others.
    Cluster(Vec<Endpoint>),
}

/// Where a socket leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Host and port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Endpoint {
    /// Whether it cannot be reached from another machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(host, _) => {
                let address = host.parse::<std::net::IpAddr>();
                host == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// User and password.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// The default user where none is named.
    pub user: Option<String>,
    /// Never shown.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "<hidden>"))
            .finish()
    }
}

/// Why an address cannot be used. Never repeats the address: there may be a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a known beginning.
    #[error(
        "an address begins with redis://, redis+sentinel://, redis+cluster://, with rediss instead \
         of redis for TLS, or with unix:/"
    )]
    Scheme,
    /// One half of who we are.
    #[error("`cert` and `key` belong together: name both, or neither")]
    HalfIdentity,
    /// A host is missing or cannot be one.
    #[error("the address names no host, or one that cannot be a host")]
    Host,
    /// Not a port.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// Not a database.
    #[error("a database is a number, such as /0")]
    Database,
    /// Sentinel needs to know which primary.
    #[error("a Sentinel address ends with the name of the primary, such as /mymaster")]
    Name,
    /// Not a path.
    #[error("unix: is followed by an absolute path")]
    Path,
    /// Broken percent encoding.
    #[error("a percent sign stands for itself only as %25")]
    Encoding,
    /// A parameter that this form does not have.
    #[error("the parameter `{0}` does not belong to this form of address")]
    Parameter(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (text, query) = text.split_once('?').unwrap_or((text, ""));
        if let Some(rest) = text.strip_prefix("unix:") {
            return unix(rest, query);
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        match scheme {
            "redis" => server(rest, query, None),
            "rediss" => server(rest, query, Some(Files::default())),
            "redis+cluster" => cluster(rest, query, None),
            "rediss+cluster" => cluster(rest, query, Some(Files::default())),
            "redis+sentinel" => sentinel(rest, query, None),
            "rediss+sentinel" => sentinel(rest, query, Some(Files::default())),
            _ => Err(AddressError::Scheme),
        }
    }
}

fn server(rest: &str, query: &str, mut files: Option<Files>) -> Result<Address, AddressError> {
    parameters(query, |name, value| {
        Ok(Files::take(&mut files, name, &value))
    })?;
    let (login, rest) = login(rest)?;
    let (host, database) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(Address {
        place: Place::Server(endpoint(host, SERVER_PORT)?),
        login,
        database: number(database)?,
        tls: files.map(Files::whole).transpose()?,
        dial: None,
    })
}

fn unix(rest: &str, query: &str) -> Result<Address, AddressError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(AddressError::Path);
    }
    let mut address = Address {
        place: Place::Server(Endpoint::Unix(PathBuf::from(decoded(path)?))),
        login: Login::default(),
        database: 0,
        tls: None,
        dial: None,
    };
    parameters(query, |name, value| {
        match name {
            "db" => address.database = number(&value)?,
            "user" => address.login.user = Some(value),
            "password" => address.login.password = Some(value),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(address)
}

fn sentinel(rest: &str, query: &str, mut files: Option<Files>) -> Result<Address, AddressError> {
    let (login_of_servers, rest) = login(rest)?;
    let (hosts, name) = rest.split_once('/').ok_or(AddressError::Name)?;
    if name.is_empty() || name.contains('/') {
        return Err(AddressError::Name);
    }
    let sentinels = hosts.split(',').map(|host| endpoint(host, SENTINEL_PORT));
    let sentinels = sentinels.collect::<Result<Vec<_>, _>>()?;
    let mut login = Login::default();
    let mut database = 0;
    parameters(query, |parameter, value| {
        match parameter {
            "db" => database = number(&value)?,
            "sentinel_user" => login.user = Some(value),
            "sentinel_password" => login.password = Some(value),
            _ => return Ok(Files::take(&mut files, parameter, &value)),
        }
        Ok(true)
    })?;
    Ok(Address {
        place: Place::Sentinel {
            sentinels,
            name: decoded(name)?,
            login,
        },
        login: login_of_servers,
        database,
        tls: files.map(Files::whole).transpose()?,
        dial: None,
    })
}

fn cluster(rest: &str, query: &str, mut files: Option<Files>) -> Result<Address, AddressError> {
    parameters(query, |name, value| {
        Ok(Files::take(&mut files, name, &value))
    })?;
    let (login, hosts) = login(rest)?;
    let nodes = hosts.split(',').map(|host| endpoint(host, SERVER_PORT));
    Ok(Address {
        place: Place::Cluster(nodes.collect::<Result<_, _>>()?),
        login,
        database: 0,
        tls: files.map(Files::whole).transpose()?,
        dial: None,
    })
}

/// Splits `user:password@rest`.
fn login(text: &str) -> Result<(Login, &str), AddressError> {
    let Some((login, rest)) = text.rsplit_once('@') else {
        return Ok((Login::default(), text));
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let part = |text: &str| decoded(text).map(|text| Some(text).filter(|text| !text.is_empty()));
    let login = Login {
        user: part(user)?,
        password: part(password)?,
    };
    Ok((login, rest))
}

fn endpoint(text: &str, default_port: u16) -> Result<Endpoint, AddressError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let odd = |c: char| c.is_whitespace() || "/?#[]@,%".contains(c);
    if host.is_empty() || host.contains(odd) {
        return Err(AddressError::Host);
    }
    let port = match port.map(str::parse) {
        None => default_port,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => return Err(AddressError::Port),
    };
    Ok(Endpoint::Tcp(host.to_owned(), port))
}

fn number(text: &str) -> Result<u16, AddressError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().ok().ok_or(AddressError::Database)
}

/// Gives each `name=value` to `take`, which answers whether it knows the name.
fn parameters(
    query: &str,
    mut take: impl FnMut(&str, String) -> Result<bool, AddressError>,
) -> Result<(), AddressError> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !take(name, decoded(value)?)? {
            // With an @ it may be the rest of a password with a question mark in it.
            let shown = if query.contains('@') { "..." } else { name };
            return Err(AddressError::Parameter(shown.to_owned()));
        }
    }
    Ok(())
}

/// Takes `%41` for `A`.
fn decoded(text: &str) -> Result<String, AddressError> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(AddressError::Encoding)?;
        let byte = u8::from_str_radix(digits, 16).ok();
        bytes.push(byte.ok_or(AddressError::Encoding)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().ok_or(AddressError::Encoding)
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
