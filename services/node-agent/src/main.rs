//! Starts the node agent.

use std::process::ExitCode;

use watari_contracts::Service;

fn main() -> ExitCode {
    watari_node_agent::one_arena();
    watari_chassis::run(Service::NodeAgent, watari_node_agent::DEFAULTS, watari_node_agent::serve)
}
