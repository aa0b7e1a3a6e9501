//! What is given on the command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    address, backup, completion, declared, disk, doctor, enrol, events, firewall, frontend, history, image, init, join,
    key, lang::Lang, manual, migration, network, node, out::Format, outage, port, project, setup, site, token, top,
    usage, vm,
};

/// The operator's command of Watari, the private cloud whose servers migrate.
#[derive(Debug, Parser)]
#[command(
    name = "watari",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  watari image import mini.qcow2 --name mini --wait
  watari network create campus --provider --cidr 203.0.113.0/24 \\
    --range 203.0.113.100-203.0.113.199
  watari vm create mail --image mini --network campus --site myodaiji --wait
  watari site evacuate myodaiji --wait

Exit status: 0 done; 1 refused or failed; 2 the command line makes no sense; 3 no connection or no answer.
`watari doctor` has two more: 4 warnings, 5 something does not work.
Everything here is a plain request, which any NATS client can send as well:
  nats request watari.v1.vm.list '{}'"
)]
pub struct Options {
    /// What applies to all.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What applies to every verb.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// How results are shown
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
    /// Language of messages and help; without it LC_ALL, LC_MESSAGES and LANG decide
    #[arg(long, global = true, value_enum)]
    lang: Option<Lang>,
    /// NATS servers, commas between them; without it WATARI_NATS [default: nats://127.0.0.1:4222]
    #[arg(long, global = true, value_name = "URLS")]
    nats: Option<String>,
    /// File with the seed of your nkey; without it WATARI_NKEY
    #[arg(long, global = true, value_name = "FILE")]
    nkey: Option<PathBuf>,
    /// File with the certificates of the cluster's authority; without it WATARI_CA
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long to try for an answer, as when another front end takes over
    #[arg(long, global = true, default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub timeout: Duration,
    /// Name this request, so that it may be repeated without being done twice (drawn if left out)
    #[arg(long, global = true, value_name = "ID")]
    pub request_id: Option<String>,
}

impl Global {
    /// The language in which the person is spoken to.
    #[must_use]
    pub fn lang(&self) -> Lang {
        self.lang.unwrap_or_else(Lang::of_environment)
    }

    /// The NATS servers that were named.
    #[must_use]
    pub fn nats(&self) -> Option<String> {
        self.nats.clone().or_else(|| variable("WATARI_NATS")?.into_string().ok())
    }

    /// The file with the seed that was named.
    #[must_use]
    pub fn nkey(&self) -> Option<PathBuf> {
        self.nkey.clone().or_else(|| Some(variable("WATARI_NKEY")?.into()))
    }

    /// The file with the authority's certificates that was named.
    #[must_use]
    pub fn ca(&self) -> Option<PathBuf> {
        self.ca.clone().or_else(|| Some(variable("WATARI_CA")?.into()))
    }
}

/// A variable that is set to something. The parser is not told of it: it would show the option in the usage of
/// every command that is mistyped, as if it had been typed.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether to wait until what was asked for is so.
#[derive(Clone, Copy, Debug, Args)]
pub struct Waiting {
    /// Wait until it is done, and show how far it is
    #[arg(long)]
    pub wait: bool,
    /// Do not wait, which is the usual; takes back a --wait that was typed before it, as by an alias
    #[arg(long, overrides_with_all = ["wait", "wait_timeout"])]
    pub no_wait: bool,
    /// Stop waiting after this time; what was begun goes on [default: as long as it takes]
    #[arg(long, value_parser = duration, value_name = "TIME", requires = "wait")]
    pub wait_timeout: Option<Duration>,
}

impl Waiting {
    /// Not at all.
    pub const NO: Self = Self { wait: false, no_wait: true, wait_timeout: None };

    /// For so long at most.
    #[must_use]
    pub const fn at_most(time: Duration) -> Self {
        Self { wait: true, no_wait: false, wait_timeout: Some(time) }
    }
}

/// Whether to ask before something is lost.
#[derive(Clone, Copy, Debug, Args)]
pub struct Consent {
    /// Do not ask; without it nothing is done where nobody can be asked, as in a script
    #[arg(short, long)]
    pub yes: bool,
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Servers
    #[command(subcommand)]
    Vm(vm::Verb),
    /// Nodes: the machines that run servers
    #[command(subcommand)]
    Node(node::Verb),
    /// Make the servers that a file declares, and change those that are there already
    Apply(declared::Apply),
    /// Campuses: emptied before an outage, brought home after it
    #[command(subcommand)]
    Site(site::Verb),
    /// Front ends: who leads, who stands by, and from where the services should lead
    #[command(subcommand)]
    Frontend(frontend::Verb),
    /// Images: what servers' disks are made from
    #[command(subcommand)]
    Image(image::Verb),
    /// Disks of deleted servers that were kept, for other servers to begin with
    #[command(subcommand)]
    Disk(disk::Verb),
    /// Networks and the addresses that they hand out
    #[command(subcommand)]
    Network(network::Verb),
    /// Ports: the addresses in use
    #[command(subcommand)]
    Port(port::Verb),
    /// Public addresses, which lead to servers on overlay networks
    #[command(subcommand)]
    Address(address::Verb),
    /// Public SSH keys, for logging in to servers
    #[command(subcommand)]
    Key(key::Verb),
    /// Projects: servers that are counted together, and how much they may have
    #[command(subcommand)]
    Project(project::Verb),
    /// Firewall groups: what may reach the servers that name them, and what these may reach
    #[command(subcommand)]
    Firewall(firewall::Verb),
    /// Migrations: servers on their way from node to node
    #[command(subcommand)]
    Migration(migration::Verb),
    /// Outages: a site or node is emptied beforehand, and its servers come home afterwards
    #[command(subcommand)]
    Outage(outage::Verb),
    /// What happened, and what happens
    Events(events::Events),
    /// Watch sites, nodes, servers and what moves, on the whole terminal
    Top(top::Top),
    /// What is wrong in the cluster or on one node, why it matters, and what mends it
    Doctor(doctor::Doctor),
    /// Who did what, when and why, with what was before and after
    History(history::History),
    /// What servers used
    #[command(subcommand)]
    Usage(usage::Verb),
    /// All documents in one file, and back again
    #[command(subcommand)]
    Backup(backup::Verb),
    /// Make a cluster, with this host as its first front end
    Init(init::Init),
    /// Tokens, with which further hosts join (as root on the first front end)
    #[command(subcommand)]
    Token(token::Verb),
    /// Make this host one of a cluster, with a token from its first front end
    Join(join::Join),
    /// Let hosts in that come with a token, or follow the front end that does; systemd starts this on every host
    #[command(hide = true)]
    Enrol(enrol::Enrol),
    /// Make keys, certificates and configuration for the hosts of a cluster, as files
    Setup(setup::Setup),
    /// Print the script with which a shell completes what is typed
    Completion(completion::Completion),
    /// Print the names that the last word of a line may become
    #[command(hide = true)]
    Names(completion::Names),
    /// Write the manual's pages, one a command, into a folder
    Manual(manual::Manual),
}

/// `30`, `30s`, `500ms`, `2m`, `1h`, `2d`; at most a week.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match millis(text).ok_or_else(|| "give a time such as 30s, 500ms, 2m, 1h or 2d".to_owned())? {
        millis @ 1..=604_800_000 => Ok(Duration::from_millis(millis)),
        _ => Err("give a time from 1ms to a week".to_owned()),
    }
}

/// What [`with_unit`] wants.
pub(crate) const WITH_UNIT: &str = "give a time with its unit, such as 30s, 10m or 1h";

/// As [`duration`], and never a number alone, which may be meant in minutes.
pub(crate) fn with_unit(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
        return Err(WITH_UNIT.to_owned());
    }
    duration(text)
}

/// Milliseconds, by a number and its unit; none if that is not what it is.
pub(crate) fn millis(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, millis) in
            [("30", 30_000), ("30s", 30_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000), ("2d", 172_800_000)]
        {
            assert_eq!(duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for text in ["", "s", "0s", "-1s", "1w", "8d", "99999999999999999999h", "9999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(with_unit("10m").is_ok() && with_unit("10").is_err() && with_unit("-5m").is_err());
    }

    /// A command of which nothing is of interest but whether it waits.
    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        waiting: Waiting,
    }

    #[test]
    fn of_waiting_and_not_waiting_the_last_word_counts() {
        for (line, waits) in [
            ("--wait", true),
            ("--no-wait", false),
            ("--wait --no-wait", false),
            ("--no-wait --wait", true),
            ("--wait --wait-timeout 1m --no-wait", false),
            ("--no-wait --wait --wait-timeout 1m", true),
        ] {
            let words = ["watari"].into_iter().chain(line.split(' '));
            let Line { waiting } = Line::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!((waiting.wait, waiting.no_wait), (waits, !waits), "{line}");
        }
        assert!(Line::try_parse_from(["watari", "--no-wait", "--wait-timeout", "1m"]).is_err());
    }

    #[test]
    fn the_options_hang_together() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
