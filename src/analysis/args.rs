//! Arguments: what a run's metrics may refer to as `{{args.<name>}}`, and putting them in place.
//!
//! Secrets stay references here. They are read by the shell, at each measurement, and put in by [`ArgText::fill`];
//! everything that is shown or logged goes through [`ArgText::shown`] and [`redact`].

pub mod field_path;
pub mod json;

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::api::analysis::{Argument, SecretKeyRef};

/// What stands where a secret would be.
pub const REDACTED: &str = "***";

/// A secret value that neither prints nor serializes itself.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret value.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself, for the one request it is meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Takes every occurrence of the secrets out of a text.
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        // A Secret often ends with a line break that what repeats it has lost.
        let secret = secret.0.trim();
        if !secret.is_empty() {
            text = text.replace(secret, REDACTED);
        }
    }
    text
}

/// Why a text with `{{…}}` cannot be used.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum ArgError {
    /// The argument is not declared.
    #[error("argument \"{0}\" is not declared; add it to args")]
    Undeclared(String),
    /// The argument has no value.
    #[error("argument \"{0}\" has no value; give it one in args")]
    NoValue(String),
    /// A secret where its value would be shown.
    #[error(
        "argument \"{0}\" comes from a Secret and may be used in query, headers, url, body, authentication and caCert only"
    )]
    SecretNotHere(String),
    /// Something else between the braces.
    #[error("\"{{{{{0}}}}}\" is not understood; only {{{{args.<name>}}}} is")]
    UnknownPlaceholder(String),
    /// The braces are not closed.
    #[error("\"{{{{\" is not closed by \"}}}}\"")]
    Unclosed,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Source {
    Value(String),
    Secret(SecretKeyRef),
    Missing,
}

/// The arguments of a run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Args(BTreeMap<String, Source>);

impl Args {
    /// The arguments as declared. An argument without a value is an error only where it is used.
    pub fn new(declared: &[Argument]) -> Self {
        let sources = declared.iter().map(|argument| {
            let secret = argument
                .value_from
                .as_ref()
                .and_then(|from| from.secret_key_ref.clone());
            let source = match (&argument.value, secret) {
                (Some(value), _) => Source::Value(value.clone()),
                (None, Some(secret)) => Source::Secret(secret),
                (None, None) => Source::Missing,
            };
            (argument.name.clone(), source)
        });
        Self(sources.collect())
    }

    /// Puts the arguments into a text.
    pub fn substitute(&self, text: &str) -> Result<ArgText, ArgError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let (before, tail) = rest.split_at(start);
            push_text(&mut parts, before);
            let inner = tail.get(2..).unwrap_or_default();
            let end = inner.find("}}").ok_or(ArgError::Unclosed)?;
            let (tag, tail) = inner.split_at(end);
            rest = tail.get(2..).unwrap_or_default();
            let shown = || tag.chars().take(64).collect::<String>();
            let name = tag
                .trim()
                .strip_prefix("args.")
                .ok_or_else(|| ArgError::UnknownPlaceholder(shown()))?;
            match self.0.get(name) {
                Some(Source::Value(value)) => push_text(&mut parts, value),
                Some(Source::Secret(from)) => parts.push(Part::Secret {
                    argument: name.to_owned(),
                    from: from.clone(),
                }),
                Some(Source::Missing) => return Err(ArgError::NoValue(name.to_owned())),
                None => return Err(ArgError::Undeclared(name.chars().take(64).collect())),
            }
        }
        push_text(&mut parts, rest);
        Ok(ArgText(parts))
    }

    /// Puts the arguments into a text in which no secret may stand.
    pub fn substitute_plain(&self, text: &str) -> Result<String, ArgError> {
        let mut plain = String::new();
        for part in self.substitute(text)?.0 {
            match part {
                Part::Text(text) => plain += &text,
                Part::Secret { argument, .. } => return Err(ArgError::SecretNotHere(argument)),
            }
        }
        Ok(plain)
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if let Some(Part::Text(last)) = parts.last_mut() {
        *last += text;
    } else if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Secret {
        argument: String,
        from: SecretKeyRef,
    },
}

/// A text whose arguments are in place, except for secrets, of which it only knows where they are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ArgText(Vec<Part>);

impl ArgText {
    /// The text with its secrets left out.
    pub fn shown(&self) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Secret { .. } => REDACTED,
            })
            .collect()
    }

    /// The secrets it needs, each with the name of its argument.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretKeyRef)> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Secret { argument, from } => Some((argument.as_str(), from)),
        })
    }

    /// The whole text. `None` when `read` does not know a secret.
    pub fn fill<'a>(&self, read: impl Fn(&SecretKeyRef) -> Option<&'a Secret>) -> Option<Secret> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text += plain,
                Part::Secret { from, .. } => text += read(from)?.reveal(),
            }
        }
        Some(Secret(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::analysis::ValueFrom;

    fn args() -> Args {
        let secret = SecretKeyRef {
            name: "prom".into(),
            key: "token".into(),
        };
        Args::new(&[
            Argument {
                name: "service".into(),
                value: Some("shop".into()),
                value_from: None,
            },
            Argument {
                name: "token".into(),
                value: None,
                value_from: Some(ValueFrom {
                    secret_key_ref: Some(secret),
                    field_ref: None,
                }),
            },
            Argument {
                name: "empty".into(),
                ..Argument::default()
            },
        ])
    }

    #[test]
    fn arguments_are_put_in_place() {
        for (text, expected) in [
            ("up{job=\"{{args.service}}\"}", Ok("up{job=\"shop\"}")),
            ("{{ args.service }}-{{args.service}}", Ok("shop-shop")),
            ("plain", Ok("plain")),
            (
                "{{args.nobody}}",
                Err("argument \"nobody\" is not declared; add it to args"),
            ),
            (
                "{{args.empty}}",
                Err("argument \"empty\" has no value; give it one in args"),
            ),
            (
                "{{inputs.x}}",
                Err("\"{{inputs.x}}\" is not understood; only {{args.<name>}} is"),
            ),
            ("{{args.service", Err("\"{{\" is not closed by \"}}\"")),
            (
                "{{args.token}}",
                Err(
                    "argument \"token\" comes from a Secret and may be used in query, headers, url, body, authentication and caCert only",
                ),
            ),
        ] {
            let put = args().substitute_plain(text).map_err(|e| e.to_string());
            assert_eq!(
                put.as_deref(),
                expected.map_err(str::to_owned).as_deref(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_secret_is_shown_as_stars_and_sent_as_itself() {
        let text = args().substitute("x{t=\"{{args.token}}\"}").unwrap();
        let secret = Secret::new("hunter2".into());
        assert_eq!(text.shown(), "x{t=\"***\"}");
        assert_eq!(
            text.fill(|_| Some(&secret)).unwrap().reveal(),
            "x{t=\"hunter2\"}"
        );
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        let with_line_break = Secret::new("hunter2\n".into());
        assert_eq!(
            redact("bad token hunter2", [&with_line_break]),
            "bad token ***"
        );
    }

    #[test]
    fn what_an_argument_holds_is_not_read_as_a_placeholder() {
        let args = Args::new(&[Argument {
            name: "x".into(),
            value: Some("{{args.x}}".into()),
            value_from: None,
        }]);
        assert_eq!(args.substitute_plain("{{args.x}}"), Ok("{{args.x}}".into()));
    }
}
