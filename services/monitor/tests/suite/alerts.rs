//! Alertmanager's webhook, over a real connection.

use std::sync::{Arc, Mutex};

use crate::harness::{PATIENCE, Running, common, settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use watari_chassis::{Context, Server};
use watari_contracts::{
    Request, Service,
    scheduler::{EvacuateSite, OutagePage, OutageView, WithdrawOutage},
};
use watari_model::Refusal;
use watari_monitor::settings::alerts::Alerts;
use watari_testkit::{NatsServer, TempDir, eventually, free_port};

const VIEWS: &str = include_str!("../../../../shared/contracts/tests/golden/reply.OutageView.json");

/// A scheduler that answers such requests; what it was asked.
async fn scheduler<R: Request>(nats: &NatsServer, answer: fn(&R) -> Result<R::Reply, Refusal>) -> Arc<Mutex<Vec<R>>> {
    let ctx = Context::new(Service::Scheduler, &common(nats)).await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let server = Server::new(&ctx, Service::Scheduler).endpoint::<R, _, _, _>(move |_, request| {
        let answer = answer(&request);
        heard.lock().unwrap().push(request);
        async move { answer }
    });
    tokio::spawn(async move { server.serve_always().await.unwrap() });
    asked
}

/// An outage, of the one site that is known.
fn evacuated(request: &EvacuateSite) -> Result<OutageView, Refusal> {
    let views: Vec<OutageView> = serde_json::from_str(VIEWS).unwrap();
    let known = request.site.as_str() == "myodaiji";
    if known { Ok(views[0].clone()) } else { Err(Refusal::SiteUnknown { site: request.site.to_string() }) }
}

/// A monitor that listens for alerts at that port; what it does with them is `set`.
async fn listening(nats: &NatsServer, dir: &TempDir, port: u16, set: impl FnOnce(&mut Alerts)) -> Running {
    let mut settings = settings(dir.path());
    settings.alerts.listen = format!("127.0.0.1:{port}");
    // The alerts here are of a set moment, whatever the clock says.
    settings.alerts.firing_seconds = 0;
    set(&mut settings.alerts);
    Running::start(nats, settings).await
}

fn alert(name: &str, site: &str, status: &str) -> String {
    format!(
        r#"{{"version":"4","alerts":[{{"status":"{status}","labels":{{"alertname":"{name}","watari_site":"{site}"}},
        "startsAt":"2026-08-01T12:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"c4f5a4a8bd7b6e21"}}]}}"#
    )
}

/// The status of what is answered; none while nobody listens.
async fn post(port: u16, kind: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let length = body.len();
    let head = format!(
        "POST /alertmanager HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    // A body that is too large is not read to its end.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.ok()?;
    std::str::from_utf8(&start[9..]).ok()?.parse().ok()
}

/// Waits until an alert is answered so.
async fn until(what: &str, port: u16, alert: &str, status: u16) {
    let answered = || async { post(port, "application/json", alert).await == Some(status) };
    eventually(what, PATIENCE, answered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_listed_alert_empties_a_site_and_what_cannot_be_asked_now_is_to_be_sent_again() {
    let (nats, dir, port) = (NatsServer::start(), TempDir::new(), free_port());
    let monitor = listening(&nats, &dir, port, |alerts| alerts.evacuate_on = vec!["RoomTooHot".to_owned()]).await;
    let hot = alert("RoomTooHot", "myodaiji", "firing");
    // Nobody leads the scheduler yet: Alertmanager sends it again after an answer like this.
    until("nobody takes it yet", port, &hot, 503).await;

    let asked = scheduler::<EvacuateSite>(&nats, evacuated).await;
    until("it is taken", port, &hot, 200).await;
    assert_eq!(post(port, "application/json", &hot).await, Some(200), "again");
    let requests = asked.lock().unwrap().clone();
    assert!(requests.len() >= 2 && requests.iter().all(|r| *r == requests[0]), "{requests:?}");
    assert_eq!(requests[0].request_id.as_deref(), Some("alert/c4f5a4a8bd7b6e21/1785585600"));

    for (name, site, status) in [
        ("RoomWarm", "myodaiji", "firing"),
        ("RoomTooHot", "myodaiji", "resolved"),
        ("RoomTooHot", "", "firing"),
        ("RoomTooHot", "$KV.vms", "firing"),
    ] {
        assert_eq!(post(port, "application/json", &alert(name, site, status)).await, Some(200), "{name} {site}");
    }
    assert_eq!(asked.lock().unwrap().len(), requests.len());
    // A refusal that no repetition mends is not repeated.
    assert_eq!(post(port, "application/json", &alert("RoomTooHot", "nowhere", "firing")).await, Some(200));
    assert_eq!(asked.lock().unwrap().len(), requests.len() + 1);

    for (kind, body) in [("text/plain", hot.as_str()), ("application/json", "{"), ("application/json", "[]")] {
        let status = post(port, kind, body).await.unwrap();
        assert!((400..500).contains(&status), "{kind} {body}: {status}");
    }
    let _ = post(port, "application/json", &"x".repeat(2 << 20)).await;
    assert_eq!(asked.lock().unwrap().len(), requests.len() + 1);
    assert!(monitor.metric("watari_alerts_total") >= 7.0);
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_asked_first_and_is_over_takes_its_question_back_and_says_so_until_it_is_heard() {
    let (nats, dir, port) = (NatsServer::start(), TempDir::new(), free_port());
    let monitor = listening(&nats, &dir, port, |alerts| alerts.propose_on = vec!["RoomTooHot".to_owned()]).await;
    let over = alert("RoomTooHot", "myodaiji", "resolved");
    until("nobody hears it yet", port, &over, 503).await;

    let withdrawn = scheduler::<WithdrawOutage>(&nats, |_| Ok(OutagePage { outages: Vec::new() })).await;
    until("it is heard", port, &over, 200).await;
    let told = withdrawn.lock().unwrap()[0].clone();
    assert_eq!((told.site.as_str(), told.request_id.as_str()), ("myodaiji", "alert/c4f5a4a8bd7b6e21/1785585600"));
    monitor.stop().await;
}
