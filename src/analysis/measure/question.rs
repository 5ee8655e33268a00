//! Makes the question from a metric's plan: checks the address, reads Secrets, puts them and credentials in place.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use reqwest::Url;

use super::{Tools, now};
use crate::analysis::args::{ArgText, Secret};
use crate::analysis::observe::{self, Secrets};
use crate::analysis::plan::{MAX_CA_CERT, PrometheusPlan};
use crate::analysis::providers::{Question, Trust};

/// The question, and everything in it that must not be shown.
pub(super) async fn question(
    tools: Tools<'_>,
    namespace: &str,
    plan: &PrometheusPlan,
) -> Result<(Question, Vec<Secret>), String> {
    let address = address(tools, plan)?;
    let range = plan
        .range
        .as_ref()
        .map(|range| range.at(now(tools.clock)))
        .transpose()?;
    let secrets = observe::secrets(tools.client, namespace, plan.secrets()).await?;
    let mut hidden: Vec<Secret> = secrets.values().cloned().collect();
    let mut headers = HeaderMap::new();
    for (name, value) in &plan.headers {
        let value = filled(value, &secrets)?;
        headers.append(name, header(name.as_str(), value.reveal())?);
    }
    if let Some((user, password)) = &plan.basic_auth {
        let (user, password) = (filled(user, &secrets)?, filled(password, &secrets)?);
        let pair = format!("{}:{}", line(&user), line(&password));
        let encoded = BASE64_STANDARD.encode(pair);
        headers.insert(
            AUTHORIZATION,
            header("Authorization", &format!("Basic {encoded}"))?,
        );
        hidden.push(Secret::new(encoded));
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

/// Checked before any connection is made and before any Secret is read.
fn address(tools: Tools<'_>, plan: &PrometheusPlan) -> Result<Url, String> {
    let default = tools.installation.address.as_deref();
    let address = plan.address.as_deref().or(default).ok_or_else(|| {
        "there is no address: set provider.prometheus.address, or start the controller with a default".to_owned()
    })?;
    tools
        .allow_list
        .check(address)
        .map_err(|error| error.to_string())
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
