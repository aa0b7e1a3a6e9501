//! Servers whose size changes, at once or in part from their next start on.

use crate::lang::Lang;

/// How large it is now, and how large it will be if that is more or less.
#[must_use]
pub fn sized(lang: Lang, name: &str, now: &str, then: Option<&str>) -> String {
    match (lang, then) {
        (Lang::En, None) => format!("{name} has {now} now"),
        (Lang::En, Some(then)) => {
            format!("{name} has {now} now and will have {then} from its next start on: watari vm reboot {name} --wait")
        }
        (Lang::Ja, None) => format!("{name} は現在 {now} です"),
        (Lang::Ja, Some(then)) => {
            format!("{name} は現在 {now} で、次回の起動から {then} になります: watari vm reboot {name} --wait")
        }
    }
}

/// A part of that is about to be so without a start.
#[must_use]
pub fn growing(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "growing while it runs",
        Lang::Ja => "稼働中に拡張しています",
    }
}

/// It takes longer than anybody waits for.
#[must_use]
pub fn still_growing(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("{name} is still to grow while it runs; see how far it is: watari vm show {name}"),
        Lang::Ja => format!("{name} は稼働中の拡張がまだ終わっていません。状況は watari vm show {name} で確認できます"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_so_now_is_told_apart_from_what_will_be() {
        let lines = |lang| {
            [
                sized(lang, "a", "b", None),
                sized(lang, "a", "b", Some("c")),
                growing(lang).to_owned(),
                still_growing(lang, "a"),
            ]
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
        assert!(!sized(Lang::En, "a", "b", None).contains("reboot"));
    }
}
