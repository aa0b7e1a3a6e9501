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
