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
        let locale = first(["LC_ALL", "LC_MESSAGES", "LANG"], variable);
        let (place, code) = parts(&locale);
        if (place == "ja" || place.starts_with("ja_")) && code.is_none_or(is_utf8) { Self::Ja } else { Self::En }
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

/// The signs that a terminal shows beside letters, such as those of which bars are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signs {
    /// Those of Unicode.
    #[default]
    Unicode,
    /// Those that every terminal has.
    Ascii,
}

impl Signs {
    /// Those of the locale, by the order of POSIX: the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set and not
    /// empty. A locale that names no code counts as one of UTF-8, as for the language; that of POSIX is ASCII.
    #[must_use]
    pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = first(["LC_ALL", "LC_CTYPE", "LANG"], variable);
        let (place, code) = parts(&locale);
        let unicode = code.map_or(!["", "C", "POSIX"].contains(&place), is_utf8);
        if unicode { Self::Unicode } else { Self::Ascii }
    }

    /// Those of this process's locale.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::of_locale(|name| std::env::var(name).ok())
    }

    /// What stands between what was and what is.
    #[must_use]
    pub const fn arrow(self) -> &'static str {
        match self {
            Self::Unicode => "→",
            Self::Ascii => "->",
        }
    }

    /// An English text with these signs in place of those of Unicode.
    #[must_use]
    pub fn written(self, text: &str) -> String {
        match self {
            Self::Unicode => text.to_owned(),
            Self::Ascii => text.replace('→', self.arrow()).replace('…', "..."),
        }
    }
}

/// The first of these variables that is set and not empty.
fn first(names: [&str; 3], variable: impl Fn(&str) -> Option<String>) -> String {
    names.into_iter().find_map(|name| variable(name).filter(|text| !text.is_empty())).unwrap_or_default()
}

/// `ja_JP.UTF-8@cjknarrow`: language and territory, and the code, if one is named; without the variant.
fn parts(locale: &str) -> (&str, Option<&str>) {
    let locale = locale.split('@').next().unwrap_or_default();
    locale.split_once('.').map_or((locale, None), |(place, code)| (place, Some(code)))
}

fn is_utf8(code: &str) -> bool {
    ["utf-8", "utf8"].contains(&code.to_ascii_lowercase().as_str())
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

    #[test]
    fn whose_terminal_takes_no_utf_8_sees_signs_that_it_has() {
        let signs = |set: &[(&str, &str)]| {
            Signs::of_locale(|v| set.iter().find(|(name, _)| *name == v).map(|(_, value)| (*value).to_owned()))
        };
        for locale in ["", "C", "POSIX", "ja_JP.eucJP", "en_GB.ISO-8859-15@euro"] {
            assert_eq!(signs(&[("LC_ALL", locale)]), Signs::Ascii, "{locale}");
        }
        for locale in ["C.UTF-8", "en_GB.utf8", "ja_JP.UTF-8@cjknarrow", "ja"] {
            assert_eq!(signs(&[("LANG", locale)]), Signs::Unicode, "{locale}");
        }
        assert_eq!(signs(&[]), Signs::Ascii);
        assert_eq!([Signs::Unicode, Signs::Ascii].map(|signs| signs.written("a → b…")), ["a → b…", "a -> b..."]);
        assert_eq!(signs(&[("LC_CTYPE", "C"), ("LANG", "ja_JP.UTF-8"), ("LC_MESSAGES", "ja_JP.UTF-8")]), Signs::Ascii);
    }
}
