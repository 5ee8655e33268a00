//! The figures: what was measured, beside what others need and what is aimed at. Pure.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use super::{
    fleet::Fleet,
    memory::{Crowd, Empty},
    reaction::Reactions,
    rest::Rest,
    thousands::Thousands,
    timings::Decisions,
    writes::Writes,
};

/// The columns.
pub(super) const HEADERS: [&str; 5] = ["Work", "Argo Rollouts", "Aim", "Tidegate", ""];

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    work: &'static str,
    /// The same work by Argo Rollouts in the same set-up, where it was measured.
    peer: &'static str,
    aim: &'static str,
    measured: String,
    met: bool,
}

impl Figure {
    pub(super) fn writes(writes: &Writes) -> Self {
        let Writes {
            all,
            conflicts,
            without_effect,
            ..
        } = writes;
        Self {
            work: "canary of 5 setWeight + pause pairs, 5 replicas, two Services, nginx Ingress: object writes from the change \
                   of the image to old pods gone, Events not counted",
            peer: "54",
            aim: "≤ 30, none without effect, no conflict",
            measured: format!("{all}, {without_effect} without effect, {conflicts} conflicts"),
            met: *all <= 30 && *conflicts == 0 && *without_effect == 0,
        }
    }

    pub(super) fn rest(rest: &Rest) -> Self {
        let requests = u32::try_from(rest.requests).unwrap_or(u32::MAX);
        let minutes = u32::try_from(rest.minutes).unwrap_or(u32::MAX);
        let per_minute = f64::from(requests) / f64::from(minutes);
        Self {
            work: "requests per minute at rest with 100 Rollouts, besides renewals of leases and watches",
            peer: "3",
            aim: "0",
            measured: format!("{per_minute}"),
            met: rest.requests == 0,
        }
    }

    pub(super) fn memory(empty: &Empty, crowd: &Crowd) -> Self {
        let few = empty.mib;
        Self {
            work: "resident MiB with 0 / 1,000 Rollouts at rest (1 replica each)",
            peer: "88 / 149",
            aim: "≤ 20 / ≤ 35",
            measured: format!(
                "{few:.1} / {:.1} ({:.1} after a restart)",
                crowd.mib, crowd.restarted
            ),
            met: few <= 20.0 && crowd.mib <= 35.0 && crowd.restarted <= 35.0,
        }
    }

    pub(super) fn reaction(reactions: &Reactions) -> Self {
        Self {
            work: "time from the deciding measurement to weight 0 at the proxy: the longest of several, by requests counted",
            peer: "–",
            aim: "≤ 1 s",
            measured: format!("{} ms", reactions.longest()),
            met: reactions.longest() <= 1_000 && !reactions.times.is_empty(),
        }
    }

    pub(super) fn decide(decisions: &Decisions) -> Self {
        let per_second = decisions.per_second();
        Self {
            work: "`decide` for a 10-step canary: decisions per second and core",
            peer: "–",
            aim: "≥ 100,000",
            measured: format!("{per_second:.0}"),
            met: per_second >= 100_000.0,
        }
    }

    pub(super) fn fleet(fleet: &Fleet) -> Vec<Self> {
        let Fleet {
            wall,
            machine_cpu,
            controller_cpu,
            writes,
            peak_mib,
            ..
        } = fleet;
        vec![
            Self {
                work: "300 canaries at once (2 replicas; setWeight 20, pause 2 s, 50, pause 2 s, 80; no router), from the change \
                       of the image to all Healthy: seconds · processor seconds of the whole machine",
                peer: "126 · 51 (– · 101 with limits raised)",
                aim: "≤ 32 · ≤ 65",
                measured: format!("{wall:.1} · {machine_cpu:.1}"),
                met: *wall <= 32.0 && *machine_cpu <= 65.0,
            },
            Self {
                work: "the same: processor seconds of the controller · object writes per canary · peak MiB",
                peer: "19 · 21 · 129 (14 · 21 · 142 with limits raised)",
                aim: "≤ 4 · ≤ 12 · ≤ 60",
                measured: format!("{controller_cpu:.1} · {writes:.1} · {peak_mib:.1}"),
                met: *controller_cpu <= 4.0 && *writes <= 12.0 && *peak_mib <= 60.0,
            },
        ]
    }

    pub(super) fn thousands(thousands: &Thousands) -> Vec<Self> {
        let Thousands {
            mib,
            requests,
            quiet,
            cpu,
            peak_mib,
            writes,
        } = thousands;
        vec![
            Self {
                work: "5,000 Rollouts (1 replica) at rest: resident MiB · requests besides renewals of leases and watches",
                peer: "270 · 3 per minute",
                aim: "≤ 100 · 0",
                measured: format!("{mib:.1} · {requests}"),
                met: *mib <= 100.0 && *requests == 0,
            },
            Self {
                work: "5,000: from the start of the controller to quiet, seconds · processor seconds · peak MiB · writes and Events",
                peer: "38 · 11 · 605 · 1,206",
                aim: "≤ 4 · ≤ 2 · ≤ 140 · 0",
                measured: format!("{quiet:.1} · {cpu:.1} · {peak_mib:.1} · {writes}"),
                met: *quiet <= 4.0 && *cpu <= 2.0 && *peak_mib <= 140.0 && *writes == 0,
            },
        ]
    }

    fn cells(&self) -> [String; 5] {
        let met = if self.met { "met" } else { "missed" };
        [self.work, self.peer, self.aim, &self.measured, met].map(str::to_owned)
    }
}

/// For a terminal.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(comfy_table::ContentArrangement::Dynamic)
        .set_width(120)
        .set_header(HEADERS);
    for figure in figures {
        table.add_row(figure.cells());
    }
    table.to_string()
}

/// For a page.
pub(super) fn markdown(figures: &[Figure]) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = row(&HEADERS.map(str::to_owned));
    text.push_str("|---|---|---|---|---|\n");
    for figure in figures {
        text.push_str(&row(&figure.cells()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reactions(milliseconds: &[u64]) -> Reactions {
        Reactions {
            times: milliseconds
                .iter()
                .copied()
                .map(Duration::from_millis)
                .collect(),
            lost: 0,
        }
    }

    #[test]
    fn the_longest_reaction_decides() {
        assert!(Figure::reaction(&reactions(&[200, 1_000])).met);
        assert!(!Figure::reaction(&reactions(&[200, 1_001])).met);
        assert!(!Figure::reaction(&reactions(&[])).met);
    }

    #[test]
    fn memory_is_met_with_few_and_with_many_or_not_at_all() {
        let of = |empty, mib, restarted| {
            let crowd = Crowd {
                mib,
                restarted,
                restarts: 0,
            };
            Figure::memory(&Empty { mib: empty }, &crowd).met
        };
        assert!(of(20.0, 35.0, 35.0));
        for (empty, mib, restarted) in [(20.1, 35.0, 35.0), (20.0, 35.1, 35.0), (20.0, 35.0, 35.1)]
        {
            assert!(!of(empty, mib, restarted));
        }
    }

    #[test]
    fn a_page_has_one_line_per_figure() {
        let text = markdown(&[Figure::reaction(&reactions(&[250]))]);
        let last = text.lines().last().unwrap();
        assert!(last.ends_with("| – | ≤ 1 s | 250 ms | met |"), "{last}");
        assert_eq!(text.lines().count(), 3);
    }
}
