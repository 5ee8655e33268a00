//! D13: what was given up is tried again only when a person says so or declares something else; going back to the stable version
//! is no update.

use tidegate::{api::request::Verb, sim::store::By};

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct NotRetried;

impl OfRelease for NotRetried {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.deleted || touched.new {
            return;
        }
        let same = before.current() == after.current();
        if touched.itself && before.mode() == Mode::Aborted && same {
            let again = !after.status.abort && after.stable() == before.stable();
            let asked = after.granted(before, Verb::Retry);
            told.check("D13", !again || asked, || {
                format!("{} was given up, and is tried again", after.current())
            });
        }
        if after.mode() == Mode::Stable
            && before.mode() == Mode::Stable
            && after.router() == Router::Weights
        {
            let (was, is) = (before.canary_weight(), after.canary_weight());
            let harmless = after.routes.canary_pin.as_deref() == Some(after.stable());
            if touched.by == By::Controller && was != is {
                told.check("D13", is < was || harmless, || {
                    format!("{} is stable, and the canary gets {is}", after.current())
                });
            }
        }
    }
}
