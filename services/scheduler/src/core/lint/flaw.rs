//! What may be wrong with a move of a plan, each with a word of its own.

use watari_model::{GroupName, NodeName, Refusal, Said, VmName, said, vm::Vm};

/// Why a move of a plan is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The plan names the server more than once.
    Twice,
    /// The plan says nothing of the server: neither where it goes nor why it stays.
    Forgotten,
    /// There is no such node.
    Unknown(NodeName),
    /// The node receives nothing: it is not ready, cordoned, or to be emptied itself.
    Closed(NodeName),
    /// The node is not where servers of this outage go.
    Astray(NodeName),
    /// The node would have promised more than its rules allow.
    Room(NodeName),
    /// The server would be beside one from which it keeps apart.
    Apart(NodeName, GroupName),
    /// Its guest could not live on that node's processor.
    Processor(NodeName),
    /// The node does not bring one of its networks.
    Network(NodeName),
    /// The node can get its base image from nowhere.
    Image(NodeName),
    /// The node lacks something else that it needs there: a label, firmware, rules on taps, firewall groups, or a free
    /// name for its disk.
    Means(NodeName),
    /// It would begin before, or at once with, one on which it depends.
    Order(VmName),
}

impl Flaw {
    /// The word by which a flaw is told apart; stable.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Twice => "twice",
            Self::Forgotten => "forgotten",
            Self::Unknown(_) => "unknown-node",
            Self::Closed(_) => "closed-node",
            Self::Astray(_) => "astray",
            Self::Room(_) => "room",
            Self::Apart(..) => "apart",
            Self::Processor(_) => "processor",
            Self::Network(_) => "network",
            Self::Image(_) => "image",
            Self::Means(_) => "means",
            Self::Order(_) => "order",
        }
    }

    /// What is the matter, in both languages.
    pub(crate) fn said(&self) -> Said {
        match self {
            Self::Twice => Said::new("it was to be moved twice", "同じサーバが 2 回含まれていました"),
            Self::Forgotten => Said::new(
                "neither a target nor a reason to stay was given for it",
                "移行先も、残る理由も示されていませんでした",
            ),
            Self::Unknown(node) => said!("there is no node {node}", "ノード {node} はありません"),
            Self::Closed(node) => said!("{node} receives no servers now", "{node} は現在サーバを受け入れません"),
            Self::Astray(node) => {
                said!("{node} is not where servers of this outage go", "{node} はこの停電での移行先ではありません")
            }
            Self::Room(node) => said!("{node} has no room for it", "{node} に空きがありません"),
            Self::Apart(node, group) => said!(
                "on {node} it would be beside another member of group {group}, from which it keeps apart",
                "{node} には、別のノードに置くグループ {group} のほかのサーバがあります"
            ),
            Self::Processor(node) => {
                said!("it could not live on the processor of {node}", "{node} の CPU では動作を続けられません")
            }
            Self::Network(node) => {
                said!("{node} does not bring one of its networks", "{node} では接続先のネットワークを使用できません")
            }
            Self::Image(node) => {
                said!("{node} can get its base image from nowhere", "{node} はベースイメージを取得できません")
            }
            Self::Means(node) => said!(
                "{node} lacks a label, firmware or firewall that it needs, or keeps another disk of its name",
                "{node} に必要なラベル、ファームウェア、ファイアウォール機能のいずれかがないか、同名のディスクが残っています"
            ),
            Self::Order(other) => {
                said!(
                    "it was to leave before {other}, on which it depends",
                    "依存先の {other} より先に移行する順序でした"
                )
            }
        }
    }

    /// Why the server stays for now.
    pub(crate) fn refusal(&self, vm: &Vm) -> Refusal {
        Refusal::PlanFlawed { vm: vm.name.to_string(), flaw: self.word().to_owned(), detail: self.said() }
    }
}
