//! What the parser finds wrong with a command line, in Japanese. In English it says it itself.

use std::error::Error as _;

use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::options::WITH_UNIT;

/// The same error without the commands of `command` that are hidden from people.
#[must_use]
pub fn without_hidden(mut told: Error, command: &Command) -> Error {
    if let Some(ContextValue::Strings(mut names)) = told.remove(ContextKind::ValidSubcommand) {
        names.retain(|name| command.find_subcommand(name).is_none_or(|below| !below.is_hide_set()));
        told.insert(ContextKind::ValidSubcommand, ContextValue::Strings(names));
    }
    told
}

/// Words of other programs, and what is meant by them here. They are no slips: what merely looks like one may be its
/// opposite, as `restore` is near `create`, and `remove` near `revert`.
const ELSEWHERE: &[(&str, &str)] = &[
    ("add", "create"),
    ("del", "delete"),
    ("delete", "release"),
    ("delete", "remove"),
    ("destroy", "delete"),
    ("erase", "delete"),
    ("get", "show"),
    ("ls", "list"),
    ("new", "create"),
    ("remove", "delete"),
    ("remove", "release"),
    ("restore", "revert"),
    ("rm", "delete"),
    ("rm", "release"),
    ("rm", "remove"),
    ("rollback", "revert"),
];

/// The same error, which of another program's word says what is meant by it here, or nothing.
#[must_use]
pub fn without_opposites(mut told: Error, command: &Command) -> Error {
    let typed = text(&told, ContextKind::InvalidSubcommand);
    if !ELSEWHERE.iter().any(|(word, _)| *word == typed) {
        return told;
    }
    // The usage names the command below which it was typed.
    let usage = told.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let below = usage.split_whitespace().fold(command, |at, word| at.find_subcommand(word).unwrap_or(at));
    let meant = ELSEWHERE.iter().filter(|(word, _)| *word == typed).map(|(_, meant)| *meant);
    let there: Vec<String> = meant.filter(|name| below.find_subcommand(name).is_some()).map(str::to_owned).collect();
    let _ = told.remove(ContextKind::SuggestedSubcommand);
    if !there.is_empty() {
        let _ = told.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(there));
    }
    told
}

/// What is wrong, what could have been meant, and how the command is used; none if nothing is wrong, as where help
/// is asked for.
#[must_use]
pub fn japanese(told: &Error) -> Option<String> {
    let (argument, value) = (text(told, ContextKind::InvalidArg), text(told, ContextKind::InvalidValue));
    let command = text(told, ContextKind::InvalidSubcommand);
    let cause = match told.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion
        | ErrorKind::Io
        | ErrorKind::Format => return None,
        ErrorKind::InvalidValue if value.is_empty() => format!("{argument} に値がありません"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => format!("{argument} に {value} は指定できません"),
        ErrorKind::UnknownArgument if is_negative(&argument) => format!("負の値 {argument} は指定できません"),
        ErrorKind::UnknownArgument => format!("{argument} という指定はありません"),
        ErrorKind::InvalidSubcommand => format!("{command} というコマンドはありません"),
        ErrorKind::MissingSubcommand => format!("{command} に続くコマンドがありません"),
        ErrorKind::MissingRequiredArgument => format!("必要な指定がありません: {argument}"),
        ErrorKind::ArgumentConflict => match text(told, ContextKind::PriorArg) {
            prior if prior == argument || prior.is_empty() => format!("{argument} は 1 回だけ指定できます"),
            prior => format!("{argument} は {prior} と同時に指定できません"),
        },
        ErrorKind::TooManyValues | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("{argument} の値の数が正しくありません")
        }
        _ => "コマンドラインを解釈できません".to_owned(),
    };
    let mut lines = vec![format!("エラー: {cause}")];
    lines.extend(meant(told));
    lines.push(format!("対処: {}", remedy(told, &argument)));
    let usage = told.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    if !usage.is_empty() {
        lines.push(format!("\n{}", usage.trim_end().replacen("Usage:", "使い方:", 1)));
    }
    Some(lines.join("\n"))
}

/// What is nearly what was typed.
fn meant(told: &Error) -> Option<String> {
    let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let names = kinds.into_iter().map(|kind| text(told, kind)).find(|names| !names.is_empty());
    names.map(|names| format!("もしかして: {names}"))
}

fn remedy(told: &Error, argument: &str) -> String {
    let kinds = [ContextKind::ValidValue, ContextKind::ValidSubcommand];
    let valid = kinds.into_iter().map(|kind| text(told, kind)).find(|names| !names.is_empty());
    match valid {
        Some(names) => format!("次のいずれかを指定してください: {names}"),
        None if told.source().is_some_and(|said| said.to_string() == WITH_UNIT) => {
            "30s、10m、1h のように、単位を付けて指定してください".to_owned()
        }
        None if told.kind() == ErrorKind::ValueValidation && argument.contains("<TIME>") => {
            "30s、500ms、2m、1h、2d のように、1 週間以内の時間を指定してください".to_owned()
        }
        None => match range(told) {
            Some((least, most)) => format!("{least}～{most} の数を指定してください"),
            None => "指定のしかたは --help で確認できます".to_owned(),
        },
    }
}

/// Whether a number below nothing was taken for an option.
fn is_negative(argument: &str) -> bool {
    argument.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The least and the most that a number may be, as the parser says it: `101 is not in 0..=100`.
fn range(told: &Error) -> Option<(String, String)> {
    let said = told.source()?.to_string();
    let (least, most) = said.rsplit_once(" is not in ")?.1.split_once("..=")?;
    Some((least.to_owned(), most.to_owned()))
}

/// One word or several, as people read them.
fn text(told: &Error, kind: ContextKind) -> String {
    match told.get(kind) {
        Some(ContextValue::String(word)) => word.clone(),
        Some(ContextValue::Strings(words)) => words.join("、"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::{options::Options, texts::help::in_japanese};

    fn told(line: &str) -> Option<String> {
        let words = ["watari"].into_iter().chain(line.split(' '));
        let mut command = in_japanese(Options::command());
        let error = command.try_get_matches_from_mut(words).unwrap_err();
        japanese(&without_opposites(without_hidden(error, &command), &command))
    }

    #[test]
    fn a_word_of_other_programs_is_answered_with_what_is_meant_and_never_with_its_opposite() {
        for (line, meant) in [
            ("vm snapshot remove mail s1", Some("delete")),
            ("vm snapshot rm mail s1", Some("delete")),
            ("vm snapshot restore mail s1", Some("revert")),
            ("image ls", Some("list")),
            ("address delete 203.0.113.200", Some("release")),
            ("node rm m1", Some("remove")),
            ("vm snapshot lst mail", Some("list")),
            ("vm restore mail", None),
        ] {
            let text = told(line).unwrap_or_else(|| panic!("{line}"));
            let meant = meant.map(|name| format!("もしかして: {name}"));
            assert_eq!(text.lines().find(|line| line.starts_with("もしかして")), meant.as_deref(), "{line}: {text}");
        }
    }

    #[test]
    fn every_mistake_is_told_in_japanese_with_what_was_typed() {
        for (line, parts) in [
            ("vm lst", &["lst というコマンドはありません", "もしかして: ", "list"][..]),
            ("vm list --stat running", &["--stat という指定はありません", "もしかして: --state"]),
            ("vm create mail", &["必要な指定がありません", "--image"]),
            ("vm list -o xml", &["--output", "xml", "table、"]),
            ("vm list --timeout soon", &["soon", "30s、500ms"]),
            ("vm create mail --image mini --priority 101", &["101", "0～100"]),
            ("vm create mail --image mini --priority -5", &["負の値 -5"]),
            ("outage rehearse --site a --in -5m", &["--in <TIME> に -5m", "30s、500ms"]),
            ("outage rehearse --site a --in 10", &["--in <TIME> に 10", "単位を付けて"]),
            ("outage rehearse", &["必要な指定がありません", "--site"]),
            ("vm list --site", &["--site", "値がありません"]),
            ("network create n --provider --overlay --cidr a --range b", &["--provider", "同時に指定できません"]),
            ("vm list --site a --site b", &["--site", "1 回だけ"]),
            ("vm show a b", &["b という指定はありません"]),
            ("--lang ja", &["続くコマンドがありません", "vm、"]),
        ] {
            let text = told(line).unwrap_or_else(|| panic!("{line}"));
            assert!(text.starts_with("エラー: ") && text.contains("\n対処: "), "{line}: {text}");
            assert!(parts.iter().all(|part| text.contains(part)), "{line}: {text}");
            for english in ["error", "Usage", "tip:", "For more", "enrol", "manual"] {
                assert!(!text.contains(english), "{english}: {text}");
            }
        }
        assert_eq!(told("vm list --help"), None);
    }
}
