//! The writes of the controller, and the world just before and just after each: what a process finds that replaces one which
//! died there, with the write lost or with its answer lost.

use tidegate::sim::request::ApiRequest;

use super::plan::Moment;
use crate::sim::world::{Run, Snapshot};

/// A death of the controller: at which write, and the world it leaves behind.
pub(in crate::sim) struct Death {
    pub(in crate::sim) crash: Moment,
    pub(in crate::sim) number: usize,
    pub(in crate::sim) write: String,
    /// How many deaths leave this same world behind.
    pub(in crate::sim) stands_for: usize,
    pub(in crate::sim) world: Snapshot,
}

/// The writes so far.
#[derive(Default)]
pub(in crate::sim) struct Writes {
    /// What was asked, with its body.
    pub(in crate::sim) list: Vec<String>,
    /// Whether deaths are noted.
    pub(in crate::sim) watched: bool,
    pub(in crate::sim) deaths: Vec<Death>,
}

/// Whether a request counts as a write. Events are lossy by nature, and the lease is renewed all the time.
pub(in crate::sim) fn counts(request: &ApiRequest) -> bool {
    request.mutates() && !matches!(request.resource.plural, "events" | "leases")
}

/// Notes the write, and a death before it.
pub(in crate::sim) fn before(world: &mut Run, request: &ApiRequest) {
    world.writes.list.push(request.shown.clone());
    note(world, Moment::Before);
}

/// Notes a death after the last write.
pub(in crate::sim) fn after(world: &mut Run) {
    note(world, Moment::After);
}

fn note(world: &mut Run, crash: Moment) {
    if !world.writes.watched {
        return;
    }
    if crash == Moment::Before
        && let Some(last) = world.writes.deaths.last_mut()
        && last.world.changes == world.changes
    {
        // Nothing has changed since the write before: whoever comes next finds the same.
        last.stands_for += 1;
        return;
    }
    let death = Death {
        crash,
        number: world.writes.list.len(),
        write: world.writes.list.last().cloned().unwrap_or_default(),
        stands_for: 1,
        world: world.snapshot(),
    };
    world.writes.deaths.push(death);
}
