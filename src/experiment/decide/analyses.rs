//! AnalysisRuns of an Experiment: started when all versions are available, counted as they end, broken off at the end.
//!
//! Not here: judging metrics (`crate::analysis`), and what the verdicts come to (`verdict`).

use std::collections::BTreeMap;

use regex::RegexBuilder;
use serde_json::Value;

use super::{
    arguments,
    pass::{Pass, label_value},
    verdict,
};
use crate::{
    analysis::{
        render::{self, Additions, Given, RunRequest, Template},
        templates::{self, TemplateKey, TemplatesError},
    },
    api::{
        analysis::{AnalysisPhase, AnalysisTemplateRef, Argument},
        experiment::{ExperimentAnalysis, ExperimentAnalysisRunStatus, ExperimentSpec},
    },
    experiment::snapshot::Refused,
    rollout::{
        decision::{Action, Target},
        snapshot::AnalysisRunView,
    },
};

/// What a pattern of `dryRun` may compile to, in bytes.
const MOST_PATTERN: usize = 1 << 16;

/// The templates that the spec names.
pub fn template_refs(spec: &ExperimentSpec) -> Vec<TemplateKey> {
    let mut keys: Vec<TemplateKey> = spec
        .analyses
        .iter()
        .map(|analysis| TemplateKey {
            name: analysis.template_name.clone(),
            cluster_scope: analysis.cluster_scope,
        })
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// `<experiment>-<analysis>`.
fn name(pass: &Pass<'_>, analysis: &ExperimentAnalysis) -> String {
    format!("{}-{}", pass.snapshot.experiment.name, analysis.name)
}

fn run<'a>(pass: &Pass<'a>, analysis: &ExperimentAnalysis) -> Option<&'a AnalysisRunView> {
    let name = name(pass, analysis);
    let mut runs = pass.snapshot.analysis_runs.iter();
    runs.find(|run| run.name == name && !run.deleting)
}

/// What is on record of the analysis.
fn record<'a>(
    pass: &'a Pass<'_>,
    analysis: &ExperimentAnalysis,
) -> Option<&'a ExperimentAnalysisRunStatus> {
    let mut known = pass.status.analysis_runs.iter();
    known.find(|known| known.name == analysis.name)
}

/// Takes note of how the runs stand. What one that is gone has said is kept.
pub(super) fn heed(pass: &mut Pass<'_>) {
    for analysis in &pass.spec.analyses {
        let Some(run) = run(pass, analysis) else {
            continue;
        };
        let now = ExperimentAnalysisRunStatus {
            name: analysis.name.clone(),
            analysis_run: run.name.clone(),
            phase: run.phase,
            message: Some(run.message.clone()).filter(|message| !message.is_empty()),
        };
        let before = record(pass, analysis).map(|known| known.phase);
        if before != Some(now.phase) {
            tell(pass, &now);
        }
        let runs = &mut pass.status.analysis_runs;
        match runs.iter_mut().find(|known| known.name == now.name) {
            Some(known) => *known = now,
            None => runs.push(now),
        }
    }
}

fn tell(pass: &mut Pass<'_>, run: &ExperimentAnalysisRunStatus) {
    let (warning, reason) = match run.phase {
        AnalysisPhase::Pending => return,
        AnalysisPhase::Running => (false, "AnalysisRunRunning"),
        AnalysisPhase::Successful => (false, "AnalysisRunSuccessful"),
        AnalysisPhase::Failed => (true, "AnalysisRunFailed"),
        AnalysisPhase::Error => (true, "AnalysisRunError"),
        AnalysisPhase::Inconclusive => (true, "AnalysisRunInconclusive"),
    };
    let why = run.message.as_ref().map(|message| format!(": {message}"));
    let text = format!(
        "AnalysisRun {} is {:?}{}",
        run.analysis_run,
        run.phase,
        why.unwrap_or_default()
    );
    pass.note(warning, reason, text);
}

/// Whether the analysis was successful.
pub(super) fn is_successful(pass: &Pass<'_>, analysis: &ExperimentAnalysis) -> bool {
    record(pass, analysis).is_some_and(|known| known.phase == AnalysisPhase::Successful)
}

/// The worst verdict that is not Successful. That of a run which was broken off and is not required counts only when it
/// had found something.
pub(super) fn bad_news(pass: &Pass<'_>) -> Option<(AnalysisPhase, String)> {
    let rank = |phase| match phase {
        AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Successful => 0,
        AnalysisPhase::Inconclusive => 1,
        AnalysisPhase::Error => 2,
        AnalysisPhase::Failed => 3,
    };
    let counts = |analysis: &ExperimentAnalysis, phase| {
        let cut_short = run(pass, analysis).is_some_and(|run| run.terminate);
        phase != AnalysisPhase::Inconclusive || analysis.required_for_completion || !cut_short
    };
    let worst = pass
        .spec
        .analyses
        .iter()
        .filter_map(|analysis| Some((analysis, record(pass, analysis)?)))
        .filter(|(analysis, known)| rank(known.phase) > 0 && counts(analysis, known.phase))
        // The first of equals is told.
        .min_by_key(|(_, known)| std::cmp::Reverse(rank(known.phase)));
    worst.map(|(_, known)| {
        let why = known.message.as_ref().map(|why| format!(": {why}"));
        let message = format!(
            "AnalysisRun {} is {:?}{}",
            known.analysis_run,
            known.phase,
            why.unwrap_or_default()
        );
        (known.phase, message)
    })
}

/// A run that has not ended, or not begun.
pub(super) fn first_open(pass: &Pass<'_>) -> Option<String> {
    let mut analyses = pass.spec.analyses.iter();
    let open = analyses.find(|analysis| {
        // What nobody waits for does not have to begin.
        let known = record(pass, analysis);
        known.map_or(!pass.spec.terminate, |known| !known.phase.is_terminal())
    })?;
    Some(name(pass, open))
}

/// Starts what is to be started, and breaks off what nobody waits for any more.
pub(super) fn run_all(pass: &mut Pass<'_>) {
    if pass.status.available_at.is_some() && !pass.has_ended() {
        for analysis in &pass.spec.analyses {
            let has_ended = record(pass, analysis).is_some_and(|known| known.phase.is_terminal());
            if run(pass, analysis).is_none() && !has_ended && !pass.has_ended() {
                start(pass, analysis);
            }
        }
    }
    let over = pass.finishing || pass.is_over();
    let actions: Vec<Action> = pass
        .snapshot
        .analysis_runs
        .iter()
        .filter(|run| {
            let mut analyses = pass.spec.analyses.iter();
            let declared = analyses.any(|analysis| name(pass, analysis) == run.name);
            over || !declared
        })
        .filter(|run| !run.phase.is_terminal() && !run.terminate && !run.deleting)
        .map(|run| Action::TerminateAnalysisRun {
            target: Target {
                name: run.name.clone(),
                uid: run.uid.clone(),
                resource_version: run.resource_version.clone(),
            },
        })
        .collect();
    pass.actions.extend(actions);
}

fn start(pass: &mut Pass<'_>, analysis: &ExperimentAnalysis) {
    let refused = pass.snapshot.refusals.get(&name(pass, analysis));
    let rendered = match refused {
        Some(Refused::Invalid(why)) => Err(format!("the API server refuses its run: {why}")),
        Some(Refused::Forbidden(_) | Refused::Taken) | None => render(pass, analysis),
    };
    match rendered {
        Ok(object) => pass.actions.push(Action::CreateAnalysisRun {
            name: name(pass, analysis),
            object,
        }),
        Err(why) => {
            let message = format!("analysis {}: {why}", analysis.name);
            verdict::end(pass, AnalysisPhase::Error, message);
        }
    }
}

/// The AnalysisRun as JSON, or why there can be none.
pub(super) fn render(pass: &Pass<'_>, analysis: &ExperimentAnalysis) -> Result<Value, String> {
    let snapshot = pass.snapshot;
    let reference = AnalysisTemplateRef {
        template_name: analysis.template_name.clone(),
        cluster_scope: Some(analysis.cluster_scope),
    };
    let resolved = templates::resolve(&[reference], &snapshot.templates);
    if let Some(problem) = resolved.problems.first() {
        return Err(problem.to_string());
    }
    let fits = |pattern: &str| fits(pattern, &resolved.templates);
    let spec = pass.spec;
    let additions = Additions {
        args: given(pass, analysis)?,
        dry_run: spec
            .dry_run
            .iter()
            .filter(|rule| fits(&rule.metric_name))
            .cloned()
            .collect(),
        measurement_retention: spec
            .measurement_retention
            .iter()
            .filter(|rule| fits(&rule.metric_name))
            .cloned()
            .collect(),
        metadata: spec.analysis_run_metadata.clone().unwrap_or_default(),
    };
    let api_version = snapshot.names.api_version();
    let request = RunRequest {
        api_version: &api_version,
        name: &name(pass, analysis),
        namespace: &snapshot.experiment.namespace,
        owner: pass.owner(),
        labels: [(
            snapshot.names.experiment_name.clone(),
            label_value(&snapshot.experiment.name),
        )]
        .into_iter()
        .chain(snapshot.names.instance_label())
        .collect(),
        annotations: BTreeMap::new(),
        additions,
        templates: &resolved.templates,
        subject: &snapshot.experiment.object,
        stable_hash: None,
        latest_hash: None,
        must_end: analysis.required_for_completion,
    };
    render::analysis_run(&request).map_err(|error| error.to_string())
}

/// The arguments with their placeholders filled in.
fn given(pass: &Pass<'_>, analysis: &ExperimentAnalysis) -> Result<Vec<Given>, String> {
    let known = arguments::known(pass);
    let fill = |argument: &Argument| {
        let mut given = Given::from(argument);
        if let Some(value) = &argument.value {
            let filled = arguments::fill(value, &known)
                .map_err(|why| format!("argument \"{}\": {why}", argument.name))?;
            given.value = Some(filled);
        }
        Ok(given)
    };
    analysis.args.iter().map(fill).collect()
}

/// Whether a rule is about a metric of these templates. One that cannot be read stays, so that it is told.
fn fits(pattern: &str, templates: &[Template]) -> bool {
    let Ok(regex) = RegexBuilder::new(pattern).size_limit(MOST_PATTERN).build() else {
        return true;
    };
    templates
        .iter()
        .flat_map(|template| &template.spec.metrics)
        .any(|metric| regex.is_match(&metric.name))
}

/// What the templates lack, and what is wrong with them, all in sentences.
pub(super) fn problems(pass: &Pass<'_>) -> (Vec<String>, Vec<(String, String)>) {
    let (mut missing, mut wrong) = (Vec::new(), Vec::new());
    let mut found: Vec<Template> = Vec::new();
    for (index, analysis) in pass.spec.analyses.iter().enumerate() {
        let reference = AnalysisTemplateRef {
            template_name: analysis.template_name.clone(),
            cluster_scope: Some(analysis.cluster_scope),
        };
        let resolved = templates::resolve(&[reference], &pass.snapshot.templates);
        let is_missing = |problem: &TemplatesError| match problem {
            TemplatesError::Missing(key) => Some(key.shown()),
            TemplatesError::Unreadable { .. }
            | TemplatesError::Cycle(_)
            | TemplatesError::TooDeep(_) => None,
        };
        let gone: Vec<String> = resolved.problems.iter().filter_map(is_missing).collect();
        if gone.is_empty() {
            if let Err(why) = render(pass, analysis) {
                wrong.push((format!("spec.analyses[{index}]"), why));
            }
        } else {
            missing.extend(gone);
        }
        found.extend(resolved.templates);
    }
    let rules = pass.spec.dry_run.iter().map(|rule| &rule.metric_name);
    let rules = rules.map(|pattern| ("spec.dryRun", pattern));
    let kept = pass.spec.measurement_retention.iter();
    let kept = kept.map(|rule| ("spec.measurementRetention", &rule.metric_name));
    for (path, pattern) in rules.chain(kept) {
        if missing.is_empty() && !fits(pattern, &found) {
            let why = format!("\"{pattern}\" matches the name of no metric");
            wrong.push((path.to_owned(), why));
        }
    }
    missing.sort();
    missing.dedup();
    (missing, wrong)
}
