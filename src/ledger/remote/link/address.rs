//! Where the store is, as an operator writes it.
//!
//! | form | meaning |
//! |---|---|
//! | `redis://[user[:password]@]host[:port][/database]` | one server |
//! | `unix:/path[?db=n&user=name&password=word]` | one server on this machine |
//! | `redis+sentinel://[user[:password]@]host[:port],.../name[?db=n&sentinel_user=name&sentinel_password=word]` | whichever server Sentinel calls the primary of that name |
//!
//! Names and passwords may be percent-encoded. No message and no `Debug` output shows a password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

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
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Server(Endpoint::Unix(path)) => write!(f, "unix:{}", path.display())?,
            Place::Server(endpoint) => write!(f, "redis://{endpoint}")?,
            Place::Sentinel {
                sentinels, name, ..
            } => {
                write!(f, "redis+sentinel://")?;
                for (at, sentinel) in sentinels.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{sentinel}")?;
                }
                return write!(f, "/{name}");
            }
        }
        match self.database {
            0 => Ok(()),
            n => write!(f, "/{n}"),
        }
    }
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
    #[error("an address begins with redis://, unix:/ or redis+sentinel://")]
    Scheme,
    /// TLS is not part of this build.
    #[error(
        "rediss:// (TLS) is not supported; use a private network, a unix socket or a TLS proxy \
         such as stunnel on this machine"
    )]
    Tls,
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
        if let Some(rest) = text.strip_prefix("redis+sentinel://") {
            sentinel(rest, query)
        } else if let Some(rest) = text.strip_prefix("redis://") {
            server(rest, query)
        } else if let Some(rest) = text.strip_prefix("unix:") {
            unix(rest, query)
        } else if text.starts_with("rediss://") {
            Err(AddressError::Tls)
        } else {
            Err(AddressError::Scheme)
        }
    }
}

fn server(rest: &str, query: &str) -> Result<Address, AddressError> {
    parameters(query, |_, _| Ok(false))?;
    let (login, rest) = login(rest)?;
    let (host, database) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(Address {
        place: Place::Server(endpoint(host, SERVER_PORT)?),
        login,
        database: number(database)?,
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

fn sentinel(rest: &str, query: &str) -> Result<Address, AddressError> {
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
            _ => return Ok(false),
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
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp(host.to_owned(), port)
    }

    fn login_of(user: &str, password: &str) -> Login {
        let part = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Login {
            user: part(user),
            password: part(password),
        }
    }

    fn parsed(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_server_may_have_a_port_a_login_and_a_database() {
        let cases = [
            ("redis://shop", tcp("shop", 6379), login_of("", ""), 0),
            (
                "redis://10.0.0.7:7000/",
                tcp("10.0.0.7", 7000),
                login_of("", ""),
                0,
            ),
            ("redis://[::1]:7/2", tcp("::1", 7), login_of("", ""), 2),
            ("redis://:p%40ss@h", tcp("h", 6379), login_of("", "p@ss"), 0),
            (
                "redis://ann:a:b@h/1",
                tcp("h", 6379),
                login_of("ann", "a:b"),
                1,
            ),
        ];
        for (text, endpoint, login, database) in cases {
            let place = Place::Server(endpoint);
            let address = Address {
                place,
                login,
                database,
            };
            assert_eq!(parsed(text), address, "{text}");
        }
    }

    #[test]
    fn a_socket_of_the_file_system_takes_its_login_as_parameters() {
        let address = parsed("unix:/run/store.sock?db=3&user=ann&password=x%26y");
        assert_eq!(
            address.place,
            Place::Server(Endpoint::Unix("/run/store.sock".into()))
        );
        assert_eq!(
            (address.login, address.database),
            (login_of("ann", "x&y"), 3)
        );
        assert_eq!(
            parsed("unix:///a%20b").place,
            Place::Server(Endpoint::Unix("/a b".into()))
        );
    }

    #[test]
    fn sentinels_have_a_login_of_their_own() {
        let address = parsed("redis+sentinel://:data@a,b:7,[::1]/shop?sentinel_password=watch");
        let place = Place::Sentinel {
            sentinels: vec![tcp("a", 26379), tcp("b", 7), tcp("::1", 26379)],
            name: "shop".to_owned(),
            login: login_of("", "watch"),
        };
        assert_eq!(address.place, place);
        assert_eq!(address.login, login_of("", "data"));
    }

    #[test]
    fn every_mistake_is_named_and_none_repeats_the_password() {
        let cases = [
            ("http://x", AddressError::Scheme),
            ("rediss://x", AddressError::Tls),
            ("redis://", AddressError::Host),
            ("redis://:canary@/1", AddressError::Host),
            ("redis://h:0", AddressError::Port),
            ("redis://h:canary", AddressError::Port),
            ("redis://h/canary", AddressError::Database),
            ("redis://h/0?db=1", AddressError::Parameter("db".to_owned())),
            ("redis://:%ca%canary@h", AddressError::Encoding),
            ("redis://:100%@h", AddressError::Encoding),
            ("unix:relative", AddressError::Path),
            ("redis+sentinel://a,b", AddressError::Name),
            ("redis+sentinel://a,b/", AddressError::Name),
            ("redis+sentinel://a,,b/shop", AddressError::Host),
        ];
        for (text, error) in cases {
            let found = text.parse::<Address>().unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("canary"), "{found}");
        }
        let shown = format!("{:?}", parsed("redis://ann:canary@h"));
        assert!(
            shown.contains("ann") && !shown.contains("canary"),
            "{shown}"
        );
    }

    #[test]
    fn only_this_machine_is_local() {
        for (text, local) in [
            ("redis://localhost", true),
            ("redis://127.0.0.8", true),
            ("redis://[::1]", true),
            ("unix:/run/x", true),
            ("redis://10.0.0.1", false),
            ("redis://shop", false),
        ] {
            let Place::Server(endpoint) = parsed(text).place else {
                panic!("{text} names a server");
            };
            assert_eq!(endpoint.is_local(), local, "{text}");
        }
    }
}
