//! What can go wrong in a command, and the exit code that says so.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    api::{crds::CrdError, request::Verb},
    runtime::client::ClientError,
    simulate::SimulateError,
};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The definitions could not be made.
    #[error(transparent)]
    Crd(#[from] CrdError),
    /// A file or folder could not be written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard output is closed or full.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// There is no usable cluster.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An object could not be written as YAML.
    #[error("cannot write it as YAML: {0}")]
    Yaml(#[source] serde_saphyr::ser::Error),
    /// Nothing can be simulated.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// The API server could not be asked.
    #[error("cannot {doing}: {source}")]
    Api {
        /// What was tried.
        doing: String,
        /// What the client or server said.
        source: Box<kube::Error>,
    },
    /// There is no such Rollout.
    #[error(
        "Rollout {namespace}/{name} does not exist; list them with `tidegate get -n {namespace}`, or name another namespace with -n"
    )]
    NotFound {
        /// Where it was looked for.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The object cannot be read by this version.
    #[error("Rollout {name} cannot be read: {source}; is this tidegate older than the controller?")]
    Unreadable {
        /// Its name.
        name: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// An abort was asked for and is not handled yet.
    #[error(
        "Rollout {name} has an abort that is not handled yet{by}; a {verb} does not overwrite it. Wait until it is handled, then retry"
    )]
    AbortPending {
        /// Its name.
        name: String,
        /// Who asked, if that is known.
        by: String,
        /// What was asked now.
        verb: &'static str,
    },
    /// The Rollout is not any more what the person saw.
    #[error(
        "Rollout {name} moved on while this was asked (it was at {seen}, now at {now}); look at it with `tidegate get {name}` and ask again"
    )]
    MovedOn {
        /// Its name.
        name: String,
        /// Revision and step at first.
        seen: String,
        /// Revision and step now.
        now: String,
    },
    /// Somebody else kept writing.
    #[error(
        "Rollout {name} was changed by others {attempts} times while this was tried; try again"
    )]
    Contended {
        /// Its name.
        name: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The controller said no.
    #[error("{} of Rollout {name} was refused: {message}", verb.name())]
    Refused {
        /// Its name.
        name: String,
        /// What was asked.
        verb: Verb,
        /// The controller's words.
        message: String,
    },
    /// The controller did not answer.
    #[error(
        "no answer to the {} of Rollout {name} within {}; is the controller running? The request stays on the Rollout and is handled when it is",
        verb.name(), crate::cli::time::short(*waited)
    )]
    Unanswered {
        /// Its name.
        name: String,
        /// What was asked.
        verb: Verb,
        /// How long was waited.
        waited: Duration,
    },
    /// Another request came before the controller answered this one.
    #[error("{} of Rollout {name} was replaced by another request before the controller answered it", verb.name())]
    Replaced {
        /// Its name.
        name: String,
        /// What was asked.
        verb: Verb,
    },
    /// The Rollout has no container of that name.
    #[error("Rollout {name} has no container {container}; it has {known}")]
    NoContainer {
        /// Its name.
        name: String,
        /// The container asked for.
        container: String,
        /// Those it has.
        known: String,
    },
    /// The pod template is not in the Rollout.
    #[error("Rollout {0} takes its pod template from spec.workloadRef; change it there")]
    NoTemplate(String),
    /// There is no such revision.
    #[error("Rollout {name} has {wanted}; it has {known}")]
    NoRevision {
        /// Its name.
        name: String,
        /// What was asked for.
        wanted: String,
        /// Those it has.
        known: String,
    },
    /// The revision is the present one.
    #[error("Rollout {name} is at revision {revision} already: spec.template is as it was then")]
    PresentRevision {
        /// Its name.
        name: String,
        /// The revision.
        revision: i64,
    },
    /// The Rollout is degraded.
    #[error("Rollout {name} is Degraded: {message}")]
    Degraded {
        /// Its name.
        name: String,
        /// Why.
        message: String,
    },
    /// The Rollout is not where it should be yet.
    #[error("Rollout {name} is {state}, not Healthy{after}")]
    NotHealthy {
        /// Its name.
        name: String,
        /// Phase and message.
        state: String,
        /// How long was waited, in words.
        after: String,
    },
    /// The controller ended.
    #[error(transparent)]
    Controller(#[from] crate::controller::ControllerError),
}

impl CliError {
    /// The exit code: 1 failed, refused or Degraded; 3 not there yet. (2 is wrong usage.)
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotHealthy { .. } | Self::Unanswered { .. } => 3,
            Self::Crd(_)
            | Self::File { .. }
            | Self::Output(_)
            | Self::Client(_)
            | Self::Yaml(_)
            | Self::Simulate(_)
            | Self::Api { .. }
            | Self::NotFound { .. }
            | Self::Unreadable { .. }
            | Self::AbortPending { .. }
            | Self::MovedOn { .. }
            | Self::Contended { .. }
            | Self::Refused { .. }
            | Self::Replaced { .. }
            | Self::NoContainer { .. }
            | Self::NoTemplate(_)
            | Self::NoRevision { .. }
            | Self::PresentRevision { .. }
            | Self::Degraded { .. }
            | Self::Controller(_) => 1,
        }
    }

    /// For `map_err` on a request to the API server.
    pub(super) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api {
            doing: doing.into(),
            source: Box::new(source),
        }
    }
}
