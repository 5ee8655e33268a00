//! The arguments of a run: those that its templates declare, with the values that are given or their own.

use super::super::args::field_path;
use super::{RenderError, RunRequest, Template};
use crate::api::analysis::{
    AnalysisRunArgument, Argument, FieldRef, PodTemplateHashValue, SecretKeyRef, ValueFrom,
};

/// An argument that is given to templates. Without any source the template's own counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Given {
    /// The name under which a template declares it.
    pub name: String,
    /// The value itself.
    pub value: Option<String>,
    /// The hash of a version.
    pub pod_template_hash: Option<PodTemplateHashValue>,
    /// A field of the run's owner.
    pub field: Option<FieldRef>,
    /// A Secret; the run reads it at each measurement.
    pub secret: Option<SecretKeyRef>,
    /// There is a `valueFrom` without a source.
    pub empty_source: bool,
}

impl From<&AnalysisRunArgument> for Given {
    fn from(argument: &AnalysisRunArgument) -> Self {
        let from = argument.value_from.clone();
        let (hash, field) = from
            .clone()
            .map(|from| (from.pod_template_hash_value, from.field_ref))
            .unwrap_or_default();
        Self {
            name: argument.name.clone(),
            value: argument.value.clone(),
            empty_source: from.is_some() && hash.is_none() && field.is_none(),
            pod_template_hash: hash,
            field,
            secret: None,
        }
    }
}

impl From<&Argument> for Given {
    fn from(argument: &Argument) -> Self {
        let from = argument.value_from.clone();
        let (secret, field) = from
            .clone()
            .map(|from| (from.secret_key_ref, from.field_ref))
            .unwrap_or_default();
        Self {
            name: argument.name.clone(),
            value: argument.value.clone(),
            empty_source: from.is_some() && secret.is_none() && field.is_none(),
            pod_template_hash: None,
            field,
            secret,
        }
    }
}

/// The arguments that the templates declare, each once, with the template to name.
fn declared(templates: &[Template]) -> Result<Vec<(&Argument, &Template)>, RenderError> {
    let mut all: Vec<(&Argument, &Template)> = Vec::new();
    let has_default =
        |argument: &Argument| argument.value.is_some() || argument.value_from.is_some();
    for template in templates {
        for argument in &template.spec.args {
            let known = all
                .iter_mut()
                .find(|(known, _)| known.name == argument.name);
            match known {
                None => all.push((argument, template)),
                Some((known, _)) if *known == argument || !has_default(argument) => {}
                Some(known) if !has_default(known.0) => *known = (argument, template),
                Some((_, first)) => {
                    return Err(RenderError::ConflictingArgument {
                        argument: argument.name.clone(),
                        first: first.shown.clone(),
                        second: template.shown.clone(),
                    });
                }
            }
        }
    }
    Ok(all)
}

/// The templates' arguments with their values: the one that is given, else the template's own.
pub(super) fn arguments(request: &RunRequest<'_>) -> Result<Vec<Argument>, RenderError> {
    declared(request.templates)?
        .into_iter()
        .map(|(declared, template)| {
            let name = &declared.name;
            let given = request.additions.args.iter().find(|one| &one.name == name);
            match given {
                Some(given) => from_outside(request, given)?,
                None => None,
            }
            .map_or_else(|| own(request, template, declared), Ok)
        })
        .collect()
}

/// The value that is given. `None`: it is only named, so that the template's own counts.
fn from_outside(request: &RunRequest<'_>, given: &Given) -> Result<Option<Argument>, RenderError> {
    let name = &given.name;
    let (value, hash_of) = (given.value.as_ref(), given.pod_template_hash);
    Ok(Some(match (value, hash_of, &given.field, &given.secret) {
        (Some(value), None, None, None) if !given.empty_source => valued(name, value.clone()),
        (None, Some(whose), None, None) => valued(name, hash(request, name, whose)?),
        (None, None, Some(field), None) => valued(name, read(request, name, field)?),
        (None, None, None, Some(secret)) => Argument {
            name: name.clone(),
            value: None,
            value_from: Some(ValueFrom {
                secret_key_ref: Some(secret.clone()),
                field_ref: None,
            }),
        },
        (None, None, None, None) if !given.empty_source => return Ok(None),
        _ => return Err(RenderError::Ambiguous(name.clone())),
    }))
}

/// The value the template itself gives. A Secret stays a reference: the run reads it at each measurement.
fn own(
    request: &RunRequest<'_>,
    template: &Template,
    declared: &Argument,
) -> Result<Argument, RenderError> {
    let name = &declared.name;
    match (&declared.value, &declared.value_from) {
        (Some(value), None) => Ok(valued(name, value.clone())),
        (
            None,
            Some(ValueFrom {
                secret_key_ref: Some(_),
                field_ref: None,
            }),
        ) => Ok(declared.clone()),
        (
            None,
            Some(ValueFrom {
                secret_key_ref: None,
                field_ref: Some(field),
            }),
        ) => Ok(valued(name, read(request, name, field)?)),
        (None, None) => Err(RenderError::Unresolved {
            argument: name.clone(),
            template: template.shown.clone(),
        }),
        (Some(_) | None, Some(_)) => Err(RenderError::Ambiguous(name.clone())),
    }
}

fn valued(name: &str, value: String) -> Argument {
    Argument {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    }
}

fn hash(
    request: &RunRequest<'_>,
    argument: &str,
    whose: PodTemplateHashValue,
) -> Result<String, RenderError> {
    let (found, whose) = match whose {
        PodTemplateHashValue::Latest => (request.latest_hash, "latest"),
        PodTemplateHashValue::Stable => (request.stable_hash, "stable"),
    };
    found
        .map(str::to_owned)
        .ok_or_else(|| RenderError::NoVersion {
            argument: argument.to_owned(),
            whose,
        })
}

fn read(request: &RunRequest<'_>, argument: &str, field: &FieldRef) -> Result<String, RenderError> {
    field_path::read(request.subject, &field.field_path).map_err(|source| RenderError::Field {
        argument: argument.to_owned(),
        path: field.field_path.clone(),
        source,
    })
}
