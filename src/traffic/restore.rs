//! Puts back what a Rollout that is gone has left on objects of others.
