//! Why nothing can be simulated.

use std::time::Duration;

/// Why nothing can be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A file is no YAML.
    #[error("{file}: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no Rollout, or more than one.
    #[error("there are {0} Rollouts in the files; give exactly one")]
    NotOneRollout(usize),
    /// The cluster would refuse an object.
    #[error("the API server would refuse {kind} {name}: {message}")]
    Refused {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the server says.
        message: String,
    },
    /// The controller would refuse the Rollout.
    #[error("Rollout {name}: InvalidSpec: {message}")]
    Invalid {
        /// Its name.
        name: String,
        /// What its condition says.
        message: String,
    },
    /// The Rollout names something that cannot be made up.
    #[error("Rollout {name} needs {what}, which is in none of the files; give it with -f")]
    Missing {
        /// The Rollout.
        name: String,
        /// What is missing.
        what: String,
    },
    /// The version before the new one does not come up.
    #[error("the first deploy of Rollout {name} is not Healthy after {waited:?}: {why}")]
    NotDeployed {
        /// The Rollout.
        name: String,
        /// How long it was waited for, in simulated time.
        waited: Duration,
        /// What it waits for.
        why: String,
    },
    /// There is no container of that name, or no container at all.
    #[error("--image {0}: the pod template has no such container")]
    NoContainer(String),
    /// The pod template is what it was.
    #[error("--image {0}: it is the image that the Rollout has; nothing would happen")]
    SameImage(String),
    /// The simulation has found a fault in itself.
    #[error(
        "the simulated cluster refused {what}: {message}. This is a bug; please report it with the files"
    )]
    Internal {
        /// What was done.
        what: String,
        /// How it was refused.
        message: String,
    },
}
