//! Fetching values from metric servers. What a value means is [`super::judge`]'s concern.

pub mod prometheus;
