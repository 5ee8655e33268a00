//! Plays scripts on a server.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, pin_mut};
use http::Request;
use kube::{Client, client::Body, core::WatchEvent};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{
    answers::Answers,
    mask::Mask,
    script::{Script, Step, Theme, bases},
};

/// By when a controller of the cluster has done what a script waits for.
const SOON: Duration = Duration::from_secs(90);
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Where each kind is; some have shorter names in scripts.
fn prefix(plural: &str) -> (&'static str, &str) {
    let real = match plural {
        "runs" => "analysisruns",
        "budgets" => "poddisruptionbudgets",
        other => other,
    };
    let group = match real {
        "pods" | "services" | "secrets" => "/api/v1",
        "replicasets" | "deployments" => "/apis/apps/v1",
        "ingresses" => "/apis/networking.k8s.io/v1",
        "leases" => "/apis/coordination.k8s.io/v1",
        "poddisruptionbudgets" => "/apis/policy/v1",
        _ => "/apis/tidegate.dev/v1alpha1",
    };
    (group, real)
}

struct Player<'a> {
    client: &'a Client,
    namespace: &'a str,
    bases: BTreeMap<String, Value>,
    saved: BTreeMap<String, Value>,
    mask: Mask,
}

/// Plays all scripts of a theme; `namespace` makes the n-th namespace for it.
pub async fn theme<F>(
    client: &Client,
    theme: &Theme,
    mut namespace: impl FnMut(usize) -> F,
) -> Answers
where
    F: Future<Output = String>,
{
    let mut answers = Answers::default();
    let mut here = String::new();
    for (number, script) in theme.scripts.iter().enumerate() {
        if number == 0 || theme.alone() {
            here = namespace(number).await;
        }
        answers.add(&script.name, play(client, &here, script).await);
    }
    answers
}

/// Plays one script.
async fn play(client: &Client, namespace: &str, script: &Script) -> Vec<Value> {
    let mut player = Player {
        client,
        namespace,
        bases: bases(),
        saved: BTreeMap::from([("ns".to_owned(), json!(namespace))]),
        mask: Mask::new(namespace),
    };
    let mut answers = Vec::new();
    for step in &script.steps {
        let told = match &step.watch {
            Some(path) => Some(player.watch(step, path).await),
            None => player.ask(step).await,
        };
        answers.extend(told);
    }
    answers
}

impl Player<'_> {
    async fn ask(&mut self, step: &Step) -> Option<Value> {
        let deadline = Instant::now() + SOON;
        let (code, body) = loop {
            let (code, body) = self.send(step).await;
            if reached(&step.until, code, &body) {
                break (code, body);
            }
            assert!(
                Instant::now() < deadline,
                "{:?} until {:?}: {code} {body}",
                step.request,
                step.until
            );
            sleep(ASK_AGAIN).await;
        };
        for (name, pointer) in &step.save {
            let found = body.pointer(pointer).cloned().unwrap_or_default();
            self.saved.insert(name.clone(), found);
        }
        if step.code {
            Some(json!({"code": code}))
        } else if step.quiet {
            None
        } else if code >= 400 && step.loose {
            Some(json!({"code": code, "reason": body["reason"]}))
        } else {
            Some(json!({"code": code, "body": self.mask.object(&body, &step.show)}))
        }
    }

    async fn send(&self, step: &Step) -> (u16, Value) {
        let line = step.request.as_deref().expect("a request");
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let patches = [
            ("application/merge-patch+json", &step.merge),
            ("application/json-patch+json", &step.json),
            ("application/strategic-merge-patch+json", &step.strategic),
            ("text/plain", &step.other),
        ];
        let (type_, body) = patches
            .into_iter()
            .find_map(|(type_, body)| Some((type_, body.clone()?)))
            .unwrap_or_else(|| ("application/json", self.body(step)));
        let body = self.filled(&body);
        let bytes = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let request = self
            .request(step, method, path, "")
            .header("content-type", type_)
            .body(Body::from(bytes))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::String(text));
        (code, body)
    }

    fn request(&self, step: &Step, method: &str, path: &str, more: &str) -> http::request::Builder {
        let path = self.path(path);
        let joint = match (more.is_empty(), path.contains('?')) {
            (true, _) => "",
            (false, true) => "&",
            (false, false) => "?",
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}{joint}{more}"));
        match &step.user {
            Some(user) => request.header("impersonate-user", user),
            None => request,
        }
    }

    fn body(&self, step: &Step) -> Value {
        let Some(new) = &step.new else {
            return step.body.clone().unwrap_or_default();
        };
        let mut object = self.bases[&new.base].clone();
        if let Some(name) = &new.name {
            object["metadata"]["name"] = json!(name);
        }
        if !new.with.is_null() {
            json_patch::merge(&mut object, &new.with);
        }
        object
    }

    fn path(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for (name, value) in self.saved.iter().rev() {
            if let Some(text) = value.as_str() {
                path = path.replace(&format!("${name}"), text);
            }
        }
        if path.starts_with('/') {
            return path;
        }
        let end = path.find(['/', '?']).unwrap_or(path.len());
        let (plural, rest) = path.split_at(end);
        let (group, plural) = prefix(plural);
        if plural == "clusteranalysistemplates" {
            return format!("{group}/{plural}{rest}");
        }
        format!("{group}/namespaces/{}/{plural}{rest}", self.namespace)
    }

    /// A value with what was saved in the place of `$name`.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) => self.saved.get(name).unwrap_or(value).clone(),
                None => value.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), self.filled(value)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    async fn watch(&mut self, step: &Step, path: &str) -> Value {
        let request = self
            .request(step, "GET", path, "watch=true&timeoutSeconds=30")
            .body(Vec::new())
            .unwrap();
        let stream = match self.client.request_events::<Value>(request).await {
            Ok(stream) => stream,
            Err(kube::Error::Api(status)) if step.loose => {
                return json!({"code": status.code, "reason": status.reason});
            }
            Err(kube::Error::Api(status)) => {
                let body = serde_json::to_value(&status).unwrap();
                return json!({"code": status.code, "body": self.mask.object(&body, &[])});
            }
            Err(other) => panic!("{path}: {other}"),
        };
        pin_mut!(stream);
        let mut events = Vec::new();
        while let Some(event) = timeout(SOON, stream.next()).await.expect("an event") {
            let (type_, object) = match event.expect("a readable event") {
                WatchEvent::Added(object) => ("ADDED", object),
                WatchEvent::Modified(object) => ("MODIFIED", object),
                WatchEvent::Deleted(object) => ("DELETED", object),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(status) => ("ERROR", serde_json::to_value(status).unwrap()),
            };
            let end = type_ == "ERROR" || object["metadata"]["name"] == "end";
            events.push(json!([type_, self.mask.object(&object, &[])]));
            if end {
                break;
            }
        }
        Value::Array(events)
    }
}

fn reached(until: &BTreeMap<String, Value>, code: u16, body: &Value) -> bool {
    until.iter().all(|(what, value)| match what.as_str() {
        "code" => *value == json!(code),
        "has" => value
            .as_str()
            .is_some_and(|pointer| body.pointer(pointer).is_some()),
        pointer => body.pointer(pointer) == Some(value),
    })
}
