//! The words for states and the like, as people read them. Programs read JSON, which has the English ones.

use watari_model::word::STATES;

use crate::lang::Lang;

/// Every word that a resource may show beside its state, and its Japanese.
const WORDS: &[(&str, &str)] = &[
    // Servers.
    ("rebooting", "再起動中"),
    // Nodes, sites and their power.
    ("active", "通常"),
    ("mains", "商用電源"),
    ("battery", "バッテリー"),
    ("kvm", "KVM"),
    ("qemu", "QEMU (ハードウェア支援なし)"),
    // Outages.
    ("paused", "一時停止中"),
    ("draining", "退避中"),
    ("drained", "退避済み"),
    ("out", "退避"),
    ("home", "帰還"),
    ("site", "サイト"),
    ("node", "ノード"),
    // Why a server moves, and whether it does.
    ("by hand", "手動"),
    ("evacuation", "退避"),
    ("return", "帰還"),
    ("relief", "負荷分散"),
    ("live", "稼働したまま移動"),
    ("stay", "移動しない"),
    ("together", "同じノード"),
    ("apart", "別のノード"),
    // Whether it is started again.
    ("always", "する"),
    ("never", "しない"),
    // What it does when its node is cut off.
    ("keep", "動かし続ける"),
    ("stop", "停止する"),
    // What travels.
    ("disk", "ディスク"),
    ("memory", "メモリ"),
    // Kinds of resources.
    ("vms", "サーバ"),
    ("nodes", "ノード"),
    ("sites", "サイト"),
    ("migrations", "移行"),
    ("outages", "停電計画"),
    ("images", "イメージ"),
    ("networks", "ネットワーク"),
    ("ports", "アドレス"),
    ("addresses", "公開アドレス"),
    ("keys", "鍵"),
    ("projects", "プロジェクト"),
    ("firewalls", "ファイアウォール"),
    ("frontends", "フロントエンド"),
    ("leases", "主系"),
    ("provider", "プロバイダ"),
    ("public", "公開"),
    ("overlay", "オーバーレイ"),
];

/// The word in the language; one of a newer service, which is not known here, as it comes.
#[must_use]
pub fn shown(lang: Lang, word: &str) -> String {
    let found = known().find(|(en, _)| lang == Lang::Ja && *en == word);
    found.map_or(word, |(_, ja)| *ja).to_owned()
}

fn known() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    STATES.iter().chain(WORDS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::de::DeserializeOwned;
    use watari_model::{image, migration, node, outage, site, vm};

    use super::*;

    /// Whether a word of the table is one of these states.
    fn states<T: DeserializeOwned>(word: impl Fn(T) -> &'static str) -> BTreeSet<&'static str> {
        let read = |text: &str| serde_json::from_value::<T>(text.into()).ok();
        known().filter_map(|(en, _)| read(en)).map(word).collect()
    }

    #[test]
    fn every_state_has_a_japanese_word() {
        assert_eq!(states(vm::State::word).len(), 9);
        assert_eq!(states(migration::State::word).len(), 9);
        assert_eq!(states(image::State::word).len(), 5);
        assert_eq!(states(node::State::word).len(), 3);
        assert_eq!(states(node::Virtualisation::word).len(), 2);
        assert_eq!(states(outage::State::word).len(), 6);
        assert_eq!(states(site::Supply::word).len(), 2);
        for strain in node::Strain::ALL {
            assert_ne!(shown(Lang::Ja, strain.word()), strain.word());
        }
        for (bucket, _) in watari_contracts::permissions::BUCKETS {
            assert_ne!(shown(Lang::Ja, bucket), *bucket, "{bucket}");
        }
    }

    #[test]
    fn each_word_stands_once_and_is_translated() {
        let words: BTreeSet<&str> = known().map(|(en, _)| *en).collect();
        assert_eq!(words.len(), known().count());
        for (en, ja) in known() {
            assert!(en.is_ascii() && ja != en, "{en}");
            assert_eq!((shown(Lang::En, en).as_str(), shown(Lang::Ja, en).as_str()), (*en, *ja));
        }
        assert_eq!(shown(Lang::Ja, "sleeping"), "sleeping", "a newer service's word is shown as it is");
    }
}
