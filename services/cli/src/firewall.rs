//! `watari firewall`.

use clap::{Args, Subcommand, ValueEnum};
use watari_contracts::firewall::{
    AllowFirewall, CreateFirewall, DeleteFirewall, FirewallView, GetFirewall, ListFirewalls, RevokeFirewall,
};
use watari_model::{
    FirewallName, Refusal, Said,
    firewall::{Direction, Peer, Protocol, Rule},
};

use crate::{
    Context,
    confirm::{confirm_seen, some},
    failure::Failure,
    format, input,
    lang::Lang,
    options::Consent,
    out::{self, Column, Row, joined, or_dash},
    texts::{deleting, hints, words::Word},
};

/// Firewall groups: what may reach the servers that name them, and what these may reach
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a group, which lets nothing in at first
    #[command(after_help = "Example:\n  watari firewall create mail")]
    Create(Which),
    /// List the groups
    #[command(after_help = "Example:\n  watari firewall list -o json")]
    List,
    /// Show one group
    #[command(after_help = "Example:\n  watari firewall show mail")]
    Show(Which),
    /// Let something through; running servers feel it at once
    #[command(after_help = EXAMPLES)]
    Allow(Change),
    /// Let something through no more; connections that are open stay open
    #[command(after_help = "Example:\n  watari firewall revoke mail in tcp 25")]
    Revoke(Change),
    /// Remove a group that no server and no rule names
    #[command(after_help = "Example:\n  watari firewall delete mail --yes")]
    Delete(Delete),
}

const EXAMPLES: &str = "\
Examples:
  watari firewall allow mail in tcp 25
  watari firewall allow mail in tcp 143-145 --peer 203.0.113.0/24
  watari firewall allow db in tcp 5432 --peer web
  watari firewall allow mail out udp 53";

/// Which group.
#[derive(Debug, Args)]
pub struct Which {
    /// The group
    name: String,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The group
    name: String,
    #[command(flatten)]
    consent: Consent,
}

/// A group and a rule.
#[derive(Debug, Args)]
pub struct Change {
    /// The group
    name: String,
    /// To the servers or from them
    #[arg(value_enum)]
    direction: Way,
    /// The protocol
    #[arg(value_enum)]
    protocol: Kind,
    /// To which ports of TCP or UDP, as 80 or 80-90; all if left out
    ports: Option<String>,
    /// The other end: a subnet, or the group whose servers it is; anybody if left out
    #[arg(long, value_name = "CIDR|GROUP")]
    peer: Option<String>,
}

/// Which way.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// To the servers
    In,
    /// From the servers
    Out,
}

/// What.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Everything
    Any,
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// ICMP, ping among it
    Icmp,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let session = &ctx.session;
        match self {
            Self::Create(Which { name }) => {
                let (request_id, rules) = (Some(session.request_id()), Vec::new());
                let request = CreateFirewall { request_id, name: input::name(&name)?, rules };
                ctx.out.row(&session.ask(&request).await?)
            }
            Self::List => ctx.out.list(&session.ask(&ListFirewalls {}).await?.firewalls),
            Self::Show(Which { name }) => ctx.out.show(&session.ask(&GetFirewall { name: input::name(&name)? }).await?),
            Self::Allow(change) => {
                let (name, rule) = (input::name(&change.name)?, change.rule()?);
                ctx.out.show(&session.ask(&AllowFirewall { name, rule }).await?)
            }
            Self::Revoke(change) => {
                let (name, rule) = (input::name::<FirewallName>(&change.name)?, change.rule()?);
                let before = session.ask(&GetFirewall { name: name.clone() }).await?;
                if !before.rules.contains(&rule) {
                    // What was asked for is so, and whoever mistyped learns it.
                    out::say(&hints::no_such_rule(ctx.out.lang, name.as_str(), &rule.to_string()));
                }
                ctx.out.show(&session.ask(&RevokeFirewall { name, rule }).await?)
            }
            Self::Delete(Delete { name, consent }) => {
                let request = DeleteFirewall { name: input::name(&name)? };
                let there = GetFirewall { name: request.name.clone() };
                let groups = if consent.yes { Vec::new() } else { naming(ctx, &request.name).await };
                let question = |group: &FirewallView| {
                    let servers = group.servers.iter().map(ToString::to_string);
                    match servers.chain(groups).collect::<Vec<_>>().as_slice() {
                        [] => Ok(deleting::firewall(ctx.out.lang, &name)),
                        users => Err(Refusal::FirewallInUse { firewall: name.clone(), users: some(users) }),
                    }
                };
                confirm_seen(ctx, consent, &there, question).await?;
                ctx.out.gone(&session.ask(&request).await?, &name)
            }
        }
    }
}

/// The other groups whose rules name one, as the service calls them, as far as it says so soon.
async fn naming(ctx: &Context, name: &FirewallName) -> Vec<String> {
    let groups = ctx.session.glance(&ListFirewalls {}).await.map(|page| page.firewalls).unwrap_or_default();
    let names = |rule: &Rule| matches!(&rule.peer, Peer::Group(group) if group == name);
    let others = groups.iter().filter(|group| group.name != *name && group.rules.iter().any(names));
    others.map(|group| format!("group {}", group.name)).collect()
}

impl Change {
    fn rule(&self) -> Result<Rule, Failure> {
        let peer = match self.peer.as_deref() {
            None => Peer::Anywhere,
            // A name has no slash, no dot and no colon.
            Some(text) if text.contains(['/', '.', ':']) => Peer::Cidr(input::value(
                "--peer",
                Said::new(
                    "a subnet such as 203.0.113.0/24 or 2001:db8::/32, or a group",
                    "203.0.113.0/24 や 2001:db8::/32 のようなサブネットかグループ名",
                ),
                text,
            )?),
            Some(text) => Peer::Group(input::name(text)?),
        };
        let ports = self.ports.as_deref();
        let rule = Rule {
            direction: match self.direction {
                Way::In => Direction::In,
                Way::Out => Direction::Out,
            },
            protocol: match self.protocol {
                Kind::Any => Protocol::Any,
                Kind::Tcp => Protocol::Tcp,
                Kind::Udp => Protocol::Udp,
                Kind::Icmp => Protocol::Icmp,
            },
            ports: ports
                .map(|text| {
                    input::value("ports", Said::new("a port or FIRST-LAST", "ポート番号か 最初-最後 の範囲"), text)
                })
                .transpose()?,
            peer,
        };
        rule.check().map_err(Failure::mistyped)?;
        Ok(rule)
    }
}

impl Row for FirewallView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![Text(Word::Name), Number(Word::Rules), Text(Word::UsedBy), Text(Word::Changed)]
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.rules.len().to_string(),
            joined(&self.servers),
            format::moment(self.changed_at),
        ]
    }

    fn wide_columns() -> Vec<Column> {
        vec![Column::Text(Word::Rule), Column::Text(Word::Created)]
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        let rules: Vec<String> = self.rules.iter().map(ToString::to_string).collect();
        vec![or_dash(Some(rules.join("; ")).filter(|rules| !rules.is_empty())), format::moment(self.created_at)]
    }

    fn details(&self, _: Lang) -> Vec<(Word, String)> {
        let mut details = vec![(Word::Name, self.name.to_string())];
        details.extend(self.rules.iter().map(|rule| (Word::Rule, rule.to_string())));
        details.push((Word::UsedBy, joined(&self.servers)));
        details.push((Word::Created, format::moment(self.created_at)));
        details.push((Word::Changed, format::moment(self.changed_at)));
        details
    }

    fn none() -> Word {
        Word::NoFirewalls
    }
}
