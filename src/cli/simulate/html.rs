//! A simulation as one page that needs nothing from elsewhere.

use std::fmt::Write;

use super::text::{sentences, time, values};
use crate::simulate::story::{MomentKind, Sample, Simulation};

/// The picture, in pixels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 50.0;
const TICKS: u32 = 6;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2126; --dim: #66707a; --line: #d5dae0; --paper: #fff; --new: #0b7285; --old: #adb5bd; --good: #2b8a3e; --bad: #c92a2a; --wait: #b35c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --dim: #98a2ad; --line: #3a424b; --paper: #14181c; --new: #3bc9db; --old: #5c6670; --good: #69db7c; --bad: #ff8787; --wait: #ffa94d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .2rem 0; } .dim { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); } .wait { color: var(--wait); } .traffic { color: var(--new); }
svg { width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 11px; }
table { border-collapse: collapse; width: 100%; } td { padding: .15rem .6rem .15rem 0; vertical-align: top; border-bottom: 1px solid var(--line); } td:first-child { white-space: nowrap; text-align: right; color: var(--dim); }
";

/// The whole page.
pub(super) fn page(simulation: &Simulation) -> String {
    let title = format!(
        "{}: {} → {}",
        simulation.rollout, simulation.from, simulation.to
    );
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>{0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
        escaped(&title)
    );
    writeln!(
        page,
        "<p class=\"dim\">{}, scenario {}, {} requests/s; simulated by Tidegate {}</p>",
        simulation.strategy,
        simulation.scenario.name(),
        simulation.rps,
        env!("CARGO_PKG_VERSION"),
    )
    .ok();
    for (place, (kind, sentence)) in sentences(simulation).into_iter().enumerate() {
        let class = if place == 0 { class(kind) } else { "" };
        writeln!(page, "<p class=\"{class}\">{}</p>", escaped(&sentence)).ok();
    }
    let most = simulation
        .samples
        .iter()
        .map(|sample| sample.new.available.max(sample.old.available))
        .max()
        .unwrap_or(1)
        .max(1);
    let most_label = most.to_string();
    page += "<h2>Traffic on the new version</h2>\n";
    let share = |sample: &Sample| sample.share;
    page += &picture(simulation, "100 %", &[("new", true, &share)]);
    page += "<h2>Available pods: <span class=\"traffic\">new</span> and <span class=\"dim\">stable</span></h2>\n";
    let whole = f64::from(most);
    let old = |sample: &Sample| f64::from(sample.old.available) / whole;
    let new = |sample: &Sample| f64::from(sample.new.available) / whole;
    page += &picture(
        simulation,
        &most_label,
        &[("old", false, &old), ("new", false, &new)],
    );
    page += "<h2>Timeline</h2>\n<table>\n";
    for moment in &simulation.timeline {
        writeln!(
            page,
            "<tr><td>{}</td><td class=\"{}\">{}</td></tr>",
            time(moment.at),
            class(moment.kind),
            escaped(&moment.text)
        )
        .ok();
    }
    page += "</table>\n";
    if !simulation.analyses.is_empty() {
        page += "<h2>Analyses</h2>\n<table>\n";
        for analysis in &simulation.analyses {
            let metrics: Vec<String> = analysis
                .metrics
                .iter()
                .map(|metric| format!("{}: {}", metric.name, values(&metric.measurements)))
                .collect();
            writeln!(
                page,
                "<tr><td>{}</td><td>{} <b>{}</b><br>{}<br><span class=\"dim\">{}</span></td></tr>",
                time(analysis.from),
                escaped(&analysis.name),
                escaped(&analysis.phase),
                escaped(&metrics.join("; ")),
                escaped(&analysis.message)
            )
            .ok();
        }
        page += "</table>\n";
    }
    if !simulation.assumptions.is_empty() {
        page += "<h2>Assumed</h2>\n<ul>\n";
        for assumption in &simulation.assumptions {
            writeln!(page, "<li>{}</li>", escaped(assumption)).ok();
        }
        page += "</ul>\n";
    }
    page += "</body>\n</html>\n";
    page
}

const fn class(kind: MomentKind) -> &'static str {
    match kind {
        MomentKind::Good => "good",
        MomentKind::Bad => "bad",
        MomentKind::Person => "wait",
        MomentKind::Traffic => "traffic",
        MomentKind::Step | MomentKind::Pods | MomentKind::Analysis => "",
    }
}

/// A line to draw: its colour, whether it is filled, and the part of the whole.
type Line<'a> = (&'a str, bool, &'a dyn Fn(&Sample) -> f64);

fn picture(simulation: &Simulation, top: &str, lines: &[Line<'_>]) -> String {
    let end = (simulation.summary.ended_at * 1.03).max(1.0);
    let x = |at: f64| LEFT + (WIDTH - LEFT) * at / end;
    let y = |part: f64| 10.0 + (HEIGHT - 10.0) * (1.0 - part.clamp(0.0, 1.0));
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">\n",
        HEIGHT + 20.0
    );
    for (part, label) in [(0.0, "0"), (1.0, top)] {
        let at = y(part);
        writeln!(svg, "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"var(--line)\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            at + 4.0).ok();
    }
    for tick in 0..TICKS {
        let at = end * f64::from(tick) / f64::from(TICKS);
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x(at),
            HEIGHT + 16.0,
            time(at)
        )
        .ok();
    }
    for (colour, filled, part) in lines {
        let mut path = String::new();
        for (place, sample) in simulation.samples.iter().enumerate() {
            let level = y(part(sample));
            if place == 0 {
                write!(path, "M{:.1} {level:.1}", x(sample.at)).ok();
            } else {
                write!(path, "H{:.1}V{level:.1}", x(sample.at)).ok();
            }
        }
        write!(path, "H{WIDTH:.1}").ok();
        if *filled {
            write!(path, "V{:.1}H{LEFT}Z", y(0.0)).ok();
        }
        let fill = if *filled {
            format!("var(--{colour})")
        } else {
            "none".to_owned()
        };
        writeln!(svg, "<path d=\"{path}\" fill=\"{fill}\" fill-opacity=\".25\" stroke=\"var(--{colour})\" stroke-width=\"2\"/>").ok();
    }
    for moment in &simulation.timeline {
        let colour = match moment.kind {
            MomentKind::Good => "good",
            MomentKind::Bad => "bad",
            MomentKind::Person => "wait",
            MomentKind::Step | MomentKind::Traffic | MomentKind::Pods | MomentKind::Analysis => {
                continue;
            }
        };
        let at = x(moment.at);
        writeln!(svg, "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"10\" y2=\"{HEIGHT}\" stroke=\"var(--{colour})\" stroke-dasharray=\"3 3\"><title>{}</title></line>",
            escaped(&moment.text)).ok();
    }
    svg += "</svg>\n";
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_declared_becomes_part_of_the_page() {
        assert_eq!(escaped("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
