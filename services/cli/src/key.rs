//! `watari key`.

use clap::{Args, Subcommand};
use watari_contracts::scheduler::{AddKey, DeleteKey, GetKey, KeyView, ListKeys};
use watari_model::key::{Line, MAX_LINE};

use crate::{
    Context,
    confirm::confirm_of,
    failure::Failure,
    format, input,
    lang::Lang,
    options::Consent,
    out::{Column, Row},
    texts::{deleting, words::Word},
};

/// Public SSH keys, for logging in to servers
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Keep a public key under a name
    #[command(after_help = "\
Examples:
  watari key add sato ~/.ssh/id_ed25519.pub
  ssh-add -L | watari key add sato -")]
    Add(Add),
    /// List the keys
    #[command(after_help = "Example:\n  watari key list -o json")]
    List,
    /// Show one key
    #[command(after_help = "Example:\n  watari key show sato")]
    Show(Which),
    /// Forget a key; servers that were made with it keep it
    #[command(after_help = "Example:\n  watari key delete sato --yes")]
    Delete(Delete),
}

/// What to keep.
#[derive(Debug, Args)]
pub struct Add {
    /// The key's name
    name: String,
    /// The file that ends in .pub, or - for standard input
    file: String,
}

/// Which key.
#[derive(Debug, Args)]
pub struct Which {
    /// The key
    name: String,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The key
    name: String,
    #[command(flatten)]
    consent: Consent,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let session = &ctx.session;
        match self {
            Self::Add(Add { name, file }) => {
                let name = input::name(&name)?;
                // Room for one byte more, so that a file that is too long is refused as such.
                let text = input::text(&file, MAX_LINE + 1)?;
                // A private key shall not even travel.
                Line::parse(&text).map_err(|not| Failure::mistyped(not.refusal(&name)))?;
                let request = AddKey { request_id: Some(session.request_id()), name, public_key: text };
                ctx.out.row(&session.ask(&request).await?)
            }
            Self::List => {
                let request = ListKeys { after: None, limit: None };
                ctx.out.list(&session.pages(request, |page| (page.keys, page.next), |r, after| r.after = after).await?)
            }
            Self::Show(Which { name }) => ctx.out.show(&session.ask(&GetKey { name: input::name(&name)? }).await?),
            Self::Delete(Delete { name, consent }) => {
                let request = DeleteKey { name: input::name(&name)? };
                let there = GetKey { name: request.name.clone() };
                confirm_of(ctx, consent, &there, &deleting::key(ctx.out.lang, &name)).await?;
                ctx.out.gone(&session.ask(&request).await?, &name)
            }
        }
    }
}

impl Row for KeyView {
    fn columns() -> Vec<Column> {
        use Column::Text;
        vec![Text(Word::Name), Text(Word::Algorithm), Text(Word::Fingerprint), Text(Word::Comment)]
    }

    fn cells(&self, _: Lang) -> Vec<String> {
        vec![self.name.to_string(), self.algorithm.clone(), self.fingerprint.clone(), self.comment.clone()]
    }

    fn wide_columns() -> Vec<Column> {
        vec![Column::Text(Word::Created)]
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        vec![format::moment(self.created_at)]
    }

    fn details(&self, _: Lang) -> Vec<(Word, String)> {
        vec![
            (Word::Name, self.name.to_string()),
            (Word::Algorithm, self.algorithm.clone()),
            (Word::Fingerprint, self.fingerprint.clone()),
            (Word::Comment, self.comment.clone()),
            (Word::PublicKey, self.public_key.clone()),
            (Word::Created, format::moment(self.created_at)),
        ]
    }

    fn none() -> Word {
        Word::NoKeys
    }
}
