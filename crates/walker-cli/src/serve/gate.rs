//! Who comes in: names by which the page may be called, methods, and the token; and what browsers are told to refuse.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Form;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use super::Service;
use super::assets;
use super::failure::Failure;
use super::token::Token;

/// What browsers are told with every answer: nothing from elsewhere, in no frame, and nothing guessed.
const POLICY: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];
/// Before a wrong token is refused.
const PAUSE: Duration = Duration::from_millis(500);

/// What is asked of a request.
#[derive(Debug)]
pub(super) struct Gate {
    address: SocketAddr,
    /// Names besides, in lower case.
    names: Vec<String>,
    lock: Option<Lock>,
}

/// A token, and what a browser keeps once it was told the token.
#[derive(Debug)]
struct Lock {
    token: Token,
    session: Token,
    /// Of the browser's cookie; with the port, as browsers keep one jar for all ports of a host.
    cookie: String,
}

impl Gate {
    pub(super) fn new(address: SocketAddr, names: &[String], token: Option<Token>) -> Result<Self> {
        let lock = |token| {
            let cookie = format!("walker_session_{}", address.port());
            Ok::<_, anyhow::Error>(Lock { token, session: Token::random()?, cookie })
        };
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Ok(Self { address, names, lock: token.map(lock).transpose()? })
    }

    /// Whether the page may be called by this name. A page from elsewhere whose name was made to lead here has another one.
    ///
    /// The port does not matter: it may be forwarded from another one.
    fn is_our_name(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let own = self.address.ip();
        let is_own_address = |address: IpAddr| if own.is_unspecified() { true } else { address == own };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let is_local = own.is_loopback() || own.is_unspecified();
        address.is_some_and(is_own_address)
            || is_local && (name == "localhost" || address.is_some_and(|address| address.is_loopback()))
            || self.names.contains(&name)
    }

    /// Whether the request has the token, or a session that was given for it; where there is none, everybody has.
    fn is_open_for(&self, headers: &HeaderMap) -> bool {
        let Some(lock) = &self.lock else { return true };
        let text = |name| headers.get_all(name).into_iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        let bears = |value: &str| {
            value
                .split_once(' ')
                .is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && lock.token.is(token.trim()))
        };
        let mut cookies =
            text(header::COOKIE).flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
        text(header::AUTHORIZATION).any(bears)
            || cookies.any(|(name, value)| name.trim() == lock.cookie && lock.session.is(value.trim()))
    }
}

/// `example.com:80` and `[::1]:80` without their ports.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            // The colons of an IPv6 address stand in brackets.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

/// Lets a request through, or says why not.
pub(super) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let mut response = match gate.refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in POLICY {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // What changes must be asked for again; only what is compiled in says otherwise.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

impl Gate {
    fn refusal(&self, request: &Request) -> Option<Response> {
        let path = request.uri().path();
        let mut hosts = request.headers().get_all(header::HOST).into_iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok(),
            _ => None,
        };
        let is_named = host.is_some_and(|host| self.is_our_name(host))
            && request.uri().host().is_none_or(|host| self.is_our_name(host));
        if !is_named {
            let name = host.map_or("the name by which it was called", without_port);
            let hint = format!("If it is a name of this machine, start walker serve with --allow-host {name}");
            return Some(
                Failure::new(StatusCode::FORBIDDEN, "this is not called by that name", Some(&hint)).into_response(),
            );
        }
        let is_login = path == LOGIN && self.lock.is_some();
        if !(matches!(*request.method(), Method::GET | Method::HEAD) || is_login && request.method() == Method::POST) {
            let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here", None);
            let allow = if is_login { "GET, HEAD, POST" } else { "GET, HEAD" };
            return Some(([(header::ALLOW, allow)], failure).into_response());
        }
        let is_public = is_login || path == "/healthz" || path.starts_with(assets::FOLDER);
        if is_public || self.is_open_for(request.headers()) {
            return None;
        }
        if path == "/" {
            return Some(Redirect::to(LOGIN).into_response());
        }
        let hint = "Send the token as: Authorization: Bearer TOKEN";
        let failure = Failure::new(StatusCode::UNAUTHORIZED, "a token is wanted", Some(hint));
        Some(([(header::WWW_AUTHENTICATE, "Bearer")], failure).into_response())
    }
}

const LOGIN: &str = "/login";

/// Where a token is exchanged for a session.
pub(super) fn routes() -> Router<Service> {
    Router::new().route(LOGIN, get(ask).post(login))
}

async fn ask(State(service): State<Service>) -> Response {
    match &service.gate.lock {
        Some(_) => assets::login_page(StatusCode::OK),
        None => Redirect::to("/").into_response(),
    }
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

async fn login(State(service): State<Service>, form: Form<Login>) -> Response {
    let Some(lock) = &service.gate.lock else { return Redirect::to("/").into_response() };
    if !lock.token.is(form.token.trim()) {
        tokio::time::sleep(PAUSE).await;
        return assets::login_page(StatusCode::UNAUTHORIZED);
    }
    let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", lock.cookie, lock.session.reveal());
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(address: &str, names: &[&str]) -> Gate {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Gate::new(address.parse().unwrap(), &names, None).unwrap()
    }

    #[test]
    fn ports_are_told_from_addresses() {
        for (host, name) in [
            ("localhost", "localhost"),
            ("localhost:80", "localhost"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("a:b", "a:b"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn only_own_names_are_answered() {
        let local = gate("127.0.0.1:8432", &["Walker.Example.com"]);
        for name in ["127.0.0.1", "127.0.0.1:8432", "LOCALHOST:99", "[::1]:1", "walker.example.com"] {
            assert!(local.is_our_name(name), "{name}");
        }
        for name in
            ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8432", "192.0.2.1", "0.0.0.0"]
        {
            assert!(!local.is_our_name(name), "{name}");
        }
        let one = gate("192.0.2.1:80", &[]);
        assert!(one.is_our_name("192.0.2.1:80") && !one.is_our_name("localhost") && !one.is_our_name("192.0.2.2"));
        let all = gate("0.0.0.0:80", &[]);
        assert!(all.is_our_name("192.0.2.2:80") && all.is_our_name("localhost") && !all.is_our_name("evil.example"));
    }

    #[test]
    fn a_session_is_as_good_as_the_token_and_nothing_else() {
        // Like `Token::find` of a file, without one.
        let token = Token::random().unwrap();
        let (secret, address) = (token.reveal().to_owned(), "0.0.0.0:77".parse().unwrap());
        let gate = Gate::new(address, &[], Some(token)).unwrap();
        let session = gate.lock.as_ref().unwrap().session.reveal().to_owned();
        let is_open = |name: HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            gate.is_open_for(&headers)
        };
        assert!(is_open(header::AUTHORIZATION, &format!("Bearer {secret}")));
        assert!(is_open(header::AUTHORIZATION, &format!("bearer  {secret}")));
        assert!(is_open(header::COOKIE, &format!("a=b; walker_session_77={session}")));
        for wrong in [secret.clone(), format!("Basic {secret}"), format!("Bearer {session}"), "Bearer ".to_owned()] {
            assert!(!is_open(header::AUTHORIZATION, &wrong), "{wrong}");
        }
        for wrong in [format!("walker_session_77={secret}"), format!("walker_session_7={session}"), session] {
            assert!(!is_open(header::COOKIE, &wrong), "{wrong}");
        }
    }
}
