//! Questions before something is deleted.

use crate::lang::Lang;

/// Whether to delete an image.
#[must_use]
pub fn image(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("Delete image {name} at every site?"),
        Lang::Ja => format!("イメージ {name} を全サイトから削除しますか?"),
    }
}

/// Whether to delete a network.
#[must_use]
pub fn network(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("Delete network {name}?"),
        Lang::Ja => format!("ネットワーク {name} を削除しますか?"),
    }
}

/// Whether to delete a key.
#[must_use]
pub fn key(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("Delete key {name}? Servers that were made with it keep it."),
        Lang::Ja => format!("鍵 {name} を削除しますか? この鍵で作ったサーバには残ります。"),
    }
}

/// Whether to remove a firewall group.
#[must_use]
pub fn firewall(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("Delete firewall group {name}?"),
        Lang::Ja => format!("ファイアウォールグループ {name} を削除しますか?"),
    }
}
