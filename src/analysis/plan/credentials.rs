//! Headers, and how the controller says who it is.

use http::{HeaderName, HeaderValue, header::AUTHORIZATION};

use super::fields::{self, Fields};
use crate::analysis::args::{ArgText, Args};
use crate::api::analysis::{BasicAuth, Header, OAuth2, PrometheusAuthentication, Sigv4};

/// Headers that belong to the connection, or say which server is meant: whoever may write a template may not set them.
const RESERVED: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "accept-encoding",
];

/// How the controller says who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Credentials {
    /// HTTP basic authentication.
    Basic {
        /// The user's name.
        username: ArgText,
        /// The password.
        password: ArgText,
    },
    /// A token, got by OAuth2 client credentials for each measurement.
    OAuth2 {
        /// Where tokens are issued.
        token_url: String,
        /// The client's identity.
        client_id: ArgText,
        /// The client's secret.
        client_secret: ArgText,
        /// What is asked for, separated by spaces.
        scope: String,
    },
}

impl Credentials {
    /// The texts in which secrets may stand.
    pub(super) fn texts(&self) -> [&ArgText; 2] {
        match self {
            Self::Basic { username, password } => [username, password],
            Self::OAuth2 {
                client_id,
                client_secret,
                ..
            } => [client_id, client_secret],
        }
    }
}

/// A text in which secrets may stand.
pub(super) fn secret(path: &str, text: &str, args: &Args, errors: &mut Fields) -> Option<ArgText> {
    args.substitute(text)
        .map_err(|error| errors.add(path, error.to_string()))
        .ok()
}

/// Headers with their values. `also` names one that may be set although it is reserved elsewhere.
pub(super) fn headers(
    path: &str,
    headers: &[Header],
    also: Option<&HeaderName>,
    args: &Args,
    errors: &mut Fields,
) -> Vec<(HeaderName, ArgText)> {
    let mut read = Vec::new();
    for (at, header) in headers.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let Ok(name) = HeaderName::from_bytes(header.key.trim().as_bytes()) else {
            errors.add(format!("{path}.key"), "it is no name of a header");
            continue;
        };
        if RESERVED.contains(&name.as_str()) && also != Some(&name) {
            errors.add(
                format!("{path}.key"),
                format!("\"{name}\" is set by the controller; remove it"),
            );
            continue;
        }
        let path = format!("{path}.value");
        let Some(value) = secret(&path, &header.value, args, errors) else {
            continue;
        };
        if HeaderValue::from_str(value.shown().trim()).is_err() {
            errors.add(path, "it has characters that a header cannot have");
            continue;
        }
        read.push((name, value));
    }
    read
}

pub(super) fn credentials(
    path: &str,
    authentication: Option<&PrometheusAuthentication>,
    headers: &[(HeaderName, ArgText)],
    args: &Args,
    errors: &mut Fields,
) -> Option<Credentials> {
    let credentials = declared(path, authentication?, args, errors);
    if credentials.is_some() && headers.iter().any(|(name, _)| *name == AUTHORIZATION) {
        errors.add(
            path,
            "there is a header Authorization too; keep one of them",
        );
    }
    credentials
}

fn declared(
    path: &str,
    authentication: &PrometheusAuthentication,
    args: &Args,
    errors: &mut Fields,
) -> Option<Credentials> {
    // Objects that come from Argo Rollouts itself have all three, those that are not used empty.
    let sigv4 = authentication.sigv4.clone().unwrap_or_default();
    if sigv4 != Sigv4::default() {
        errors.unsupported(format!("{path}.sigv4"));
    }
    let basic = authentication.basic_auth.clone().unwrap_or_default();
    let oauth2 = authentication.oauth2.clone().unwrap_or_default();
    match (basic != BasicAuth::default(), oauth2 != OAuth2::default()) {
        (false, false) => None,
        (true, true) => {
            errors.add(path, "it has both basicAuth and oauth2; keep one of them");
            None
        }
        (true, false) => basic_auth(&format!("{path}.basicAuth"), &basic, args, errors),
        (false, true) => client_credentials(&format!("{path}.oauth2"), &oauth2, args, errors),
    }
}

fn basic_auth(
    path: &str,
    basic: &BasicAuth,
    args: &Args,
    errors: &mut Fields,
) -> Option<Credentials> {
    let username = needed(path, "username", basic.username.as_deref(), args, errors);
    let password = needed(path, "password", basic.password.as_deref(), args, errors);
    Some(Credentials::Basic {
        username: username?,
        password: password?,
    })
}

fn client_credentials(
    path: &str,
    oauth2: &OAuth2,
    args: &Args,
    errors: &mut Fields,
) -> Option<Credentials> {
    let mut text =
        |field: &str, text: &Option<String>| needed(path, field, text.as_deref(), args, errors);
    let client_id = text("clientId", &oauth2.client_id);
    let client_secret = text("clientSecret", &oauth2.client_secret);
    let url = text("tokenUrl", &oauth2.token_url);
    let mut plain =
        |field: &str, text: &str| fields::plain(&format!("{path}.{field}"), text, args, errors);
    let token_url = url.and_then(|_| plain("tokenUrl", oauth2.token_url.as_deref()?));
    let scope = plain("scopes", &oauth2.scopes.join(" "));
    Some(Credentials::OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope: scope?,
    })
}

/// A text that must be there, in which secrets may stand.
fn needed(
    path: &str,
    field: &str,
    text: Option<&str>,
    args: &Args,
    errors: &mut Fields,
) -> Option<ArgText> {
    let path = format!("{path}.{field}");
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        errors.add(path, "it is missing; without it nobody knows who asks");
        return None;
    };
    secret(&path, text, args, errors)
}
