//! From `main` to the exit code: options, settings, logs, bus, listener, work, drain.

use std::{error::Error, future::Future, io, net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Args, Command, FromArgMatches};
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use watari_contracts::Service;

use crate::{
    BusError, ConfigError, Context, Drained, Options,
    config::{self, Loaded, Validate},
    http,
    supervisor::Supervisor,
    telemetry::{self, TelemetryError, Traces},
};

/// Why a process does not start. Each has a remedy for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Logs and traces.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The metrics.
    #[error("two metrics have one name: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The listener.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The operating system.
    #[error("the operating system refuses what every process needs: {0}")]
    System(#[source] io::Error),
}

impl StartError {
    /// What the operator can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Config(error) => error.remedy(),
            Self::Bus(error) => error.remedy(),
            Self::Telemetry(_) => "correct the value in [telemetry]",
            Self::Metrics(_) => "report this: it is a fault of the program",
            Self::Listen { .. } => "choose another telemetry.listen, or stop what uses that port",
            Self::System(_) => "check the limits on threads and open files",
        }
    }
}

/// Runs a service: its whole `main`. `defaults_toml` are its own embedded settings; `work` is
/// called once the bus is there, and ends soon after [`Context::shutdown`], or with an error that
/// stops the process.
pub fn run<C, F, W, E>(service: Service, defaults_toml: &str, work: F) -> ExitCode
where
    C: DeserializeOwned + Validate,
    F: FnOnce(Context, C) -> W,
    W: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let name = format!("watari-{}", service.name());
    let command = Options::augment_args(Command::new("watari").bin_name(name).version(env!("CARGO_PKG_VERSION")));
    match command.try_get_matches().and_then(|matches| Options::from_arg_matches(&matches)) {
        Ok(options) => run_with(service, defaults_toml, &options, work),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

/// The same for a program that has read its options itself.
pub fn run_with<C, F, W, E>(service: Service, defaults_toml: &str, options: &Options, work: F) -> ExitCode
where
    C: DeserializeOwned + Validate,
    F: FnOnce(Context, C) -> W,
    W: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    if options.print_config {
        return match config::printed(service.name(), defaults_toml, options) {
            Ok(printed) => {
                println!("{printed}");
                ExitCode::SUCCESS
            }
            Err(error) => cannot_start(service, &error.into()),
        };
    }
    match config::load_all::<C>(service.name(), defaults_toml, options) {
        Ok(loaded) => within_runtime(service, loaded, (defaults_toml, options), work),
        Err(error) => cannot_start(service, &error.into()),
    }
}

/// One clear error with a remedy. Standard error, since logging may be what failed.
fn cannot_start(service: Service, error: &StartError) -> ExitCode {
    eprintln!("watari-{} cannot start: {error}\n  remedy: {}", service.name(), error.remedy());
    ExitCode::FAILURE
}

fn within_runtime<C, F, W, E>(service: Service, loaded: Loaded<C>, read_from: (&str, &Options), work: F) -> ExitCode
where
    F: FnOnce(Context, C) -> W,
    W: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    // More threads than this cost memory and bring nothing to a control plane.
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().min(4));
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_start(service, &StartError::System(error)),
    };
    let code = runtime.block_on(async {
        match started(service, &loaded).await {
            Ok((ctx, traces)) => {
                ctx.set_settings(read_from.0, read_from.1);
                let code = until_told(&ctx, work(ctx.clone(), loaded.own)).await;
                let _ = tokio::task::spawn_blocking(move || traces.finish()).await;
                code
            }
            Err(error) => cannot_start(service, &error),
        }
    });
    // A blocking call that never returns (libvirt's may) must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn started<C>(service: Service, loaded: &Loaded<C>) -> Result<(Context, Traces), StartError> {
    let common = &loaded.common;
    let traces = telemetry::start(&common.telemetry, service.name(), &common.bus.identity)?;
    let supervisor = Supervisor::of_environment();
    if let Some(supervisor) = &supervisor {
        supervisor.tell("STATUS=starting: waiting for NATS");
    }
    let ctx = Context::new(service, common).await?;
    if let Some(address) = common.listen().map_err(ConfigError::Invalid)? {
        http::serve(&ctx, address).await?;
    }
    on_signal(&ctx)?;
    if let Some(supervisor) = supervisor {
        ctx.spawn_closer("supervisor", supervisor.attend(ctx.clone()));
    }
    tracing::info!(service = service.name(), instance = %ctx.instance, version = env!("CARGO_PKG_VERSION"), "started");
    Ok((ctx, traces))
}

/// SIGTERM and SIGINT ask for draining; neither ends the process at once, since what is in hand
/// may be a migration.
fn on_signal(ctx: &Context) -> Result<(), StartError> {
    let mut term = signal(SignalKind::terminate()).map_err(StartError::System)?;
    let mut int = signal(SignalKind::interrupt()).map_err(StartError::System)?;
    let shutdown = ctx.shutdown.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
            () = shutdown.cancelled() => return,
        };
        tracing::info!(signal = name, "told to stop");
        shutdown.cancel();
    });
    Ok(())
}

async fn until_told<E: Into<Box<dyn Error + Send + Sync>>>(
    ctx: &Context,
    work: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    let bound = Duration::from_secs(ctx.limits.drain_seconds);
    tokio::pin!(work);
    let ended = tokio::select! {
        ended = &mut work => Some(ended),
        () = ctx.shutdown.cancelled() => tokio::time::timeout(bound, &mut work).await.ok(),
    };
    let drained = ctx.drain().await;
    match (ended, drained) {
        (Some(Err(error)), _) => {
            let error: Box<dyn Error + Send + Sync> = error.into();
            tracing::error!(error = %chain(error.as_ref()), "stopped by an error");
            eprintln!("watari-{} stopped: {}", ctx.service().name(), chain(error.as_ref()));
            ExitCode::FAILURE
        }
        (Some(Ok(())), Drained::Fully) if !ctx.has_failed() => {
            tracing::info!("drained and stopped");
            ExitCode::SUCCESS
        }
        (_, drained) => {
            tracing::error!(?drained, "stopped with work in hand");
            ExitCode::FAILURE
        }
    }
}

/// An error with all its causes in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
