//! What an HTTP request asks of the API server. Whatever is not modelled is an error that names it.

use http::{Method, Request};
use kube::client::Body;
use reqwest::Url;
use serde_json::{Value, json};
use tidegate::{
    api::names::Conventions,
    sim::{
        request::{ApiRequest, List, PatchType, Subresource, Verb, Watch},
        resources,
        selector::{Fields, Selector},
        server::{Options, Refused},
    },
};

#[derive(Default)]
struct Parameters {
    selector: Option<String>,
    manager: Option<String>,
    watch: bool,
    version: Option<String>,
    seconds: Option<u64>,
    bookmarks: bool,
    fields: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
    options: Options,
    policy: Option<String>,
    grace: Option<i64>,
}

/// Why there is nothing that could be carried out.
pub(super) enum Unfit {
    /// The server would say this.
    Refused(Box<Refused>),
    /// There is more to it than is modelled.
    Unknown(String),
}

impl From<String> for Unfit {
    fn from(what: String) -> Self {
        Self::Unknown(what)
    }
}

impl From<&str> for Unfit {
    fn from(what: &str) -> Self {
        Self::Unknown(what.to_owned())
    }
}

fn refuse<T>(code: u16, reason: &'static str, message: &str) -> Result<T, Unfit> {
    Err(Unfit::Refused(Box::new(Refused::new(
        code, reason, message,
    ))))
}

/// Reads a request to a server on which our own kinds have these conventions.
pub(super) async fn parse(api: Conventions, request: Request<Body>) -> Result<ApiRequest, Unfit> {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await.map_err(|why| why.to_string())?;
    let url = Url::parse("http://server")
        .and_then(|base| base.join(&parts.uri.to_string()))
        .map_err(|why| why.to_string())?;
    let body = if body.is_empty() {
        Value::Null
    } else {
        match serde_json::from_slice(&body) {
            Ok(body) => body,
            Err(why) => return refuse(400, "BadRequest", &why.to_string()),
        }
    };
    let content_type = parts
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let user = parts
        .headers
        .get("impersonate-user")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut request =
        interpret(api, &parts.method, &url, content_type, body).map_err(|unfit| match unfit {
            Unfit::Refused(refused) => Unfit::Refused(refused),
            Unfit::Unknown(what) => Unfit::Unknown(format!(
                "{what} is not modelled: {} {}",
                parts.method, parts.uri
            )),
        })?;
    request.user = user;
    Ok(request)
}

fn interpret(
    api: Conventions,
    method: &Method,
    url: &Url,
    content_type: &str,
    body: Value,
) -> Result<ApiRequest, Unfit> {
    let segments: Vec<&str> = url.path().trim_matches('/').split('/').collect();
    let (group, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] => (("", *version), rest),
        ["apis", group, version, rest @ ..] => ((*group, *version), rest),
        _ => return Err("the path".into()),
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
        ["pods", name, "eviction"] => ("pods", *name, Subresource::Eviction),
        _ => return Err("the path".into()),
    };
    let Some(resource) = resources::find(api, group.0, group.1, plural) else {
        // Our own group is whole, and of one that nobody serves there is nothing; of another we may have left something out.
        return match resources::of_group(api, group.0, group.1).next() {
            Some(other) if !other.is_ours() => Err(format!("resource {}/{plural}", group.0).into()),
            Some(_) | None => refuse(404, "", "404 page not found"),
        };
    };
    let known = match subresource {
        Subresource::Status => resource.status,
        Subresource::Scale => resource.scale,
        Subresource::None | Subresource::Eviction => true,
    };
    if !known {
        return refuse(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
    }
    let parameters = parameters(url)?;
    let selector = match Selector::parse(parameters.selector.as_deref().unwrap_or_default()) {
        Ok(selector) => selector,
        Err(why) => return refuse(400, "BadRequest", &why),
    };
    let fields = match Fields::parse(parameters.fields.as_deref().unwrap_or_default()) {
        Ok(fields) => fields,
        Err(field) if resource.is_ours() => {
            return refuse(
                400,
                "BadRequest",
                &format!("field label not supported: {field}"),
            );
        }
        Err(field) => return Err(format!("field selector {field}").into()),
    };
    let shown = if body.is_null() {
        format!("{method} {}", url.path())
    } else {
        format!("{method} {} {body}", url.path())
    };
    let version = match parameters.version.as_deref() {
        None | Some("" | "0") => None,
        Some(version) => match version.parse::<u64>() {
            Ok(version) => Some(version),
            Err(why) => return refuse(400, "BadRequest", &why.to_string()),
        },
    };
    let verb = match (method, name.is_empty()) {
        (&Method::GET, true) if parameters.watch => Verb::Watch(Watch {
            selector,
            fields,
            from: version.ok_or("a watch without a resourceVersion")?,
            seconds: parameters.seconds.ok_or("a watch without a timeout")?,
            bookmarks: parameters.bookmarks,
        }),
        (&Method::GET, true) => {
            if version.is_some() {
                return Err("a list at a resourceVersion".into());
            }
            Verb::List(List {
                selector,
                fields,
                limit: parameters.limit,
                after: parameters.after,
            })
        }
        (&Method::GET, false) => Verb::Get,
        (&Method::POST, true) => Verb::Create(body),
        (&Method::POST, false) if subresource == Subresource::Eviction => Verb::Create(body),
        (&Method::PUT, false) => Verb::Replace(body),
        (&Method::PATCH, false) => Verb::Patch(
            match content_type {
                "application/merge-patch+json" => PatchType::Merge,
                "application/json-patch+json" => PatchType::Json,
                "application/strategic-merge-patch+json" if !resource.is_ours() => {
                    return Err("a strategic merge patch".into());
                }
                "application/apply-patch+yaml" => return Err("server-side apply".into()),
                other => return refuse(415, "UnsupportedMediaType", other),
            },
            body,
        ),
        (&Method::DELETE, false) => Verb::Delete(deletion(body, &parameters)),
        (&Method::DELETE, true) => return Err("deletion of a collection".into()),
        _ => {
            return refuse(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            );
        }
    };
    Ok(ApiRequest {
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource,
        verb,
        options: parameters.options,
        user: None,
        manager: parameters.manager.unwrap_or_else(|| "unknown".to_owned()),
        shown,
    })
}

/// The options of a deletion, from the body and the URL.
fn deletion(body: Value, parameters: &Parameters) -> Value {
    let mut options = if body.is_object() { body } else { json!({}) };
    if let Some(policy) = &parameters.policy {
        options["propagationPolicy"] = json!(policy);
    }
    if let Some(grace) = parameters.grace {
        options["gracePeriodSeconds"] = json!(grace);
    }
    if parameters.options.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    options
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
            "fieldSelector" => found.fields = Some(value.into_owned()),
            "limit" => found.limit = value.parse().ok().filter(|limit| *limit > 0),
            "continue" => found.after = Some(value.into_owned()).filter(|token| !token.is_empty()),
            "dryRun" if value == "All" => found.options.dry_run = true,
            "propagationPolicy" => found.policy = Some(value.into_owned()),
            "gracePeriodSeconds" => found.grace = value.parse().ok(),
            "fieldValidation" => match &*value {
                "Strict" => found.options.strict = true,
                "Ignore" | "Warn" => {}
                other => return Err(format!("fieldValidation={other}")),
            },
            other => return Err(format!("parameter {other}={value}")),
        }
    }
    Ok(found)
}
