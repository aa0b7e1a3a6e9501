//! Which language a person is spoken to in.

use std::ffi::OsString;

use clap::ValueEnum;
use watari_model::Said;

/// The two languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// Japanese.
    Ja,
    /// English.
    En,
}

impl Lang {
    /// The language of the locale, by the order of POSIX: the first of `LC_ALL`, `LC_MESSAGES`
    /// and `LANG` that is set and not empty. Whose terminal takes another code than UTF-8 could not read Japanese.
    #[must_use]
    pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|v| variable(v).filter(|t| !t.is_empty()));
        let locale = locale.unwrap_or_default();
        // `ja_JP.UTF-8@cjknarrow`: language and territory, code, variant.
        let locale = locale.split('@').next().unwrap_or_default();
        let (place, code) = locale.split_once('.').unwrap_or((locale, "UTF-8"));
        let is_utf8 = ["utf-8", "utf8"].contains(&code.to_ascii_lowercase().as_str());
        if (place == "ja" || place.starts_with("ja_")) && is_utf8 { Self::Ja } else { Self::En }
    }

    /// The language that is asked for on a command line which is not parsed yet: help is given by the parser.
    #[must_use]
    pub fn of_words(words: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let (mut found, mut named) = (None, false);
        for word in words {
            let word = word.to_string_lossy();
            if word == "--" {
                break;
            }
            let value = if named { Some(&*word) } else { word.strip_prefix("--lang=") };
            found = value.and_then(|value| Self::from_str(value, false).ok()).or(found);
            named = word == "--lang";
        }
        found
    }

    /// The language of this process's locale.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::of_locale(|name| std::env::var(name).ok())
    }

    /// What is said in this language.
    #[must_use]
    pub fn of(self, said: &Said) -> &str {
        match self {
            Self::En => &said.en,
            Self::Ja => &said.ja,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_known_before_the_line_is_parsed() {
        let of = |line: &str| Lang::of_words(line.split(' ').map(OsString::from));
        assert_eq!(of("watari --lang ja vm list --help"), Some(Lang::Ja));
        assert_eq!(of("watari vm --lang=en list"), Some(Lang::En));
        assert_eq!(of("watari vm list --lang"), None);
        assert_eq!(of("watari vm list --lang latin"), None);
        assert_eq!(of("watari vm show -- --lang=ja"), None);
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let lang = |set: &[(&str, &str)]| {
            Lang::of_locale(|v| set.iter().find(|(name, _)| *name == v).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(lang(&[]), Lang::En);
        assert_eq!(lang(&[("LANG", "ja_JP.UTF-8")]), Lang::Ja);
        assert_eq!(lang(&[("LANG", "ja_JP.UTF-8"), ("LC_ALL", "C.UTF-8")]), Lang::En);
        assert_eq!(lang(&[("LC_ALL", ""), ("LC_MESSAGES", "ja"), ("LANG", "C")]), Lang::Ja);
        assert_eq!(lang(&[("LANG", "java")]), Lang::En);
        assert_eq!(lang(&[("LANG", "ja_JP.utf8@cjknarrow")]), Lang::Ja);
    }

    #[test]
    fn who_could_not_read_japanese_is_spoken_to_in_english() {
        for locale in ["ja_JP.eucJP", "ja_JP.EUC-JP", "ja_JP.SJIS", "ja_JP.ISO-2022-JP@x", "C", "POSIX", ""] {
            assert_eq!(Lang::of_locale(|_| Some(locale.to_owned())), Lang::En, "{locale}");
        }
    }
}
