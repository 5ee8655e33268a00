//! Makes the question from a metric's plan: checks the address, reads Secrets, puts them and credentials in place.

pub(super) mod web;

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use reqwest::Url;

use super::{Tools, now};
use crate::analysis::args::{ArgText, Secret};
use crate::analysis::observe::{self, Secrets};
use crate::analysis::plan::{Credentials, MAX_CA_CERT, PrometheusPlan};
use crate::analysis::providers::{Question, TokenRequest, Trust};

/// The question, and everything in it that must not be shown.
pub(super) async fn question(
    tools: Tools<'_>,
    namespace: &str,
    plan: &PrometheusPlan,
) -> Result<(Question, Vec<Secret>), String> {
    let address = address(tools, plan)?;
    if let Some(Credentials::OAuth2 { token_url, .. }) = &plan.credentials {
        allowed(tools, token_url)?;
    }
    let range = plan
        .range
        .as_ref()
        .map(|range| range.at(now(tools.clock)))
        .transpose()?;
    let secrets = observe::secrets(tools.client, namespace, plan.secrets()).await?;
    let mut hidden: Vec<Secret> = secrets.values().cloned().collect();
    let mut headers = headers(&plan.headers, &secrets)?;
    if let Some(credentials) = &plan.credentials {
        let value = authorization(tools, credentials, &secrets, plan.timeout, &mut hidden).await?;
        headers.insert(AUTHORIZATION, header("Authorization", &value)?);
    }
    let mut trust = match &plan.ca_cert {
        _ if plan.insecure => Trust::Anybody,
        Some(bundle) => Trust::Authorities(filled(bundle, &secrets)?.reveal().to_owned()),
        None => Trust::System,
    };
    if tools.installation.is(&address) && trust == Trust::System {
        if let Some(bundle) = tools.installation.ca_cert().await? {
            trust = Trust::Authorities(bundle);
        }
        if !headers.contains_key(AUTHORIZATION)
            && let Some(token) = tools.installation.bearer_token().await?
        {
            let value = format!("Bearer {}", token.reveal());
            headers.insert(AUTHORIZATION, header("Authorization", &value)?);
            hidden.push(token);
        }
    }
    if matches!(&trust, Trust::Authorities(bundle) if bundle.len() > MAX_CA_CERT) {
        return Err(format!(
            "the certificates in caCert are larger than {MAX_CA_CERT} bytes; give only those of the server's authority"
        ));
    }
    let question = Question {
        query: filled(&plan.query, &secrets)?,
        address,
        range,
        headers,
        trust,
        timeout: plan.timeout,
    };
    Ok((question, hidden))
}

fn headers(plan: &[(HeaderName, ArgText)], secrets: &Secrets) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in plan {
        let value = filled(value, secrets)?;
        headers.append(name, header(name.as_str(), value.reveal())?);
    }
    Ok(headers)
}

/// The header that says who asks. What is in it that a server could repeat is added to `hidden`.
async fn authorization(
    tools: Tools<'_>,
    credentials: &Credentials,
    secrets: &Secrets,
    timeout: Duration,
    hidden: &mut Vec<Secret>,
) -> Result<String, String> {
    match credentials {
        Credentials::Basic { username, password } => {
            let (user, password) = (filled(username, secrets)?, filled(password, secrets)?);
            let pair = format!("{}:{}", line(&user), line(&password));
            let encoded = BASE64_STANDARD.encode(pair);
            let value = format!("Basic {encoded}");
            hidden.push(Secret::new(encoded));
            Ok(value)
        }
        Credentials::OAuth2 {
            token_url,
            client_id,
            client_secret,
            scope,
        } => {
            let request = TokenRequest {
                address: allowed(tools, token_url)?,
                client_id: filled(client_id, secrets)?,
                client_secret: filled(client_secret, secrets)?,
                scope: scope.clone(),
                timeout,
            };
            let token = tools.metrics.token(&request).await;
            let token = token.map_err(|error| error.to_string())?;
            let value = format!("Bearer {}", token.reveal());
            hidden.push(token);
            Ok(value)
        }
    }
}

/// Checked before any connection is made and before any Secret is read.
fn address(tools: Tools<'_>, plan: &PrometheusPlan) -> Result<Url, String> {
    let default = tools.installation.address.as_deref();
    let address = plan.address.as_deref().or(default).ok_or_else(|| {
        "there is no address: set provider.prometheus.address, or start the controller with a default".to_owned()
    })?;
    allowed(tools, address)
}

fn allowed(tools: Tools<'_>, address: &str) -> Result<Url, String> {
    let checked = tools.allow_list.check(address);
    checked.map_err(|error| error.to_string())
}

fn filled(text: &ArgText, secrets: &Secrets) -> Result<Secret, String> {
    text.fill(|from| secrets.get(&(from.name.clone(), from.key.clone())))
        .ok_or_else(|| "a Secret was not read".to_owned())
}

/// Without the line break that a Secret made from a file often ends with.
fn line(secret: &Secret) -> &str {
    secret.reveal().trim_end_matches(['\r', '\n'])
}

fn header(name: &str, value: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| format!("the value of header {name} has characters that a header cannot have; is it a line of plain text?"))?;
    value.set_sensitive(true);
    Ok(value)
}
