//! Words and lines of what the command says when nothing is wrong. Each takes the language, so
//! that none can lack one.

use crate::lang::Lang;

/// The text in the language.
#[must_use]
pub const fn either(lang: Lang, en: &'static str, ja: &'static str) -> &'static str {
    match lang {
        Lang::En => en,
        Lang::Ja => ja,
    }
}

/// What `setup` begins its summary with.
#[must_use]
pub fn setup_done(lang: Lang, cluster: &str, out: &str) -> String {
    match lang {
        Lang::En => format!("cluster {cluster}: the hosts' files are in {out}/hosts"),
        Lang::Ja => format!("クラスタ {cluster}: 各ホストのファイルは {out}/hosts にあります"),
    }
}

/// How many files of a host were written and left.
#[must_use]
pub fn setup_files(lang: Lang, written: usize, kept: usize) -> String {
    match lang {
        Lang::En => format!("{written:>3} files written, {kept:>3} unchanged "),
        Lang::Ja => format!("作成 {written:>3} 件、変更なし {kept:>3} 件 "),
    }
}

/// What is to be kept secret.
#[must_use]
pub const fn setup_secrets(lang: Lang) -> &'static str {
    either(
        lang,
        "keep the folders ca and nkeys secret and safe, off the hosts; the next run needs them",
        "ca と nkeys のフォルダは秘密です。ホスト以外の安全な場所に保管してください。次回の実行に必要です",
    )
}
