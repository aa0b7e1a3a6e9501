//! A server's serial console, as people ask for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{NodeName, VmName};

use crate::agent::{ConsoleAct, ConsolePart};

/// Do something at a running server's serial console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmConsole {
    /// The server.
    pub name: VmName,
    /// The session's name, drawn by who uses it: letters, digits and '-', at most 64. Nobody else is to know it.
    pub session: String,
    /// What to do.
    pub act: ConsoleAct,
    /// Whether what is opened is a session that broke off when its server moved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// A session at a server's console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleView {
    /// The server.
    pub name: VmName,
    /// The node where it runs. On another one than before the session has to be opened again.
    pub node: NodeName,
    /// How the session stands.
    pub part: ConsolePart,
}
