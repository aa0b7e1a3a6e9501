//! What the parser finds wrong with a command line, told as everything else is: with a code, a cause and a remedy, in the
//! person's language.

use std::{
    error::Error as _,
    ffi::{OsStr, OsString},
};

use clap::{
    ArgMatches, Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use watari_model::{Said, said};

use super::{error, hints};
use crate::{lang::Lang, options::WITH_UNIT, suggest};

/// The code of them all.
const CODE: &str = "cli.usage";

/// Beyond what any number may be, and still one to the parser.
const BEYOND: &str = "9223372036854775807";

/// What is typed, as `command` understands it. A number below nothing is an option to the parser; behind an option it is
/// meant as its value, so that it is refused with what may be given.
///
/// # Errors
/// What the parser has to say.
pub fn read(command: &mut Command, words: &[OsString]) -> Result<ArgMatches, Error> {
    let told = match command.try_get_matches_from_mut(words) {
        Err(told) if told.kind() == ErrorKind::UnknownArgument => told,
        read => return read,
    };
    let Some(words) = with_negatives(words) else { return Err(told) };
    match command.try_get_matches_from_mut(words) {
        // That option takes no value, or something else is the matter.
        Err(again) if again.kind() != ErrorKind::ValueValidation => Err(told),
        read => read,
    }
}

/// The words, with each number below nothing in one with the option before it; none if there is no such number.
fn with_negatives(words: &[OsString]) -> Option<Vec<OsString>> {
    let takes = |option: &OsString| {
        let option = option.to_string_lossy();
        option.len() > "--".len() && option.starts_with("--") && !option.contains('=')
    };
    let mut joined: Vec<OsString> = Vec::new();
    for word in words {
        match joined.last_mut().filter(|option| takes(option)) {
            Some(option) if is_negative(&word.to_string_lossy()) => {
                option.push("=");
                option.push(word);
            }
            _ => joined.push(word.clone()),
        }
    }
    (joined.len() < words.len()).then_some(joined)
}

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
    ("campus", "site"),
    ("del", "delete"),
    ("delete", "release"),
    ("delete", "remove"),
    ("describe", "show"),
    ("destroy", "delete"),
    ("erase", "delete"),
    ("get", "show"),
    ("guest", "vm"),
    ("host", "node"),
    ("hypervisor", "node"),
    ("info", "show"),
    ("inspect", "show"),
    ("instance", "vm"),
    ("log", "console-log"),
    ("logs", "console-log"),
    ("ls", "list"),
    ("machine", "vm"),
    ("new", "create"),
    ("poweroff", "stop"),
    ("remove", "delete"),
    ("remove", "release"),
    ("restart", "reboot"),
    ("restore", "revert"),
    ("rm", "delete"),
    ("rm", "release"),
    ("rm", "remove"),
    ("rollback", "revert"),
    ("server", "vm"),
    ("shutdown", "stop"),
    // Of everything, and of one thing.
    ("status", "top"),
    ("status", "doctor"),
    ("status", "show"),
];

/// The same error with what is meant: of another program's word what that is here, or nothing; else what begins so, or
/// is a slip away. The parser's own idea goes: by it `status` is near `setup`, and `creat` near `reboot`.
#[must_use]
pub fn with_meant(mut told: Error, command: &Command) -> Error {
    let Some(typed) = texts(&told, ContextKind::InvalidSubcommand).pop() else { return told };
    // The usage names the command below which it was typed.
    let below = path(command, usage(&told).split_whitespace()).pop().unwrap_or(command);
    let there = meant_below(&typed.to_lowercase(), below);
    let _ = told.remove(ContextKind::SuggestedSubcommand);
    if !there.is_empty() {
        let _ = told.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(there));
    }
    told
}

/// The commands below one that may be meant, of those that people type.
fn meant_below(typed: &str, command: &Command) -> Vec<String> {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    let names: Vec<String> = below.map(|below| below.get_name().to_owned()).collect();
    // Several of them are one kind of thing, too.
    let one = typed.strip_suffix('s').unwrap_or(typed);
    let is_word = |word: &str| word == typed || word == one;
    let mut words = ELSEWHERE.iter().filter(|(word, _)| is_word(word)).peekable();
    if words.peek().is_some() {
        return words.map(|(_, meant)| (*meant).to_owned()).filter(|meant| names.contains(meant)).collect();
    }
    suggest::begun_or_near(typed, names)
}

/// The commands that are named one below another, from `command` on.
fn path(command: &Command, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Vec<&Command> {
    let mut path = vec![command];
    let mut at = command;
    for word in words {
        if let Some(below) = at.find_subcommand(word) {
            path.push(below);
            at = below;
        }
    }
    path
}

/// The command that was typed, and how. Some mistakes come without the usage of their command.
fn meant_by<'c>(told: &Error, command: &'c Command, typed: &[OsString]) -> (&'c Command, String) {
    let usage = usage(told);
    let path = if usage.is_empty() { path(command, typed) } else { path(command, usage.split_whitespace()) };
    let names: Vec<&str> = path.iter().map(|command| command.get_name()).collect();
    (path.last().copied().unwrap_or(command), names.join(" "))
}

fn usage(told: &Error) -> String {
    told.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default()
}

/// What is wrong, what could have been meant, and how the command is used; none if nothing is wrong, as where help
/// is asked for. `typed` are the words of which `command` makes nothing.
#[must_use]
pub fn shown(lang: Lang, told: &Error, command: &Command, typed: &[OsString]) -> Option<String> {
    let cause = cause(lang, told)?;
    let remedy = remedy(lang, told, command, typed);
    let mut lines = vec![error(lang, CODE, lang.of(&cause), lang.of(&remedy))];
    lines.extend(meant(lang, told));
    let usage = usage(told);
    if !usage.is_empty() {
        let usage = usage.trim_end();
        lines.push(match lang {
            Lang::En => format!("\n{usage}"),
            Lang::Ja => format!("\n{}", usage.replacen("Usage:", "使い方:", 1)),
        });
    }
    Some(lines.join("\n"))
}

fn cause(lang: Lang, told: &Error) -> Option<Said> {
    let word = |kind| listed(lang, &texts(told, kind));
    let (argument, value) = (word(ContextKind::InvalidArg), word(ContextKind::InvalidValue));
    let command = word(ContextKind::InvalidSubcommand);
    Some(match told.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion
        | ErrorKind::Io
        | ErrorKind::Format => return None,
        ErrorKind::InvalidValue if value.is_empty() => said!("{argument} has no value", "{argument} に値がありません"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            said!("{argument} cannot be {value}", "{argument} に {value} は指定できません")
        }
        ErrorKind::UnknownArgument if is_negative(&argument) => {
            said!("the negative value {argument} cannot be given", "負の値 {argument} は指定できません")
        }
        ErrorKind::UnknownArgument => said!("there is no argument {argument}", "{argument} という指定はありません"),
        ErrorKind::InvalidSubcommand => said!("there is no command {command}", "{command} というコマンドはありません"),
        ErrorKind::MissingSubcommand => {
            said!("a command is missing after {command}", "{command} に続くコマンドがありません")
        }
        ErrorKind::MissingRequiredArgument => {
            said!("something required is missing: {argument}", "必要な指定がありません: {argument}")
        }
        ErrorKind::ArgumentConflict => match word(ContextKind::PriorArg) {
            prior if prior == argument || prior.is_empty() => {
                said!("{argument} can be given only once", "{argument} は 1 回だけ指定できます")
            }
            prior => said!("{argument} cannot be given with {prior}", "{argument} は {prior} と同時に指定できません"),
        },
        ErrorKind::TooManyValues | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            said!("{argument} has the wrong number of values", "{argument} の値の数が正しくありません")
        }
        _ => Said::new("the command line cannot be read", "コマンドラインを解釈できません"),
    })
}

/// What is nearly what was typed.
fn meant(lang: Lang, told: &Error) -> Option<String> {
    let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let names = kinds.into_iter().map(|kind| texts(told, kind)).find(|names| !names.is_empty())?;
    Some(hints::did_you_mean(lang, &names))
}

/// What may be given, where that is known, and where all of it is told.
fn remedy(lang: Lang, told: &Error, command: &Command, typed: &[OsString]) -> Said {
    let (asked, path) = meant_by(told, command, typed);
    let see = said!("see: {path} --help", "使い方は {path} --help で確認できます");
    match one_by_one(told, asked, &path).or_else(|| allowed(lang, told, command, typed)) {
        Some(Said { en, ja }) => Said::new(format!("{en}; {}", see.en), format!("{ja}。{}", see.ja)),
        None => see,
    }
}

/// How something is done with several, of a command that takes one.
fn one_by_one(told: &Error, asked: &Command, path: &str) -> Option<Said> {
    let is_name = texts(told, ContextKind::InvalidArg).iter().all(|more| !more.starts_with('-'));
    let takes_one = told.kind() == ErrorKind::UnknownArgument && asked.get_positionals().count() == 1;
    (is_name && takes_one).then(|| {
        said!(
            "one is taken at a time, several by: for x in A B C; do {path} \"$x\"; done",
            "一度に指定できるのは 1 つです。複数に対しては、for x in A B C; do {path} \"$x\"; done のように実行できます"
        )
    })
}

fn allowed(lang: Lang, told: &Error, command: &Command, typed: &[OsString]) -> Option<Said> {
    let kinds = [ContextKind::ValidValue, ContextKind::ValidSubcommand];
    if let Some(valid) = kinds.into_iter().map(|kind| texts(told, kind)).find(|names| !names.is_empty()) {
        let names = listed(lang, &valid);
        return Some(said!("give one of these: {names}", "次のいずれかを指定してください: {names}"));
    }
    if told.source().is_some_and(|said| said.to_string() == WITH_UNIT) {
        return Some(Said::new(WITH_UNIT, "30s、10m、1h のように、単位を付けて指定してください"));
    }
    let is_time = texts(told, ContextKind::InvalidArg).iter().any(|argument| argument.contains("<TIME>"));
    if told.kind() == ErrorKind::ValueValidation && is_time {
        return Some(Said::new(
            "give a time of at most a week, such as 30s, 500ms, 2m, 1h or 2d",
            "30s、500ms、2m、1h、2d のように、1 週間以内の時間を指定してください",
        ));
    }
    let (least, most) = range(told, command, typed)?;
    Some(said!("give a number from {least} to {most}", "{least}～{most} の数を指定してください"))
}

/// Whether a number below nothing was taken for an option.
fn is_negative(argument: &str) -> bool {
    argument.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The least and the most that a number may be. The parser names them of a number alone that is none of them, so that
/// it is asked of one in place of what was typed.
fn range(told: &Error, command: &Command, typed: &[OsString]) -> Option<(String, String)> {
    let value = texts(told, ContextKind::InvalidValue).pop().filter(|_| told.kind() == ErrorKind::ValueValidation)?;
    bounds(told).or_else(|| {
        let words = typed.iter().map(|word| in_place(word, &value, BEYOND));
        bounds(&command.clone().try_get_matches_from(words).err()?)
    })
}

/// By what the parser says: `101 is not in 0..=100`.
fn bounds(told: &Error) -> Option<(String, String)> {
    let said = told.source()?.to_string();
    let (least, most) = said.rsplit_once(" is not in ")?.1.split_once("..=")?;
    Some((least.to_owned(), most.to_owned()))
}

/// The word with another value, if it is this one, by itself or behind its option.
fn in_place(word: &OsStr, value: &str, other: &str) -> OsString {
    let text = word.to_string_lossy();
    match text.strip_suffix(value).filter(|option| option.is_empty() || option.ends_with('=')) {
        Some(option) => format!("{option}{other}").into(),
        None => word.to_owned(),
    }
}

/// One word or several.
fn texts(told: &Error, kind: ContextKind) -> Vec<String> {
    match told.get(kind) {
        Some(ContextValue::String(word)) => vec![word.clone()],
        Some(ContextValue::Strings(words)) => words.clone(),
        _ => Vec::new(),
    }
}

/// As people read several.
fn listed(lang: Lang, words: &[String]) -> String {
    words.join(match lang {
        Lang::En => ", ",
        Lang::Ja => "、",
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::{options::Options, texts::help::in_japanese};

    fn told(lang: Lang, line: &str) -> Option<String> {
        let words: Vec<OsString> = ["watari"].into_iter().chain(line.split(' ')).map(OsString::from).collect();
        let mut command = match lang {
            Lang::En => Options::command(),
            Lang::Ja => in_japanese(Options::command()),
        };
        let error = read(&mut command, &words).unwrap_err();
        shown(lang, &with_meant(without_hidden(error, &command), &command), &command, &words)
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
            ("vm creat mail", Some("create")),
            ("vm rebot mail", Some("reboot")),
            ("vm status mail", Some("show")),
            ("vms list", Some("vm")),
            ("server list", Some("vm")),
            ("Instances list", Some("vm")),
            ("hosts", Some("node")),
            ("xyzzy", None),
        ] {
            let text = told(Lang::Ja, line).unwrap_or_else(|| panic!("{line}"));
            let meant = meant.map(|name| format!("もしかして: `{name}`"));
            assert_eq!(text.lines().find(|line| line.starts_with("もしかして")), meant.as_deref(), "{line}: {text}");
        }
        let text = told(Lang::En, "status").unwrap();
        assert!(text.contains("did you mean `top` or `doctor`?"), "{text}");
    }

    #[test]
    fn every_word_of_other_programs_means_some_command() {
        fn names(command: &Command, found: &mut Vec<String>) {
            found.extend(command.get_subcommands().map(|below| below.get_name().to_owned()));
            command.get_subcommands().for_each(|below| names(below, found));
        }
        let mut all = Vec::new();
        names(&Options::command(), &mut all);
        for (word, meant) in ELSEWHERE {
            assert!(all.iter().any(|name| name == meant), "{word}: {meant}");
        }
    }

    #[test]
    fn every_mistake_is_told_in_japanese_with_what_was_typed() {
        for (line, parts) in [
            ("vm lst", &["lst というコマンドはありません", "もしかして: ", "list"][..]),
            ("vm list --stat running", &["--stat という指定はありません", "もしかして: `--state`"]),
            ("vm create mail", &["必要な指定がありません", "--image", "使い方: watari vm create ", "[オプション]"]),
            ("vm list -o xml", &["--output", "xml", "table、"]),
            ("vm list --timeout soon", &["soon", "30s、500ms"]),
            ("vm create mail --image mini --priority 101", &["101", "0～100"]),
            ("vm create mail --image mini --priority -5", &["--priority", "-5", "0～100"]),
            ("outage plan a --minutes -5", &["--minutes", "-5", "0～10080"]),
            ("outage plan a --minutes=soon", &["--minutes", "soon", "0～10080"]),
            ("vm start mail --wait -5", &["負の値 -5"]),
            ("vm delete a b c", &["b という指定はありません", "1 つです", "watari vm delete \"$x\""]),
            ("outage rehearse --site a --in -5m", &["--in <TIME> に -5m", "30s、500ms"]),
            ("outage rehearse --site a --in 10", &["--in <TIME> に 10", "単位を付けて"]),
            ("outage rehearse", &["必要な指定がありません", "--site"]),
            ("vm list --site", &["--site", "値がありません"]),
            ("network create n --provider --overlay --cidr a --range b", &["--provider", "同時に指定できません"]),
            ("vm list --site a --site b", &["--site", "1 回だけ"]),
            ("vm show a b", &["b という指定はありません"]),
            ("--lang ja", &["続くコマンドがありません", "vm、"]),
        ] {
            let text = told(Lang::Ja, line).unwrap_or_else(|| panic!("{line}"));
            assert!(text.starts_with("エラー[cli.usage]: ") && text.contains("\n対処: "), "{line}: {text}");
            assert!(parts.iter().all(|part| text.contains(part)), "{line}: {text}");
            for english in ["error", "Usage", "[OPTIONS]", "<COMMAND>", "tip:", "For more", "enrol"] {
                assert!(!text.contains(english), "{english}: {text}");
            }
        }
        assert_eq!(told(Lang::Ja, "vm list --help"), None);
    }

    #[test]
    fn in_english_every_mistake_has_a_code_a_cause_and_the_help_to_ask_for_too() {
        for (line, parts) in [
            ("vm lst", &["there is no command lst", "help: see: watari vm --help", "did you mean", "`list`"][..]),
            ("vm snapshot remove mail s1", &["watari vm snapshot --help", "did you mean `delete`?"]),
            ("vm list --stat running", &["there is no argument --stat", "`--state`", "watari vm list --help"]),
            ("vm create mail", &["something required is missing: --image", "watari vm create --help", "Usage: "]),
            ("vm list -o xml", &["--output", "cannot be xml", "give one of these: table, ", "watari vm list --help"]),
            ("vm list --timeout soon", &["cannot be soon", "500ms"]),
            ("vm create mail --image mini --priority 101", &["from 0 to 100; see: watari vm create --help"]),
            ("vm create mail --image mini --priority -5", &["cannot be -5", "from 0 to 100"]),
            ("vm create mail --image mini --priority high", &["cannot be high", "from 0 to 100"]),
            ("outage plan a --minutes -5", &["cannot be -5", "from 0 to 10080; see: watari outage plan --help"]),
            ("vm start mail --wait -5", &["the negative value -5"]),
            ("vm delete a b c", &["no argument b", "for x in A B C; do watari vm delete \"$x\"; done; see: "]),
            ("vm snapshot revert mail a b", &["no argument b", "help: see: watari vm snapshot revert --help"]),
            ("outage rehearse --site a --in 10", &["with its unit", "watari outage rehearse --help"]),
            ("vm list --site", &["--site", "has no value"]),
            ("network create n --provider --overlay --cidr a --range b", &["--provider", "cannot be given with"]),
            ("vm list --site a --site b", &["can be given only once"]),
            ("--lang en", &["a command is missing after watari", "vm, ", "see: watari --help"]),
        ] {
            let text = told(Lang::En, line).unwrap_or_else(|| panic!("{line}"));
            assert!(text.starts_with("error[cli.usage]: ") && text.contains("\nhelp: "), "{line}: {text}");
            assert!(parts.iter().all(|part| text.contains(part)), "{line}: {text}");
            assert!(text.is_ascii() && !text.contains("enrol") && !text.contains("tip:"), "{line}: {text}");
        }
        assert_eq!(told(Lang::En, "vm list --help"), None);
    }
}
