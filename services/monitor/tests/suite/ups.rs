//! UPSes through an `upsd` that says what it is told to, well-behaved or not. A real one is asked in the
//! lab (`loadtests/src/scenarios/ups.rs`).

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crate::harness::{PATIENCE, Running, common, settings};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use watari_chassis::{Context, Mirror, Server, clock};
use watari_contracts::{
    Service,
    scheduler::{SiteView, TellPower},
};
use watari_model::{
    Refusal,
    site::{Change, Power, Site, Supply},
};
use watari_monitor::{
    Settings,
    settings::power::{Ups, UpsName},
};
use watari_testkit::{NatsServer, TempDir, eventually};

/// How an `upsd` behaves.
#[derive(Clone, Copy)]
enum Manner {
    /// It answers with this status and this runtime.
    Says(&'static str, &'static str),
    /// It answers whatever it is asked with these bytes, and leaves the line open.
    Blurts(&'static [u8]),
    /// It never stops talking, and never ends a line.
    Floods,
    /// It hangs up.
    HangsUp,
}

/// An `upsd` on a port of the loopback.
struct Upsd {
    port: u16,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
}

impl Upsd {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (manner, asked) = (Arc::new(Mutex::new(manner)), Arc::new(AtomicUsize::new(0)));
        let (behaves, count) = (Arc::clone(&manner), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let manner = *behaves.lock().unwrap();
                // The client may be gone before everything is said.
                tokio::spawn(async move { drop(serve(client, manner).await) });
            }
        });
        Self { port, manner, asked }
    }

    fn now(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Waits for three rounds that begin from now on: what it says now has been heard then.
    async fn heard(&self) {
        let enough = self.asked.load(Ordering::Relaxed) + 3;
        eventually("it is asked again", PATIENCE, || async { self.asked.load(Ordering::Relaxed) >= enough }).await;
    }

    fn named(&self, site: &str) -> Ups {
        let name = UpsName::try_from(format!("ups1@127.0.0.1:{}", self.port)).unwrap();
        Ups { site: site.parse().unwrap(), name, user: None, password_file: None }
    }
}

async fn serve(client: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut question = String::new();
    while client.read_line(&mut question).await? > 0 {
        let words: Vec<&str> = question.split_whitespace().collect();
        let answer = match (manner, words.as_slice()) {
            (Manner::Blurts(bytes), _) => bytes.to_vec(),
            (Manner::HangsUp, _) => return Ok(()),
            (Manner::Floods, _) => loop {
                client.write_all(&[b'x'; 4_096]).await?;
            },
            (Manner::Says(status, runtime), ["GET", "VAR", ups, variable]) => match *variable {
                "ups.status" => format!("VAR {ups} ups.status \"{status}\"\n"),
                "battery.runtime" if !runtime.is_empty() => format!("VAR {ups} battery.runtime \"{runtime}\"\n"),
                _ => "ERR VAR-NOT-SUPPORTED\n".to_owned(),
            }
            .into_bytes(),
            (Manner::Says(..), _) => b"ERR UNKNOWN-COMMAND\n".to_vec(),
        };
        client.write_all(&answer).await?;
        question.clear();
    }
    Ok(())
}

/// The scheduler, as far as it hears of power.
struct Scheduler {
    sites: Mirror<Site>,
    told: Arc<Mutex<Vec<TellPower>>>,
}

impl Scheduler {
    async fn start(nats: &NatsServer) -> Self {
        let ctx = Context::new(Service::Scheduler, &common(nats)).await.unwrap();
        let sites = Mirror::<Site>::open(&ctx).await.unwrap();
        sites.create(&Site::new("myodaiji".parse().unwrap(), "明大寺".to_owned())).await.unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (stored, heard) = (sites.clone(), Arc::clone(&told));
        let server = Server::new(&ctx, Service::Scheduler).endpoint::<TellPower, _, _, _>(move |_, request| {
            heard.lock().unwrap().push(request.clone());
            let sites = stored.clone();
            async move { tell(&sites, &request).await }
        });
        tokio::spawn(async move { server.serve_always().await.unwrap() });
        Self { sites, told }
    }

    fn power(&self) -> Option<(Supply, Option<u64>)> {
        self.sites.get("myodaiji").unwrap().value.power.map(|Power { supply, seconds_left, .. }| (supply, seconds_left))
    }

    async fn until(&self, supply: Supply, seconds_left: Option<u64>) {
        let said = || async { self.power() == Some((supply, seconds_left)) };
        eventually(&format!("{supply:?} {seconds_left:?}"), PATIENCE, said).await;
    }

    /// Everything that was told, without what was told again before it could be known.
    fn told(&self) -> Vec<(Supply, Option<u64>)> {
        let mut told: Vec<_> = self.told.lock().unwrap().iter().map(|told| (told.supply, told.seconds_left)).collect();
        told.dedup();
        told
    }
}

/// As the scheduler does.
async fn tell(sites: &Mirror<Site>, request: &TellPower) -> Result<SiteView, Refusal> {
    let known = sites.get(request.site.as_str());
    let entry = known.ok_or_else(|| Refusal::SiteUnknown { site: request.site.to_string() })?;
    let mut site = entry.value.clone();
    site.apply(Change::Told(request.supply, request.seconds_left), clock::now());
    sites.update(&site, entry.revision).await.unwrap();
    Ok(SiteView {
        name: site.name,
        title: site.title,
        state: "active".to_owned(),
        outage: None,
        paused_at: None,
        power: site.power,
        nodes: 0,
        nodes_ready: 0,
        vms: 0,
        vms_home: 0,
    })
}

fn watching(dir: &TempDir, upses: Vec<Ups>) -> Settings {
    let mut settings = settings(dir.path());
    settings.power.poll_ms = 50;
    settings.power.answer_ms = 300;
    settings.ups = upses;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ups_says_is_told_when_it_is_news_and_once() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let scheduler = Scheduler::start(&nats).await;
    let upsd = Upsd::start(Manner::Says("OL CHRG", "1800")).await;
    let monitor = Running::start(&nats, watching(&dir, vec![upsd.named("myodaiji")])).await;
    scheduler.until(Supply::Mains, None).await;
    upsd.now(Manner::Says("OB DISCHRG", "1200"));
    scheduler.until(Supply::Battery, Some(1_200)).await;
    assert!(monitor.metric("watari_site_on_battery") > 0.5 && monitor.metric("watari_ups_on_line") < 0.5);
    upsd.now(Manner::Says("OB DISCHRG", "1190"));
    upsd.heard().await;
    upsd.now(Manner::Says("OB DISCHRG LB", ""));
    scheduler.until(Supply::Battery, Some(120)).await;
    upsd.now(Manner::Says("OL CHRG", "60"));
    scheduler.until(Supply::Mains, None).await;
    upsd.heard().await;
    assert!((monitor.metric("watari_ups_runtime_seconds") - 60.0).abs() < 0.5);
    let (mains, battery) = ((Supply::Mains, None), |left| (Supply::Battery, Some(left)));
    assert_eq!(scheduler.told(), [mains, battery(1_200), battery(120), mains], "ten seconds less are no news");
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_strange_or_silent_is_taken_for_a_loss_of_power_or_its_end() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let scheduler = Scheduler::start(&nats).await;
    let upsd = Upsd::start(Manner::HangsUp).await;
    let monitor = Running::start(&nats, watching(&dir, vec![upsd.named("myodaiji")])).await;
    let strange = [
        Manner::HangsUp,
        Manner::Floods,
        Manner::Blurts(b""),
        Manner::Blurts(b"\n"),
        Manner::Blurts(b"OB\n"),
        Manner::Blurts(b"VAR ups2 ups.status \"OB LB\"\n"),
        Manner::Blurts(b"VAR ups1 ups.status \"OB LB"),
        Manner::Blurts(b"VAR ups1 ups.status \"\xff\xfe OB\"\n"),
        Manner::Blurts(b"ERR DATA-STALE\n"),
        Manner::Blurts(b"ERR DRIVER-NOT-CONNECTED\nVAR ups1 ups.status \"OB\"\n"),
        Manner::Blurts(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        Manner::Says("", "10"),
        Manner::Says("OFF", "10"),
    ];
    for manner in strange {
        upsd.now(manner);
        upsd.heard().await;
        assert_eq!((scheduler.told(), scheduler.power()), (vec![], None));
    }
    upsd.now(Manner::Says("OB", "600"));
    scheduler.until(Supply::Battery, Some(600)).await;
    assert!(monitor.metric("watari_ups_reachable") > 0.5);
    for manner in strange {
        upsd.now(manner);
        upsd.heard().await;
        assert_eq!(scheduler.power(), Some((Supply::Battery, Some(600))), "its last word stands");
    }
    upsd.now(Manner::HangsUp);
    eventually("it is shown", PATIENCE, || async { monitor.metric("watari_ups_reachable") < 0.5 }).await;
    let hidden = || async { monitor.metric("watari_site_on_battery") < 0.5 };
    eventually("what is not known is not shown", PATIENCE, hidden).await;
    upsd.now(Manner::Says("OL", "600"));
    scheduler.until(Supply::Mains, None).await;
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_two_upses_needs_as_many_as_it_is_said_to_and_a_standby_asks_as_well() {
    let (nats, here, there) = (NatsServer::start(), TempDir::new(), TempDir::new());
    let scheduler = Scheduler::start(&nats).await;
    let (one, other) = (Upsd::start(Manner::Says("OL", "")).await, Upsd::start(Manner::Says("OB", "90")).await);
    let both = vec![one.named("myodaiji"), other.named("myodaiji")];
    let first = Running::start(&nats, watching(&here, both.clone())).await;
    scheduler.until(Supply::Mains, None).await;
    one.now(Manner::Says("OB", "300"));
    scheduler.until(Supply::Battery, Some(90)).await;
    one.now(Manner::Says("OL", ""));
    scheduler.until(Supply::Mains, None).await;
    first.kill();

    // Whether it leads does not matter.
    let mut settings = watching(&there, both);
    settings.power.needs.insert("myodaiji".parse().unwrap(), 2);
    let second = Running::start(&nats, settings).await;
    scheduler.until(Supply::Battery, Some(90)).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_scheduler_does_not_hear_is_told_again() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let upsd = Upsd::start(Manner::Says("OB", "600")).await;
    let monitor = Running::start(&nats, watching(&dir, vec![upsd.named("myodaiji"), upsd.named("nowhere")])).await;
    let history = || async { monitor.metric("watari_history_available") > 0.5 };
    eventually("the monitor works without a scheduler", PATIENCE, history).await;
    let scheduler = Scheduler::start(&nats).await;
    scheduler.until(Supply::Battery, Some(600)).await;
    let refused =
        || async { scheduler.told.lock().unwrap().iter().filter(|t| t.site.as_str() == "nowhere").count() > 1 };
    eventually("it is said again", PATIENCE, refused).await;
    monitor.stop().await;
}
