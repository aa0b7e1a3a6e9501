//! Why a server that is to run stands still though nobody who runs this cloud wanted it so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NodeName, Refusal, Said, VmName, said};

/// What keeps its processors from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standstill {
    /// Its disk could not be read or written. Its node has it go on by itself.
    IoError,
    /// QEMU met an error of its own or of KVM's, and refuses to go on.
    Internal,
    /// Its guest has crashed, and QEMU keeps it as it was.
    Crashed,
    /// Its guest has shut down, and its process does not end.
    Ended,
    /// QEMU has stopped it, and nobody knows why. Its node tries to have it go on.
    Stopped,
    /// Somebody has paused it on its node.
    Suspended,
}

impl Standstill {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::IoError, Self::Internal, Self::Crashed, Self::Ended, Self::Stopped, Self::Suspended];

    /// Whether what was running in it is lost for certain, so that it may be forced off and started again.
    #[must_use]
    pub const fn is_a_crash(self) -> bool {
        matches!(self, Self::Internal | Self::Crashed)
    }

    /// What is told of it.
    #[must_use]
    pub fn refusal(self, vm: &VmName, node: &NodeName) -> Refusal {
        let help = Some(Box::new(self.help(vm, node)));
        Refusal::VmStandsStill { vm: vm.to_string(), node: node.to_string(), why: self.why(), help }
    }

    fn why(self) -> Said {
        let (en, ja) = match self {
            Self::IoError => ("its disk cannot be read or written", "ディスクの読み書きができません"),
            Self::Internal => ("QEMU met an internal error and cannot go on", "QEMU の内部エラーにより続行できません"),
            Self::Crashed => ("its guest has crashed", "ゲストがクラッシュしました"),
            Self::Ended => (
                "its guest has shut down and its process does not end",
                "ゲストは停止しましたが、プロセスが終了しません",
            ),
            Self::Stopped => ("QEMU has stopped it and does not say why", "QEMU が停止させましたが、理由は不明です"),
            Self::Suspended => (
                "somebody has paused it there, not by way of Watari",
                "Watari を介さずに、ノード上で一時停止されました",
            ),
        };
        Said::new(en, ja)
    }

    fn help(self, vm: &VmName, node: &NodeName) -> Said {
        match self {
            Self::IoError => said!(
                "make room on the disk of node {node}, or see to that disk (watari doctor --node {node}): the server then goes on by itself",
                "ノード {node} のディスクの空きを増やすか、ディスクを点検してください (watari doctor --node {node})。その後、自動で再開します"
            ),
            Self::Internal | Self::Crashed => said!(
                "it is forced off and started again by itself unless its policy is `restart: never`; if that happens again, see to the memory and processor of node {node}, or move the server to another",
                "再起動の設定が `restart: never` でなければ、自動で強制停止され、起動し直されます。繰り返す場合は、ノード {node} のメモリと CPU を点検するか、サーバを別のノードに移してください"
            ),
            Self::Ended => said!(
                "force it off: watari vm stop {vm} --force",
                "watari vm stop {vm} --force で強制的に停止してください"
            ),
            Self::Stopped => said!(
                "node {node} tries to have it go on; /var/log/libvirt/qemu/{vm}.log there says more",
                "ノード {node} が再開を試みています。詳細はそのノードの /var/log/libvirt/qemu/{vm}.log にあります"
            ),
            Self::Suspended => {
                said!("on node {node}: virsh resume {vm}", "ノード {node} で virsh resume {vm} を実行すると再開します")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_cause_and_a_remedy_of_its_own_and_only_a_crash_ends_what_ran() {
        let (vm, node) = ("mail".parse().unwrap(), "m1".parse().unwrap());
        let mut causes = std::collections::BTreeSet::new();
        for still in Standstill::ALL {
            let told = still.refusal(&vm, &node);
            assert_eq!(told.code(), "vm.stands-still");
            let (en, ja) = (told.english(), told.japanese());
            assert!(causes.insert(en.cause.clone()), "{}", en.cause);
            assert!(en.cause.is_ascii() && en.remedy.is_ascii(), "{en:?}");
            assert!(en.remedy.contains("mail") && ja.remedy.contains("mail"), "{en:?} {ja:?}");
            assert!(ja.cause.contains("サーバ mail") && ja.cause.contains("m1"), "{}", ja.cause);
        }
        let crashes = Standstill::ALL.into_iter().filter(|still| still.is_a_crash()).collect::<Vec<_>>();
        assert_eq!(crashes, [Standstill::Internal, Standstill::Crashed]);
    }
}
