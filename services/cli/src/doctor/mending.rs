//! Which findings `watari doctor --fix` mends, and with which program.
//!
//! Only what is as easily taken back, and only on the host on which it is called. So nothing is here that deletes,
//! restarts what runs, switches a machine on, installs a program, or touches an interface of the host, and nothing
//! that a person has decided, or may have: a cordon, a pause, a unit that is masked, a target out of service.

use std::fmt;

use crate::texts::troubles::Trouble;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mending {
    pub(super) program: &'static str,
    pub(super) arguments: Vec<String>,
}

impl Mending {
    /// What mends this; none if that takes a person.
    pub(super) fn of(trouble: &Trouble) -> Option<Self> {
        let (program, arguments) = match trouble {
            // It is not waited for: an agent is ready when it has reached NATS.
            Trouble::HostServiceStopped { unit, .. } => {
                ("systemctl", vec!["--no-ask-password", "--no-block", "start", unit.en.as_str()])
            }
            Trouble::HostTargetDisabled { unit, .. } => {
                ("systemctl", vec!["--no-ask-password", "enable", unit.en.as_str()])
            }
            Trouble::HostClockFree { .. } => ("timedatectl", vec!["--no-ask-password", "set-ntp", "true"]),
            Trouble::HostKeyOpen { path, .. } => ("chmod", vec!["o-rwx", path.en.as_str()]),
            _ => return None,
        };
        Some(Self { program, arguments: arguments.into_iter().map(str::to_owned).collect() })
    }
}

/// As it could be typed.
impl fmt::Display for Mending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.arguments.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Whoever adds one here has looked whether it can cost anything.
    #[test]
    fn only_what_can_be_taken_back_is_mended() {
        let examples = Trouble::examples();
        let mended: Vec<_> = examples.iter().filter_map(|one| Some((one.code(), Mending::of(one)?))).collect();
        let codes: BTreeSet<&str> = mended.iter().map(|(code, _)| *code).collect();
        let safe = ["host.clock-free", "host.key-open", "host.service-stopped", "host.target-disabled"];
        assert_eq!(codes, BTreeSet::from(safe));
        let acts = ["start", "enable", "set-ntp", "o-rwx"];
        for (code, Mending { program, arguments }) in &mended {
            assert!(arguments.iter().any(|word| acts.contains(&word.as_str())), "{code}: {program} {arguments:?}");
        }
    }
}
