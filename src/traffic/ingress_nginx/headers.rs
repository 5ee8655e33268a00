//! A header route as annotations of ingress-nginx, which knows one header with one value or one expression.
//!
//! Not here: when a header route is live (`rollout::decide::header_routes`).

use std::collections::BTreeMap;

use crate::{
    api::steps::{HeaderMatch, SetHeaderRoute, ValueMatch},
    traffic::header_routes::literal,
};

/// What annotations that pick requests begin with: by header, or by cookie.
pub(super) const RULE: &str = "canary-by-";
/// The annotations of a header route.
pub(super) const KEYS: [&str; 3] = [HEADER, VALUE, PATTERN];
const HEADER: &str = "canary-by-header";
const VALUE: &str = "canary-by-header-value";
const PATTERN: &str = "canary-by-header-pattern";

/// The annotations, without their prefix. Errors say what ingress-nginx cannot do, and end in what to do.
pub fn annotations(route: &SetHeaderRoute) -> Result<BTreeMap<&'static str, String>, String> {
    let [header] = &route.matches[..] else {
        return Err(format!(
            "has {} headers, and ingress-nginx knows one; leave one, or use an HTTPRoute",
            route.matches.len()
        ));
    };
    let HeaderMatch {
        header_name,
        header_value,
    } = header;
    if !header_name.chars().all(is_plain) {
        return Err(format!(
            "the name {header_name} has characters that ingress-nginx refuses; it takes letters, digits and . - _ ~"
        ));
    }
    let value = match header_value.kind() {
        None => return Err("set exactly one of exact, prefix and regex".to_owned()),
        Some(ValueMatch::Exact(text)) if text.chars().all(|c| is_plain(c) || c == ' ') => {
            (VALUE, text.to_owned())
        }
        Some(ValueMatch::Exact(text)) => (PATTERN, format!("^{}$", literal(text))),
        Some(ValueMatch::Prefix(text)) => (PATTERN, format!("^{}", literal(text))),
        Some(ValueMatch::Regex(pattern)) => (PATTERN, pattern.to_owned()),
    };
    if value.0 == PATTERN
        && let Some(character) = value.1.chars().find(|c| !is_plain(*c) && !is_operator(*c))
    {
        return Err(format!(
            "the value has {character:?}, which ingress-nginx refuses in an expression; use another value, or an HTTPRoute"
        ));
    }
    Ok(BTreeMap::from([(HEADER, header_name.clone()), value]))
}

/// What ingress-nginx accepts in any annotation.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-._~/:".contains(character)
}

/// What it accepts in an expression besides.
fn is_operator(character: char) -> bool {
    r"^$[](){}*+?|&=\".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_header_route_is_a_value_or_an_expression_or_refused_by_what_it_has() {
        let route = |matches: Value| {
            let matches = serde_json::from_value(matches).unwrap();
            SetHeaderRoute {
                name: "beta".to_owned(),
                matches,
            }
        };
        let one = |value: Value| route(json!([{"headerName": "X-User", "headerValue": value}]));
        for (value, key, expected) in [
            (json!({"exact": "ann b"}), VALUE, "ann b"),
            (json!({"exact": "(a)"}), PATTERN, r"^\(a\)$"),
            (json!({"prefix": "a.b"}), PATTERN, r"^a\.b"),
            (json!({"regex": "^(a|b)+$"}), PATTERN, "^(a|b)+$"),
        ] {
            let got = annotations(&one(value.clone())).unwrap();
            let expected = [(HEADER, "X-User".to_owned()), (key, expected.to_owned())];
            assert_eq!(got, BTreeMap::from(expected), "{value}");
        }
        for (route, why) in [
            (one(json!({"exact": "a;b"})), "';'"),
            (one(json!({"regex": "a b"})), "' '"),
            (one(json!({})), "exactly one"),
            (one(json!({"exact": "a", "regex": "b"})), "exactly one"),
            (
                route(json!([{"headerName": "a b", "headerValue": {"exact": "c"}}])),
                "the name a b",
            ),
            (
                route(json!([
                    {"headerName": "a", "headerValue": {"exact": "c"}},
                    {"headerName": "b", "headerValue": {"exact": "c"}},
                ])),
                "has 2 headers",
            ),
        ] {
            let error = annotations(&route).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
