//! `watari`, the operator's command: everything it does is a plain request on the bus, which
//! `nats request watari.v1.<noun>.<verb>` can send as well.
//!
//! One file or folder a noun, each with its options, its requests and its output. What they share:
//! the connection ([`session`]), waiting ([`wait`], [`progress`]) and showing ([`out`], [`texts`]).

pub mod address;
pub mod backup;
pub mod completion;
pub mod confirm;
pub mod declared;
pub mod disk;
pub mod doctor;
pub mod enrol;
pub mod events;
pub mod failure;
pub mod firewall;
pub mod format;
pub mod frontend;
pub mod history;
pub mod image;
pub mod init;
pub mod input;
pub mod join;
pub mod key;
pub mod known;
pub mod lang;
pub mod manual;
pub mod migration;
mod names;
pub mod network;
pub mod node;
pub mod options;
pub mod out;
pub mod outage;
pub mod port;
pub mod progress;
pub mod project;
pub mod session;
pub mod setup;
pub mod site;
pub mod suggest;
pub mod texts;
pub mod token;
pub mod top;
pub mod usage;
pub mod vm;
pub mod wait;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches};

use failure::Failure;
use lang::Lang;
use options::{Options, Verb};
use out::Out;
use session::Session;
use texts::{faults::Fault, hints, parsing, words::Word};

/// Exit status when the person broke it off: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// What every verb is handed.
pub struct Context {
    /// The connection, made when something is asked.
    pub session: Session,
    /// How results are shown.
    pub out: Out,
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let lang = Lang::of_words(std::env::args_os()).unwrap_or_else(Lang::of_environment);
    let options = match parsed(lang) {
        Ok(options) => options,
        Err(told) => {
            let command = Options::command();
            let told = parsing::with_meant(parsing::without_hidden(told, &command), &command);
            match parsing::shown(lang, &told, &command, &typed(std::env::args_os())) {
                Some(text) => out::say(&text),
                // Help that nobody reads to its end is no failure.
                None => {
                    let _ = told.print();
                }
            }
            return ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    let lang = options.global.lang();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out::say(&failure.shown(lang));
            ExitCode::from(failure.exit())
        }
    }
}

/// What is typed, or what the parser has to say: also help, in the person's language.
fn parsed(lang: Lang) -> Result<Options, clap::Error> {
    let mut command = match lang {
        Lang::En => Options::command(),
        Lang::Ja => texts::help::in_japanese(Options::command()),
    };
    let mut matches = parsing::read(&mut command, &typed(std::env::args_os()))?;
    Options::from_arg_matches_mut(&mut matches).map_err(|told| told.format(&mut command))
}

/// What is typed, without the language where help is asked for by its name, which takes no options.
fn typed(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    if words.get(1).is_some_and(|word| word == "help") {
        if let Some(at) = words.iter().position(|word| word == "--lang") {
            words.drain(at..words.len().min(at + 2));
        }
        words.retain(|word| !word.to_string_lossy().starts_with("--lang="));
    }
    words
}

fn run(options: Options) -> Result<(), Failure> {
    let out = Out { format: options.global.output, lang: options.global.lang() };
    // These ask nobody.
    match &options.verb {
        Verb::Setup(setup) => return out.text(&setup.run(out.lang)?),
        Verb::Init(init) => return init.run(out),
        Verb::Token(verb) => return verb.run(out),
        Verb::Completion(completion) => return out.text(&completion.script()?),
        Verb::Manual(manual) => return manual.run(out.lang),
        Verb::Backup(backup) => {
            if let Some(done) = backup.alone(out) {
                return done;
            }
        }
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Fault::File { path: "tokio".to_owned(), detail: e.to_string() })?;
    let done = runtime.block_on(async {
        tokio::select! {
            // First the command itself, which may have an opinion on Ctrl-C.
            biased;
            done = dispatched(options, out) => done,
            _ = tokio::signal::ctrl_c() => {
                out::say(Word::Interrupted.text(out.lang));
                Err(Failure::Silent(INTERRUPTED))
            }
        }
    });
    // Whatever still reads from a slow disk need not hold up the end.
    runtime.shutdown_background();
    done
}

async fn dispatched(options: Options, out: Out) -> Result<(), Failure> {
    let session = match &options.verb {
        // Who lets hosts in, or is not in yet, is not on the bus.
        Verb::Join(join) => return join.run(out).await,
        Verb::Enrol(enrol) => return enrol.run().await,
        // Whoever presses Tab is told of no trouble.
        Verb::Names(names) => return names.run(&options.global, out).await,
        // Root on a front end has an identity for this alone.
        Verb::Backup(_) => Session::of_backup(&options.global)?,
        _ => Session::new(&options.global)?,
    };
    let ctx = Context { session, out };
    let Err(failure) = asked(options.verb, &ctx).await else { return Ok(()) };
    let near = suggest::nearest(&ctx.session, &failure).await;
    if near.is_empty() {
        return Err(failure);
    }
    out::say(&failure.shown(out.lang));
    out::say(&hints::did_you_mean(out.lang, &near));
    Err(Failure::Silent(failure.exit()))
}

async fn asked(verb: Verb, ctx: &Context) -> Result<(), Failure> {
    match verb {
        Verb::Vm(verb) => verb.run(ctx).await,
        Verb::Node(verb) => verb.run(ctx).await,
        Verb::Apply(apply) => apply.run(ctx).await,
        Verb::Site(verb) => verb.run(ctx).await,
        Verb::Frontend(verb) => verb.run(ctx).await,
        Verb::Image(verb) => verb.run(ctx).await,
        Verb::Disk(verb) => verb.run(ctx).await,
        Verb::Network(verb) => verb.run(ctx).await,
        Verb::Key(verb) => verb.run(ctx).await,
        Verb::Project(verb) => verb.run(ctx).await,
        Verb::Port(verb) => verb.run(ctx).await,
        Verb::Address(verb) => verb.run(ctx).await,
        Verb::Firewall(verb) => verb.run(ctx).await,
        Verb::Migration(verb) => verb.run(ctx).await,
        Verb::Outage(verb) => verb.run(ctx).await,
        Verb::Events(events) => events.run(ctx).await,
        Verb::Top(top) => top.run(ctx).await,
        Verb::Doctor(doctor) => doctor.run(ctx).await,
        Verb::History(history) => history.run(ctx).await,
        Verb::Usage(verb) => verb.run(ctx).await,
        Verb::Backup(verb) => verb.run(ctx).await,
        Verb::Setup(_)
        | Verb::Init(_)
        | Verb::Token(_)
        | Verb::Join(_)
        | Verb::Enrol(_)
        | Verb::Completion(_)
        | Verb::Names(_)
        | Verb::Manual(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_that_is_asked_for_by_its_name_may_be_in_a_language() {
        let of = |line: &str| {
            let words = typed(line.split(' ').map(OsString::from));
            words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        for line in ["watari help vm edit --lang ja", "watari help --lang=ja vm edit", "watari help vm edit --lang"] {
            assert_eq!(of(line), "watari help vm edit");
        }
        assert_eq!(of("watari vm list --lang ja"), "watari vm list --lang ja");
    }
}
