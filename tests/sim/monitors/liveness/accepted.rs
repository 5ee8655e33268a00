//! L5: what is declared is taken up from wherever the Rollout stands; what a person asks is answered.

use crate::sim::monitors::{
    Told, View, debt::Debt, per_release::OfRelease, release::Release, view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Accepted {
    spec: Debt,
    request: Debt,
}

fn is_new(release: &Release) -> bool {
    !release.deleted && release.status.observed_generation.unwrap_or(0) < release.generation
}

impl OfRelease for Accepted {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let after = &touched.after;
        let patience = view.leniency.patience;
        if let Some(since) = self.spec.look(is_new(after), view.now) {
            told.check("L5", since <= patience, || {
                format!(
                    "for {since:?} generation {} is not taken up",
                    after.generation
                )
            });
        }
        let asked = !after.deleted && after.asked.is_some();
        if let Some(since) = self.request.look(asked, view.now) {
            told.check("L5", since <= patience, || {
                format!(
                    "for {since:?} a request is not answered: {:?}",
                    touched.before.asked
                )
            });
        }
        let taken = is_new(&touched.before) && !is_new(after) && touched.by_controller();
        let template = |release: &Release| release.spec.template.clone();
        if taken && touched.itself && after.spec.workload_ref.is_none() && template(after).is_some()
        {
            told.check("L5", !after.current().is_empty(), || {
                "a version without a hash".to_owned()
            });
        }
    }

    fn excuse(&mut self) {
        self.spec.forgive();
        self.request.forgive();
    }

    fn finish(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        self.look(touched, view, told);
    }
}
