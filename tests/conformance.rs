//! Requests as data (`conformance/*.yaml`) and what a real API server answered to them (`conformance/answers/*.json`): the
//! simulated one has to answer the same (`sim::conformance`), and so has the real one, today (`cluster::conformance`).
//!
//! Not here: either of the servers.

pub mod answers;
pub mod mask;
pub mod play;
pub mod script;
