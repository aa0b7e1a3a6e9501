//! Whether the process can do its work, as `/ready` tells.

use tokio::sync::watch;

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is connecting and listing.
    Starting,
    /// It could lead, but another instance does.
    Standby,
    /// It leads.
    Primary,
    /// It answers; its kind of service has no leader.
    Serving,
    /// It finishes what is in hand and takes no more.
    Draining,
}

impl Readiness {
    /// The word in the body of `/ready`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Primary => "primary",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

/// Holds the process's [`Readiness`]. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Ready(watch::Sender<Readiness>);

impl Ready {
    pub(crate) fn starting() -> Self {
        Self(watch::Sender::new(Readiness::Starting))
    }

    /// Says how far the process is. The serve loop of [`crate::Server`] does this by itself.
    pub fn set(&self, readiness: Readiness) {
        let changed = self.0.send_if_modified(|now| std::mem::replace(now, readiness) != readiness);
        if changed {
            tracing::info!(state = readiness.word(), "readiness changed");
        }
    }

    /// How far the process is.
    #[must_use]
    pub fn get(&self) -> Readiness {
        *self.0.borrow()
    }

    /// Tells of every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Readiness> {
        self.0.subscribe()
    }
}
