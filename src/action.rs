//! What has to run when something was written (design 7.3).

pub mod queue;
