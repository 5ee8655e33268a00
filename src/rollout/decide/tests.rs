//! Tables over `decide`.
