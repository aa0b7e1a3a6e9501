//! `watari frontend recover`: of two front ends without a witness one is left, by a loss that nobody planned. Nobody leads
//! then, so that no service can be asked: as root on the front end that is left NATS itself is, with the scheduler's key.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde::Deserialize;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use watari_chassis::{Bus, BusSettings, Initial, Recovery, Unfit, recover, recovery};
use watari_model::NodeName;

use crate::{
    Context,
    confirm::asked,
    failure::Failure,
    input,
    options::Consent,
    out,
    session::fault,
    setup::LAUNCHER,
    texts::{faults::Fault, fronts},
};

/// The key of a scheduler's third connection, which may take votes away.
const KEY: &str = "/etc/watari/nkeys/server-keeper.nk";
/// NATS elects within seconds.
const BOUND: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// A host that is there takes a connection within milliseconds.
const ANSWERED: Duration = Duration::from_secs(2);

/// What is lost.
#[derive(Debug, Args)]
pub struct Recover {
    /// The host of the front end that is lost for good
    lost: String,
    #[command(flatten)]
    consent: Consent,
}

/// What this host knows of itself and of the other NATS servers.
#[derive(Debug, Deserialize)]
struct Launcher {
    host: NodeName,
    bus: Servers,
}

/// Its own is the last.
#[derive(Debug, Deserialize)]
struct Servers {
    urls: Vec<String>,
    ca: PathBuf,
}

impl Recover {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let lang = ctx.out.lang;
        let lost: NodeName = input::name(&self.lost)?;
        let here = Launcher::read(&Path::new("/").join(LAUNCHER))?;
        let host = here.host.as_str();
        if lost == here.host {
            return Err(Fault::RecoverSelf { host: host.to_owned() }.into());
        }
        let bus = Bus::connect(&here.settings()).await.map_err(fault)?;
        if next(&bus, host, &lost).await? == Recovery::Done {
            out::say(&fronts::is_alone(lang, host));
            return Ok(());
        }
        here.nobody_else_answers().await?;
        asked(lang, self.consent, &fronts::is_lost(lang, host, lost.as_str()))?;
        let mut last = String::new();
        let done = timeout(BOUND, async {
            loop {
                let next = next(&bus, host, &lost).await?;
                if next == Recovery::Done {
                    return Ok::<(), Failure>(());
                }
                if let Err(detail) = recover(&bus, host, &next).await {
                    last = detail;
                }
                sleep(PAUSE).await;
            }
        });
        done.await.unwrap_or_else(|_| Err(Fault::RecoverUnfinished { host: host.to_owned(), detail: last }.into()))?;
        ctx.out.text(&fronts::recovered(lang, host, lost.as_str()))
    }
}

/// What is next, or why it is nothing for this command.
async fn next(bus: &Bus, host: &str, lost: &NodeName) -> Result<Recovery, Failure> {
    let unfit = match recovery(bus, host, lost.as_str()).await {
        Ok(next) => return Ok(next),
        Err(unfit) => unfit,
    };
    let host = host.to_owned();
    Err(match unfit {
        Unfit::Unasked(detail) => Fault::RecoverUnfinished { host, detail },
        Unfit::Answers(server) => Fault::RecoverAnswers { server },
        Unfit::Led(server) => Fault::RecoverLed { server },
        Unfit::Voteless => Fault::RecoverVoteless { host },
        Unfit::Others(servers) => Fault::RecoverOthers { lost: lost.to_string(), servers },
    }
    .into())
}

impl Launcher {
    fn read(path: &Path) -> Result<Self, Fault> {
        let none = |detail: String| Fault::RecoverNotHere { path: path.display().to_string(), detail };
        let text = fs::read_to_string(path).map_err(|e| none(e.to_string()))?;
        toml::from_str(&text).map_err(|e| none(e.to_string().trim_end().to_owned()))
    }

    /// How its own server is reached, and no other.
    fn settings(&self) -> BusSettings {
        BusSettings {
            urls: self.bus.urls.last().cloned().into_iter().collect(),
            nkey: Some(KEY.into()),
            ca: Some(self.bus.ca.clone()),
            identity: format!("server-keeper.{}", self.host),
            initial: Initial::Fail,
            ..BusSettings::default()
        }
    }

    /// Whoever takes a connection is not lost, whatever NATS knows of it.
    async fn nobody_else_answers(&self) -> Result<(), Fault> {
        for url in self.bus.urls.iter().rev().skip(1) {
            let address = url.split_once("://").map_or(url.as_str(), |(_, address)| address);
            if matches!(timeout(ANSWERED, TcpStream::connect(address)).await, Ok(Ok(_))) {
                return Err(Fault::RecoverAnswers { server: address.to_owned() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn launcher(others: &str) -> Launcher {
        let text = format!(
            "host = \"y-front\"\nconfig = \"c\"\nstore = \"s\"\n[bus]\nurls = [{others}\"tls://10.0.0.2:4222\"]\nnkey = \"k\"\nca = \"a\"\nidentity = \"nats.y-front\"\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn only_this_hosts_own_server_is_asked_by_the_key_that_may_take_votes_away() {
        let settings = launcher("\"tls://10.0.0.1:4222\", ").settings();
        assert_eq!(settings.urls, ["tls://10.0.0.2:4222"]);
        assert_eq!(settings.identity, "server-keeper.y-front");
    }

    #[tokio::test]
    async fn who_takes_a_connection_is_not_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let there = launcher(&format!("\"tls://{address}\", ")).nobody_else_answers().await;
        assert_eq!(there, Err(Fault::RecoverAnswers { server: address }));
        assert_eq!(launcher("\"tls://127.0.0.1:1\", ").nobody_else_answers().await, Ok(()));
    }
}
