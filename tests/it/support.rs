//! What every scenario stands on: stand-ins for the services, the real binary, and ways to look at both.
//!
//! Nothing here knows a scenario, and nothing here reaches into the product: it is driven by its configuration,
//! its signals and its HTTP pages, as its users drive it.

pub mod aws;
pub mod browser;
pub mod certificates;
pub mod cluster;
pub mod daemon;
pub mod eks;
pub mod http;
pub mod kubernetes;
pub mod leak;
pub mod machine;
pub mod memory;
pub mod moto;
pub mod paging;
pub mod parameter_store;
pub mod pipe;
pub mod prometheus;
pub mod proxy;
pub mod readers;
pub mod real_prometheus;
pub mod relay;
pub mod secrets_manager;
pub mod serve;
pub mod sets;
pub mod status;
pub mod sts;
pub mod suite;
pub mod tracer;
pub mod wait;
