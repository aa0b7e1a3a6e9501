//! What is told of a console while somebody types at it.

use crate::lang::Lang;

/// It is open, and how one leaves it.
#[must_use]
pub fn opened(lang: Lang, vm: &str, node: &str) -> String {
    match lang {
        Lang::En => format!("The console of {vm} on {node}. Ctrl-] leaves it; the server goes on."),
        Lang::Ja => format!("{node} 上の {vm} のコンソールです。Ctrl-] で抜けます (サーバは動き続けます)。"),
    }
}

/// The node says nothing more of it; it is looked for.
#[must_use]
pub fn interrupted(lang: Lang, vm: &str) -> String {
    match lang {
        Lang::En => format!("[the console of {vm} broke off; it is being opened again]"),
        Lang::Ja => format!("[{vm} のコンソールが途切れました。開き直しています]"),
    }
}

/// It is open again.
#[must_use]
pub fn again(lang: Lang, vm: &str, node: &str) -> String {
    match lang {
        Lang::En => format!("[the console of {vm} is open again, now on {node}]"),
        Lang::Ja => format!("[{vm} のコンソールを {node} で開き直しました]"),
    }
}

/// So much was said faster than it could be shown.
#[must_use]
pub fn lost(lang: Lang, bytes: u64) -> String {
    match lang {
        Lang::En => format!("[{bytes} bytes are not shown]"),
        Lang::Ja => format!("[{bytes} バイトを表示できませんでした]"),
    }
}

/// The person has left.
#[must_use]
pub fn left(lang: Lang, vm: &str) -> String {
    match lang {
        Lang::En => format!("Left the console of {vm}."),
        Lang::Ja => format!("{vm} のコンソールを抜けました。"),
    }
}
