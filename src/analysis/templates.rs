//! Which templates an analysis leads to: those it names, those they refer to, and so on. Pure.
//!
//! Not here: what is made of their metrics and arguments ([`super::render`]).

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::render::Template;
use crate::api::{
    analysis::{AnalysisTemplateRef, AnalysisTemplateSpec},
    names::Kind,
};

/// How many templates may stand in a row, each referring to the next.
pub const MAX_DEPTH: usize = 8;

/// Names an AnalysisTemplate or ClusterAnalysisTemplate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateKey {
    /// Its name.
    pub name: String,
    /// Whether it is a ClusterAnalysisTemplate.
    pub cluster_scope: bool,
}

impl TemplateKey {
    /// Kind and name, as in messages.
    pub fn shown(&self) -> String {
        let kind = if self.cluster_scope {
            Kind::ClusterAnalysisTemplate
        } else {
            Kind::AnalysisTemplate
        };
        format!("{} {}", kind.name(), self.name)
    }
}

impl From<&AnalysisTemplateRef> for TemplateKey {
    fn from(reference: &AnalysisTemplateRef) -> Self {
        Self {
            name: reference.template_name.clone(),
            cluster_scope: reference.cluster_scope.unwrap_or(false),
        }
    }
}

impl From<&TemplateKey> for AnalysisTemplateRef {
    fn from(key: &TemplateKey) -> Self {
        Self {
            template_name: key.name.clone(),
            cluster_scope: Some(key.cluster_scope),
        }
    }
}

/// Templates as they were found: one that is absent does not exist, an `Err` says why one cannot be read.
pub type Templates = BTreeMap<TemplateKey, Result<AnalysisTemplateSpec, String>>;

/// Why what an analysis leads to cannot be used.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum TemplatesError {
    /// There is no such template.
    #[error("{} does not exist; create it", .0.shown())]
    Missing(TemplateKey),
    /// There is one, but its spec is none.
    #[error("{} cannot be read: {why}", .key.shown())]
    Unreadable {
        /// The template.
        key: TemplateKey,
        /// Why.
        why: String,
    },
    /// A template leads back to itself.
    #[error("{} refers to itself ({}); take one of the references out of spec.templates", .0.first().map(TemplateKey::shown).unwrap_or_default(), chain(.0))]
    Cycle(Vec<TemplateKey>),
    /// The references are nested too deeply.
    #[error("templates are nested deeper than {MAX_DEPTH} levels ({}); name the last ones in the Rollout", chain(.0))]
    TooDeep(Vec<TemplateKey>),
}

fn chain(keys: &[TemplateKey]) -> String {
    let names: Vec<String> = keys.iter().map(TemplateKey::shown).collect();
    names.join(" → ")
}

/// What references lead to.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// The templates, each once: one after the other, each followed by those it refers to.
    pub templates: Vec<Template>,
    /// Why they cannot be used, if so.
    pub problems: Vec<TemplatesError>,
}

/// Follows the references of an analysis. A reference of a ClusterAnalysisTemplate to an AnalysisTemplate means the one in
/// the namespace of the Rollout.
pub fn resolve(references: &[AnalysisTemplateRef], templates: &Templates) -> Resolved {
    let mut walk = Walk {
        templates,
        seen: BTreeSet::new(),
        path: Vec::new(),
        resolved: Resolved::default(),
    };
    walk.follow(references);
    walk.resolved
}

struct Walk<'a> {
    templates: &'a Templates,
    seen: BTreeSet<TemplateKey>,
    /// From a template that the analysis names to the one that is looked at.
    path: Vec<TemplateKey>,
    resolved: Resolved,
}

impl Walk<'_> {
    fn follow(&mut self, references: &[AnalysisTemplateRef]) {
        for key in references.iter().map(TemplateKey::from) {
            if let Some(begin) = self.path.iter().position(|above| *above == key) {
                let mut cycle = self.path.get(begin..).unwrap_or_default().to_vec();
                cycle.push(key);
                self.resolved.problems.push(TemplatesError::Cycle(cycle));
            } else if self.seen.insert(key.clone()) {
                self.path.push(key.clone());
                self.enter(key);
                self.path.pop();
            }
        }
    }

    fn enter(&mut self, key: TemplateKey) {
        let problem = if self.path.len() > MAX_DEPTH {
            TemplatesError::TooDeep(self.path.clone())
        } else {
            match self.templates.get(&key) {
                Some(Ok(spec)) => {
                    self.resolved.templates.push(Template {
                        shown: key.shown(),
                        spec: spec.clone(),
                    });
                    return self.follow(&spec.templates);
                }
                Some(Err(why)) => TemplatesError::Unreadable {
                    key,
                    why: why.clone(),
                },
                None => TemplatesError::Missing(key),
            }
        };
        self.resolved.problems.push(problem);
    }
}

/// Everything that `references` lead to, as far as it may: `read` finds a template, or not.
pub fn reach(
    references: impl IntoIterator<Item = TemplateKey>,
    mut read: impl FnMut(&TemplateKey) -> Option<Result<AnalysisTemplateSpec, String>>,
) -> Templates {
    let mut found = Templates::new();
    let mut level: BTreeSet<TemplateKey> = references.into_iter().collect();
    for _ in 0..MAX_DEPTH {
        let mut next = BTreeSet::new();
        for key in level {
            if found.contains_key(&key) {
                continue;
            }
            let Some(template) = read(&key) else { continue };
            if let Ok(spec) = &template {
                next.extend(spec.templates.iter().map(TemplateKey::from));
            }
            found.insert(key, template);
        }
        level = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// References as short words: `a` is an AnalysisTemplate, `+a` a ClusterAnalysisTemplate.
    fn references(words: &str) -> Vec<AnalysisTemplateRef> {
        let reference = |word: &str| AnalysisTemplateRef {
            template_name: word.trim_start_matches('+').to_owned(),
            cluster_scope: word.starts_with('+').then_some(true),
        };
        words.split_whitespace().map(reference).collect()
    }

    fn key(word: &str) -> TemplateKey {
        TemplateKey::from(&references(word)[0])
    }

    /// `a: b c` says that `a` refers to `b` and `c`.
    fn templates(lines: &[&str]) -> Templates {
        let template = |line: &&str| {
            let (name, nested) = line.split_once(':').unwrap();
            let nested: Value = serde_json::to_value(references(nested)).unwrap();
            let spec = testbed::heard("AnalysisTemplate", json!({"templates": nested}));
            let spec = serde_json::from_value(spec).unwrap();
            (key(name), Ok(spec))
        };
        lines.iter().map(template).collect()
    }

    fn resolved(names: &str, lines: &[&str]) -> (String, Vec<String>) {
        let known = templates(lines);
        let roots = references(names);
        // What is observed is what is resolved: only what the closure reaches is known.
        let reached = reach(roots.iter().map(TemplateKey::from), |key| {
            known.get(key).cloned()
        });
        let resolved = resolve(&roots, &reached);
        let found: Vec<String> = resolved
            .templates
            .iter()
            .map(|template| {
                template
                    .shown
                    .replace("ClusterAnalysisTemplate ", "+")
                    .replace("AnalysisTemplate ", "")
            })
            .collect();
        let problems = resolved.problems.iter().map(ToString::to_string).collect();
        (found.join(" "), problems)
    }

    #[test]
    fn each_template_is_taken_once_before_those_it_refers_to() {
        let _covers = testbed::covers(&[
            "AnalysisTemplate spec.templates",
            "AnalysisTemplate spec.templates[].templateName",
            "AnalysisTemplate spec.templates[].clusterScope",
        ]);
        for (names, lines, found) in [
            ("a", &["a:"] as &[&str], "a"),
            ("b a b", &["a:", "b:"], "b a"),
            ("a d", &["a: b c", "b:", "c:", "d: b"], "a b c d"),
            ("a", &["a: +b", "+b: +c d", "+c:", "d:"], "a +b +c d"),
            ("a +a", &["a:", "+a:"], "a +a"),
        ] {
            assert_eq!(
                resolved(names, lines),
                (found.to_owned(), vec![]),
                "{names}"
            );
        }
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let deep = [
            "a: b", "b: c", "c: d", "d: e", "e: f", "f: g", "g: h", "h: i", "i:",
        ];
        for (names, lines, found, problem) in [
            (
                "a",
                &["a: +b", "+b: c"] as &[&str],
                "a +b",
                "AnalysisTemplate c does not exist; create it",
            ),
            (
                "a",
                &["a: a"],
                "a",
                "AnalysisTemplate a refers to itself (AnalysisTemplate a → AnalysisTemplate a); take one of the references out of spec.templates",
            ),
            (
                "a",
                &["a: +b", "+b: c", "c: +b"],
                "a +b c",
                "ClusterAnalysisTemplate b refers to itself (ClusterAnalysisTemplate b → AnalysisTemplate c → ClusterAnalysisTemplate b); take one of the references out of spec.templates",
            ),
            (
                "a",
                &deep,
                "a b c d e f g h",
                "templates are nested deeper than 8 levels (AnalysisTemplate a → AnalysisTemplate b → AnalysisTemplate c → AnalysisTemplate d → AnalysisTemplate e → AnalysisTemplate f → AnalysisTemplate g → AnalysisTemplate h → AnalysisTemplate i); name the last ones in the Rollout",
            ),
        ] {
            let expected = (found.to_owned(), vec![problem.to_owned()]);
            assert_eq!(resolved(names, lines), expected, "{names}");
        }
    }

    #[test]
    fn a_dense_web_of_references_is_followed_once() {
        let names: Vec<String> = (0..200).map(|index| format!("t{index}")).collect();
        let all = names.join(" ");
        let lines: Vec<String> = names.iter().map(|name| format!("{name}: {all}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let known = templates(&lines);
        let mut reads = 0;
        let reached = reach([key("t0")], |key| {
            reads += 1;
            known.get(key).cloned()
        });
        assert_eq!((reached.len(), reads), (200, 200));
        assert!(resolve(&references("t0"), &reached).templates.len() <= 200);
    }
}
