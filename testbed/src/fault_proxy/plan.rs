//! Which write is cut, and the log of writes. Pure; `forward` does the cutting.

use http::Method;

/// When the client's connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The API server never sees the write.
    Before,
    /// The API server has answered; the client never hears it.
    AfterCommit,
}

/// What follows a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Every connection is cut and none is served until `heal`.
    StayDown,
    /// Only this connection is cut.
    GoOn,
}

/// A counted write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteRecord {
    /// Its number, from 1, since the proxy started.
    pub n: usize,
    /// POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The API server's answer; `None` if it gave none, or never saw the write.
    pub status: Option<u16>,
    /// Whether the client's connection was cut at this write.
    pub cut: Option<Cut>,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Forward(usize),
    CutNow(Then),
}

/// The writes so far and the cut that is to come.
#[derive(Debug, Default)]
pub(super) struct Plan {
    armed: Option<(usize, Cut, Then)>,
    pub(super) log: Vec<WriteRecord>,
}

impl Plan {
    /// Cuts at the `nth` write from now; 1 is the next.
    pub(super) fn arm(&mut self, nth: usize, cut: Cut, then: Then) {
        self.armed = Some((self.log.len() + nth.max(1), cut, then));
    }

    /// A write has arrived.
    pub(super) fn arrive(&mut self, method: Method, path: String) -> Verdict {
        let n = self.log.len() + 1;
        let cut = self
            .armed
            .take_if(|armed| armed.0 == n && armed.1 == Cut::Before);
        self.log.push(WriteRecord {
            n,
            method,
            path,
            status: None,
            cut: cut.map(|_| Cut::Before),
        });
        match cut {
            Some((_, _, then)) => Verdict::CutNow(then),
            None => Verdict::Forward(n),
        }
    }

    /// The API server has answered write `n`: whether the client must not hear it.
    pub(super) fn answer(&mut self, n: usize, status: u16) -> Option<Then> {
        let cut = self
            .armed
            .take_if(|armed| armed.0 == n && armed.1 == Cut::AfterCommit);
        if let Some(record) = self.log.get_mut(n - 1) {
            record.status = Some(status);
            record.cut = cut.map(|_| Cut::AfterCommit);
        }
        cut.map(|(_, _, then)| then)
    }
}

/// Whether a method writes.
pub(super) fn is_write(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(plan: &mut Plan) -> Verdict {
        plan.arrive(Method::PATCH, "/a".to_owned())
    }

    #[test]
    fn a_cut_before_hits_its_write_once() {
        let mut plan = Plan::default();
        write(&mut plan);
        plan.arm(2, Cut::Before, Then::StayDown);
        let verdicts = [0; 3].map(|_| write(&mut plan));
        assert_eq!(
            verdicts,
            [
                Verdict::Forward(2),
                Verdict::CutNow(Then::StayDown),
                Verdict::Forward(4)
            ]
        );
    }

    #[test]
    fn a_cut_after_commit_waits_for_the_answer_of_its_write() {
        let mut plan = Plan::default();
        plan.arm(1, Cut::AfterCommit, Then::GoOn);
        assert_eq!(
            [0; 2].map(|_| write(&mut plan)),
            [Verdict::Forward(1), Verdict::Forward(2)]
        );
        assert_eq!(
            [plan.answer(2, 200), plan.answer(1, 201)],
            [None, Some(Then::GoOn)]
        );
        let kept = plan
            .log
            .iter()
            .map(|record| (record.n, record.status, record.cut))
            .collect::<Vec<_>>();
        assert_eq!(
            kept,
            [(1, Some(201), Some(Cut::AfterCommit)), (2, Some(200), None)]
        );
    }

    #[test]
    fn only_changes_are_writes() {
        let writes = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::HEAD,
        ]
        .map(|method| is_write(&method));
        assert_eq!(writes, [false, true, true, true, true, false]);
    }
}
