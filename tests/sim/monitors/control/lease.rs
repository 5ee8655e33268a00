//! C5: whoever writes holds the lease, and it has not run out. C6: so two never write in turns.

use std::{collections::BTreeMap, time::Duration};

use crate::sim::monitors::{Happened, Monitor, Told, View};

#[derive(Clone, Default)]
pub(super) struct Lease {
    /// Under which name each process leads.
    identities: BTreeMap<u64, String>,
    /// Who holds it, since when it was renewed, for how long.
    held: Option<(String, Duration, Duration)>,
    /// How often it has changed hands.
    transitions: u64,
    /// Who wrote last, and under which holding of the lease.
    last: Option<(u64, u64)>,
}

impl Monitor for Lease {
    fn on(&mut self, event: &Happened<'_>, view: &View, told: &mut Told) {
        match event {
            Happened::Change(change) if change.key.plural == "leases" => {
                let spec = &change.object["spec"];
                let holder = spec["holderIdentity"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                let seconds = spec["leaseDurationSeconds"].as_u64().unwrap_or(0);
                if self
                    .held
                    .as_ref()
                    .is_none_or(|(before, ..)| *before != holder)
                {
                    self.transitions += 1;
                }
                self.held = (!change.deleted && !holder.is_empty())
                    .then(|| (holder, view.now, Duration::from_secs(seconds)));
            }
            Happened::Request(asked) => {
                let Some(key) = &asked.key else { return };
                if key.plural == "leases" {
                    if let Some(holder) = asked.body["spec"]["holderIdentity"].as_str()
                        && !holder.is_empty()
                    {
                        self.identities.insert(asked.process, holder.to_owned());
                    }
                    return;
                }
                if !asked.changed || key.plural == "events" {
                    return;
                }
                // Who takes no part in the election cannot know who leads.
                let Some(me) = self.identities.get(&asked.process) else {
                    return;
                };
                let holds = self
                    .held
                    .as_ref()
                    .is_some_and(|(holder, renewed, duration)| {
                        holder == me && view.now < *renewed + *duration
                    });
                told.check("C5", holds, || {
                    format!("{me:?} writes {key}, and the lease is {:?}", self.held)
                });
                let turns = self.last.is_none_or(|(process, holding)| {
                    process == asked.process || holding != self.transitions
                });
                told.check("C6", turns, || {
                    format!("two processes write under one holding of the lease, {key} last")
                });
                self.last = Some((asked.process, self.transitions));
            }
            Happened::Change(_) | Happened::Answered(_) | Happened::Lost(_) => {}
        }
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
