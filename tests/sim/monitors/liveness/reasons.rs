//! L2: whatever a Rollout does not do, it says why: a phase has its message, and what is waited for is told.

use tidegate::api::rollout_status::Phase;

use crate::sim::monitors::{Told, View, per_release::OfRelease, view::Touched};

#[derive(Clone, Default)]
pub(super) struct Reasons;

impl OfRelease for Reasons {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        if touched.itself && touched.by_controller() && !touched.after.deleted {
            judge(touched, told);
        }
    }

    fn finish(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let status = &touched.after.status;
        if status.phase == Some(Phase::Progressing) {
            let told_why = status.waiting_for.is_some() || status.next.is_some();
            told.check("L2", told_why, || {
                format!("Progressing for ever: {:?}", status.message)
            });
        }
        told.check("L2", status.phase.is_some(), || {
            "a Rollout without a phase".to_owned()
        });
    }
}

fn judge(touched: &Touched, told: &mut Told) {
    let status = &touched.after.status;
    match status.phase {
        Some(Phase::Healthy) | None => {}
        Some(phase @ (Phase::Progressing | Phase::Paused | Phase::Degraded)) => {
            told.check("L2", !status.message.is_empty(), || {
                format!("{phase:?}, and nobody knows why")
            });
        }
    }
    if status.phase == Some(Phase::Paused) {
        let unblocked = status.waiting_for.is_some() || status.next.is_some();
        told.check("L2", unblocked, || {
            format!("Paused, and nobody knows for what: {}", status.message)
        });
    }
}
