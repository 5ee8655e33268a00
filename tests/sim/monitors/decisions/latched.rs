//! D3: what failed for a version, step and attempt has failed: no later measurement, no second run and no restart makes it pass.

use std::collections::BTreeSet;

use tidegate::api::analysis::AnalysisPhase;

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Run, view::Touched};

/// Version, revision, what for, which step, which attempt.
type Subject = (String, i64, String, Option<usize>, i32);

#[derive(Clone, Default)]
pub(super) struct Latched {
    failed: BTreeSet<Subject>,
}

fn subject(run: &Run) -> Subject {
    (
        run.hash.clone(),
        run.revision,
        run.role.clone(),
        run.step,
        run.attempt,
    )
}

impl OfRelease for Latched {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if touched.itself || std::sync::Arc::ptr_eq(&before.runs, &after.runs) {
            return;
        }
        for (name, run) in after.runs.iter() {
            let was = before.runs.get(name).and_then(|run| run.phase);
            if was == run.phase {
                continue;
            }
            match run.phase {
                Some(AnalysisPhase::Failed | AnalysisPhase::Error) => {
                    told.check("D3", true, String::new);
                    self.failed.insert(subject(run));
                }
                Some(AnalysisPhase::Successful) => {
                    told.check("D3", !self.failed.contains(&subject(run)), || {
                        format!("AnalysisRun {name} is Successful for what had failed before")
                    });
                }
                Some(
                    AnalysisPhase::Inconclusive | AnalysisPhase::Pending | AnalysisPhase::Running,
                )
                | None => {}
            }
            let ended = was.is_some_and(AnalysisPhase::is_terminal);
            told.check("D3", !ended, || {
                format!(
                    "AnalysisRun {name} had ended as {was:?}, and is {:?}",
                    run.phase
                )
            });
        }
    }
}
