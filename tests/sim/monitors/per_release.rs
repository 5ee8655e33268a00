//! A rule about one Rollout: each has a monitor of its own, so that several in one world do not meet.

use std::collections::BTreeMap;

use super::{Happened, Monitor, Told, View, view::Touched};

/// Watches over one Rollout.
pub(super) trait OfRelease: Clone + Default + Send + Sync + 'static {
    /// Something about the Rollout has changed.
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told);
    /// Nobody can be blamed for time in which there was no controller.
    fn excuse(&mut self) {}
    /// Nothing more happens. The Rollout still exists.
    fn finish(&mut self, _: &Touched, _: &View, _: &mut Told) {}
}

#[derive(Clone, Default)]
pub(super) struct PerRelease<M>(BTreeMap<String, M>);

/// One monitor for each Rollout, by uid.
pub(super) fn each<M: OfRelease>() -> Box<dyn Monitor> {
    Box::new(PerRelease::<M>(BTreeMap::new()))
}

impl<M: OfRelease> Monitor for PerRelease<M> {
    fn on(&mut self, _: &Happened<'_>, view: &View, told: &mut Told) {
        for touched in view.touched() {
            let uid = &touched.after.uid;
            if !self.0.contains_key(uid) {
                self.0.insert(uid.clone(), M::default());
            }
            if let Some(monitor) = self.0.get_mut(uid) {
                monitor.look(touched, view, told);
            }
            if touched.after.deleted {
                self.0.remove(uid);
            }
        }
    }

    fn excuse(&mut self) {
        self.0.values_mut().for_each(OfRelease::excuse);
    }

    fn finish(&mut self, view: &View, told: &mut Told) {
        for release in view.releases() {
            if let Some(monitor) = self.0.get_mut(&release.after.uid) {
                monitor.finish(release, view, told);
            }
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
