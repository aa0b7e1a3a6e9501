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
            "主系がいません。NATS のサーバは、過半数（2 台の場合は両方）が動き、互いに届いている必要があります。それまで何も変更できませんが、\
             サーバは動き続けます。止まっているものを起動してください: systemctl start watari-nats"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_own() {
        assert!(without_majority(Lang::En).is_ascii() && !without_majority(Lang::Ja).is_ascii());
    }
}
