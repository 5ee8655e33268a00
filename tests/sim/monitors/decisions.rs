//! D: a bad version does not get through, and a good one is not held up.

mod abort_wins;
mod dry_run;
mod evidence;
mod heeded;
mod latched;
mod never_pass;
mod not_broken_off;
mod not_retried;
mod proof;
mod samples;
mod starts_anew;
mod withheld;
mod without_checks;

use super::{Monitor, per_release::each};
pub(super) use proof::is_let_go;

pub(super) fn all() -> Vec<Box<dyn Monitor>> {
    vec![
        each::<proof::Proof>(),
        Box::new(never_pass::NeverPass),
        each::<latched::Latched>(),
        each::<heeded::Heeded>(),
        each::<starts_anew::StartsAnew>(),
        each::<evidence::Evidence>(),
        Box::new(dry_run::DryRun),
        each::<not_broken_off::NotBrokenOff>(),
        Box::new(withheld::Withheld::default()),
        Box::new(without_checks::WithoutChecks),
        each::<abort_wins::AbortWins>(),
        Box::new(samples::Samples),
        each::<not_retried::NotRetried>(),
    ]
}
