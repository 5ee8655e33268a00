//! The request of a metric to an HTTP endpoint.

use http::{
    HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use reqwest::Url;

use super::super::Tools;
use super::{allowed, authorization, filled, header, headers};
use crate::analysis::args::Secret;
use crate::analysis::observe;
use crate::analysis::plan::{Credentials, WebBody, WebPlan};
use crate::analysis::providers::{Trust, WebQuestion};

/// The request, and everything in it that must not be shown.
pub(in crate::analysis::measure) async fn question(
    tools: Tools<'_>,
    namespace: &str,
    plan: &WebPlan,
) -> Result<(WebQuestion, Vec<Secret>), String> {
    // Before any Secret is read: one may be part of a path or a query, but not of the server's name.
    checked(tools, &plan.url.shown())?;
    if let Some(Credentials::OAuth2 { token_url, .. }) = &plan.credentials {
        allowed(tools, token_url)?;
    }
    let secrets = observe::secrets(tools.client, namespace, plan.secrets()).await?;
    let mut hidden: Vec<Secret> = secrets.values().cloned().collect();
    let url = checked(tools, filled(&plan.url, &secrets)?.reveal())?;
    hidden.extend(encoded(&hidden));
    let mut headers = headers(&plan.headers, &secrets)?;
    if let Some(credentials) = &plan.credentials {
        let value = authorization(tools, credentials, &secrets, plan.timeout, &mut hidden).await?;
        headers.insert(AUTHORIZATION, header("Authorization", &value)?);
    }
    let body = match &plan.body {
        None => None,
        Some(WebBody::Text(text)) => Some(filled(text, &secrets)?),
        Some(WebBody::Json(json)) => {
            let whole = json
                .fill(&|from| secrets.get(&(from.name.clone(), from.key.clone())))
                .ok_or_else(|| "a Secret was not read".to_owned())?;
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
            Some(Secret::new(whole.to_string()))
        }
    };
    let question = WebQuestion {
        method: plan.method.clone(),
        url,
        headers,
        body,
        trust: if plan.insecure {
            Trust::Anybody
        } else {
            Trust::System
        },
        timeout: plan.timeout,
    };
    Ok((question, hidden))
}

fn checked(tools: Tools<'_>, url: &str) -> Result<Url, String> {
    let checked = tools.allow_list.check_with_query(url);
    checked.map_err(|error| error.to_string())
}

/// Secrets as they look in a URL.
fn encoded(secrets: &[Secret]) -> Vec<Secret> {
    let encoded = |secret: &Secret| {
        form_urlencoded::byte_serialize(secret.reveal().trim().as_bytes()).collect::<String>()
    };
    let in_path = |secret: &Secret| encoded(secret).replace('+', "%20");
    secrets
        .iter()
        .flat_map(|secret| [encoded(secret), in_path(secret)])
        .map(Secret::new)
        .collect()
}
