//! The connection against a real nats-server: who is let in, what is encrypted, what is waited for.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::support::SOON;
use futures_util::StreamExt;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};
use tokio::time::timeout;
use watari_chassis::{Bus, BusError, BusSettings, Initial};
use watari_testkit::{NatsServer, TempDir};

fn settings(nats: &NatsServer) -> BusSettings {
    BusSettings { urls: vec![nats.url()], ..BusSettings::default() }
}

/// A seed file and its public key.
fn identity(dir: &TempDir, name: &str) -> (PathBuf, String) {
    let pair = KeyPair::new_user();
    let path = dir.path().join(name);
    fs::write(&path, format!("# the seed of {name}\n{}\n", pair.seed().unwrap())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    (path, pair.public_key())
}

#[tokio::test]
async fn an_identity_is_let_in_hears_its_own_inbox_and_a_stranger_is_told_at_once() {
    let dir = TempDir::new();
    let ((known, public), (stranger, _)) = (identity(&dir, "known"), identity(&dir, "stranger"));
    let users = format!(
        "authorization {{ users: [ {{ nkey: {public}, permissions: {{ \
         publish: [\"watari.>\"], subscribe: [\"watari.>\", \"_INBOX_image-m-front.>\"] }} }} ] }}"
    );
    let nats = NatsServer::start_with(&users);

    let own = BusSettings { nkey: Some(known), identity: "image.m-front".into(), ..settings(&nats) };
    let bus = Bus::connect(&own).await.unwrap();
    let mut heard = bus.subscribe("watari.test.>").await.unwrap();
    bus.publish_json("watari.test.a", &7).await.unwrap();
    let message = timeout(SOON, heard.next()).await.unwrap().unwrap();
    assert_eq!((&*message.subject, &*message.payload), ("watari.test.a", b"7".as_slice()));

    for nkey in [Some(stranger), None] {
        // Even a service, which waits for its bus, does not wait for what waiting cannot mend.
        let foreign = BusSettings { nkey, initial: Initial::Wait, ..settings(&nats) };
        let refused = timeout(SOON, Bus::connect(&foreign)).await.unwrap();
        assert!(matches!(refused, Err(BusError::Refused { .. })), "{:?}", refused.err());
    }
}

#[tokio::test]
async fn a_wrong_seed_file_is_told_before_anything_is_sent() {
    let nats = NatsServer::start();
    let dir = TempDir::new();
    let public = dir.path().join("public");
    fs::write(&public, KeyPair::new_user().public_key()).unwrap();
    let wrong = Bus::connect(&BusSettings { nkey: Some(public), ..settings(&nats) }).await;
    assert!(matches!(wrong, Err(BusError::NotASeed { .. })));
    let absent = Bus::connect(&BusSettings { nkey: Some("/nonexistent".into()), ..settings(&nats) }).await;
    assert!(matches!(absent, Err(BusError::File { .. })));
}

#[tokio::test]
async fn a_person_is_told_at_once_that_nobody_is_there_and_a_service_waits() {
    let mut nats = NatsServer::start();
    nats.kill();
    let person = Bus::connect(&settings(&nats)).await;
    assert!(matches!(&person, Err(error @ BusError::Unreachable { .. }) if error.remedy().contains("WATARI_NATS")));

    let waiting = tokio::spawn({
        let settings = BusSettings { initial: Initial::Wait, ..settings(&nats) };
        async move { Bus::connect(&settings).await }
    });
    nats.restart();
    let bus = timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert!(*bus.connected().borrow());
}

/// An authority's certificate, and a server's certificate and key signed by it, for 127.0.0.1.
fn certificates(dir: &TempDir) -> (PathBuf, String) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_cert = authority.self_signed(&authority_key).unwrap();
    let server_key = rcgen::KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let server_cert = server.signed_by(&server_key, &Issuer::from_params(&authority, &authority_key)).unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let ca = write("ca.pem", authority_cert.pem());
    let (cert, key) = (write("server.pem", server_cert.pem()), write("server.key", server_key.serialize_pem()));
    (ca, format!("tls {{ cert_file: {cert:?}, key_file: {key:?} }}"))
}

#[tokio::test]
async fn with_an_authority_the_connection_is_encrypted_or_there_is_none() {
    let dir = TempDir::new();
    let (ca, tls) = certificates(&dir);
    let encrypted = NatsServer::start_with(&tls);
    let bus = Bus::connect(&BusSettings { ca: Some(ca.clone()), ..settings(&encrypted) }).await.unwrap();
    bus.publish_json("a", &1).await.unwrap();

    let other = TempDir::new();
    let (foreign, _) = certificates(&other);
    let mistrusted = Bus::connect(&BusSettings { ca: Some(foreign), ..settings(&encrypted) }).await;
    assert!(matches!(mistrusted, Err(BusError::Tls { .. })), "{:?}", mistrusted.err());

    // Somebody who answers in plain text in the server's place is not spoken to.
    let plain = NatsServer::start();
    let downgraded = timeout(SOON, Bus::connect(&BusSettings { ca: Some(ca), ..settings(&plain) })).await.unwrap();
    assert!(downgraded.is_err());
}

#[tokio::test]
async fn a_full_queue_puts_the_state_in_doubt() {
    let nats = NatsServer::start();
    let bus = Bus::connect(&BusSettings { queue_messages: 16, ..settings(&nats) }).await.unwrap();
    let mut doubt = bus.doubt();
    let _unread = bus.subscribe("beats").await.unwrap();
    doubt.mark_unchanged();
    for _ in 0..200 {
        bus.publish_beat("beats", vec![1]).await.unwrap();
    }
    timeout(SOON, doubt.changed()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_subscription_outlives_a_restart_of_the_server() {
    let mut nats = NatsServer::start();
    let bus = Bus::connect(&settings(&nats)).await.unwrap();
    let mut heard = bus.subscribe("facts").await.unwrap();
    let mut connected = bus.connected();
    nats.kill();
    timeout(SOON, connected.wait_for(|up| !up)).await.unwrap().unwrap();
    nats.restart();
    timeout(SOON, connected.wait_for(|up| *up)).await.unwrap().unwrap();
    bus.publish_json("facts", &1).await.unwrap();
    assert!(timeout(SOON, heard.next()).await.unwrap().is_some());
}
