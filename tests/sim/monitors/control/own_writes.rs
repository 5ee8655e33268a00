//! C10: nobody decides on something older than what it has written itself, and was told so. What was decided before takes a
//! moment to be done.

use std::{collections::BTreeMap, time::Duration};

use tidegate::sim::store::Key;

use crate::sim::monitors::{Happened, Monitor, Told, View};

#[derive(Clone, Default)]
pub(super) struct OwnWrites {
    /// The newest version that a process knows to be its own, and since when it does.
    known: BTreeMap<(u64, Key), (u64, Duration)>,
}

impl Monitor for OwnWrites {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        match event {
            Happened::Request(asked) => {
                let (Some(key), Some(version)) = (&asked.key, &asked.version) else {
                    return;
                };
                if matches!(key.plural, "events" | "leases") {
                    return;
                }
                let Ok(version) = version.parse::<u64>() else {
                    return;
                };
                let known = self.known.get(&(asked.process, key.clone()));
                let stale = known.is_some_and(|(own, since)| {
                    version < *own && since.saturating_add(view.leniency.lateness) < asked.sent
                });
                told.check("C10", !stale, || {
                    format!("a {} of {key} is about version {version}, and the same process wrote {known:?}", asked.verb)
                });
            }
            Happened::Answered(asked) => {
                let (Some(key), Some(version)) = (&asked.key, asked.answered) else {
                    return;
                };
                if asked.verb != "delete" && (200..300).contains(&asked.code) {
                    self.known
                        .insert((asked.process, key.clone()), (version, view.now));
                }
            }
            Happened::Change(_) | Happened::Lost(_) => {}
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
