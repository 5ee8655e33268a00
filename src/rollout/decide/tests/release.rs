//! Releases from their beginning to their end.
