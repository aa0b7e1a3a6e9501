//! Projects, and how much they may have.

use crate::lang::Lang;

/// Asks whether a project is to be forgotten.
#[must_use]
pub fn delete(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("Forget project {name}?"),
        Lang::Ja => format!("プロジェクト {name} を削除しますか?"),
    }
}

/// What is used of how much, and how much of it is left.
#[must_use]
pub fn share(lang: Lang, share: &str, left: Option<&str>) -> String {
    match (lang, left) {
        (Lang::En, Some(left)) => format!("{share} ({left} left)"),
        (Lang::En, None) => format!("{share} (no bound)"),
        (Lang::Ja, Some(left)) => format!("{share} (残り {left})"),
        (Lang::Ja, None) => format!("{share} (上限なし)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| [delete(lang, "a"), share(lang, "1 / 2", Some("1")), share(lang, "1", None)];
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
