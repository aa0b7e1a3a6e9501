//! A server's serial console, as somebody types at it. A session is of one person at one server; it lies with the agent
//! of the node where the server runs, and is over when nobody asks for it any more. All that is asked may be asked
//! again: what is typed and what is shown have positions.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use watari_model::VmName;

use super::Order;

/// The most that one message types, in bytes.
pub const MOST_TYPED: usize = 4 << 10;
/// The most that one answer shows, in bytes.
pub const MOST_SHOWN: usize = 32 << 10;
/// The most that is kept of what a server wrote before it came to a node, in bytes; escaped it is still a request.
pub const MOST_KEPT: usize = 32 << 10;
/// The longest name of a session, in bytes.
pub const LONGEST_SESSION: usize = 64;

/// Bytes of a terminal, or of a picture. In JSON they are a string of which each character, U+0000 to U+00FF, is one
/// byte, so that plain text can be read and typed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub Vec<u8>);

/// Why a string is not a terminal's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a character above U+00FF is no byte")]
pub struct NotBytes;

impl TryFrom<String> for Bytes {
    type Error = NotBytes;
    fn try_from(text: String) -> Result<Self, NotBytes> {
        let bytes = text.chars().map(|c| u8::try_from(c).map_err(|_| NotBytes));
        bytes.collect::<Result<Vec<u8>, NotBytes>>().map(Self)
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.0.into_iter().map(char::from).collect()
    }
}

/// Passwords are typed at consoles: no log shows them.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "each character, U+0000 to U+00FF, is one byte"})
    }
}

/// What is done at a console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConsoleAct {
    /// Begin the session. Refused while somebody else has one.
    Open {
        /// End whoever's session there is.
        #[serde(default)]
        take_over: bool,
    },
    /// Type something.
    Type {
        /// How many bytes this session has typed before. What of these is typed already is not typed twice.
        from: u64,
        /// What to type, at most [`MOST_TYPED`].
        bytes: Bytes,
    },
    /// Say what the server says, as soon as there is something, or nothing after a moment.
    Follow {
        /// How many bytes of this session have been seen.
        from: u64,
    },
    /// End the session.
    Close,
}

/// Do something at a server's console. It carries no [`Order`], though it changes something: nothing follows from it for where
/// a server may run, and what is typed has its session and its position, so that whoever has been succeeded types nothing
/// twice. Whether somebody may type is asked of the scheduler that leads, each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UseConsole {
    /// The server.
    pub vm: VmName,
    /// Its UUID: another server of the same name is not typed at.
    pub uuid: String,
    /// The session's name, drawn by who uses it: letters, digits and '-', at most [`LONGEST_SESSION`].
    pub session: String,
    /// Who uses it, for others that want to.
    pub by: String,
    /// What to do.
    pub act: ConsoleAct,
}

/// How a session stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsolePart {
    /// Where the output begins, in bytes since the session began. More than was asked for if what lies between is not
    /// kept any more.
    pub from: u64,
    /// What the server said.
    pub output: Bytes,
    /// How many bytes this session has typed. What is beyond has to be typed again.
    pub typed: u64,
}

/// Keep the end of what a server wrote to its console where it ran before, in place of what was kept so far: its log
/// begins anew on each node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepConsole {
    /// Who orders.
    pub order: Order,
    /// The server, which is here by now.
    pub vm: VmName,
    /// Its UUID: for another server of the same name nothing is kept.
    pub uuid: String,
    /// What it wrote; of more than [`MOST_KEPT`] bytes the last ones are kept.
    pub text: String,
}

/// What is kept of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleKept {
    /// How many bytes.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_json_and_plain_text_stays_readable() {
        let all = Bytes((0..=255).collect());
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Bytes>(&json).unwrap(), all);
        assert_eq!(serde_json::to_string(&Bytes(b"ls -l\r".to_vec())).unwrap(), r#""ls -l\r""#);
        assert!(serde_json::from_str::<Bytes>("\"\u{100}\"").is_err());
    }

    #[test]
    fn what_is_typed_is_in_no_log() {
        let act = ConsoleAct::Type { from: 0, bytes: Bytes(b"secret".to_vec()) };
        assert!(!format!("{act:?}").contains("secret"));
    }
}
