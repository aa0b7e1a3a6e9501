//! Who may do what over HTTPS.

use crate::harness::{tls::Authority, *};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use watari_image::settings::TlsFiles;
use watari_model::image::State;
use watari_testkit::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn only_holders_of_our_certificates_read_images() {
    let place = Place::new();
    let front = place.alone().await;
    let file = qcow2(1, 1);
    front.imported(&place, "mini", &file).await;
    let url = format!("https://{}/v1/blobs/{}", front.running.blobs, sha256(&file));
    assert_eq!(place.node().get(&url).send().await.unwrap().status(), 200);
    assert!(place.operator().get(&url).send().await.is_err(), "without a certificate");
    let stranger = Authority::new(place.dir.path(), "theirs");
    let foreign = place.authority.client(Some(&stranger.issue("node")));
    assert!(foreign.get(&url).send().await.is_err(), "with a stranger's certificate");
    assert!(stranger.client(None).get(&url).send().await.is_err(), "and the reader checks the server");

    // Nothing answers in plain text, on either port.
    for address in [front.running.blobs, front.running.uploads] {
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    }
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_expelled_reads_no_images_and_the_others_do() {
    let place = Place::new();
    let (stolen, own) = (place.authority.issue("stolen"), place.authority.issue("own"));
    let front = place.alone().await;
    let file = qcow2(1, 1);
    front.imported(&place, "mini", &file).await;
    let url = format!("https://{}/v1/blobs/{}", front.running.blobs, sha256(&file));
    assert!(reads(&place, &stolen, &url).await && reads(&place, &own, &url).await);
    place.authority.revoke(&stolen);
    // While the service runs.
    eventually("the stolen certificate is refused", SOON, || async { !reads(&place, &stolen, &url).await }).await;
    assert!(reads(&place, &own, &url).await);
    front.stop().await;
}

/// By a client of its own each time: one would go on with the connection that it has.
async fn reads(place: &Place, certificate: &TlsFiles, url: &str) -> bool {
    place.authority.client(Some(certificate)).get(url).send().await.is_ok()
}

/// Whether the front end shows a certificate of this authority, to a client of its own.
async fn shows(front: &Front, authority: &Authority) -> bool {
    let url = format!("https://{}/v1/uploads/x", front.running.uploads);
    authority.client(None).get(url).send().await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_renewed_is_shown_while_the_service_runs_and_one_of_another_key_is_not() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.peers.clear();
    let files = settings.tls.clone();
    let front = place.start_with(settings).await;
    // By its authority it is seen which one is shown.
    let next = Authority::new(place.dir.path(), "next");
    assert!(shows(&front, &place.authority).await && !shows(&front, &next).await);
    next.renew(&files);
    assert!(shows(&front, &next).await && !shows(&front, &place.authority).await);
    std::fs::copy(place.authority.issue("other").cert, &files.cert).unwrap();
    assert!(shows(&front, &next).await && !shows(&front, &place.authority).await);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_front_end_is_shown_the_renewed_certificate_as_well() {
    let place = Place::new();
    let first = place.start(0).await;
    first.leads().await;
    let settings = place.settings(1);
    let files = settings.tls.clone();
    Authority::new(place.dir.path(), "former").renew(&files);
    let second = place.start_with(settings).await;
    first.imported(&place, "mini", &qcow2(1, 4)).await;
    // Nobody lets it in with that one.
    eventually("it is to fetch the image", SOON, || async {
        second.show("mini").await.is_ok_and(|view| view.state == State::Ready && view.copies.len() == 1)
    })
    .await;
    place.authority.renew(&files);
    first.copied("mini").await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_takes_its_own_token_and_no_other() {
    let place = Place::new();
    let front = place.alone().await;
    let file = qcow2(1, 2);
    let (mine, other) = (front.import("mine", "r", &file).await, front.import("other", "r", &file).await);
    let operator = place.operator();
    let url = format!("{}?offset=0", mine.url.as_ref().unwrap());
    for token in ["", "nonsense", &"0".repeat(64), &other.token] {
        // More than fits between the two: it is being sent when the answer comes.
        let response = operator.put(&url).bearer_auth(token).body(vec![0; 32 << 20]).send().await.unwrap();
        assert_eq!(response.status(), 401, "{token:?}");
    }
    let bare = operator.put(&url).body(vec![1]).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    assert_eq!(bare.headers()["connection"], "close", "a client that is refused while it sends would use it again");
    assert_eq!(offset(&operator, &mine).await, 0);
    // The listener for uploads has no images, and that for images takes no uploads.
    let (uploads, blobs) = (front.running.uploads, front.running.blobs);
    let sha = sha256(&file);
    assert_eq!(operator.get(format!("https://{uploads}/v1/blobs/{sha}")).send().await.unwrap().status(), 404);
    assert_eq!(place.node().put(format!("https://{blobs}/v1/uploads/x?offset=0")).send().await.unwrap().status(), 404);
    front.stop().await;
}

/// The status of a node's request. The client removes plain dots from paths; what it leaves
/// encoded is decoded by the server.
async fn status(place: &Place, address: std::net::SocketAddr, target: &str) -> u16 {
    let response = place.node().get(format!("https://{address}{target}")).send().await.unwrap();
    response.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_folder() {
    let place = Place::new();
    let front = place.alone().await;
    let file = qcow2(1, 3);
    assert_eq!(front.imported(&place, "mini", &file).await.state, State::Ready);
    std::fs::write(front.data.join("blobs").join("secret"), b"secret").unwrap();
    for target in [
        "/v1/blobs/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/v1/blobs/%2e%2e%2fincoming.boot",
        "/v1/blobs/%2fetc%2fpasswd",
        "/v1/blobs/secret",
        "/v1/blobs/",
        "/v1/blobs/%00",
        "/v1/blobs/..%2fincoming.boot/extents",
        "/v1/blobs",
        "/etc/passwd",
    ] {
        assert_eq!(status(&place, front.running.blobs, target).await, 404, "{target}");
    }
    let ticket = front.import("next", "r", &file).await;
    let base = format!("https://{}/v1/uploads", front.running.uploads);
    for id in ["..%2f..%2fblobs%2fsecret", "%2e%2e", "x", &"0".repeat(32)] {
        let url = format!("{base}/{id}?offset=0");
        let response = place.operator().put(url).bearer_auth(&ticket.token).body(vec![1]).send().await.unwrap();
        assert!(matches!(response.status().as_u16(), 401 | 404), "{id}: {}", response.status());
    }
    let url = ticket.url.unwrap();
    for query in ["", "?offset=-1", "?offset=x", "?offset=18446744073709551616"] {
        let response = place
            .operator()
            .put(format!("{url}{query}"))
            .bearer_auth(&ticket.token)
            .body(vec![1])
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 400, "{query}");
    }
    assert_eq!(std::fs::read(front.data.join("blobs").join("secret")).unwrap(), b"secret");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_are_closed_and_those_within_are_served() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.limits.max_connections = 2;
    let front = place.start_with(settings).await;
    front.leads().await;
    let ticket = front.announce("mini", "r", 1000, None).await.unwrap();
    let idle = [
        TcpStream::connect(front.running.uploads).await.unwrap(),
        TcpStream::connect(front.running.uploads).await.unwrap(),
    ];
    let mut third = TcpStream::connect(front.running.uploads).await.unwrap();
    let mut nothing = [0; 1];
    assert!(matches!(third.read(&mut nothing).await, Ok(0) | Err(_)), "the third one is closed");
    drop(idle);
    let operator = place.operator();
    let url = ticket.url.as_ref().unwrap();
    watari_testkit::eventually("there is a place again", SOON, || async {
        operator.head(url).bearer_auth(&ticket.token).send().await.is_ok_and(|r| r.status() == 200)
    })
    .await;
    front.stop().await;
}
