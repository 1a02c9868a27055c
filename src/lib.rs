//! `secretsyncd` keeps copies of secrets fresh.

pub mod assemble;
pub mod aws;
pub mod clock;
pub mod command;
pub mod config;
pub mod decide;
pub mod failure;
pub mod kube;
pub mod names;
pub mod report;
pub mod schedule;
pub mod secret;
pub mod state;
pub mod store;
pub mod target;
