//! Work on all cores.

use std::{sync::Mutex, thread};

/// Does the work for each item, in their order but several at a time.
pub(super) fn each<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let items = Mutex::new(items.into_iter());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let next = || items.lock().expect("no panic").next();
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}
