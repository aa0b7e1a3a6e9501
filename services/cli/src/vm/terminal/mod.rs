//! `watari vm console`: typing at a server's serial console.
//!
//! ```text
//!   keyboard ──▶ keys (pure: Ctrl-]?) ──▶ waiting ──▶ typed ─┐
//!                                                             ├──▶ the scheduler ──▶ the node's agent
//!   terminal ◀── shown ◀───────────────────── followed ◀─────┘
//! ```
//!
//! What the server says is asked for from where it was seen, and what is typed has its place as well, so that a front
//! end may change in between and nothing is lost or comes twice. When the server has moved, its console is opened again
//! at the other node.

mod keys;
mod raw;
mod talk;

use std::io::{self, IsTerminal};

use clap::Args;
use watari_chassis::TraceParent;
use watari_contracts::{
    agent::ConsoleAct,
    scheduler::{ConsoleView, VmConsole},
};
use watari_model::VmName;

use crate::{
    Context,
    failure::Failure,
    input, out,
    texts::{faults::Fault, terminal},
};
use talk::End;

/// Whose console.
#[derive(Debug, Args)]
pub struct Console {
    /// The server
    name: String,
    /// End the session of whoever has it open
    #[arg(long)]
    force: bool,
}

/// A session at one server's console.
struct Line<'c> {
    ctx: &'c Context,
    name: VmName,
    session: String,
}

impl Console {
    /// Types and shows until the person leaves.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name: VmName = input::name(&self.name)?;
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Fault::ConsoleNoTerminal { vm: name.to_string() }.into());
        }
        // Whoever knows it can type there: it is drawn, and nobody is told.
        let session = TraceParent::fresh().trace_id();
        let line = Line { ctx, name, session };
        let opened = line.does(ConsoleAct::Open { take_over: self.force }).await?;
        out::say(&terminal::opened(ctx.out.lang, line.name.as_str(), opened.node.as_str()));
        let ended = talk::run(&line, opened).await;
        line.leave().await;
        let (lang, vm) = (ctx.out.lang, line.name.as_str());
        let told = match ended? {
            End::Left => terminal::left(lang, vm),
            End::TakenOver(by) => terminal::taken_over(lang, vm, lang.of(&by)),
            End::Off => terminal::off(lang, vm),
            End::Gone => terminal::gone(lang, vm),
        };
        out::say(&told);
        Ok(())
    }
}

impl Line<'_> {
    async fn does(&self, act: ConsoleAct) -> Result<ConsoleView, Failure> {
        self.ctx.session.ask(&self.request(act)).await
    }

    /// Opens it once more; whoever has taken it over keeps it.
    async fn reopens(&self) -> Result<ConsoleView, Failure> {
        let request = self.request(ConsoleAct::Open { take_over: false });
        self.ctx.session.ask(&VmConsole { again: true, ..request }).await
    }

    /// Lets others in. If nobody hears it, they come in when the agent has not heard of us for a while.
    async fn leave(&self) {
        self.ctx.session.glance(&self.request(ConsoleAct::Close)).await;
    }

    fn request(&self, act: ConsoleAct) -> VmConsole {
        VmConsole { name: self.name.clone(), session: self.session.clone(), act, again: false }
    }
}
