//! The writes of the controller, and the world just before and just after each: what a process finds that replaces one which
//! died there, with the write lost or with its answer lost.

pub(super) mod draw;
pub(super) mod plan;

use super::world::{Run, Snapshot};
use tidegate::sim::request::ApiRequest;

/// When the controller dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// The server never sees the write.
    Before,
    /// The server has carried it out, and the answer never arrives.
    After,
}

/// A death of the controller: at which write, and the world it leaves behind.
pub(super) struct Death {
    pub(super) crash: Crash,
    pub(super) number: usize,
    pub(super) write: String,
    /// How many deaths leave this same world behind.
    pub(super) stands_for: usize,
    pub(super) world: Snapshot,
}

/// The writes so far.
#[derive(Default)]
pub(super) struct Writes {
    /// What was asked, with its body.
    pub(super) list: Vec<String>,
    /// Whether deaths are noted.
    pub(super) watched: bool,
    pub(super) deaths: Vec<Death>,
}

/// Whether a request counts as a write. Events are lossy by nature, and the lease is renewed all the time.
pub(super) fn counts(request: &ApiRequest) -> bool {
    request.mutates() && !matches!(request.resource.plural, "events" | "leases")
}

/// Notes the write, and a death before it.
pub(super) fn before(world: &mut Run, request: &ApiRequest) {
    world.writes.list.push(request.shown.clone());
    note(world, Crash::Before);
}

/// Notes a death after the last write.
pub(super) fn after(world: &mut Run) {
    note(world, Crash::After);
}

fn note(world: &mut Run, crash: Crash) {
    if !world.writes.watched {
        return;
    }
    if crash == Crash::Before
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
