//! Everything that the command itself finds wrong: one table, each with a stable code, an exit
//! status, a cause and a remedy in both languages. Without one of them it does not compile.

use watari_model::refusal::Rendered;

use crate::{
    failure::{FAILED, UNREACHABLE, USAGE},
    lang::Lang,
};

fn fill(template: &str, fields: &[(&str, &str)]) -> String {
    fields.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident { $($field:ident),* } $code:literal $exit:ident
        en $en_cause:literal $en_remedy:literal
        ja $ja_cause:literal $ja_remedy:literal;)*) => {
        /// What the command found wrong. Field values are text, ready to be shown.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $variant {
                $(#[doc = concat!("Fills `{", stringify!($field), "}`.")] $field: String),*
            },)*
        }

        impl Fault {
            /// The stable code.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code,)* }
            }

            /// The exit status that goes with it.
            #[must_use]
            pub const fn exit(&self) -> u8 {
                match self { $(Self::$variant { .. } => $exit,)* }
            }

            /// Cause and remedy.
            #[must_use]
            pub fn rendered(&self, lang: Lang) -> Rendered {
                match self { $(Self::$variant { $($field),* } => {
                    let fields: &[(&str, &str)] = &[$((stringify!($field), $field.as_str())),*];
                    let (cause, remedy) = match lang {
                        Lang::En => ($en_cause, $en_remedy),
                        Lang::Ja => ($ja_cause, $ja_remedy),
                    };
                    Rendered { cause: fill(cause, fields), remedy: fill(remedy, fields) }
                })* }
            }

            /// One of each, every field holding its own name: for tests of completeness.
            #[must_use]
            pub fn examples() -> Vec<Self> {
                vec![$(Self::$variant { $($field: concat!("<", stringify!($field), ">").to_owned()),* }),*]
            }
        }
    };
}

faults! {
    // --- setup -----------------------------------------------------------------------------
    /// A file or folder cannot be read or written.
    File { path, detail } "file.unusable" FAILED
        en "{path}: {detail}" "check the path and its permissions"
        ja "{path}: {detail}" "パスとアクセス権を確認してください";
    /// The description of the cluster is not TOML of the right form.
    ClusterSyntax { path, detail } "setup.syntax" USAGE
        en "{path} does not describe a cluster: {detail}" "see `watari setup --help` for the form"
        ja "{path} はクラスタの記述として読めません: {detail}" "書式は `watari setup --help` で確認できます";
    /// It is TOML, but no cluster.
    ClusterUnsound { path, detail } "setup.unsound" USAGE
        en "{path} describes no working cluster: {detail}" "correct the file and run this again"
        ja "{path} の記述ではクラスタが動作しません: {detail}" "ファイルを修正して、もう一度実行してください";
    /// A kept key is none.
    KeyUnusable { path, detail } "setup.key" FAILED
        en "{path} holds no usable key: {detail}" "restore it from a copy, or remove it to have a new one made (every host then needs the new files)"
        ja "{path} の鍵を使用できません: {detail}" "控えから戻すか、削除して新しく作ってください (その場合は全ホストに新しいファイルが必要です)";
    /// A certificate could not be made.
    Certificate { host, detail } "setup.certificate" FAILED
        en "no certificate for {host}: {detail}" "check the host's name and address in the cluster's description"
        ja "{host} の証明書を作れません: {detail}" "クラスタの記述にあるホスト名とアドレスを確認してください";
    // --- the bus ---------------------------------------------------------------------------
    /// No connection.
    NoConnection { urls, detail } "bus.no-connection" UNREACHABLE
        en "no connection to NATS at {urls}: {detail}" "check --nats (WATARI_NATS) and that a front end is running"
        ja "NATS {urls} に接続できません: {detail}" "--nats (WATARI_NATS) と、フロントエンドが動いているかを確認してください";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_code_of_its_own_a_cause_and_a_remedy_in_both_languages() {
        let mut codes = BTreeSet::new();
        for fault in Fault::examples() {
            assert!(codes.insert(fault.code()), "{} stands twice", fault.code());
            let (en, ja) = (fault.rendered(Lang::En), fault.rendered(Lang::Ja));
            for text in [&en.cause, &en.remedy, &ja.cause, &ja.remedy] {
                assert!(!text.is_empty() && !text.contains(['{', '}']), "{}: {text}", fault.code());
            }
            assert!(en.cause.is_ascii() && en.remedy.is_ascii(), "{}", fault.code());
            assert!(ja.remedy.chars().any(|c| ('\u{3040}'..='\u{30ff}').contains(&c)), "{}", fault.code());
        }
    }
}
