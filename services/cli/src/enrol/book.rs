//! The tokens that were made, and what each permits. Pure: it is handed the time.
//!
//! ```text
//!  made ──▶ open ── a host comes with it ──▶ claimed ──▶ forgotten a week after its end
//!             └──── its time is over ──▶ expired ──────────┘
//! ```
//!
//! A claimed token lets the same host, known by its key, come again until it expires, since a join may break
//! off half-way. It lets nobody else in; nor that host, once it was in and somebody has thrown it out.

use serde::{Deserialize, Serialize};
use watari_contracts::enrol::Part;
use watari_model::{NodeName, SiteName, Timestamp};

use crate::{format, texts::faults::Fault};

/// So many tokens may be open at once.
pub const MOST_OPEN: usize = 64;
/// So many are kept, those that are over among them.
const MOST_KEPT: usize = 256;
/// For so long one that is over is known, so that whoever comes with it is told why it does not do.
const REMEMBERED_MS: u64 = 7 * 86_400_000;

/// A token, of which only the digest is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// By what people name it: the first digits of its digest.
    pub id: String,
    /// SHA-256 of its secret, in hexadecimal.
    pub digest: String,
    /// As what it lets a host in.
    pub part: Part,
    /// The only name that it lets in.
    pub name: Option<NodeName>,
    /// Where the host stands.
    pub site: Option<SiteName>,
    /// When it is over.
    pub expires_at: Timestamp,
    /// Who came with it.
    #[serde(default)]
    pub claim: Option<Claim>,
}

/// The host that a token has let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its name.
    pub name: NodeName,
    /// The public half of its key on the bus.
    pub nkey: String,
    /// When it came first.
    pub claimed_at: Timestamp,
    /// Whether it was in: from then on the token brings it back no more.
    #[serde(default)]
    pub done: bool,
}

/// How a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lets a host in.
    Open,
    /// It has.
    Claimed,
    /// It does not any more.
    Expired,
}

impl Record {
    /// A token that nobody has come with.
    #[must_use]
    pub fn new(digest: String, part: Part, expires_at: Timestamp) -> Self {
        let id = digest.chars().take(8).collect();
        Self { id, digest, part, name: None, site: None, expires_at, claim: None }
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match &self.claim {
            Some(_) => Standing::Claimed,
            None if self.expires_at <= now => Standing::Expired,
            None => Standing::Open,
        }
    }
}

/// Who comes, as far as a token decides upon it.
pub struct Comer<'a> {
    /// As what.
    pub part: Part,
    /// Under which name.
    pub name: &'a NodeName,
    /// Where it says that it stands.
    pub site: Option<&'a SiteName>,
    /// The public half of its key.
    pub nkey: &'a str,
}

/// All tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    v: u32,
    /// In the order in which they were made.
    pub tokens: Vec<Record>,
}

impl Default for Book {
    fn default() -> Self {
        Self { v: 1, tokens: Vec::new() }
    }
}

impl Book {
    /// Adds a token, and forgets old ones.
    ///
    /// # Errors
    /// [`Fault::TokensMany`] if too many are open.
    pub fn add(&mut self, record: Record, now: Timestamp) -> Result<(), Fault> {
        self.tokens.retain(|token| token.expires_at.plus_millis(REMEMBERED_MS) > now);
        if self.tokens.iter().filter(|token| token.standing(now) == Standing::Open).count() >= MOST_OPEN {
            return Err(Fault::TokensMany { most: MOST_OPEN.to_string() });
        }
        while self.tokens.len() >= MOST_KEPT
            && let Some(over) = self.tokens.iter().position(|token| token.standing(now) != Standing::Open)
        {
            self.tokens.remove(over);
        }
        self.tokens.push(record);
        Ok(())
    }

    /// Takes a token away, whatever it has done.
    ///
    /// # Errors
    /// [`Fault::TokenNone`].
    pub fn revoke(&mut self, id: &str) -> Result<Record, Fault> {
        let found = self.tokens.iter().position(|token| token.id == id);
        found.map(|n| self.tokens.remove(n)).ok_or_else(|| Fault::TokenNone { id: id.chars().take(80).collect() })
    }

    /// Forgets every token with which a host has come that is out again: none brings it back, however its join ended.
    pub fn expelled(&mut self, host: &NodeName) {
        self.tokens.retain(|token| token.claim.as_ref().is_none_or(|claim| claim.name != *host));
    }

    /// The host that came with the token is in.
    pub fn done(&mut self, digest: &str) {
        let token = self.tokens.iter_mut().find(|token| token.digest == digest);
        if let Some(claim) = token.and_then(|token| token.claim.as_mut()) {
            claim.done = true;
        }
    }

    /// Lets a host in, or says why not. Whoever is let in has claimed the token.
    ///
    /// # Errors
    /// [`Fault`]: the token is unknown, over, another's, or does not permit this.
    pub fn admit(&mut self, digest: &str, comer: &Comer<'_>, now: Timestamp) -> Result<&Record, Fault> {
        let token = self.tokens.iter_mut().find(|token| token.digest == digest).ok_or(Fault::TokenUnknown {})?;
        if token.expires_at <= now {
            return Err(Fault::TokenExpired { at: format::moment(token.expires_at) });
        }
        if let Some(claim) = &token.claim
            && (claim.nkey != comer.nkey || claim.name != *comer.name)
        {
            return Err(Fault::TokenUsed { host: claim.name.to_string() });
        }
        if token.part != comer.part {
            return Err(Fault::TokenPart { of: token.part.word().to_owned(), asked: comer.part.word().to_owned() });
        }
        if let Some(name) = token.name.as_ref().filter(|name| *name != comer.name) {
            return Err(Fault::TokenName { of: name.to_string(), asked: comer.name.to_string() });
        }
        if let (Some(site), Some(asked)) = (&token.site, comer.site)
            && site != asked
        {
            return Err(Fault::TokenSite { of: site.to_string(), asked: asked.to_string() });
        }
        let claim = || Claim { name: comer.name.clone(), nkey: comer.nkey.to_owned(), claimed_at: now, done: false };
        token.claim.get_or_insert_with(claim);
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn start() -> Timestamp {
        serde_json::from_str("\"2026-11-29T02:00:00Z\"").unwrap()
    }

    fn book(change: impl FnOnce(&mut Record)) -> Book {
        let mut record = Record::new("d".repeat(64), Part::Node, start().plus_millis(HOUR));
        change(&mut record);
        let mut book = Book::default();
        book.add(record, start()).unwrap();
        book
    }

    /// The code with which a host is refused; `ok` if it is let in.
    fn comes(book: &mut Book, part: Part, name: &str, site: Option<&str>, key: &str, after_ms: u64) -> &'static str {
        let (name, site) = (name.parse().unwrap(), site.map(|site| site.parse().unwrap()));
        let comer = Comer { part, name: &name, site: site.as_ref(), nkey: key };
        match book.admit(&"d".repeat(64), &comer, start().plus_millis(after_ms)) {
            Ok(_) => "ok",
            Err(fault) => fault.code(),
        }
    }

    #[test]
    fn a_token_lets_one_host_in_and_that_one_again() {
        let mut book = book(|_| {});
        assert_eq!(comes(&mut book, Part::Node, "m2", None, "A", 0), "ok");
        let claimed = book.clone();
        assert_eq!(comes(&mut book, Part::Node, "m2", None, "A", HOUR / 2), "ok");
        assert_eq!(comes(&mut book, Part::Node, "m2", None, "B", 0), "token.used", "another host of that name");
        assert_eq!(comes(&mut book, Part::Node, "m3", None, "A", 0), "token.used", "that host under another name");
        assert_eq!(comes(&mut book, Part::Node, "m2", None, "A", HOUR), "token.expired");
        assert_eq!(book, claimed, "who is refused, or comes again, changes nothing");
    }

    #[test]
    fn who_is_expelled_comes_back_with_no_token_that_it_had() {
        let mut book = book(|_| {});
        assert_eq!(comes(&mut book, Part::Node, "m2", None, "A", 0), "ok");
        book.expelled(&"m3".parse().unwrap());
        assert_eq!(comes(&mut book, Part::Node, "m2", None, "A", 0), "ok");
        book.expelled(&"m2".parse().unwrap());
        assert_eq!(comes(&mut book, Part::Node, "m2", None, "A", 0), "token.unknown");
    }

    #[test]
    fn a_token_that_is_over_revoked_or_was_never_made_lets_nobody_in() {
        let mut book = book(|_| {});
        assert_eq!(comes(&mut book, Part::Node, "m2", None, "A", HOUR), "token.expired");
        assert_eq!(book.tokens[0].standing(start()), Standing::Open);
        assert_eq!(book.tokens[0].standing(start().plus_millis(HOUR)), Standing::Expired);
        book.revoke("dddddddd").unwrap();
        assert_eq!(comes(&mut book, Part::Node, "m2", None, "A", 0), "token.unknown");
        assert_eq!(book.revoke("dddddddd").unwrap_err().code(), "token.none");
    }

    #[test]
    fn a_token_is_for_its_part_its_name_and_its_site() {
        let bound = |token: &mut Record| {
            token.name = "m2".parse().ok();
            token.site = "yamate".parse().ok();
        };
        for (part, name, site, code) in [
            (Part::Witness, "m2", None, "token.role"),
            (Part::Frontend, "m2", None, "token.role"),
            (Part::Node, "m3", None, "token.name"),
            (Part::Node, "m2", Some("myodaiji"), "token.site"),
            (Part::Node, "m2", Some("yamate"), "ok"),
            (Part::Node, "m2", None, "ok"),
        ] {
            assert_eq!(comes(&mut book(bound), part, name, site, "A", 0), code, "{part:?} {name} {site:?}");
        }
        assert!(book(bound).tokens[0].claim.is_none());
    }

    #[test]
    fn there_are_never_too_many() {
        let mut book = Book::default();
        let add = |book: &mut Book, n: usize, at: Timestamp| {
            book.add(Record::new(format!("{n:064}"), Part::Node, at.plus_millis(HOUR)), at)
        };
        for n in 0..MOST_OPEN {
            add(&mut book, n, start()).unwrap();
        }
        assert_eq!(add(&mut book, 999, start()).unwrap_err().code(), "token.too-many");
        // Those that are over are no longer open, and at last forgotten.
        let mut now = start();
        for round in 1..=6 {
            now = now.plus_millis(HOUR);
            (0..MOST_OPEN).for_each(|n| add(&mut book, round * 100 + n, now).unwrap());
        }
        assert_eq!(book.tokens.len(), MOST_KEPT);
        add(&mut book, 1_000, now.plus_millis(REMEMBERED_MS + HOUR)).unwrap();
        assert_eq!(book.tokens.len(), 1);
    }
}
