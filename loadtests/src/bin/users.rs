//! `watari-users`: uses the mail and web servers until it is told to stop (a file, SIGTERM or
//! Ctrl-C), then writes what it noticed as JSON.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use clap::Parser;
use tokio::{signal::unix, sync::watch};
use watari_loadtests::users::{Habits, live};

/// Uses the servers as people do, and notices what people would.
#[derive(Parser)]
struct Arguments {
    /// The mail server's address (SMTP on 25, mailbox at /mbox, echo on 7).
    #[arg(long)]
    mail: Ipv4Addr,
    /// The web server's address.
    #[arg(long)]
    web: Ipv4Addr,
    /// The settings of the operator's command (/etc/watari/cli.toml): an operator is at work too.
    #[arg(long)]
    operator: Option<PathBuf>,
    /// Where the account is written.
    #[arg(long)]
    out: PathBuf,
    /// Written as soon as everything has worked once.
    #[arg(long)]
    ready: Option<PathBuf>,
    /// It stops when this file appears.
    #[arg(long)]
    stop: Option<PathBuf>,
    /// Milliseconds between two mails.
    #[arg(long, default_value_t = 250)]
    mail_every_ms: u64,
    /// Milliseconds between two pages.
    #[arg(long, default_value_t = 50)]
    page_every_ms: u64,
    /// Milliseconds between two bytes on the open connection.
    #[arg(long, default_value_t = 20)]
    byte_every_ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Another part of the process may have installed one already; either serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (tell, stop) = watch::channel(false);
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let appears = async |file: Option<PathBuf>| match file {
        Some(file) => {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        None => std::future::pending().await,
    };
    let file = arguments.stop;
    tokio::spawn(async move {
        tokio::select! {
            () = appears(file) => {}
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        let _ = tell.send(true);
    });
    let habits = Habits {
        mail: arguments.mail,
        web: arguments.web,
        mail_every: Duration::from_millis(arguments.mail_every_ms),
        page_every: Duration::from_millis(arguments.page_every_ms),
        byte_every: Duration::from_millis(arguments.byte_every_ms),
        operator: arguments.operator,
        ready_file: arguments.ready,
    };
    let noticed = live(habits, stop).await?;
    std::fs::write(&arguments.out, serde_json::to_vec_pretty(&noticed)?)?;
    Ok(())
}
