//! .

pub mod hypervisor;
