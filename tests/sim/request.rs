//! What an HTTP request asks of the API server. Whatever is not modelled is an error that names it.

use http::{Method, Request};
use kube::client::Body;
use reqwest::Url;
use serde_json::Value;
use tidegate::sim::{
    request::{ApiRequest, PatchType, Subresource, Verb, Watch},
    resources,
    selector::Selector,
};

#[derive(Default)]
struct Parameters {
    selector: Option<String>,
    manager: Option<String>,
    watch: bool,
    version: Option<String>,
    seconds: Option<u64>,
    bookmarks: bool,
}

/// Reads a request.
pub(super) async fn parse(request: Request<Body>) -> Result<ApiRequest, String> {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await.map_err(|why| why.to_string())?;
    let url = Url::parse("http://server")
        .and_then(|base| base.join(&parts.uri.to_string()))
        .map_err(|why| why.to_string())?;
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).map_err(|why| format!("a body that is not JSON: {why}"))?
    };
    let content_type = parts
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    interpret(&parts.method, &url, content_type, body).map_err(|what| {
        format!(
            "{what} is not modelled: {} {}",
            parts.method,
            parts.uri.clone()
        )
    })
}

fn interpret(
    method: &Method,
    url: &Url,
    content_type: &str,
    body: Value,
) -> Result<ApiRequest, String> {
    let segments: Vec<&str> = url.path().trim_matches('/').split('/').collect();
    let (group, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] => (("", *version), rest),
        ["apis", group, version, rest @ ..] => ((*group, *version), rest),
        _ => return Err("the path".to_owned()),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", Subresource::None),
        [plural, name] => (*plural, *name, Subresource::None),
        [plural, name, "status"] => (*plural, *name, Subresource::Status),
        [plural, name, "scale"] => (*plural, *name, Subresource::Scale),
        _ => return Err("the path".to_owned()),
    };
    let resource = resources::find(group.0, group.1, plural)
        .ok_or_else(|| format!("resource {}/{plural}", group.0))?;
    match subresource {
        Subresource::Status if !resource.status => return Err("the status subresource".to_owned()),
        Subresource::Scale if !resource.scale => return Err("the scale subresource".to_owned()),
        Subresource::None | Subresource::Status | Subresource::Scale => {}
    }
    let parameters = parameters(url)?;
    let selector = Selector::parse(parameters.selector.as_deref().unwrap_or_default())?;
    let shown = if body.is_null() {
        format!("{method} {}", url.path())
    } else {
        format!("{method} {} {body}", url.path())
    };
    let verb = match (method, name.is_empty()) {
        (&Method::GET, true) if parameters.watch => Verb::Watch(Watch {
            selector,
            from: parameters
                .version
                .and_then(|version| version.parse().ok())
                .filter(|version| *version > 0)
                .ok_or("a watch without a resourceVersion")?,
            seconds: parameters.seconds.ok_or("a watch without a timeout")?,
            bookmarks: parameters.bookmarks,
        }),
        (&Method::GET, true) => {
            if parameters.version.is_some() {
                return Err("a list at a resourceVersion".to_owned());
            }
            Verb::List(selector)
        }
        (&Method::GET, false) => Verb::Get,
        (&Method::POST, true) => Verb::Create(body),
        (&Method::PUT, false) => Verb::Replace(body),
        (&Method::PATCH, false) => Verb::Patch(
            match content_type {
                "application/merge-patch+json" => PatchType::Merge,
                "application/json-patch+json" => PatchType::Json,
                other => return Err(format!("content type {other}")),
            },
            body,
        ),
        (&Method::DELETE, false) => Verb::Delete(body),
        _ => return Err("the verb".to_owned()),
    };
    Ok(ApiRequest {
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource,
        verb,
        manager: parameters.manager.unwrap_or_else(|| "unknown".to_owned()),
        shown,
    })
}

fn parameters(url: &Url) -> Result<Parameters, String> {
    let mut found = Parameters::default();
    for (name, value) in url.query_pairs() {
        match &*name {
            "labelSelector" => found.selector = Some(value.into_owned()),
            "fieldManager" => found.manager = Some(value.into_owned()),
            "watch" => found.watch = value == "true",
            "resourceVersion" => found.version = Some(value.into_owned()),
            "timeoutSeconds" => found.seconds = value.parse().ok(),
            "allowWatchBookmarks" => found.bookmarks = value == "true",
            // Everything is given in one page, and unknown fields are refused by the schema.
            "limit" => {}
            "fieldValidation" if value == "Strict" => {}
            other => return Err(format!("parameter {other}={value}")),
        }
    }
    Ok(found)
}
