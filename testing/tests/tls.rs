//! Connections that are encrypted or not, as `sslmode` and the files beside it say: each connection of `walker` must be had, and be
//! encrypted, exactly where that of `psql` is. Who came in, and how, is what the server says.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use walker_testing::{Cluster, Installation, LogMark, walker};

/// Who may come in by which kind of connection.
const PG_HBA: &str = "
    local     all all                     trust
    hostssl   all only_encrypted all      trust
    hostnossl all only_plain     all      trust
    host      all by_password    all      scram-sha-256
    hostssl   all by_certificate all      cert
";
const USERS: [&str; 4] = ["only_encrypted", "only_plain", "by_password", "by_certificate"];
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
/// How often another port is tried if somebody else was faster to take one.
const PORTS: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a client's connection came to: whether it was encrypted, if it was made.
type Encrypted = Option<bool>;

/// An authority, which signs certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        Ok(Self { pem: params.self_signed(&key)?.pem(), issuer: Issuer::new(params, key) })
    }

    /// A certificate for this common name and these subject alternative names, and its key.
    fn sign(&self, name: &str, alternatives: &[&str], serial: u64) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let params = params(name, alternatives, serial)?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }

    /// A list of revoked certificates.
    fn revoke(&self, serials: &[u64]) -> Result<String> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }
}

fn params(name: &str, alternatives: &[&str], serial: u64) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(alternatives.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    Ok(params)
}

/// A certificate that its owner has signed himself, valid until this year.
fn self_signed(until: i32) -> Result<(String, String)> {
    let mut params = params("localhost", &["localhost"], 9)?;
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// A server with TLS on a port of the loopback address, and a home directory with the clients' files.
struct Setup {
    cluster: Cluster,
    port: u16,
    home: tempfile::TempDir,
}

impl Setup {
    fn new(certificate: &(String, String), client_authority: &str) -> Result<Self> {
        let installation = Installation::for_tests().or_else(|_| Installation::find(15))?;
        let mut cluster = Cluster::builder(&installation).build()?;
        cluster.write_file("server.crt", &certificate.0)?;
        cluster.write_file("server.key", &certificate.1)?;
        cluster.write_file("client_authority.crt", client_authority)?;
        cluster.write_file("pg_hba.conf", PG_HBA)?;
        cluster.configure([
            ("ssl", "on"),
            ("ssl_cert_file", "server.crt"),
            ("ssl_key_file", "server.key"),
            ("ssl_ca_file", "client_authority.crt"),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", &cluster.socket_directory().to_string_lossy()),
            ("log_connections", "on"),
        ])?;
        let port = start_on_free_port(&mut cluster)?;
        let setup = Self { cluster, port, home: tempfile::tempdir()? };
        for user in USERS {
            setup.psql(&format!("CREATE ROLE {user} LOGIN PASSWORD 'secret'"))?;
        }
        Ok(setup)
    }

    /// As the superuser, by the socket.
    fn psql(&self, sql: &str) -> Result<()> {
        let port = self.port.to_string();
        let status = self.cluster.program("psql")?.args(["-qAtXp", &port, "-c", sql]).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "{sql}");
        Ok(())
    }

    fn reload(&self) -> Result<()> {
        let mark = self.cluster.log_mark()?;
        self.psql("SELECT pg_reload_conf()")?;
        self.cluster.wait_for_log_since(mark, "reloading configuration files", TIMEOUT)?;
        Ok(())
    }

    /// Another certificate for the server.
    fn set_certificate(&self, certificate: &(String, String)) -> Result<()> {
        self.cluster.write_file("server.crt", &certificate.0)?;
        self.cluster.write_file("server.key", &certificate.1)?;
        self.reload()
    }

    /// A file in the clients' home directory.
    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.home.path().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// Has both clients connect in each way, and compares what the server says of it. Returns how many ways ended how.
    fn compare(&self, ways: &[String]) -> Result<BTreeMap<Encrypted, usize>> {
        let mark = self.cluster.log_mark()?;
        let mut counts = BTreeMap::new();
        let mut said = Vec::new();
        for (number, way) in ways.iter().enumerate() {
            let name =
                |client: &str| format!("port={} dbname=postgres {way} application_name={client}-{number}", self.port);
            let mut psql = self.cluster.program("psql")?;
            psql.args(["-XAtwc", "SELECT 1", "-d", &name("psql")]);
            let mut heatmap = walker()?;
            heatmap.args(["heatmap", "--table", "no_such_table", "--dbname", &name("walker")]);
            said.push((self.run(psql)?, self.run(heatmap)?));
        }
        let connections = connections(&self.cluster, mark)?;
        for (number, (way, (psql_said, walker_said))) in ways.iter().zip(&said).enumerate() {
            let of = |client: &str| connections.get(&format!("{client}-{number}")).copied();
            let (psql, walker) = (of("psql"), of("walker"));
            ensure!(
                psql == walker,
                "{way}: whether psql's connection was encrypted: {psql:?}, walker's: {walker:?}\n{psql_said}\n{walker_said}"
            );
            // Who comes in is told that there is no such table.
            ensure!(walker.is_some() == walker_said.contains("could not find table"), "{way}: {walker_said}");
            *counts.entry(walker).or_default() += 1;
        }
        Ok(counts)
    }

    /// What a client says.
    fn run(&self, mut client: Command) -> Result<String> {
        for variable in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSSLMODE"] {
            client.env_remove(variable);
        }
        let output = client.env("HOME", self.home.path()).stdin(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// What walker says that cannot connect.
    fn refusal(&self, way: &str) -> Result<String> {
        let mut heatmap = walker()?;
        let connection = format!("port={} dbname=postgres {way}", self.port);
        heatmap.args(["heatmap", "--table", "no_such_table", "--dbname", &connection]);
        self.run(heatmap)
    }
}

/// Starts it on a port that is free, and returns the port.
fn start_on_free_port(cluster: &mut Cluster) -> Result<u16> {
    let mut last = None;
    for _ in 0..PORTS {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        cluster.configure([("port", port.to_string().as_str())])?;
        match cluster.start() {
            Ok(()) => return Ok(port),
            Err(error) if format!("{error:#}").contains("Address already in use") => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.context("no port")?)
}

/// Who came in since then: by application name, whether the connection was encrypted.
fn connections(cluster: &Cluster, mark: LogMark) -> Result<BTreeMap<String, bool>> {
    let log = cluster.log_since(mark)?;
    let parse = |line: &str| {
        let (_, name) = line.split_once("connection authorized: ")?.1.split_once("application_name=")?;
        Some((name.split_whitespace().next()?.to_owned(), name.contains("SSL enabled")))
    };
    Ok(log.lines().filter_map(parse).collect())
}

fn set(path: &Path, keyword: &str) -> String {
    format!("{keyword}='{}'", path.display())
}

#[test]
fn each_mode_does_as_psql_s() -> Result<()> {
    let (authority, other) = (Authority::new("authority")?, Authority::new("another")?);
    let setup = Setup::new(&authority.sign("server", &["localhost"], 2)?, &authority.pem)?;
    let (certificate, key) = authority.sign("by_certificate", &[], 3)?;
    let certificate = set(&setup.file("client.crt", &certificate)?, "sslcert");
    let key = set(&setup.file("client.key", &key)?, "sslkey");
    let roots = [
        String::new(),
        set(&setup.file("authority.crt", &authority.pem)?, "sslrootcert"),
        set(&setup.file("another.crt", &other.pem)?, "sslrootcert"),
    ];
    let mut ways = Vec::new();
    for mode in MODES {
        for user in USERS {
            for root in &roots {
                for host in ["host=localhost", "host=127.0.0.1"] {
                    ways.push(format!("sslmode={mode} user={user} password=secret {root} {host} {certificate} {key}"));
                }
            }
        }
    }
    let counts = setup.compare(&ways)?;
    // All of it happens.
    for ending in [None, Some(false), Some(true)] {
        ensure!(counts.get(&ending).is_some_and(|count| *count > 20), "{counts:?}");
    }
    Ok(())
}

#[test]
fn files_beside_the_mode_do_as_psql_s() -> Result<()> {
    let authority = Authority::new("authority")?;
    let setup = Setup::new(&authority.sign("server", &["localhost"], 2)?, &authority.pem)?;
    let root = set(&setup.file("authority.crt", &authority.pem)?, "sslrootcert");
    let (certificate, key) = authority.sign("by_certificate", &[], 3)?;
    let certificate = set(&setup.file("client.crt", &certificate)?, "sslcert");
    let open = setup.file("open.key", &key)?;
    let key = set(&setup.file("client.key", &key)?, "sslkey");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644))?;
    let open = set(&open, "sslkey");
    let revoked = set(&setup.file("revoked.crl", &authority.revoke(&[2])?)?, "sslcrl");
    let not_revoked = set(&setup.file("other.crl", &authority.revoke(&[7])?)?, "sslcrl");
    let both = Authority::new("another")?.pem + &authority.pem;
    let both = set(&setup.file("both.crt", &both)?, "sslrootcert");
    let garbage = set(&setup.file("garbage.crt", "no certificate")?, "sslrootcert");
    let to = "host=localhost sslmode=verify-full";
    let counts = setup.compare(&[
        format!("{to} {root} user=by_certificate {certificate} {key}"),
        format!("{to} {root} user=by_certificate"),
        format!("{to} {root} user=by_certificate {certificate} {open}"),
        format!("{to} {root} user=by_certificate {certificate} sslkey=/nowhere"),
        format!("{to} {root} user=only_encrypted {certificate} {key}"),
        format!("{to} {root} user=only_encrypted {revoked}"),
        format!("{to} {root} user=only_encrypted {not_revoked}"),
        format!("{to} user=only_encrypted"),
        format!("{to} {garbage} user=only_encrypted"),
        format!("{to} {root} user=only_encrypted hostaddr=127.0.0.1"),
        format!("{to} {both} user=only_encrypted"),
        "host=localhost sslmode=require user=only_encrypted ssl_max_protocol_version=TLSv1.2".to_owned(),
        "host=localhost sslmode=require user=only_encrypted ssl_min_protocol_version=TLSv1.3".to_owned(),
        "host=localhost sslmode=require user=only_encrypted sslsni=0".to_owned(),
        "host=localhost sslmode=require user=by_password password=secret channel_binding=require".to_owned(),
        "host=localhost sslmode=disable user=by_password password=secret channel_binding=require".to_owned(),
        "host=localhost sslmode=prefer user=by_password password=wrong".to_owned(),
    ])?;
    assert_eq!(counts[&Some(true)], 9, "{counts:?}");
    // Found in the home directory without being named.
    fs::create_dir(setup.home.path().join(".postgresql"))?;
    for (file, name) in
        [("authority.crt", "root.crt"), ("client.crt", "postgresql.crt"), ("client.key", "postgresql.key")]
    {
        fs::rename(setup.home.path().join(file), setup.home.path().join(".postgresql").join(name))?;
    }
    let counts = setup
        .compare(&[format!("{to} user=by_certificate"), "host=127.0.0.1 sslmode=require user=by_certificate".into()])?;
    assert_eq!(counts, BTreeMap::from([(Some(true), 2)]));
    Ok(())
}

#[test]
fn a_server_s_own_certificate_can_be_believed() -> Result<()> {
    let (valid, expired) = (self_signed(2100)?, self_signed(2021)?);
    let setup = Setup::new(&valid, &valid.0)?;
    let valid_root = set(&setup.file("valid.crt", &valid.0)?, "sslrootcert");
    let expired_root = set(&setup.file("expired.crt", &expired.0)?, "sslrootcert");
    let ways = |root: &str| {
        let of = |mode: &str, host: &str| format!("sslmode={mode} {root} user=only_encrypted host={host}");
        [of("verify-ca", "localhost"), of("verify-full", "localhost"), of("verify-full", "127.0.0.1")]
    };
    assert_eq!(setup.compare(&ways(&valid_root))?, BTreeMap::from([(Some(true), 2), (None, 1)]));
    assert_eq!(setup.compare(&ways(&expired_root))?, BTreeMap::from([(None, 3)]));
    setup.set_certificate(&expired)?;
    assert_eq!(setup.compare(&ways(&expired_root))?, BTreeMap::from([(None, 3)]));
    Ok(())
}

#[test]
fn what_is_wrong_is_said() -> Result<()> {
    let (authority, other) = (Authority::new("authority")?, Authority::new("another")?);
    let setup = Setup::new(&authority.sign("server", &["localhost"], 2)?, &authority.pem)?;
    let root = set(&setup.file("authority.crt", &authority.pem)?, "sslrootcert");
    let wrong = set(&setup.file("another.crt", &other.pem)?, "sslrootcert");
    let said = setup.refusal(&format!("host=127.0.0.1 user=only_encrypted sslmode=verify-full {root}"))?;
    ensure!(said.contains("SSL error: invalid peer certificate: certificate not valid for name"), "{said}");
    ensure!(said.contains("walker: hint: Connect by a name that the certificate has"), "{said}");
    let said = setup.refusal(&format!("host=localhost user=only_encrypted sslmode=verify-ca {wrong}"))?;
    ensure!(said.contains("SSL error: invalid peer certificate: UnknownIssuer"), "{said}");
    // Both ways were tried, and both are told.
    let said = setup.refusal("host=localhost user=by_password password=wrong sslmode=prefer")?;
    assert_eq!(said.matches("password authentication failed").count(), 1, "{said}");
    let said = setup.refusal("host=localhost user=only_plain sslmode=require")?;
    ensure!(said.contains("no pg_hba.conf entry for host") && said.contains("SSL encryption"), "{said}");
    setup.cluster.configure([("ssl", "off")])?;
    setup.reload()?;
    let said = setup.refusal("host=localhost user=only_encrypted sslmode=require")?;
    ensure!(said.ends_with("failed: server does not support SSL, but SSL was required\n"), "{said}");
    Ok(())
}
