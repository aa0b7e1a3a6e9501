//! Alertmanager's webhook, over a real connection.

use std::sync::{Arc, Mutex};

use crate::harness::{PATIENCE, Running, common, settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use watari_chassis::{Context, Server};
use watari_contracts::{
    Service,
    scheduler::{EvacuateSite, OutagePage, OutageView, WithdrawOutage},
};
use watari_model::Refusal;
use watari_testkit::{NatsServer, TempDir, eventually, free_port};

const VIEWS: &str = include_str!("../../../../shared/contracts/tests/golden/reply.OutageView.json");

/// Answers what is asked of it with an outage, but knows one site only.
async fn scheduler(nats: &NatsServer) -> Arc<Mutex<Vec<EvacuateSite>>> {
    let ctx = Context::new(Service::Scheduler, &common(nats)).await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let server = Server::new(&ctx, Service::Scheduler).endpoint::<EvacuateSite, _, _, _>(move |_, request| {
        let views: Vec<OutageView> = serde_json::from_str(VIEWS).unwrap();
        let known = request.site.as_str() == "myodaiji";
        let unknown = Refusal::SiteUnknown { site: request.site.to_string() };
        heard.lock().unwrap().push(request);
        async move { if known { Ok(views[0].clone()) } else { Err(unknown) } }
    });
    tokio::spawn(async move { server.serve_always().await.unwrap() });
    asked
}

/// Takes what is withdrawn.
async fn answered(nats: &NatsServer) -> Arc<Mutex<Vec<WithdrawOutage>>> {
    let ctx = Context::new(Service::Scheduler, &common(nats)).await.unwrap();
    let over = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&over);
    let server = Server::new(&ctx, Service::Scheduler).endpoint::<WithdrawOutage, _, _, _>(move |_, request| {
        heard.lock().unwrap().push(request);
        async move { Ok::<_, Refusal>(OutagePage { outages: Vec::new() }) }
    });
    tokio::spawn(async move { server.serve_always().await.unwrap() });
    over
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

#[tokio::test(flavor = "multi_thread")]
async fn only_a_listed_alert_empties_a_site_and_what_cannot_be_asked_now_is_to_be_sent_again() {
    let (nats, dir, port) = (NatsServer::start(), TempDir::new(), free_port());
    let mut settings = settings(dir.path());
    settings.alerts.listen = format!("127.0.0.1:{port}");
    settings.alerts.evacuate_on = vec!["RoomTooHot".to_owned()];
    let monitor = Running::start(&nats, settings).await;
    let hot = alert("RoomTooHot", "myodaiji", "firing");
    // Nobody leads the scheduler yet: Alertmanager sends it again after an answer like this.
    let later = || async { post(port, "application/json", &hot).await == Some(503) };
    eventually("nobody takes it yet", PATIENCE, later).await;

    let asked = scheduler(&nats).await;
    let taken = || async { post(port, "application/json", &hot).await == Some(200) };
    eventually("it is taken", PATIENCE, taken).await;
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
    let mut settings = settings(dir.path());
    settings.alerts.listen = format!("127.0.0.1:{port}");
    settings.alerts.propose_on = vec!["RoomTooHot".to_owned()];
    let monitor = Running::start(&nats, settings).await;
    let over = alert("RoomTooHot", "myodaiji", "resolved");
    let later = || async { post(port, "application/json", &over).await == Some(503) };
    eventually("nobody hears it yet", PATIENCE, later).await;

    let withdrawn = answered(&nats).await;
    let taken = || async { post(port, "application/json", &over).await == Some(200) };
    eventually("it is heard", PATIENCE, taken).await;
    let told = withdrawn.lock().unwrap()[0].clone();
    assert_eq!((told.site.as_str(), told.request_id.as_str()), ("myodaiji", "alert/c4f5a4a8bd7b6e21/1785585600"));
    monitor.stop().await;
}
