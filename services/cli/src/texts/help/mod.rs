//! The help in Japanese. What is English stands where it is about something, at the commands and their options;
//! its Japanese is found by it, so that neither can change without the other: a test knows.

mod commands;
mod notes;
mod options;

use clap::{Arg, Command, builder::PossibleValue};

/// An English text and its Japanese.
type Text = (&'static str, &'static str);

/// As the parser's own, but for the heading of the usage.
const TEMPLATE: &str = "{before-help}{about-with-newline}\n使い方: {usage}\n\n{all-args}{after-help}";

fn japanese(text: &str) -> Option<&'static str> {
    let mut all = [commands::TEXTS, options::TEXTS, notes::TEXTS].into_iter().flatten();
    all.find(|(en, _)| *en == text).map(|(_, ja)| *ja)
}

/// A text that is not known is better shown as it is than not at all.
fn shown(text: &str) -> String {
    japanese(text).unwrap_or(text).to_owned()
}

/// The whole command, speaking Japanese where it explains itself.
#[must_use]
pub fn in_japanese(mut command: Command) -> Command {
    // Only then everything is there: the options that all commands have, and those for help.
    command.build();
    translated(command)
}

fn translated(mut command: Command) -> Command {
    let about = command.get_about().map(|text| shown(&text.to_string()));
    let (short, long) = (command.get_after_help().map(notes), command.get_after_long_help().map(notes));
    let usage = usage(&command.render_usage().to_string());
    let mut command = command
        .override_usage(usage)
        .help_template(TEMPLATE)
        .subcommand_help_heading("コマンド")
        .mut_args(explained)
        .mut_subcommands(translated);
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(notes) = short {
        command = command.after_help(notes);
    }
    if let Some(notes) = long {
        command = command.after_long_help(notes);
    }
    command
}

/// How a command is typed, without the heading; the parser's own words in it stand for what one types there.
fn usage(text: &str) -> String {
    let text = text.strip_prefix("Usage:").unwrap_or(text).trim();
    text.replace("[OPTIONS]", "[オプション]").replace("<COMMAND>", "<コマンド>")
}

/// An option's or argument's help, with what the parser would add to it in English.
fn explained(arg: Arg) -> Arg {
    let heading = match arg.get_help_heading() {
        Some(heading) => japanese(heading).unwrap_or("その他のオプション"),
        None if arg.is_positional() => "引数",
        None => "オプション",
    };
    let more = additions(&arg);
    let with = |text: &clap::builder::StyledStr| format!("{}{more}", shown(&text.to_string()));
    let (short, long) = (arg.get_help().map(with), arg.get_long_help().map(with));
    let mut arg = arg.help_heading(heading).hide_possible_values(true).hide_default_value(true);
    if let Some(help) = short {
        arg = arg.help(help);
    }
    if let Some(help) = long {
        arg = arg.long_help(help);
    }
    arg
}

/// The value if none is given, and the values that may be.
fn additions(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return String::new();
    }
    let mut text = String::new();
    if !arg.is_hide_default_value_set() && !arg.get_default_values().is_empty() {
        let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>();
        text.push_str(&format!(" [既定値: {}]", defaults.join(" ")));
    }
    let values = arg.get_possible_values();
    let values: Vec<String> = values.iter().filter(|value| !value.is_hide_set()).map(possible).collect();
    if !values.is_empty() && !arg.is_hide_possible_values_set() {
        text.push_str(&format!(" [値: {}]", values.join("、")));
    }
    text
}

fn possible(value: &PossibleValue) -> String {
    match value.get_help() {
        Some(help) => format!("{} ({})", value.get_name(), shown(&help.to_string())),
        None => value.get_name().to_owned(),
    }
}

/// What follows the options, paragraph by paragraph; what is indented is typed or written so.
fn notes(text: &clap::builder::StyledStr) -> String {
    let text = text.to_string();
    let mut lines = Vec::new();
    for part in parts(&text) {
        lines.push(match part {
            Part::Prose(prose) => shown(&prose),
            Part::Line(line) => line.to_owned(),
        });
    }
    lines.join("\n")
}

enum Part<'t> {
    /// Lines that belong together, as one.
    Prose(String),
    /// A line by itself.
    Line(&'t str),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut prose: Vec<&str> = Vec::new();
    for line in text.lines() {
        if !line.is_empty() && !line.starts_with(' ') {
            prose.push(line);
            continue;
        }
        if !prose.is_empty() {
            parts.push(Part::Prose(std::mem::take(&mut prose).join(" ")));
        }
        parts.push(Part::Line(line));
    }
    if !prose.is_empty() {
        parts.push(Part::Prose(prose.join(" ")));
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::options::Options;

    /// Every text of a command and of those below it.
    fn texts(command: &Command, found: &mut BTreeSet<String>) {
        found.extend(command.get_about().map(ToString::to_string));
        for notes in [command.get_after_help(), command.get_after_long_help()].into_iter().flatten() {
            found.extend(parts(&notes.to_string()).into_iter().filter_map(|part| match part {
                Part::Prose(prose) => Some(prose),
                Part::Line(_) => None,
            }));
        }
        for arg in command.get_arguments() {
            found.extend(arg.get_help_heading().map(str::to_owned));
            found.extend([arg.get_help(), arg.get_long_help()].into_iter().flatten().map(ToString::to_string));
            let values = arg.get_possible_values();
            if arg.get_action().takes_values() {
                found.extend(values.iter().filter_map(|value| value.get_help().map(ToString::to_string)));
            }
        }
        command.get_subcommands().for_each(|below| texts(below, found));
    }

    fn built() -> Command {
        let mut command = Options::command();
        command.build();
        command
    }

    #[test]
    fn every_text_of_the_help_has_its_japanese_and_no_japanese_has_lost_its_text() {
        let mut found = BTreeSet::new();
        texts(&built(), &mut found);
        assert!(found.len() > 150, "only {} texts were found", found.len());
        let known: Vec<&Text> = [commands::TEXTS, options::TEXTS, notes::TEXTS].into_iter().flatten().collect();
        let keys: BTreeSet<String> = known.iter().map(|(en, _)| (*en).to_owned()).collect();
        assert_eq!(keys.len(), known.len(), "a text stands twice");
        let missing: Vec<_> = found.difference(&keys).collect();
        assert!(missing.is_empty(), "without Japanese: {missing:#?}");
        let stale: Vec<_> = keys.difference(&found).collect();
        assert!(stale.is_empty(), "no text of the help any more: {stale:#?}");
    }

    /// What is too long for a usual terminal is broken by the parser, and is then no command any more.
    #[test]
    fn every_line_that_may_be_copied_fits_a_terminal() {
        fn look(command: &Command) {
            for notes in [command.get_after_help(), command.get_after_long_help()].into_iter().flatten() {
                let text = notes.to_string();
                let long: Vec<&str> = text.lines().filter(|line| line.starts_with(' ') && line.len() > MOST).collect();
                assert!(long.is_empty(), "{}: {long:?}", command.get_name());
            }
            command.get_subcommands().for_each(look);
        }
        const MOST: usize = 79;
        look(&built());
    }

    #[test]
    fn every_command_that_people_type_has_an_example_of_itself() {
        fn look(command: &Command, path: &str) {
            let is_typed = |below: &&Command| !below.is_hide_set() && below.get_name() != "help";
            let below: Vec<&Command> = command.get_subcommands().filter(is_typed).collect();
            let notes = command.get_after_long_help().or_else(|| command.get_after_help());
            let shows = notes.is_some_and(|notes| notes.to_string().contains(path));
            assert!(shows || !below.is_empty(), "{path}");
            below.iter().for_each(|below| look(below, &format!("{path} {}", below.get_name())));
        }
        look(&built(), "watari");
    }

    #[test]
    fn every_japanese_text_is_japanese() {
        for (en, ja) in [commands::TEXTS, options::TEXTS, notes::TEXTS].into_iter().flatten() {
            let proper = ["GNU Bash", "fish", "TCP", "UDP"].contains(en);
            assert!(proper || !ja.is_ascii(), "{en}");
        }
    }

    #[test]
    fn whoever_reads_japanese_sees_no_english_heading() {
        let mut command = in_japanese(Options::command());
        let mut all = vec![command.render_long_help().to_string()];
        for noun in command.get_subcommands_mut() {
            all.push(noun.render_long_help().to_string());
            all.extend(noun.get_subcommands_mut().map(|verb| verb.render_long_help().to_string()));
        }
        for help in all {
            assert!(help.contains("使い方: "), "{help}");
            let english = [
                "Usage:",
                "Commands:",
                "Arguments:",
                "Options:",
                "Example",
                "[default",
                "[possible",
                "Print",
                "[OPTIONS]",
            ];
            for word in english {
                assert!(!help.contains(word), "{word}: {help}");
            }
        }
    }

    #[test]
    fn the_command_is_understood_as_before() {
        use clap::FromArgMatches;
        let words = ["watari", "vm", "create", "mail", "--image", "mini", "--evacuate", "stay", "-o", "json"];
        let mut matches = in_japanese(Options::command()).try_get_matches_from(words).unwrap();
        let options = Options::from_arg_matches_mut(&mut matches).unwrap();
        assert_eq!(options.global.output, crate::out::Format::Json);
        assert!(in_japanese(Options::command()).try_get_matches_from(["watari", "help", "vm"]).is_err_and(|told| {
            told.kind() == clap::error::ErrorKind::DisplayHelp && told.to_string().contains("使い方")
        }));
    }
}
