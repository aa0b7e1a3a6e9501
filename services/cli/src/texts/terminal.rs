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

/// Somebody else has it now.
#[must_use]
pub fn taken_over(lang: Lang, vm: &str, by: &str) -> String {
    match lang {
        Lang::En => format!("{by} has taken over the console of {vm}."),
        Lang::Ja => format!("{by} が {vm} のコンソールを引き継ぎました。"),
    }
}

/// There is nothing to type at any more.
#[must_use]
pub fn off(lang: Lang, vm: &str) -> String {
    match lang {
        Lang::En => format!("The console of {vm} has ended, since the server has stopped."),
        Lang::Ja => format!("サーバ {vm} が停止したため、コンソールを終了しました。"),
    }
}

/// The server is no more.
#[must_use]
pub fn gone(lang: Lang, vm: &str) -> String {
    match lang {
        Lang::En => format!("The console of {vm} has ended, since the server was deleted."),
        Lang::Ja => format!("サーバ {vm} が削除されたため、コンソールを終了しました。"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| {
            [
                opened(lang, "a", "b"),
                interrupted(lang, "a"),
                again(lang, "a", "b"),
                lost(lang, 1),
                taken_over(lang, "a", "b"),
                off(lang, "a"),
                gone(lang, "a"),
                left(lang, "a"),
            ]
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
