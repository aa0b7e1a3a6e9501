//! What is told about front ends and their NATS servers.

use crate::lang::Lang;

/// Nobody leads anything: what that means, and what ends it.
#[must_use]
pub const fn without_majority(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "nobody leads: more than half of the NATS servers must be up and reach each other, of two both. Nothing can be \
             changed until then; servers run on. Start what is down: systemctl start watari-nats"
        }
        Lang::Ja => {
            "主系がいません。NATS のサーバは、過半数 (2 台の場合は両方) が動き、互いに届いている必要があります。それまで何も変更できませんが、\
             サーバは動き続けます。止まっているものを起動してください: systemctl start watari-nats"
        }
    }
}

/// What is asked before one of two is made the only one.
#[must_use]
pub fn is_lost(lang: Lang, host: &str, lost: &str) -> String {
    match lang {
        Lang::En => format!(
            "Is {lost} off, and will it never run again with the store that it had? If it runs on where nobody sees it, there \
             must be no second answer of this kind. {host} then goes on alone."
        ),
        Lang::Ja => format!(
            "{lost} は停止していて、これまでの保存領域のまま起動することは二度とありませんか。見えない所で動いている場合は、そちらで同じ操作を\
             してはなりません。以後は {host} だけで続けます。"
        ),
    }
}

/// It is the only one.
#[must_use]
pub fn recovered(lang: Lang, host: &str, lost: &str) -> String {
    match lang {
        Lang::En => format!(
            "{host} goes on without {lost}; services lead from it within seconds (watari frontend status). Nothing is started \
             elsewhere before its campus' nodes are known to be off: watari node confirm-off NODE"
        ),
        Lang::Ja => format!(
            "{lost} なしで {host} だけで続けます。数秒で主系が決まります (watari frontend status)。そのキャンパスのノードの停止が確認できるまで、\
             サーバをほかで起動することはありません: watari node confirm-off ノード"
        ),
    }
}

/// It was the only one before.
#[must_use]
pub fn is_alone(lang: Lang, host: &str) -> String {
    match lang {
        Lang::En => format!("{host} has the only vote already; nothing was done"),
        Lang::Ja => format!("投票権を持つのは、すでに {host} だけです。何も実行していません"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_own() {
        assert!(without_majority(Lang::En).is_ascii() && !without_majority(Lang::Ja).is_ascii());
        let texts: [fn(Lang) -> String; 3] =
            [|lang| is_lost(lang, "a", "b"), |lang| recovered(lang, "a", "b"), |lang| is_alone(lang, "a")];
        for text in texts {
            assert!(text(Lang::En).is_ascii() && !text(Lang::Ja).is_ascii());
        }
    }
}
