//! What goes wrong in a run: which fault of the plan strikes, and which of them last.
//!
//! Not here: what a struck request, watch or process then does (`transport`, `watch`, `process`).

pub(super) mod deaths;
pub(super) mod draw;
pub(super) mod plan;

use std::{collections::BTreeMap, time::Duration};

use tidegate::sim::request::{self, ApiRequest};

use super::world::{Run, Shared};
use plan::{Cut, Fault, Moment, Request, Verb, What, When};

/// What the supervisor of the processes has to do.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// There is a controller from here on.
    Install,
    /// A process has died, and another one takes its place.
    Replace(u32),
    /// A second process acts until then.
    Second(Duration),
    /// The clock of the node jumps, by milliseconds.
    Step(i64),
}

/// What a watch meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watching {
    /// Nothing but its own lag, and this one more.
    Late(Duration),
    /// Nothing arrives until then.
    Held(Duration),
    Cut(Cut),
}

struct Armed {
    fault: Fault,
    /// Requests so far that match.
    seen: u32,
    struck: bool,
}

/// The plan, and how far it is.
#[derive(Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    /// From here on nothing goes wrong, and what lasted has ended.
    until: Duration,
    holds: BTreeMap<String, Duration>,
    lags: BTreeMap<String, Duration>,
    /// How often watches of a kind were cut, and how the last time.
    cuts: BTreeMap<String, (u32, Cut)>,
    /// By process: nothing arrives from it or at it until then.
    frozen: BTreeMap<u32, Duration>,
    /// How often anything has struck.
    pub(super) strikes: usize,
    pub(super) orders: Vec<Order>,
    /// The clock's error on the controller's node, in milliseconds.
    pub(super) skew: i64,
}

impl Faults {
    pub(super) fn new(plan: Vec<Fault>, until: Duration) -> Self {
        let armed = plan.into_iter().map(|fault| Armed {
            fault,
            seen: 0,
            struck: false,
        });
        Self {
            armed: armed.collect(),
            until,
            ..Self::default()
        }
    }

    /// How far from ours the clock of the controller's node can come to be.
    pub(super) fn most_skew(&self) -> Duration {
        let steps = self.armed.iter().map(|armed| match armed.fault.what {
            What::Step { by } => by.unsigned_abs(),
            _ => 0,
        });
        Duration::from_millis(steps.sum())
    }

    /// When everything has ended.
    pub(super) fn until(&self) -> Duration {
        self.until
    }

    /// The next time at which a fault is to strike by the clock.
    fn next_at(&self) -> Option<Duration> {
        let waiting = self
            .armed
            .iter()
            .filter(|armed| !armed.struck && !armed.fault.what.strikes_a_request());
        waiting
            .filter_map(|armed| match armed.fault.when {
                When::At(at) => Some(Duration::from_millis(at)),
                When::Request(_) => None,
            })
            .filter(|at| *at < self.until)
            .min()
    }

    /// What this request of `process` meets; what strikes the process or the server strikes now.
    fn struck(&mut self, request: &ApiRequest, now: Duration) -> Vec<(What, String)> {
        if now >= self.until {
            return Vec::new();
        }
        let mut found = Vec::new();
        for armed in self.armed.iter_mut().filter(|armed| !armed.struck) {
            let strikes = match &armed.fault.when {
                When::At(at) => {
                    armed.fault.what.strikes_a_request()
                        && deaths::counts(request)
                        && now >= Duration::from_millis(*at)
                }
                When::Request(wanted) => {
                    let matches = matches(wanted, request);
                    armed.seen += u32::from(matches);
                    matches && armed.seen == wanted.n
                }
            };
            if strikes {
                armed.struck = true;
                self.strikes += 1;
                found.push((armed.fault.what.clone(), armed.fault.to_string()));
            }
        }
        found
    }

    /// What is not about one request.
    fn happen(&mut self, what: &What, process: u32, now: Duration) -> bool {
        let end = |by: &u64, until: Duration| (now + Duration::from_millis(*by)).min(until);
        match what {
            What::Hold { kind, by } => {
                self.holds.insert(kind.clone(), end(by, self.until));
            }
            What::Cut { kind, how } => {
                self.cuts.entry(kind.clone()).or_insert((0, *how)).0 += 1;
                if let Some(cut) = self.cuts.get_mut(kind) {
                    cut.1 = *how;
                }
            }
            What::Lag { kind, by } => {
                self.lags.insert(kind.clone(), Duration::from_millis(*by));
            }
            What::Step { by } => {
                self.skew += by;
                self.orders.push(Order::Step(*by));
            }
            What::Freeze { by } => {
                self.frozen.insert(process, end(by, self.until));
            }
            What::Second { by } => self.orders.push(Order::Second(end(by, self.until))),
            What::Compact => return true,
            What::Crash(_)
            | What::Break(_)
            | What::Duplicate { .. }
            | What::Delay { .. }
            | What::Refuse { .. } => {}
        }
        false
    }

    /// Until when nothing arrives from the process or at it.
    pub(super) fn frozen(&self, process: u32, now: Duration) -> Option<Duration> {
        self.frozen.get(&process).copied().filter(|end| *end > now)
    }

    /// How often watches of the kind have been cut.
    pub(super) fn cuts(&self, kind: &str) -> u32 {
        self.cuts.get(kind).map_or(0, |(count, _)| *count)
    }

    /// What a watch of the kind meets that has been cut so often before it began.
    pub(super) fn watching(&self, kind: &str, process: u32, cuts: u32, now: Duration) -> Watching {
        if let Some(end) = self.frozen(process, now) {
            return Watching::Held(end);
        }
        if let Some(end) = self.holds.get(kind).copied().filter(|end| *end > now) {
            return Watching::Held(end);
        }
        match self.cuts.get(kind) {
            Some((count, how)) if *count > cuts => Watching::Cut(*how),
            _ if now < self.until => {
                Watching::Late(self.lags.get(kind).copied().unwrap_or_default())
            }
            _ => Watching::Late(Duration::ZERO),
        }
    }
}

fn matches(wanted: &Request, request: &ApiRequest) -> bool {
    let verb = match &request.verb {
        request::Verb::Get => Verb::Get,
        request::Verb::List(_) => Verb::List,
        request::Verb::Watch(_) => Verb::Watch,
        request::Verb::Create(_) => Verb::Create,
        request::Verb::Replace(_) => Verb::Update,
        request::Verb::Patch(..) => Verb::Patch,
        request::Verb::Delete(_) => Verb::Delete,
    };
    let plural = request.resource.plural;
    let of_kind = match &wanted.kind {
        Some(kind) => kind == plural,
        // Events are lossy by nature, and the lease is renewed all the time.
        None => !matches!(plural, "events" | "leases"),
    };
    of_kind
        && wanted.verb.map_or(verb.mutates(), |wanted| wanted == verb)
        && wanted
            .name
            .as_ref()
            .is_none_or(|name| *name == request.name)
}

/// What the request of `process` meets, if anything. The rest of what strikes now has struck when this returns.
pub(super) fn meet(shared: &Shared, process: u32, request: &ApiRequest) -> Option<What> {
    let mut run = shared.lock();
    if run.faults.armed.is_empty() {
        return None;
    }
    let now = run.now();
    let mut met = None;
    for (what, told) in run.faults.struck(request, now) {
        run.note(format_args!("## {told}"));
        if what.strikes_a_request() {
            met = Some(what);
        } else {
            happen(&mut run, shared, &what, process);
        }
    }
    met
}

fn happen(run: &mut Run, shared: &Shared, what: &What, process: u32) {
    let now = run.now();
    if run.faults.happen(what, process, now) {
        let version = run.world.store.version();
        run.world.store.compact(version);
    }
    // Watches look again, and the supervisor.
    shared.signals.committed.send_modify(|_| {});
    shared.signals.orders.notify_one();
}

/// Has the faults strike that are due by the clock, when they are due, for ever.
pub(super) async fn live(shared: Shared) {
    loop {
        let (next, now) = {
            let run = shared.lock();
            (run.faults.next_at(), run.now())
        };
        let Some(at) = next else {
            return std::future::pending().await;
        };
        tokio::time::sleep(at.saturating_sub(now)).await;
        let mut run = shared.lock();
        let now = run.now();
        let mut due = Vec::new();
        for armed in &mut run.faults.armed {
            let by_clock =
                matches!(armed.fault.when, When::At(at) if Duration::from_millis(at) <= now);
            if by_clock && !armed.struck && !armed.fault.what.strikes_a_request() {
                armed.struck = true;
                due.push(armed.fault.clone());
            }
        }
        for fault in due {
            run.faults.strikes += 1;
            run.note(format_args!("## {fault}"));
            happen(&mut run, &shared, &fault.what, 0);
        }
    }
}

/// The code, the reason and the words of a refusal.
pub(super) fn refusal(code: u16) -> (&'static str, &'static str) {
    match code {
        409 => (
            "Conflict",
            "the object has been modified; please apply your changes to the latest version and try again",
        ),
        410 => ("Expired", "the resourceVersion is too old"),
        429 => (
            "TooManyRequests",
            "too many requests, please try again later",
        ),
        503 => (
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        504 => (
            "Timeout",
            "the server was unable to return a response in time",
        ),
        _ => ("InternalError", "an error on the server"),
    }
}

/// Notes that the process dies here. Nothing that it sends from now on arrives.
pub(super) fn die(shared: &Shared, process: u32, moment: Moment) {
    let mut run = shared.lock();
    run.note(format_args!("## dies {moment:?}"));
    run.faults.orders.push(Order::Replace(process));
    drop(run);
    shared.signals.orders.notify_one();
}
