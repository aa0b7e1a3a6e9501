//! `watari token`: what lets a further host in. It works on the cluster's folder itself, as root on the front
//! end that has it: whoever may read that folder may do everything else as well.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use watari_chassis::clock;
use watari_contracts::enrol::Part;
use watari_model::{NodeName, SiteName, Timestamp};

use crate::{
    confirm::asked,
    enrol::{
        Folder,
        book::{Book, Record, Standing},
        host_name,
        token::Token,
    },
    failure::Failure,
    format, input,
    lang::Lang,
    options::Consent,
    out::{self, Column, Out, Row, or_dash},
    setup::{
        cluster::Role as HostRole,
        journal::{Act, Entry},
    },
    texts::{faults::Fault, joining, words::Word},
};

const MINUTE_MS: u64 = 60_000;
/// So many of the newest acts are shown; the journal has all.
const MOST_SHOWN: usize = 1_000;

/// Tokens, with which further hosts join (as root on the first front end)
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a token and print it; it lets one host in
    #[command(after_help = "\
Examples:
  watari token create --role node
  watari token create --role node --name m2 --site myodaiji --minutes 10
  watari token create --role frontend --site yamate
  watari token create --role witness

It is shown this once: what is kept of it does not tell it. On the new host: watari join")]
    Create(Create),
    /// List the tokens: who may still come, and who came
    #[command(after_help = "Example:\n  watari token list -o json")]
    List(Folder),
    /// Take a token back; a host that has joined with it stays
    #[command(after_help = "Example:\n  watari token revoke 3f9a0c41")]
    Revoke(Revoke),
    /// What was done here: tokens, hosts let in and out, keys and files made; when, by whom and from where
    #[command(after_help = "Example:\n  watari token journal -o json")]
    Journal(Folder),
    /// Take a node out of the cluster: NATS knows its key no more
    #[command(after_help = "\
Example, once the node is off or drained:
  watari node remove m2
  watari token expel m2

Its agent is cut off at once and cannot come back, unless it joins anew. Servers that run there run on,
unless they are to stop when nobody hears their node. Other hosts refuse its certificates once they have heard of it:
front ends within seconds, nodes within a quarter of an hour. It joins anew with other keys alone.")]
    Expel(Expel),
}

/// As what a host joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// It runs servers
    Node,
    /// It runs the services and NATS
    Frontend,
    /// It runs NATS only, at a third place
    Witness,
}

impl Role {
    /// The same on the wire.
    #[must_use]
    pub const fn part(self) -> Part {
        match self {
            Self::Node => Part::Node,
            Self::Frontend => Part::Frontend,
            Self::Witness => Part::Witness,
        }
    }
}

/// What to make.
#[derive(Debug, Args)]
pub struct Create {
    /// As what the host joins
    #[arg(long, value_enum)]
    role: Role,
    /// The only host that it lets in [default: any that is not there yet]
    #[arg(long, value_name = "HOST")]
    name: Option<String>,
    /// Where the host stands [default: where it says]
    #[arg(long)]
    site: Option<String>,
    /// For how long it lets a host in, 1 to 10080 minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: u64,
    #[command(flatten)]
    folder: Folder,
}

/// Which one.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The token's ID, as `watari token list` shows it
    id: String,
    #[command(flatten)]
    folder: Folder,
}

/// Which node.
#[derive(Debug, Args)]
pub struct Expel {
    /// The node's name
    name: String,
    /// This host's name [default: what it calls itself]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    #[command(flatten)]
    folder: Folder,
    /// The folder that is this host's root
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
    #[command(flatten)]
    consent: Consent,
}

/// A token as it is shown. The field names are stable.
#[derive(Clone, Debug, Serialize)]
struct TokenView {
    id: String,
    role: &'static str,
    name: Option<NodeName>,
    site: Option<SiteName>,
    state: &'static str,
    expires_at: Timestamp,
    /// The host that has come with it.
    host: Option<NodeName>,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, out: Out) -> Result<(), Failure> {
        let now = clock::now();
        match self {
            Self::Create(create) => create.run(out, now),
            Self::List(folder) => {
                let book: Book = folder.desk().hold()?.book()?;
                out.list(&book.tokens.iter().map(|token| TokenView::of(token, now)).collect::<Vec<_>>())
            }
            Self::Revoke(Revoke { id, folder }) => {
                let desk = folder.desk();
                let mut held = desk.hold()?;
                let mut book = held.book()?;
                let gone = book.revoke(id)?;
                held.note(&Entry::of_here(now, Act::TokenRevoked, about(&gone)))?;
                held.keep(&book)?;
                out.told(&TokenView::of(&gone, now), [gone.id.clone()], || joining::revoked(out.lang, &gone.id))
            }
            Self::Journal(folder) => {
                let entries = folder.desk().hold()?.journal()?;
                out.list(&entries[entries.len().saturating_sub(MOST_SHOWN)..])
            }
            Self::Expel(expel) => expel.run(out),
        }
    }
}

impl Expel {
    fn run(&self, out: Out) -> Result<(), Failure> {
        let (name, here): (NodeName, NodeName) = (input::name(&self.name)?, host_name(self.host.as_deref())?);
        asked(out.lang, self.consent, &joining::will_expel(out.lang, name.as_str()))?;
        self.folder.desk().hold()?.expel(&name, &here, &self.root)?;
        out.text(&joining::expelled(out.lang, name.as_str()))
    }
}

impl Create {
    fn run(&self, out: Out, now: Timestamp) -> Result<(), Failure> {
        let (name, site): (Option<NodeName>, Option<SiteName>) =
            (input::name_if(self.name.as_deref())?, input::name_if(self.site.as_deref())?);
        let desk = self.folder.desk();
        let mut held = desk.hold()?;
        let cluster = held.cluster()?;
        // Better told now than to whoever stands at the new host.
        if let Some(site) = site.as_ref().filter(|site| !cluster.sites.iter().any(|known| known.name == **site)) {
            let sites: Vec<_> = cluster.sites.iter().map(|known| known.name.to_string()).collect();
            return Err(Fault::SiteNone { site: site.to_string(), sites: sites.join(", ") }.into());
        }
        if self.role != Role::Node && !cluster.grows {
            return Err(Fault::NatsAlone { name: or_dash(name.as_ref()) }.into());
        }
        let token = Token::draw(held.authority()?)
            .map_err(|_| Fault::File { path: "/dev/urandom".to_owned(), detail: "no random bytes".to_owned() })?;
        let record = Record::new(token.digest(), self.role.part(), now.plus_millis(self.minutes * MINUTE_MS));
        let at_which = site.is_none() && self.role != Role::Witness && cluster.sites.len() > 1;
        let record = Record { name, site, ..record };
        let mut book = held.book()?;
        book.add(record.clone(), now)?;
        held.note(&Entry::of_here(now, Act::TokenCreated, about(&record)))?;
        held.keep(&book)?;
        #[derive(Serialize)]
        struct Made {
            token: String,
            #[serde(flatten)]
            view: TokenView,
        }
        let made = Made { token: token.to_string(), view: TokenView::of(&record, now) };
        out.told(&made, [made.token.clone()], || made.token.clone())?;
        if out.format.is_for_people() {
            let address = cluster.of_role(HostRole::Front).next().map(|front| front.address);
            out::say(&joining::use_it(out.lang, self.role.part(), self.minutes, &or_dash(address), at_which));
        }
        Ok(())
    }
}

/// What a token is known by, and whom it lets in: as far as that was said.
fn about(token: &Record) -> Vec<String> {
    let words = [token.id.clone(), token.part.word().to_owned()].into_iter();
    let bound = [token.name.as_ref().map(ToString::to_string), token.site.as_ref().map(ToString::to_string)];
    words.chain(bound.into_iter().flatten()).collect()
}

impl Row for Entry {
    fn columns() -> Vec<Column> {
        use Column::Text;
        vec![Text(Word::Time), Text(Word::By), Text(Word::CameFrom), Text(Word::Done), Text(Word::About)]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        vec![
            format::moment(self.at),
            self.who.clone(),
            or_dash(self.from),
            joining::act(lang, self.act).to_owned(),
            out::joined(&self.about),
        ]
    }

    fn none() -> Word {
        Word::NothingJournalled
    }
}

impl TokenView {
    fn of(record: &Record, now: Timestamp) -> Self {
        Self {
            id: record.id.clone(),
            role: record.part.word(),
            name: record.name.clone(),
            site: record.site.clone(),
            state: match record.standing(now) {
                Standing::Open => "open",
                Standing::Claimed => "used",
                Standing::Expired => "expired",
            },
            expires_at: record.expires_at,
            host: record.claim.as_ref().map(|claim| claim.name.clone()),
        }
    }
}

impl Row for TokenView {
    fn columns() -> Vec<Column> {
        use Column::Text;
        vec![
            Text(Word::Id),
            Text(Word::Part),
            Text(Word::Name),
            Text(Word::Site),
            Text(Word::State),
            Text(Word::Expires),
            Text(Word::Host),
        ]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        vec![
            self.id.clone(),
            self.role.to_owned(),
            or_dash(self.name.as_ref()),
            or_dash(self.site.as_ref()),
            joining::standing(lang, self.state).to_owned(),
            format::moment(self.expires_at),
            or_dash(self.host.as_ref()),
        ]
    }

    fn none() -> Word {
        Word::NoTokens
    }
}
