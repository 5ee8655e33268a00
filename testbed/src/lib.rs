//! A real control plane with a proxy and a Prometheus, in one network namespace, for tests and the demo.
//!
//! [`servers`] finds or builds the programs, [`namespace`] enters the namespace, [`testbed`] starts everything and
//! lets another process attach. What Tidegate itself does is *not* here: except for [`demo`] and [`mod@bench`], this
//! crate knows nothing of Rollouts.
#![forbid(unsafe_code)]

pub mod bench;
mod clock;
pub mod control_plane;
pub mod covers;
pub mod demo;
pub mod fault_proxy;
pub mod fields;
pub mod gateway_api;
pub mod guard;
mod installation;
pub mod kubeconfig;
pub mod kubelet;
pub mod load;
pub mod namespace;
pub mod permissions;
pub mod pki;
mod pods;
pub mod ports;
mod probe;
pub mod process;
pub mod progress;
pub mod prometheus;
pub mod servers;
pub mod state;
pub mod testbed;
pub mod traefik;

pub use covers::{covers, heard, refusals};
pub use servers::{Binaries, Program};
pub use state::State;
pub use testbed::{Options, Testbed};
