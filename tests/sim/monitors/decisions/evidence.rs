//! D6: what is measured is about the new version: no run starts before that version has what it is judged by.

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Release, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Evidence;

impl OfRelease for Evidence {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller()
            || touched.itself
            || std::sync::Arc::ptr_eq(&before.runs, &after.runs)
        {
            return;
        }
        for (name, run) in after
            .runs
            .iter()
            .filter(|(name, _)| !before.runs.contains_key(*name))
        {
            told.check(
                "D6",
                run.hash.is_empty() || touched.lately(|release| run.hash == release.current()),
                || {
                    format!(
                        "AnalysisRun {name} is about {}, and {} is new",
                        run.hash,
                        after.current()
                    )
                },
            );
            let ready = touched.lately(|release| has_traffic(release, &run.role, run.step));
            told.check("D6", ready, || {
                format!(
                    "AnalysisRun {name} starts with a weight of {} and {} pods",
                    after.canary_weight(),
                    after.available(after.current())
                )
            });
        }
    }
}

fn has_traffic(release: &Release, role: &str, step: Option<usize>) -> bool {
    let current = release.current();
    if release.replicas() == 0 {
        return true;
    }
    match (release.router(), role) {
        (Router::Weights, "Background") => release.is_routed(current),
        (Router::Weights, "Step") => {
            let steps = release.steps();
            let upto = step.unwrap_or(0).min(steps.len().saturating_sub(1));
            let goal = steps[..=upto]
                .iter()
                .rev()
                .find_map(|step| step.set_weight)
                .unwrap_or(0);
            release.canary_weight() >= i64::from(goal)
        }
        (Router::Weights, "Bake") => release.canary_weight() == release.total(),
        (Router::Switch, "PostPromotion" | "Bake") => release.weight(current) == release.total(),
        (Router::Weights | Router::Switch | Router::Pods, _) => release.available(current) > 0,
    }
}
