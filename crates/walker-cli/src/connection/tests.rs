//! Which source of parameters wins, and what the client library is told.

use super::*;

fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
    let of = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Surroundings { variables: variables.iter().map(of).collect(), home: None, user: Some("tester".into()) }
}

fn arguments(dbname: &str) -> ConnectionArguments {
    ConnectionArguments { dbname: Some(dbname.to_owned()), ..ConnectionArguments::default() }
}

#[test]
fn without_anything_it_is_the_local_server_and_the_user_s_own_database() {
    let surroundings = surroundings(&[]);
    let parameters = resolve(&ConnectionArguments::default(), &surroundings).unwrap();
    assert_eq!(parameters["host"], surroundings.socket_directory());
    assert_eq!((&*parameters["port"], &*parameters["user"], &*parameters["dbname"]), ("5432", "tester", "tester"));
}

#[test]
fn the_string_wins_over_the_options_the_service_and_the_environment() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[s]\nhost=service\nport=2\nuser=service\noptions=service\n").unwrap();
    let path = file.path().to_str().unwrap();
    let surroundings = surroundings(&[
        ("PGSERVICEFILE", path),
        ("PGHOST", "environment"),
        ("PGPORT", "1"),
        ("PGUSER", "environment"),
        ("PGOPTIONS", "environment"),
        ("PGAPPNAME", "environment"),
    ]);
    let options = ConnectionArguments { host: Some("option".into()), username: Some("option".into()), ..arguments("") };
    let arguments = ConnectionArguments { dbname: Some("service=s host=string port=3".into()), ..options };
    let parameters = resolve(&arguments, &surroundings).unwrap();
    let keywords = ["host", "port", "user", "options", "application_name", "dbname"];
    let values = keywords.map(|keyword| parameters[keyword].as_str());
    assert_eq!(values, ["string", "3", "option", "service", "environment", "option"]);
}

#[test]
fn the_service_may_come_from_the_environment() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[s]\nhost=service\n").unwrap();
    let path = file.path().to_str().unwrap();
    let surroundings = surroundings(&[("PGSERVICEFILE", path), ("PGSERVICE", "s"), ("PGHOST", "environment")]);
    assert_eq!(resolve(&arguments("x"), &surroundings).unwrap()["host"], "service");
}

#[test]
fn the_environment_s_database_gives_way_to_dbname() {
    let surroundings = surroundings(&[("PGDATABASE", "environment")]);
    assert_eq!(resolve(&arguments("shop"), &surroundings).unwrap()["dbname"], "shop");
    assert_eq!(resolve(&ConnectionArguments::default(), &surroundings).unwrap()["dbname"], "environment");
}

fn config(dbname: &str) -> Result<Config> {
    to_config(&resolve(&arguments(dbname), &surroundings(&[]))?)
}

#[test]
fn the_client_library_is_told_all_of_it() {
    let config =
        config("user=u dbname=d password=p connect_timeout=7 options='-c a=b' channel_binding=require").unwrap();
    assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
    assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("d")));
    assert_eq!(config.get_password(), Some(&b"p"[..]));
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(7)));
    assert_eq!((config.get_options(), config.get_application_name()), (Some("-c a=b"), Some("walker")));
}

/// What is wrong with a connection string, before any server is asked.
fn refusal(string: &str) -> String {
    connect(&arguments(string)).err().expect("an error").to_string()
}

#[test]
fn values_that_libpq_refuses_are_refused() {
    for (string, expected) in [
        ("host=a port=x", "invalid port number: \"x\""),
        ("host=a port=0", "invalid port number: \"0\""),
        ("port=1,2 host=a", "could not match 2 port numbers to 1 hosts"),
        ("hostaddr=x", "could not parse network address \"x\""),
        ("connect_timeout=x", "invalid integer value \"x\" for connection option \"connect_timeout\""),
        ("sslmode=maybe", "invalid sslmode value: \"maybe\""),
        ("channel_binding=x", "invalid channel_binding value: \"x\""),
        ("host=/nowhere target_session_attrs=x", "invalid target_session_attrs value: \"x\""),
        ("host=a sslrootcert=/nowhere sslmode=verify-ca", "root certificate file \"/nowhere\" does not exist"),
        (
            "host=a sslrootcert=system sslmode=require",
            "weak sslmode \"require\" may not be used with sslrootcert=system (use \"verify-full\")",
        ),
        ("host=a sslcertmode=x", "invalid sslcertmode value: \"x\""),
        (
            "host=a gssencmode=require",
            "connection option \"gssencmode\" with value \"require\" is not supported by walker",
        ),
        ("host=a requirepeer=x", "connection option \"requirepeer\" with value \"x\" is not supported by walker"),
    ] {
        assert_eq!(refusal(string), expected, "{string}");
    }
}

#[test]
fn of_several_servers_each_says_why() {
    let message = refusal("host=/nowhere,/elsewhere port=1,2 user=x");
    let line = |directory: &str, port: u16| {
        format!("connection to server on socket \"/{directory}/.s.PGSQL.{port}\" failed: No such file or directory")
    };
    assert_eq!(message, format!("{}\n{}", line("nowhere", 1), line("elsewhere", 2)));
}
