//! C15: nothing panics, whatever is in an object. A run is one thread, and its panics are counted there.

use std::{cell::Cell, sync::Once};

use crate::sim::monitors::{Happened, Monitor, Told, View};

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// From here on panics of this thread are those of a run.
pub(in crate::sim) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHED.get() {
                PANICS.set(PANICS.get() + 1);
            }
            before(info);
        }));
    });
    WATCHED.set(true);
    PANICS.set(0);
}

#[derive(Clone)]
pub(super) struct Panics;

impl Panics {
    fn look(told: &mut Told) {
        let panics = PANICS.replace(0);
        told.check("C15", panics == 0, || {
            format!("the controller has panicked {panics} times")
        });
    }
}

impl Monitor for Panics {
    fn on(&mut self, event: &Happened<'_>, _: &View, told: &mut Told) {
        if matches!(event, Happened::Request(_)) {
            Self::look(told);
        }
    }

    fn finish(&mut self, _: &View, told: &mut Told) {
        Self::look(told);
    }

    fn copy(&self) -> Box<dyn Monitor> {
        Box::new(self.clone())
    }
}
