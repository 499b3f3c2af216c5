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
            tls: None,
            dial: None,
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
fn the_files_of_an_encrypted_connection_are_parameters() {
    let address = parsed("rediss://h/1?ca=/c%20a.pem&cert=/c.pem&key=/k.pem");
    let tls = Tls {
        ca: Some("/c a.pem".into()),
        identity: Some(("/c.pem".into(), "/k.pem".into())),
    };
    assert_eq!((&address.tls, address.database), (&Some(tls), 1));
    assert_eq!(address.to_string(), "rediss://h:6379/1");
    let address = parsed("rediss+sentinel://a/shop?db=2");
    assert_eq!((&address.tls, address.database), (&Some(Tls::default()), 2));
    assert_eq!(address.to_string(), "rediss+sentinel://a:26379/shop");
}

#[test]
fn a_cluster_is_named_by_some_of_its_nodes() {
    let address = parsed("rediss+cluster://ann:w@a,b:7,[::1]");
    let nodes = vec![tcp("a", 6379), tcp("b", 7), tcp("::1", 6379)];
    assert_eq!(address.place, Place::Cluster(nodes));
    assert_eq!(address.login, login_of("ann", "w"));
    assert!(address.tls.is_some());
    let shown = "rediss+cluster://a:6379,b:7,[::1]:6379";
    assert_eq!(address.to_string(), shown);
}

#[test]
fn every_mistake_is_named_and_none_repeats_the_password() {
    let cases = [
        ("http://x", AddressError::Scheme),
        ("rediss+cluster", AddressError::Scheme),
        ("rediss://x?cert=/c", AddressError::HalfIdentity),
        ("redis://x?ca=/c", AddressError::Parameter("ca".to_owned())),
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
        ("redis+cluster://a,,b", AddressError::Host),
        ("redis+cluster://a/1", AddressError::Host),
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
        ("rediss://shop", false),
    ] {
        let Place::Server(endpoint) = parsed(text).place else {
            panic!("{text} names a server");
        };
        assert_eq!(endpoint.is_local(), local, "{text}");
    }
}
