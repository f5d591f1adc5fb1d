//! flow-shim runs any open-source Airbyte source or Singer tap behind Estuary Flow's capture protocol.

pub mod capture;
pub mod env;
pub mod failure;
pub mod flow;
pub mod log;
pub mod shim;
