//! T21: no request is lost where the application has no fault.

use crate::sim::monitors::{Happened, Monitor, Told, View};

#[derive(Clone)]
pub(super) struct Lost;

impl Monitor for Lost {
    fn on(&mut self, event: &Happened<'_>, _: &View, told: &mut Told) {
        if let Happened::Lost(what) = event {
            told.check("T21", false, || (*what).to_owned());
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
