//! Bugs that controllers of this kind have had, to be put back one at a time: whoever tests must notice each.
//!
//! Only builds with the feature `mutants` can choose one; in all others `mutated` is `false` before anything runs. No
//! build for users has that feature. Not here: who chooses one, and what it is noticed by (`tests/sim`).

/// A bug that somebody has had. The name begins with the incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A Service is narrowed to a version before any of its pods is available.
    A1ServiceBeforePods,
    /// The guard before the promotion says "done" while it means "wait".
    A2WaitIsDone,
    /// Pods that are asked for count like pods that are available.
    A3DesiredForAvailable,
    /// Pods go in the moment in which the last route leaves them.
    A4NoDrain,
    /// The canary Service is led to another version while it still has weight.
    A8ServiceBeforeWeight,
    /// After the last step the canary gets nothing instead of everything.
    A10NothingAfterTheLastStep,
    /// Pods are taken away without a look at how many others are available.
    A13NoBudget,
    /// After an abort one of the routes to the canary stays.
    A17RouteAfterAbort,
    /// A product of 32 bits.
    A19Overflow,
    /// Weight waits for pods to go, and pods wait for weight to go.
    A22CircularWait,
    /// What is no data counts as a success.
    A29NoDataIsSuccess,
    /// A metric that has failed says nothing until all others have ended.
    A31FailureWithheld,
    /// A run that was broken off was successful.
    A33TerminatedIsSuccess,
    /// Who has promoted cannot abort any more.
    A37PromoteBeatsAbort,
    /// A write that was computed from an old version of its object is written all the same.
    A41BlindWrite,
    /// The time at which an old version may go is lost.
    A47DeadlineLost,
    /// The verdict on one version counts for the next.
    F9EvidenceOfTheLastRevision,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::A1ServiceBeforePods,
        Self::A2WaitIsDone,
        Self::A3DesiredForAvailable,
        Self::A4NoDrain,
        Self::A8ServiceBeforeWeight,
        Self::A10NothingAfterTheLastStep,
        Self::A13NoBudget,
        Self::A17RouteAfterAbort,
        Self::A19Overflow,
        Self::A22CircularWait,
        Self::A29NoDataIsSuccess,
        Self::A31FailureWithheld,
        Self::A33TerminatedIsSuccess,
        Self::A37PromoteBeatsAbort,
        Self::A41BlindWrite,
        Self::A47DeadlineLost,
        Self::F9EvidenceOfTheLastRevision,
    ];
}

/// Whether this bug is put back now.
#[cfg(not(feature = "mutants"))]
#[inline]
pub(crate) const fn mutated(_: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub(crate) use chosen::mutated;
#[cfg(feature = "mutants")]
pub use chosen::{choose, chosen};

#[cfg(feature = "mutants")]
mod chosen {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        /// Simulations run on threads of their own.
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Puts a bug back, on this thread only. `None` takes it out again.
    pub fn choose(mutant: Option<Mutant>) {
        CHOSEN.set(mutant);
    }

    /// The bug that is put back on this thread.
    pub fn chosen() -> Option<Mutant> {
        CHOSEN.get()
    }

    pub(crate) fn mutated(mutant: Mutant) -> bool {
        chosen() == Some(mutant)
    }
}
