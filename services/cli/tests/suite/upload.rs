//! `watari image import` against a front end that breaks off, forgets and at last takes the file.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt,
    sync::{Arc, Mutex},
};

use crate::support::{
    Cloud, Files, Ran, sample,
    stub::{
        Answer::{Refuse, Reply},
        Stub,
    },
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use watari_contracts::upload::Frame;
use watari_model::Refusal;

/// What the front end does with each connection in turn.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    /// Takes so many bytes, then drops the connection.
    BreakAfter(usize),
    /// Does not know the ticket any more.
    Forget,
    /// Takes what comes.
    Take,
    /// Takes what comes, and is of before there were skips.
    TakeBytes,
    /// Has no room.
    Full,
}

/// What a front end has of the file, and what it was sent.
#[derive(Default)]
struct Taken {
    file: Vec<u8>,
    /// Offset, skip and length of each request.
    puts: Vec<[usize; 3]>,
    /// Whether it understands frames.
    framed: bool,
}

type Arrived = Arc<Mutex<Taken>>;

/// An HTTPS server with a host's certificate; the bytes that arrive are added to `arrived`.
fn front_end(files: &Files, moods: Vec<Mood>, arrived: &Arrived) -> u16 {
    let certificates = CertificateDer::pem_file_iter(files.of_host("m-front", "etc/watari/tls/host.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(files.of_host("m-front", "etc/watari/tls/host.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates.map(Result::unwrap).collect(), key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let arrived = Arc::clone(arrived);
    std::thread::spawn(move || {
        for mood in moods {
            let (tcp, _) = listener.accept().unwrap();
            let tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), tcp);
            serve(tls, mood, &arrived);
        }
    });
    port
}

fn serve(mut stream: StreamOwned<ServerConnection, TcpStream>, mood: Mood, arrived: &Arrived) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.contains("authorization: bearer ticket"), "{head}");
    let [offset, skip, length] = ["offset=", "skip=", "content-length: "].map(|mark| {
        let number = head.split(mark).nth(1).unwrap_or("0");
        number.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().unwrap()
    });
    {
        let mut arrived = arrived.lock().unwrap();
        assert_eq!(offset, arrived.file.len(), "it does not go on where it broke");
        assert_eq!(head.contains("framed=true"), arrived.framed);
        arrived.puts.push([offset, skip, length]);
        // Whoever is refused has sent nothing that counts.
        if matches!(mood, Mood::Take | Mood::BreakAfter(_)) {
            arrived.file.resize(offset + skip, 0);
        }
    }
    let answer = |stream: &mut StreamOwned<_, _>, status: &str, body: Value| {
        let (body, offset) = (body.to_string(), arrived.lock().unwrap().file.len());
        let length = body.len();
        let head = format!("Content-Length: {length}\r\nUpload-Offset: {offset}\r\nConnection: close");
        let text = format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}");
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    };
    match mood {
        Mood::BreakAfter(bytes) => take(&mut stream, bytes, arrived),
        Mood::Forget => {
            answer(&mut stream, "401 Unauthorized", json!({"code": "upload.ticket", "message": "no such ticket"}))
        }
        Mood::Full => {
            // Read to its end, or the client may see a broken pipe before it sees the answer.
            std::io::copy(&mut (&mut stream).take(length as u64), &mut std::io::sink()).unwrap();
            answer(&mut stream, "507 Insufficient Storage", json!({"code": "image.no-room", "message": "no room"}));
        }
        Mood::Take | Mood::TakeBytes => {
            take(&mut stream, length, arrived);
            answer(&mut stream, "200 OK", json!({"state": "importing"}));
        }
    }
}

fn take(stream: &mut impl Read, bytes: usize, arrived: &Arrived) {
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).unwrap();
    let mut arrived = arrived.lock().unwrap();
    if arrived.framed { unframe(&body, &mut arrived.file) } else { arrived.file.extend(body) }
}

/// What frames tell, as far as they have come.
fn unframe(mut body: &[u8], file: &mut Vec<u8>) {
    while let Some((head, rest)) = body.split_first_chunk() {
        let Frame { zeros, length } = Frame::from_bytes(*head);
        file.resize(file.len() + usize::try_from(zeros).unwrap(), 0);
        let (bytes, rest) = rest.split_at(usize::try_from(length).unwrap().min(rest.len()));
        file.extend(bytes);
        body = rest;
    }
}

/// The image service: tickets for the front end at `port`, and an image that is ready once looked at.
fn image_service(cloud: &Cloud, port: u16, size: usize, arrived: &Arrived) -> Stub {
    let arrived = Arc::clone(arrived);
    Stub::start(cloud, "image.m-front", &["watari.v1.image.import", "watari.v1.image.get"], move |subject, _| {
        let mut image = sample("reply.ImageView.json");
        image["fault"] = Value::Null;
        image["state"] = "ready".into();
        if subject.ends_with("get") {
            return Reply(image);
        }
        let arrived = arrived.lock().unwrap();
        let (offset, framed) = (arrived.file.len(), arrived.framed);
        image["state"] = "importing".into();
        let url = (offset < size).then(|| format!("https://127.0.0.1:{port}/v1/uploads/1"));
        Reply(json!({"image": image, "url": url, "token": "ticket", "offset": offset, "framed": framed}))
    })
}

fn file(cloud: &Cloud, size: usize) -> (String, Vec<u8>) {
    let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect();
    let path = cloud.files.path("disk.img");
    fs::write(&path, &bytes).unwrap();
    (path.display().to_string(), bytes)
}

const MIB: usize = 1 << 20;

/// A disk of so many MiB, of which these are full.
fn sparse(cloud: &Cloud, mib: usize, full: &[usize]) -> (String, Vec<u8>) {
    let mut bytes = vec![0; mib * MIB];
    let path = cloud.files.path("disk.img");
    let file = fs::File::create(&path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for place in full.iter().map(|mib| mib * MIB) {
        let data = &mut bytes[place..place + MIB];
        data.fill(7);
        file.write_all_at(data, place as u64).unwrap();
    }
    (path.display().to_string(), bytes)
}

/// What a front end of these moods gets of a file, of which it has so much already.
fn puts(cloud: &Cloud, disk: &(String, Vec<u8>), has: usize, moods: Vec<Mood>) -> Vec<[usize; 3]> {
    let file = disk.1[..has].to_vec();
    given(cloud, disk, Taken { file, ..Taken::default() }, moods)
}

/// The same of one that has and understands this.
fn given(cloud: &Cloud, (path, bytes): &(String, Vec<u8>), taken: Taken, moods: Vec<Mood>) -> Vec<[usize; 3]> {
    let arrived = Arc::new(Mutex::new(taken));
    let port = front_end(&cloud.files, moods, &arrived);
    let _stub = image_service(cloud, port, bytes.len(), &arrived);
    let ran = cloud.run(&["image", "import", path, "--name", "mini", "--wait", "-o", "json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let arrived = arrived.lock().unwrap();
    assert!(arrived.file == *bytes, "other bytes arrived than were sent");
    arrived.puts.clone()
}

#[test]
fn holes_are_not_sent_and_the_first_goes_alone() {
    let cloud = Cloud::start();
    let disk = sparse(&cloud, 13, &[0, 4, 8]);
    let sent = [[0, 0, MIB], [MIB, 3 * MIB, 0], [4 * MIB, 0, MIB], [5 * MIB, 3 * MIB, MIB], [9 * MIB, 4 * MIB, 0]];
    assert_eq!(puts(&cloud, &disk, 0, vec![Mood::Take; 5]), sent);
}

#[test]
fn where_frames_are_understood_all_holes_and_what_is_between_are_one_request_and_one_more_where_that_breaks() {
    let cloud = Cloud::start();
    let disk = sparse(&cloud, 13, &[0, 4, 8]);
    let knows = || Taken { framed: true, ..Taken::default() };
    assert_eq!(given(&cloud, &disk, knows(), vec![Mood::Take]), [[0, 0, 3 * MIB + 4 * 16]]);
    // It breaks within the second frame's bytes, and then within the last frame itself.
    let moods = vec![Mood::BreakAfter(16 + MIB + 16 + 7), Mood::BreakAfter(16 + MIB - 7 + 16 + MIB + 3), Mood::Take];
    let sent = [[0, 0, 3 * MIB + 4 * 16], [4 * MIB + 7, 0, 2 * MIB - 7 + 3 * 16], [9 * MIB, 0, 16]];
    assert_eq!(given(&cloud, &disk, knows(), moods), sent);
}

#[test]
fn a_disk_without_any_data_is_one_request() {
    let cloud = Cloud::start();
    let disk = sparse(&cloud, 4, &[]);
    assert_eq!(puts(&cloud, &disk, 0, vec![Mood::Take]), [[0, 4 * MIB, 0]]);
}

#[test]
fn a_front_end_that_knows_no_skips_is_sent_every_byte() {
    let cloud = Cloud::start();
    let disk = sparse(&cloud, 8, &[0, 4]);
    let sent = [[0, 0, MIB], [MIB, 3 * MIB, 0], [MIB, 0, 7 * MIB]];
    assert_eq!(puts(&cloud, &disk, 0, vec![Mood::TakeBytes; 3]), sent);
}

#[test]
fn an_upload_that_broke_within_a_hole_goes_on_there() {
    let cloud = Cloud::start();
    let disk = sparse(&cloud, 8, &[0, 4]);
    // The answer to the first is lost on the way.
    let moods = vec![Mood::BreakAfter(0), Mood::Take, Mood::Take];
    let has = 2 * MIB + 7;
    let sent = [[has, 4 * MIB - has, 0], [4 * MIB, 0, MIB], [5 * MIB, 3 * MIB, 0]];
    assert_eq!(puts(&cloud, &disk, has, moods), sent);
}

#[test]
fn an_upload_goes_on_where_it_broke_and_arrives_whole() {
    let cloud = Cloud::start();
    let (path, bytes) = file(&cloud, 3_000_000);
    let arrived = Arrived::default();
    let moods = vec![Mood::BreakAfter(700_001), Mood::Forget, Mood::BreakAfter(0), Mood::Take];
    let port = front_end(&cloud.files, moods, &arrived);
    let stub = image_service(&cloud, port, bytes.len(), &arrived);
    let ran = cloud.run(&["image", "import", &path, "--name", "mini", "--sha256", "--wait", "-o", "json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(arrived.lock().unwrap().file == bytes, "other bytes arrived than were sent");
    assert_eq!(ran.json()["state"], "ready");
    assert!(ran.err.contains("the connection broke; going on where it broke"), "{ran:?}");
    let asked = stub.asked();
    let digest = std::process::Command::new("sha256sum").arg(&path).output().unwrap();
    assert_eq!(asked[0].1["sha256"].as_str().unwrap(), &String::from_utf8(digest.stdout).unwrap()[..64]);
    assert_eq!(asked[0].1["size_bytes"], 3_000_000);
    let ids: std::collections::BTreeSet<String> =
        asked.iter().filter(|(s, _)| s.ends_with("import")).map(|(_, q)| q["request_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "a resumed import is still the same import");
}

#[test]
fn a_front_end_without_room_ends_the_import() {
    let cloud = Cloud::start();
    let (path, bytes) = file(&cloud, 100_000);
    let arrived = Arrived::default();
    let port = front_end(&cloud.files, vec![Mood::Full], &arrived);
    let _stub = image_service(&cloud, port, bytes.len(), &arrived);
    let ran = cloud.run(&["image", "import", &path, "--name", "mini"]);
    assert!(ran.status == 1 && ran.err.contains("image.no-room"), "{ran:?}");
}

#[test]
fn an_import_that_failed_meanwhile_is_told_with_its_reason() {
    let cloud = Cloud::start();
    let (path, _) = file(&cloud, 100);
    let _stub = Stub::start(&cloud, "image.m-front", &["watari.v1.image.import"], |_, _| {
        let mut image = sample("reply.ImageView.json");
        image["state"] = "failed".into();
        image["fault"] = sample("reply.OutageView.json")["failed"][0].clone();
        Reply(json!({"image": image, "url": null, "token": "", "offset": 0}))
    });
    let ran = cloud.run(&["image", "import", &path, "--name", "mini"]);
    assert!(ran.status == 1 && ran.err.contains("error[migration.failed]"), "{ran:?}");
}

#[test]
fn a_name_that_is_taken_is_told_before_anything_is_sent() {
    let cloud = Cloud::start();
    let (path, _) = file(&cloud, 100);
    let _stub = Stub::start(&cloud, "image.m-front", &["watari.v1.image.import"], |_, _| {
        Refuse(Refusal::ImageExists { image: "mini".to_owned() })
    });
    let ran = cloud.run(&["image", "import", &path, "--name", "mini", "--wait"]);
    assert!(ran.status == 1 && ran.err.contains("error[image.exists]"), "{ran:?}");
    let folder = cloud.files.path("out").display().to_string();
    let ran = Ran::of(cloud.command("operator", &["image", "import", &folder, "--name", "mini"]).output().unwrap());
    assert!(ran.status == 2 && ran.err.contains("error[upload.file]"), "{ran:?}");
}
