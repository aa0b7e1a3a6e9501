//! Listening in the client's network: to the migrations' documents on the bus, and to the guests'
//! beacons on UDP port 7777.

use std::{
    collections::VecDeque,
    net::UdpSocket,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures_util::StreamExt;
use serde_json::Value;
use watari_chassis::{Bus, BusSettings};

use crate::beacon::Beacon;
use crate::lab::{Lab, URLS};

/// One version of a migration's document, and when it was heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) at: Instant,
    pub(crate) document: Value,
}

#[derive(Default)]
struct Inbox {
    migrations: VecDeque<Heard>,
    beacons: Vec<Beacon>,
}

/// The ears.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Inbox>>);

impl Watch {
    /// Starts listening to migrations' documents.
    pub(crate) fn start(lab: &Lab) -> anyhow::Result<Self> {
        let watch = Self::default();
        watch.listen_for_migrations(lab)?;
        Ok(watch)
    }

    /// Starts listening to beacons as well; one watch at a time can.
    pub(crate) fn listen_for_beacons(&self, lab: &Lab) -> anyhow::Result<()> {
        let (inbox, lab) = (Arc::downgrade(&self.0), lab.clone());
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let socket = lab.enter_network("client").and_then(|()| Ok(UdpSocket::bind(("0.0.0.0", 7777))?));
            let socket = match socket {
                Ok(socket) => {
                    let _ = tell.send(Ok(()));
                    socket
                }
                Err(error) => return drop(tell.send(Err(error))),
            };
            let mut buffer = [0_u8; 1500];
            while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                // It ends with the watch.
                let Some(watch) = inbox.upgrade().map(Self) else { return };
                if let Some(beacon) = Beacon::read(&buffer[..length], Instant::now()) {
                    watch.inbox().beacons.push(beacon);
                }
            }
        });
        told.recv().context("the listener died")?
    }

    fn listen_for_migrations(&self, lab: &Lab) -> anyhow::Result<()> {
        let (inbox, lab) = (Arc::downgrade(&self.0), lab.clone());
        let settings = BusSettings {
            urls: URLS.map(str::to_owned).to_vec(),
            nkey: Some(lab.file("client", "/etc/watari/operator.nk")),
            ca: Some(lab.file("client", "/etc/watari/ca.crt")),
            ..BusSettings::default()
        };
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let listen = async {
                let bus = Bus::connect(&settings).await?;
                let messages = bus.subscribe("watari.event.migrations.>").await?;
                anyhow::Ok((bus, messages))
            };
            let runtime = lab
                .enter_network("client")
                .and_then(|()| Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?));
            let (runtime, result) = match runtime {
                Ok(runtime) => {
                    let result = runtime.block_on(listen);
                    (runtime, result)
                }
                Err(error) => return drop(tell.send(Err(error))),
            };
            let (_bus, mut messages) = match result {
                Ok(both) => {
                    let _ = tell.send(Ok(()));
                    both
                }
                Err(error) => return drop(tell.send(Err(error))),
            };
            runtime.block_on(async {
                while let Some(message) = messages.next().await {
                    let Some(watch) = inbox.upgrade().map(Self) else { return };
                    if let Ok(document) = serde_json::from_slice::<Value>(&message.payload) {
                        watch.hear(document);
                    }
                }
            });
        });
        told.recv().context("the listener died")?
    }

    fn hear(&self, document: Value) {
        let text = |field: &str| document[field].as_str().map(str::to_owned);
        if let (Some(id), Some(state)) = (text("id"), text("state")) {
            self.inbox().migrations.push_back(Heard { id, state, at: Instant::now(), document });
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was heard of migrations so far.
    pub(crate) fn forget(&self) {
        self.inbox().migrations.clear();
    }

    /// The beacons heard since the last call.
    pub(crate) fn beacons(&self) -> Vec<Beacon> {
        std::mem::take(&mut self.inbox().beacons)
    }

    /// Waits for the first version of a migration's document whose state `fits`.
    pub(crate) fn wait(&self, id: &str, patience: Duration, fits: impl Fn(&str) -> bool) -> anyhow::Result<Heard> {
        let heard = self.first(patience, &format!("migration {id}"), |heard| heard.id == id && fits(&heard.state));
        heard.with_context(|| format!("migration {id} is {}", self.last_state(id)))
    }

    /// Waits for the first document since the last [`Watch::forget`] that `fits`.
    pub(crate) fn first(&self, patience: Duration, what: &str, fits: impl Fn(&Heard) -> bool) -> anyhow::Result<Heard> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(heard) = self.inbox().migrations.iter().find(|heard| fits(heard)) {
                return Ok(heard.clone());
            }
            if Instant::now() > deadline {
                bail!("waited {} s for {what}", patience.as_secs());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The state that was the newest at a moment.
    pub(crate) fn state_at(&self, id: &str, at: Instant) -> String {
        let inbox = self.inbox();
        let last = inbox.migrations.iter().rfind(|h| h.id == id && h.at <= at);
        last.map_or_else(|| "unheard".to_owned(), |h| h.state.clone())
    }

    /// The newest state heard.
    pub(crate) fn last_state(&self, id: &str) -> String {
        let inbox = self.inbox();
        inbox.migrations.iter().rfind(|h| h.id == id).map_or_else(|| "unheard".to_owned(), |h| h.state.clone())
    }
}
