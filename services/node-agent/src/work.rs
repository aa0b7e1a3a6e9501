//! An order as data: what the journal keeps and the actor carries out. Closed, so that a new
//! command does not compile before every place has an answer for it.

use serde::{Deserialize, Serialize};
use watari_contracts::agent::{
    Abort, Discard, Freeze, Grow, Order, Reboot, Receive, Release, Remove, Resume, RevertDisk, Send, Server, Start,
    Stop, Suspend, TakeSnapshot,
};
use watari_model::{MigrationId, VmName, admission::Ask};

/// Everything that can be ordered of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb", content = "order")]
#[allow(missing_docs, reason = "each is a command of the contracts, documented there")]
pub enum Work {
    Start(Start),
    Stop(Stop),
    Suspend(Suspend),
    Reboot(Reboot),
    Remove(Remove),
    Receive(Receive),
    Send(Send),
    Abort(Abort),
    Resume(Resume),
    Grow(Grow),
    Freeze(Freeze),
    TakeSnapshot(TakeSnapshot),
    RevertDisk(RevertDisk),
    Discard(Discard),
    Release(Release),
}

macro_rules! from_command {
    ($($command:ident)*) => {$(
        impl From<$command> for Work {
            fn from(order: $command) -> Self { Self::$command(order) }
        }
    )*};
}
from_command! { Start Stop Suspend Reboot Remove Receive Send Abort Resume Grow Freeze TakeSnapshot RevertDisk Discard Release }

impl Work {
    /// Who orders, and which order it is.
    #[must_use]
    pub fn order(&self) -> &Order {
        match self {
            Self::Start(o) => &o.order,
            Self::Stop(o) => &o.order,
            Self::Suspend(o) => &o.order,
            Self::Reboot(o) => &o.order,
            Self::Remove(o) => &o.order,
            Self::Receive(o) => &o.order,
            Self::Send(o) => &o.order,
            Self::Abort(o) => &o.order,
            Self::Resume(o) => &o.order,
            Self::Grow(o) => &o.order,
            Self::Freeze(o) => &o.order,
            Self::TakeSnapshot(o) => &o.order,
            Self::RevertDisk(o) => &o.order,
            Self::Discard(o) => &o.order,
            Self::Release(o) => &o.order,
        }
    }

    /// The server's name.
    #[must_use]
    pub fn vm(&self) -> &VmName {
        match self {
            Self::Start(o) => &o.server.name,
            Self::Stop(o) => &o.vm,
            Self::Suspend(o) => &o.vm,
            Self::Reboot(o) => &o.vm,
            Self::Remove(o) => &o.vm,
            Self::Receive(o) => &o.server.name,
            Self::Send(o) => &o.vm,
            Self::Abort(o) => &o.vm,
            Self::Resume(o) => &o.vm,
            Self::Grow(o) => &o.vm,
            Self::Freeze(o) => &o.vm,
            Self::TakeSnapshot(o) => &o.vm,
            Self::RevertDisk(o) => &o.vm,
            Self::Discard(o) => &o.vm,
            Self::Release(o) => &o.vm,
        }
    }

    /// The server's UUID, if the order says it.
    #[must_use]
    pub fn uuid(&self) -> Option<&str> {
        match self {
            Self::Start(o) => Some(&o.server.uuid),
            Self::Receive(o) => Some(&o.server.uuid),
            Self::Remove(o) => Some(&o.uuid),
            _ => None,
        }
    }

    /// What the server is made of, if the order says it.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        match self {
            Self::Start(o) => Some(&o.server),
            Self::Receive(o) => Some(&o.server),
            _ => None,
        }
    }

    /// The migration that it is about.
    #[must_use]
    pub fn migration(&self) -> Option<&MigrationId> {
        match self {
            Self::Receive(o) => Some(&o.migration),
            Self::Send(o) => Some(&o.migration),
            Self::Abort(o) => Some(&o.migration),
            Self::Discard(o) => Some(&o.migration),
            _ => None,
        }
    }

    /// Whether it is the end of a migration here, so that a late order must not begin it again.
    #[must_use]
    pub fn closes_migration(&self) -> Option<&MigrationId> {
        match self {
            Self::Abort(o) => Some(&o.migration),
            Self::Discard(o) => Some(&o.migration),
            _ => None,
        }
    }

    /// The word for it, in the journal and in refusals.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Stop(o) if o.force => "force off",
            Self::Stop(_) => "stop",
            Self::Suspend(_) => "suspend",
            Self::Reboot(_) => "reboot",
            Self::Remove(_) => "remove",
            Self::Receive(_) => "receive",
            Self::Send(_) => "send",
            Self::Abort(_) => "abort",
            Self::Resume(_) => "resume",
            Self::Grow(_) => "grow",
            Self::Freeze(_) => "freeze",
            Self::TakeSnapshot(_) => "snapshot",
            Self::RevertDisk(_) => "revert",
            Self::Discard(_) => "discard",
            Self::Release(_) => "release",
        }
    }

    /// What it asks of the grants; nothing for breaking off a migration, which is always allowed.
    #[must_use]
    pub fn ask(&self) -> Option<Ask<'_>> {
        Some(match self {
            Self::Start(o) => Ask::Run { grant: &o.grant, operation: &o.order.operation },
            Self::Resume(o) => Ask::Run { grant: &o.grant, operation: &o.order.operation },
            Self::Reboot(o) => Ask::Reboot(o.generation),
            Self::Stop(o) => Ask::Quit(o.generation),
            Self::Suspend(o) => Ask::Quit(o.generation),
            Self::Send(o) => Ask::Send(o.generation),
            Self::Grow(o) => Ask::Grow(o.generation),
            Self::Freeze(o) => Ask::Freeze(o.generation),
            Self::TakeSnapshot(o) => Ask::Keep(o.generation),
            Self::RevertDisk(o) => Ask::Keep(o.generation),
            Self::Receive(o) => Ask::Receive(o.generation),
            Self::Discard(o) => Ask::Discard(o.generation),
            Self::Remove(o) => Ask::Clear(o.generation),
            Self::Release(o) => Ask::Clear(o.generation),
            Self::Abort(_) => return None,
        })
    }
}
