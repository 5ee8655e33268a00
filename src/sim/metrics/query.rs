//! What queries ask for: `error_ratio{revision="6f9c"}[1m]`. The revision is a pod template hash; without it all of them
//! count. The window is one minute, where none is given.

use std::time::Duration;

use crate::api::duration;

/// The window where none is given.
const WINDOW: Duration = Duration::from_mins(1);

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// What is asked for.
    pub what: What,
    /// Of which revision: of all of them, if it is `None`.
    pub revision: Option<String>,
    /// Over what time.
    pub window: Duration,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `error_ratio`: the share of requests that were answered with an error, 0 to 1.
    ErrorRatio,
    /// `success_ratio`: the share of the others.
    SuccessRatio,
    /// `requests`: how many there were.
    Requests,
    /// `errors`: how many of them were answered with an error.
    Errors,
    /// `request_rate`: requests per second.
    Rate,
    /// `latency`: the mean time of an answer, in seconds.
    Latency,
}

/// Reads a query; `None` for any other.
pub fn parse(query: &str) -> Option<Ask> {
    let query = query.trim();
    let end = query.find(['{', '[']).unwrap_or(query.len());
    let (name, rest) = query.split_at(end);
    let what = match name.trim() {
        "error_ratio" => What::ErrorRatio,
        "success_ratio" => What::SuccessRatio,
        "requests" => What::Requests,
        "errors" => What::Errors,
        "request_rate" => What::Rate,
        "latency" => What::Latency,
        _ => return None,
    };
    let (revision, rest) = match rest.strip_prefix('{') {
        None => (None, rest),
        Some(rest) => {
            let (labels, rest) = rest.split_once('}')?;
            let value = labels.trim().strip_prefix("revision=\"")?;
            (Some(value.strip_suffix('"')?.to_owned()), rest)
        }
    };
    let window = match rest.trim() {
        "" => WINDOW,
        rest => duration::parse(rest.strip_prefix('[')?.strip_suffix(']')?).ok()?,
    };
    Some(Ask {
        what,
        revision,
        window,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_say_what_of_whom_and_over_what_time() {
        let ask = |what, revision: Option<&str>, seconds| {
            Some(Ask {
                what,
                revision: revision.map(str::to_owned),
                window: Duration::from_secs(seconds),
            })
        };
        for (query, expected) in [
            ("error_ratio", ask(What::ErrorRatio, None, 60)),
            (
                " success_ratio{revision=\"6f9c\"}[5m] ",
                ask(What::SuccessRatio, Some("6f9c"), 300),
            ),
            ("requests[30s]", ask(What::Requests, None, 30)),
            (
                "request_rate{revision=\"a\"}",
                ask(What::Rate, Some("a"), 60),
            ),
            ("errors", ask(What::Errors, None, 60)),
            ("latency[1h]", ask(What::Latency, None, 3_600)),
            ("sum(rate(http_requests_total[5m]))", None),
            ("error_ratio{pod=\"a\"}", None),
            ("error_ratio[5 minutes]", None),
            ("", None),
        ] {
            assert_eq!(parse(query), expected, "{query}");
        }
    }
}
