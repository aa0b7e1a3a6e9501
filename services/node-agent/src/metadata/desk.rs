//! What is answered to one question, by HTTP/1.1.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use tokio::sync::OwnedSemaphorePermit;
use watari_chassis::clock;

use super::{residents::Resident, tokens::LIFETIMES};

const TOKEN: &str = "x-aws-ec2-metadata-token";
const LIFETIME: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_PATH: &str = "/latest/api/token";
/// What a proxy puts into what it passes on: through one, nobody knows who asks.
const FORWARDED: &str = "x-forwarded-for";

/// Who asks over one connection, and the place that it takes.
struct Asker {
    resident: Arc<Resident>,
    _seat: OwnedSemaphorePermit,
}

/// What answers one connection of a server; with it the connection's place is given back.
pub(crate) fn routes(resident: Arc<Resident>, seat: OwnedSemaphorePermit) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(Asker { resident, _seat: seat }))
}

async fn answer(State(asker): State<Arc<Asker>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let reply = reply(&asker.resident, &method, uri.path(), &headers, clock::boot_millis());
    let mut response = (reply.status, reply.text).into_response();
    if let Some(seconds) = reply.lifetime {
        response.headers_mut().insert(LIFETIME, HeaderValue::from(seconds));
    }
    response
}

#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: StatusCode,
    text: String,
    /// Of the token that it carries, in seconds.
    lifetime: Option<u64>,
}

impl Reply {
    fn no(status: StatusCode) -> Self {
        Self { status, text: String::new(), lifetime: None }
    }
}

/// The answer at `now`, in milliseconds on the boot clock.
fn reply(resident: &Resident, method: &Method, path: &str, headers: &HeaderMap, now: u64) -> Reply {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if *method == Method::PUT && path == TOKEN_PATH {
        // Of which only the presence counts, legible or not.
        if headers.contains_key(FORWARDED) {
            return Reply::no(StatusCode::FORBIDDEN);
        }
        return issue(resident, header(LIFETIME), now);
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Reply::no(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !header(TOKEN).is_some_and(|token| resident.tokens().holds(token, now)) {
        return Reply::no(StatusCode::UNAUTHORIZED);
    }
    match resident.facts.read(path) {
        Some(text) => Reply { status: StatusCode::OK, text, lifetime: None },
        None => Reply::no(StatusCode::NOT_FOUND),
    }
}

fn issue(resident: &Resident, lifetime: Option<&str>, now: u64) -> Reply {
    let seconds = lifetime.and_then(|text| text.parse::<u64>().ok()).filter(|seconds| LIFETIMES.contains(seconds));
    let Some(seconds) = seconds else { return Reply::no(StatusCode::BAD_REQUEST) };
    let Some(text) = random_token() else { return Reply::no(StatusCode::SERVICE_UNAVAILABLE) };
    resident.tokens().keep(&text, seconds, now);
    Reply { status: StatusCode::OK, text, lifetime: Some(seconds) }
}

/// 256 random bits as hexadecimal digits.
fn random_token() -> Option<String> {
    let mut bytes = [0_u8; 32];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;
    use crate::metadata::{
        Residents,
        residents::tests::{port, server},
    };

    const ID: &str = "/latest/meta-data/instance-id";

    fn resident(n: u8) -> Arc<Resident> {
        let residents = Residents::default();
        residents.know(&server(n), vec![port("wb001000", n)]);
        residents.at("wb001000", port("wb001000", n).address).unwrap()
    }

    fn ask(resident: &Resident, method: Method, path: &str, headers: &[(&'static str, &str)], now: u64) -> Reply {
        let header = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(header).collect();
        reply(resident, &method, path, &headers, now)
    }

    fn status(resident: &Resident, method: Method, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        ask(resident, method, path, headers, 0).status.as_u16()
    }

    fn token(resident: &Resident, seconds: &str) -> String {
        let given = ask(resident, Method::PUT, TOKEN_PATH, &[(LIFETIME, seconds)], 0);
        assert_eq!((given.status, given.lifetime), (StatusCode::OK, seconds.parse().ok()));
        given.text
    }

    #[test]
    fn nothing_is_read_without_a_token_that_is_still_good() {
        let one = resident(1);
        assert_eq!(status(&one, Method::GET, ID, &[]), 401);
        assert_eq!(status(&one, Method::GET, ID, &[(TOKEN, "0")]), 401);
        let token = token(&one, "60");
        let read = |now| ask(&one, Method::GET, ID, &[(TOKEN, &token)], now);
        assert_eq!((read(0).status, read(0).text.as_str()), (StatusCode::OK, "00000001-1d52-48f3-9d2c-0c0d8e1a7b6f"));
        assert_eq!((read(59_999).status.as_u16(), read(60_000).status.as_u16()), (200, 401));
    }

    #[test]
    fn a_token_of_one_server_is_none_of_another() {
        let (one, two) = (resident(1), resident(2));
        let token = token(&one, "60");
        assert_eq!(status(&two, Method::GET, ID, &[(TOKEN, &token)]), 401);
        assert_eq!(status(&one, Method::GET, "/latest/user-data", &[(TOKEN, &token)]), 200);
    }

    #[test]
    fn a_token_lives_from_a_second_to_six_hours_as_it_was_asked() {
        let one = resident(1);
        assert_ne!(token(&one, "1"), token(&one, "21600"));
        for seconds in ["0", "21601", "-1", "a minute", ""] {
            assert_eq!(status(&one, Method::PUT, TOKEN_PATH, &[(LIFETIME, seconds)]), 400, "{seconds:?}");
        }
        assert_eq!(status(&one, Method::PUT, TOKEN_PATH, &[]), 400);
    }

    #[test]
    fn what_a_proxy_passes_on_and_other_verbs_are_refused() {
        let one = resident(1);
        let token = token(&one, "60");
        let forwarded = [(LIFETIME, "60"), (FORWARDED, "10.1.0.2")];
        assert_eq!(status(&one, Method::PUT, TOKEN_PATH, &forwarded), 403);
        for method in [Method::PUT, Method::POST, Method::DELETE] {
            assert_eq!(status(&one, method, ID, &[(TOKEN, &token)]), 405);
        }
        assert_eq!(status(&one, Method::GET, "/latest/meta-data/nothing", &[(TOKEN, &token)]), 404);
        assert_eq!(status(&one, Method::HEAD, ID, &[(TOKEN, &token)]), 200);
    }
}
