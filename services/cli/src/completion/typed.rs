//! `watari names`: what the word that is being typed may become, where only the cloud knows. It is hidden: scripts of
//! `watari completion` call it whenever Tab is pressed, and take what it prints for what it is.

use clap::{Arg, Args, Command, CommandFactory};

use crate::{
    failure::Failure,
    names::{self, Kind, Outages},
    options::{Global, Options},
    out::Out,
    session::Session,
};

/// Print the names that the last word of a line may become
#[derive(Debug, Args)]
pub struct Names {
    /// The line as far as it is typed, behind -- and without the command itself
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

impl Names {
    /// Prints them. Who is typing is not told why there are none.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub async fn run(&self, global: &Global, out: Out) -> Result<(), Failure> {
        let mut command = Options::command();
        command.build();
        let Some((kind, begun)) = asked(&command, &self.words) else { return Ok(()) };
        let Ok(session) = Session::new(global) else { return Ok(()) };
        let names = names::soon(&session, &kind).await;
        out.names(names.into_iter().filter(|name| name.starts_with(begun)))
    }
}

/// Of what the last word is to be a name, and how the name begins; none if it is to be anything else.
fn asked<'w>(root: &Command, words: &'w [String]) -> Option<(Kind, &'w str)> {
    let (last, before) = words.split_last()?;
    let last = last.as_str();
    let (mut command, mut path, mut given, mut open) = (root, Vec::new(), Vec::new(), None);
    for word in before.iter().map(String::as_str) {
        if open.is_some() {
            // Bash has what stands between an option and its value as a word.
            open = open.filter(|_| word == "=");
        } else if word.starts_with('-') {
            open = option(command, word);
        } else if let Some(below) = command.find_subcommand(word) {
            command = below;
            path.push(below.get_name());
        } else {
            given.push(word);
        }
    }
    let (arg, begun) = match (open, last.split_once('=')) {
        (Some(arg), _) => (arg, last.strip_prefix('=').unwrap_or(last)),
        (None, Some((name, value))) if name.starts_with("--") => (option(command, name)?, value),
        (None, _) if last.starts_with('-') => return None,
        (None, _) => (positional(command, given.len())?, last),
    };
    Some((kind(&path, arg, &given)?, begun))
}

/// The option that a word is, if it takes a value.
fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    command.get_opts().find(|arg| match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long) || arg.get_all_aliases().unwrap_or_default().contains(&long),
        None => arg.get_short().is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str())),
    })
}

/// What comes after so many that are given already; the last may be several.
fn positional(command: &Command, given: usize) -> Option<&Arg> {
    let all: Vec<&Arg> = command.get_positionals().collect();
    let last = all.last().filter(|arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1));
    all.get(given).or(last).copied()
}

/// Of what an option or argument takes a name, by the word that stands for it in the help.
fn kind(path: &[&str], arg: &Arg, given: &[&str]) -> Option<Kind> {
    let value = arg.get_value_names()?.first()?.as_str();
    Some(match (value, path) {
        ("NAME", _) if arg.is_positional() => return of_noun(path),
        ("SNAPSHOT", [.., "revert" | "delete"]) => Kind::Snapshot { vm: (*given.first()?).to_owned() },
        ("ADDRESS", ["address", _]) if arg.is_positional() => Kind::Address,
        ("ID", ["migration", _]) if arg.is_positional() => Kind::Migration,
        ("ID", ["outage", verb]) if arg.is_positional() => Kind::Outage(of_verb(verb)),
        ("ID|SITE", ["outage", verb]) => Kind::OutageOrSite(of_verb(verb)),
        ("VM" | "SERVER", _) => Kind::Vm,
        ("NODE", _) => Kind::Node,
        ("SITE", _) => Kind::Site,
        ("IMAGE", ["vm", "create"]) => Kind::Image,
        ("DISK", _) => Kind::Disk,
        ("NETWORK" | "NETWORK[=ADDRESS]", _) => Kind::Network,
        ("GROUP" | "CIDR|GROUP", _) => Kind::Firewall,
        ("KEY", _) => Kind::Key,
        ("PROJECT", _) => Kind::Project,
        _ => return None,
    })
}

/// Which outages a command can do something about.
fn of_verb(verb: &str) -> Outages {
    match verb {
        "reschedule" | "start" => Outages::Ahead,
        "cancel" | "shut-down" => Outages::Current,
        "pause" => Outages::Going,
        "resume" => Outages::Paused,
        "return" => Outages::Away,
        _ => Outages::All,
    }
}

/// Of what the name is that a command is about. What is only made has a name that nobody knows.
fn of_noun(path: &[&str]) -> Option<Kind> {
    Some(match path {
        [_, "create" | "add"] => return None,
        ["vm", ..] => Kind::Vm,
        ["node", _] => Kind::Node,
        ["image", _] => Kind::Image,
        ["disk", _] => Kind::Disk,
        ["network", _] => Kind::Network,
        ["firewall", _] => Kind::Firewall,
        ["key", _] => Kind::Key,
        ["project", _] => Kind::Project,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the last word of a line is to be, which ends with a space before a word that is not begun.
    fn of(line: &str) -> Option<(Kind, String)> {
        let mut command = Options::command();
        command.build();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        asked(&command, &words).map(|(kind, begun)| (kind, begun.to_owned()))
    }

    #[test]
    fn what_names_something_that_is_there_is_completed() {
        let snapshot = Kind::Snapshot { vm: "mail".to_owned() };
        for (line, kind) in [
            ("vm show ", Kind::Vm),
            ("vm migrate mail --to ", Kind::Node),
            ("vm migrate --wait --to y1 ", Kind::Vm),
            ("--lang ja -o json vm export mail ", Kind::Vm),
            ("vm snapshot create ", Kind::Vm),
            ("vm snapshot revert mail ", snapshot.clone()),
            ("vm snapshot delete --yes mail ", snapshot),
            ("vm create mail --image ", Kind::Image),
            ("vm create mail --from-disk ", Kind::Disk),
            ("vm create mail --image mini --network ", Kind::Network),
            ("vm create mail --firewall ", Kind::Firewall),
            ("vm create mail --key ", Kind::Key),
            ("vm create mail --after ", Kind::Vm),
            ("vm edit mail --project ", Kind::Project),
            ("vm list --node ", Kind::Node),
            ("node drain ", Kind::Node),
            ("doctor --node ", Kind::Node),
            ("site evacuate ", Kind::Site),
            ("frontend promote ", Kind::Site),
            ("image delete ", Kind::Image),
            ("disk show ", Kind::Disk),
            ("network edit ", Kind::Network),
            ("address allocate ", Kind::Network),
            ("address associate ", Kind::Address),
            ("address associate 203.0.113.200 ", Kind::Vm),
            ("firewall allow ", Kind::Firewall),
            ("firewall allow web ingress tcp --peer ", Kind::Firewall),
            ("key show ", Kind::Key),
            ("project set ", Kind::Project),
            ("migration cancel ", Kind::Migration),
            ("outage reschedule ", Kind::Outage(Outages::Ahead)),
            ("outage show ", Kind::OutageOrSite(Outages::All)),
            ("outage start ", Kind::OutageOrSite(Outages::Ahead)),
            ("outage cancel ", Kind::OutageOrSite(Outages::Current)),
            ("outage shut-down ", Kind::OutageOrSite(Outages::Current)),
            ("outage pause ", Kind::OutageOrSite(Outages::Going)),
            ("outage resume --wait ", Kind::OutageOrSite(Outages::Paused)),
            ("outage return ", Kind::OutageOrSite(Outages::Away)),
            ("usage report --from 2026-11-01 --to 2026-12-01 --vm ", Kind::Vm),
        ] {
            assert_eq!(of(line), Some((kind, String::new())), "{line}");
        }
    }

    #[test]
    fn a_name_that_is_begun_stands_alone_or_behind_its_option() {
        for line in ["vm migrate mail --to y", "vm migrate mail --to=y", "vm migrate mail --to = y"] {
            assert_eq!(of(line), Some((Kind::Node, "y".to_owned())), "{line}");
        }
        assert_eq!(of("vm migrate mail --to ="), Some((Kind::Node, String::new())));
        assert_eq!(of("vm migrate --to = y1 ma"), Some((Kind::Vm, "ma".to_owned())));
    }

    #[test]
    fn what_is_new_or_no_name_is_nothing_that_the_cloud_knows() {
        for line in [
            "",
            "vm ",
            "vm sh",
            "vm show mail ",
            "vm show -",
            "vm create ",
            "vm create mail --memory ",
            "vm save mail --as ",
            "vm snapshot create mail ",
            "vm screenshot desk ",
            "image import mini.qcow2 --name ",
            "key add ",
            "network clear campus ",
            "token revoke ",
            "backup create ",
            "help vm show ",
            "migration cancel --request-id ",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
