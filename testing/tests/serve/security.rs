//! Who is let in, and what nobody is told.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use walker_testing::Mode;

use super::{DATABASE, cluster, serve, table};
use crate::served::{Served, command};

#[test]
fn strangers_are_refused() -> Result<()> {
    let cluster = cluster()?;
    let served = serve(&cluster, &["--allow-host", "walker.example.com"])?;
    for path in ["/", "/api/v1/observation", "/metrics", "/healthz", "/assets/main.js", "/nothing"] {
        let answer = served.get(path)?;
        ensure!(answer.status == if path == "/nothing" { 404 } else { 200 }, "{path}: {answer:?}");
        ensure!(answer.header("content-security-policy").starts_with("default-src 'self';"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("access-control-allow-origin"), "");
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let answer = served.request(method, path, &[], "")?;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method} {path}");
        }
        assert_eq!(served.request("HEAD", path, &[], "")?.body, "");
        for host in
            ["evil.example", "evil.example:8432", "192.0.2.1", "127.0.0.1.evil.example", "localhost@evil.example", ""]
        {
            let answer = served.request("GET", path, &[("Host", host)], "")?;
            ensure!(
                [400, 403].contains(&answer.status) && !answer.body.contains("orders"),
                "{host} {path}: {answer:?}"
            );
        }
        for host in ["localhost", "localhost:1", "127.0.0.1", "[::1]:8432", "walker.example.com"] {
            ensure!(served.request("GET", path, &[("Host", host)], "")?.status != 403, "{host} {path}");
        }
    }
    // What a page from elsewhere could have a browser ask is not told to it.
    let answer = served.request("GET", "/api/v1/observation", &[("Origin", "http://evil.example")], "")?;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");

    let output = command(&cluster.connection_string(DATABASE), &["--listen", "0.0.0.0:0"])?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && output.stdout.is_empty(), "{said}");
    ensure!(
        said.contains("refusing to listen on 0.0.0.0:0 without a token") && said.contains("--token-file"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_token_opens_the_page_and_nothing_else_does() -> Result<()> {
    let cluster = cluster()?;
    let secret = "a-secret-that-nobody-guesses";
    let file = cluster.directory().join("token");
    fs::write(&file, format!("{secret}\n"))?;
    let file = file.to_str().context("not UTF-8")?;
    let served = serve(&cluster, &["--listen", "0.0.0.0:0", "--token-file", file])?;
    for path in ["/api/v1/observation", "/api/v1/schema.json", "/metrics", "/api/v1/history", "/nothing"] {
        for headers in [
            &[][..],
            &[("Authorization", "Bearer wrong")],
            &[("Authorization", secret)],
            &[("Cookie", "walker_session=x")],
        ] {
            let answer = served.request("GET", path, headers, "")?;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{path}");
            ensure!(!answer.body.contains("orders"), "{answer:?}");
        }
        let answer = served.request("GET", path, &[("Authorization", &format!("Bearer {secret}"))], "")?;
        ensure!(answer.status == if path == "/nothing" { 404 } else { 200 }, "{answer:?}");
    }
    assert_eq!(served.get("/healthz")?.body, "ok\n");
    let answer = served.get("/")?;
    assert_eq!((answer.status, answer.header("location")), (303, "/login"));

    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let refused = served.request("POST", "/login", &form, "token=wrong")?;
    ensure!(refused.status == 401 && refused.header("set-cookie").is_empty(), "{refused:?}");
    let let_in = served.request("POST", "/login", &form, &format!("token={secret}"))?;
    let cookie = let_in.header("set-cookie");
    ensure!(let_in.status == 303 && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{let_in:?}");
    ensure!(!cookie.contains(secret), "{cookie}");
    let session = cookie.split(';').next().unwrap_or_default();
    assert_eq!(served.request("GET", "/", &[("Cookie", session)], "")?.status, 200);
    assert_eq!(served.request("GET", "/api/v1/observation", &[("Cookie", session)], "")?.status, 200);
    let large = served.request("POST", "/login", &form, &format!("token={}", "x".repeat(100_000)))?;
    assert_eq!(large.status, 413);
    Ok(())
}

#[test]
fn the_password_of_the_database_is_nowhere() -> Result<()> {
    let mut cluster = cluster()?;
    let password = "unguessable-4711";
    cluster.psql(
        DATABASE,
        &format!("CREATE ROLE reporter LOGIN PASSWORD '{password}' IN ROLE pg_monitor, pg_stat_scan_tables"),
    )?;
    cluster.write_file("pg_hba.conf", "local all reporter scram-sha-256\nlocal all all trust\n")?;
    cluster.reload()?;
    let connection = cluster.connection_string(DATABASE).replace(" user=postgres", " user=reporter");
    ensure!(connection.contains("reporter"), "{connection}");
    let served = Served::start(command(&format!("{connection} password={password}"), &[])?)?;
    let id = table(&served.json("observation")?, "public.orders")?["id"].to_string();
    let all = |served: &Served| -> Result<()> {
        let paths = [
            "/",
            "/metrics",
            "/healthz",
            "/login",
            "/nothing",
            "/api/v1/observation",
            "/api/v1/history",
            "/api/v1/schema.json",
            "/api/v1/tables/1/heatmap",
        ];
        let of_table = [format!("/api/v1/tables/{id}/heatmap"), format!("/api/v1/tables/{id}/blocks")];
        for path in paths.iter().copied().chain(of_table.iter().map(String::as_str)) {
            let answer = served.get(path)?;
            ensure!(
                !answer.body.contains(password) && !format!("{:?}", answer.headers).contains(password),
                "{path}: {answer:?}"
            );
        }
        Ok(())
    };
    all(&served)?;
    cluster.psql(DATABASE, "ALTER ROLE reporter PASSWORD 'another'")?;
    cluster.restart(Mode::Fast)?;
    served.wait_for("observation", |told| {
        told["trouble"]["message"].as_str().is_some_and(|text| text.contains("password authentication failed"))
    })?;
    all(&served)
}
