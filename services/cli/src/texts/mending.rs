//! What `watari doctor --fix` says while it mends.

use crate::lang::Lang;

/// Whether to do it.
#[must_use]
pub fn question(lang: Lang, command: &str) -> String {
    match lang {
        Lang::En => format!("Mend it with this? {command}"),
        Lang::Ja => format!("次のコマンドで直しますか? {command}"),
    }
}

/// That it was done.
#[must_use]
pub fn done(lang: Lang, command: &str) -> String {
    match lang {
        Lang::En => format!("done: {command}"),
        Lang::Ja => format!("実行しました: {command}"),
    }
}

/// That it was tried.
#[must_use]
pub fn failed(lang: Lang, command: &str, detail: &str) -> String {
    match lang {
        Lang::En => format!("this came to nothing: {command} ({detail}); it takes root's rights"),
        Lang::Ja => format!("実行できませんでした: {command} ({detail})。root 権限が必要です"),
    }
}

/// That there is nothing to do.
#[must_use]
pub const fn nothing(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "--fix finds nothing to mend here: it starts and enables what is set up on the host on which it is called"
        }
        Lang::Ja => {
            "--fix で直せるものはありません。--fix は、実行したホストに設定されているサービスの起動と有効化などだけを行います"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| [question(lang, "a"), done(lang, "a"), failed(lang, "a", "b"), nothing(lang).to_owned()];
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
