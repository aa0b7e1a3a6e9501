//! What is said of public addresses.

use std::net::Ipv4Addr;

use watari_model::VmName;

use crate::lang::Lang;

/// Whether to give back one by which a server is reached.
#[must_use]
pub fn release(lang: Lang, address: Ipv4Addr, vm: &VmName) -> String {
    match lang {
        Lang::En => format!("Release public address {address}? Server {vm} is reached by it."),
        Lang::Ja => {
            format!("公開アドレス {address} を解放しますか? サーバ {vm} への到達に使われています。")
        }
    }
}

/// Whether to take from a server the one by which it is reached.
#[must_use]
pub fn disassociate(lang: Lang, address: Ipv4Addr, vm: &VmName) -> String {
    match lang {
        Lang::En => format!("Let public address {address} lead nowhere? Server {vm} is reached by it."),
        Lang::Ja => {
            format!("公開アドレス {address} の関連付けを解除しますか? サーバ {vm} への到達に使われています。")
        }
    }
}

/// One is given back.
#[must_use]
pub fn released(lang: Lang, address: Ipv4Addr) -> String {
    match lang {
        Lang::En => format!("public address {address} is given back"),
        Lang::Ja => format!("公開アドレス {address} を解放しました"),
    }
}

/// What becomes of those that lead to a server that is deleted.
#[must_use]
pub fn stay(lang: Lang, addresses: &str) -> String {
    match lang {
        Lang::En => format!(
            "Public address {addresses} stays allocated and then leads nowhere; to give it back: watari address release."
        ),
        Lang::Ja => format!(
            "公開アドレス {addresses} は確保されたまま、どこにも関連付けられなくなります。不要なら watari address release で解放してください。"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let (address, vm) = (Ipv4Addr::new(203, 0, 113, 200), "mail".parse().unwrap());
        let lines = |lang| {
            [
                release(lang, address, &vm),
                disassociate(lang, address, &vm),
                released(lang, address),
                stay(lang, "203.0.113.200"),
            ]
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
            assert!(en.contains("203.0.113.200") && ja.contains("203.0.113.200"), "{en} / {ja}");
        }
    }
}
