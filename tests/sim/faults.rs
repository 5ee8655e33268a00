//! Which write the controller dies at, and the list of its writes.

use super::request::ApiRequest;

/// When the controller dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// The server never sees the write.
    Before(usize),
    /// The server has carried it out, and the answer never arrives.
    After(usize),
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is served.
    Served,
    /// The controller dies, and the server never sees it.
    Lost,
    /// The server carries it out, and the controller dies.
    Unanswered,
}

/// Numbers the writes of the controller; Events and the lease do not count.
#[derive(Debug, Default)]
pub(super) struct Faults {
    crash: Option<Crash>,
    /// The writes so far: who, what, with which body.
    pub(super) writes: Vec<String>,
    /// Incarnations of the controller before this one are dead: nothing of theirs reaches the server.
    pub(super) incarnation: u32,
}

impl Faults {
    pub(super) fn none() -> Self {
        Self::default()
    }

    pub(super) fn crash(crash: Crash) -> Self {
        Self {
            crash: Some(crash),
            ..Self::default()
        }
    }

    /// The fate of this request.
    pub(super) fn meet(&mut self, request: &ApiRequest) -> Fate {
        if !request.mutates() || matches!(request.resource.plural, "events" | "leases") {
            return Fate::Served;
        }
        self.writes.push(request.shown.clone());
        let number = self.writes.len();
        match self.crash {
            Some(Crash::Before(at)) if at == number => Fate::Lost,
            Some(Crash::After(at)) if at == number => Fate::Unanswered,
            Some(Crash::Before(_) | Crash::After(_)) | None => Fate::Served,
        }
    }
}
