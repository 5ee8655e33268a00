//! Reading single fields: substitute arguments, parse, and say what is wrong.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::FieldError;
use crate::analysis::args::Args;
use crate::analysis::judge::Condition;
use crate::api::duration;

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<FieldError>);

impl Fields {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            path: path.into(),
            message: message.into(),
        });
    }

    pub(super) fn unsupported(&mut self, path: impl Into<String>) {
        self.add(path, "it is not supported by this release; remove it");
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_errors(self) -> Vec<FieldError> {
        self.0
    }
}

/// A text with its arguments, none of them secret.
pub(super) fn plain(path: &str, text: &str, args: &Args, errors: &mut Fields) -> Option<String> {
    args.substitute_plain(text)
        .map_err(|error| errors.add(path, error.to_string()))
        .ok()
}

pub(super) fn duration(
    path: &str,
    text: Option<&str>,
    args: &Args,
    errors: &mut Fields,
) -> Option<Duration> {
    let text = plain(path, text?, args, errors)?;
    duration::parse(&text)
        .map_err(|error| errors.add(path, error.to_string()))
        .ok()
}

pub(super) fn number(
    path: &str,
    value: Option<&IntOrString>,
    args: &Args,
    errors: &mut Fields,
) -> Option<i32> {
    let value = match value? {
        IntOrString::Int(number) => return Some(*number),
        IntOrString::String(text) => plain(path, text, args, errors)?,
    };
    duration::number(&IntOrString::String(value))
        .map_err(|error| errors.add(path, error.to_string()))
        .ok()
}

/// The longest timeout, in seconds.
const MAX_TIMEOUT: i64 = 300;

pub(super) fn timeout(
    path: &str,
    seconds: Option<i64>,
    default: i64,
    errors: &mut Fields,
) -> Duration {
    let seconds = seconds.unwrap_or(default);
    if !(1..=MAX_TIMEOUT).contains(&seconds) {
        errors.add(
            path,
            format!("it is {seconds} seconds; it is 1 to {MAX_TIMEOUT}"),
        );
    }
    Duration::from_secs(seconds.unsigned_abs())
}

/// A condition. Empty text is no condition, as it is for the API's other optional texts.
pub(super) fn condition(
    path: &str,
    text: Option<&str>,
    args: &Args,
    errors: &mut Fields,
) -> Option<Condition> {
    let text = plain(
        path,
        text.filter(|text| !text.trim().is_empty())?,
        args,
        errors,
    )?;
    Condition::compile(&text)
        .map_err(|error| errors.add(path, format!("the condition cannot be used: {error}")))
        .ok()
}
