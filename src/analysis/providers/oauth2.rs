//! Gets a token by OAuth2 client credentials (RFC 6749, 4.4).
//!
//! Who issues it may be anybody: time and size of the answer are bounded, redirects are not followed, and of the answer
//! nothing but the token and a code of the protocol is used.

use std::time::Duration;

use futures::StreamExt;
use serde::Deserialize;
use thiserror::Error;

use super::TokenRequest;
use crate::analysis::args::Secret;
use crate::api::duration;

/// The largest answer that is read, in bytes.
const MAX_BODY: usize = 1 << 16;

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// No answer in time.
    #[error("the token's issuer did not answer within {}", duration::format(*.0))]
    Timeout(Duration),
    /// The issuer cannot be reached, or it broke off.
    #[error("the token's issuer cannot be reached")]
    Unreachable,
    /// The issuer refuses.
    #[error("the token's issuer answered {status}{}", .code.as_ref().map(|code| format!(": {code}")).unwrap_or_default())]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error, where it is one of the protocol.
        code: Option<String>,
    },
    /// The answer has no token.
    #[error("the answer of the token's issuer has no bearer token; is tokenUrl right?")]
    NoToken,
    /// Nobody issues tokens here.
    #[error("there is nobody to issue a token")]
    Nobody,
}

#[derive(Deserialize)]
struct Issued {
    access_token: Option<String>,
    token_type: Option<String>,
    error: Option<String>,
}

/// Asks for a token. Its timeout bounds everything.
pub async fn token(client: &reqwest::Client, request: &TokenRequest) -> Result<Secret, TokenError> {
    tokio::time::timeout(request.timeout, ask(client, request))
        .await
        .unwrap_or(Err(TokenError::Timeout(request.timeout)))
}

async fn ask(client: &reqwest::Client, request: &TokenRequest) -> Result<Secret, TokenError> {
    // RFC 6749, 2.3.1. A Secret that was made from a file ends with a line break.
    let encoded = |secret: &Secret| -> String {
        form_urlencoded::byte_serialize(secret.reveal().trim().as_bytes()).collect()
    };
    let mut form = vec![("grant_type", "client_credentials")];
    if !request.scope.is_empty() {
        form.push(("scope", &request.scope));
    }
    let (id, secret) = (encoded(&request.client_id), encoded(&request.client_secret));
    let response = client
        .post(request.address.clone())
        .basic_auth(id, Some(secret))
        .header(http::header::ACCEPT, "application/json")
        .form(&form)
        .send()
        .await
        .map_err(|_| TokenError::Unreachable)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(|_| TokenError::Unreachable)?);
        if body.len() > MAX_BODY {
            return Err(TokenError::NoToken);
        }
    }
    let issued: Option<Issued> = serde_json::from_slice(&body).ok();
    if status != 200 {
        // Codes are words of small letters; anything else may be any page the controller can reach.
        let is_code = |code: &String| {
            code.len() <= 64 && code.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
        };
        let code = issued.and_then(|issued| issued.error).filter(is_code);
        return Err(TokenError::Refused { status, code });
    }
    let issued = issued.ok_or(TokenError::NoToken)?;
    let is_bearer = issued
        .token_type
        .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    issued
        .access_token
        .filter(|token| is_bearer && !token.is_empty())
        .map(Secret::new)
        .ok_or(TokenError::NoToken)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wiremock::matchers::{body_string, header, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::analysis::providers::connection::client;
    use crate::runtime::client::install_crypto_provider;

    /// What an issuer that answers like this gives to who asks with this form.
    async fn issued(answer: ResponseTemplate, scope: &str, form: &str) -> Result<String, String> {
        install_crypto_provider();
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/token"))
            // me:a%2Fb+c
            .and(header("authorization", "Basic bWU6YSUyRmIrYw=="))
            .and(body_string(form))
            .respond_with(answer)
            .mount(&server)
            .await;
        let request = TokenRequest {
            address: format!("{}/token", server.uri()).parse().unwrap(),
            client_id: Secret::new("me".into()),
            client_secret: Secret::new("a/b c\n".into()),
            scope: scope.to_owned(),
            timeout: Duration::from_secs(2),
        };
        token(&client().unwrap(), &request)
            .await
            .map(|token| token.reveal().to_owned())
            .map_err(|error| error.to_string())
    }

    fn says(status: u16, body: Value) -> ResponseTemplate {
        ResponseTemplate::new(status).set_body_json(body)
    }

    #[tokio::test]
    async fn a_token_is_asked_for_by_the_protocol() {
        let token = json!({"access_token": "t", "token_type": "bearer", "expires_in": 60});
        for (scope, form) in [
            ("", "grant_type=client_credentials"),
            ("read all", "grant_type=client_credentials&scope=read+all"),
        ] {
            let found = issued(says(200, token.clone()), scope, form).await;
            assert_eq!(found.as_deref(), Ok("t"), "{scope}");
        }
    }

    #[tokio::test]
    async fn without_a_token_the_reason_is_told_and_nothing_else() {
        let no_token = "the answer of the token's issuer has no bearer token; is tokenUrl right?";
        for (answer, expected) in [
            (
                says(
                    401,
                    json!({"error": "invalid_client", "error_description": "hunter2"}),
                ),
                "the token's issuer answered 401: invalid_client",
            ),
            (
                says(401, json!({"error": "Who is hunter2?"})),
                "the token's issuer answered 401",
            ),
            (
                ResponseTemplate::new(307).insert_header("location", "http://169.254.169.254/"),
                "the token's issuer answered 307",
            ),
            (
                ResponseTemplate::new(200).set_body_string("<html>"),
                no_token,
            ),
            (
                says(200, json!({"access_token": "t", "token_type": "mac"})),
                no_token,
            ),
            (
                ResponseTemplate::new(200).set_body_bytes(vec![b' '; 10_000_000]),
                no_token,
            ),
            (
                says(200, json!({"access_token": "t"})).set_delay(Duration::from_mins(1)),
                "the token's issuer did not answer within 2s",
            ),
        ] {
            let found = issued(answer, "", "grant_type=client_credentials").await;
            assert_eq!(found, Err(expected.to_owned()));
        }
    }
}
