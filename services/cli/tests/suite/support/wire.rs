//! The NATS protocol by hand: a hostile client is not bound by what a library lets it do, such as
//! which reply subject it names.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use nkeys::KeyPair;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// A connection.
pub struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
    inbox: Vec<Message>,
    subscriptions: u32,
}

/// A message that came.
#[derive(Clone, Debug)]
pub struct Message {
    pub subject: String,
    pub reply: Option<String>,
    pub payload: String,
    /// Its headers as they came.
    pub headers: String,
}

/// What the server said to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Denied,
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |w, b| (w << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for n in 0..=chunk.len() {
            out.push(DIGITS[(word >> (18 - 6 * n)) as usize & 63] as char);
        }
    }
    out
}

/// Reads a line byte by byte, so that nothing of what follows is taken.
fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Dials and reads what the server says first.
pub fn dial(port: u16) -> (TcpStream, serde_json::Value) {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let info = line(&mut tcp).unwrap();
    (tcp, serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap())
}

impl Client {
    /// Connects under the identity of `seed`.
    pub fn connect(port: u16, authority: &Path, seed: Option<&str>) -> Result<Self, String> {
        let (tcp, info) = dial(port);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = StreamOwned::new(tls, tcp);
        let mut client = Self { stream, buffer: Vec::new(), inbox: Vec::new(), subscriptions: 0 };
        let mut words = serde_json::json!({
            "verbose": false, "pedantic": false, "tls_required": true, "lang": "test", "version": "0",
            "protocol": 1, "headers": true, "no_responders": true,
        });
        if let Some(seed) = seed {
            let pair = KeyPair::from_seed(seed.trim()).unwrap();
            let nonce = info["nonce"].as_str().unwrap();
            words["nkey"] = pair.public_key().into();
            words["sig"] = base64url(&pair.sign(nonce.as_bytes()).unwrap()).into();
        }
        client.send(&format!("CONNECT {words}\r\n"));
        match client.settle() {
            Ok(Verdict::Allowed) => Ok(client),
            Ok(Verdict::Denied) => Err("denied".to_owned()),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, text: &str) {
        // A server that hangs up is noticed when reading.
        let _ = self.stream.write_all(text.as_bytes()).and_then(|()| self.stream.flush());
    }

    /// Publishes, with a reply subject or without, and says whether the server let it.
    pub fn publish(&mut self, subject: &str, reply: Option<&str>, payload: &str) -> Verdict {
        let reply = reply.map(|r| format!("{r} ")).unwrap_or_default();
        self.send(&format!("PUB {subject} {reply}{}\r\n{payload}\r\n", payload.len()));
        self.settle().unwrap()
    }

    /// Publishes with headers, as a refusal is answered.
    pub fn publish_with_headers(&mut self, subject: &str, headers: &[(&str, &str)], payload: &str) -> Verdict {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("NATS/1.0\r\n{lines}\r\n");
        self.send(&format!("HPUB {subject} {} {}\r\n{head}{payload}\r\n", head.len(), head.len() + payload.len()));
        self.settle().unwrap()
    }

    /// Subscribes and says whether the server let it.
    pub fn subscribe(&mut self, subject: &str) -> Verdict {
        self.subscriptions += 1;
        self.send(&format!("SUB {subject} {}\r\n", self.subscriptions));
        self.settle().unwrap()
    }

    /// The next message, if one comes within `bound`.
    pub fn next_within(&mut self, bound: Duration) -> Option<Message> {
        if self.inbox.is_empty() {
            self.stream.sock.set_read_timeout(Some(bound)).unwrap();
            while self.inbox.is_empty() {
                if self.read_one().is_err() {
                    break;
                }
            }
            self.stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        (!self.inbox.is_empty()).then(|| self.inbox.remove(0))
    }

    /// The next message, which must come.
    pub fn next(&mut self) -> Message {
        self.next_within(PATIENCE).expect("a message")
    }

    /// Publishes with an own inbox as reply subject and waits for the answer.
    pub fn ask(&mut self, inbox: &str, subject: &str, payload: &str) -> Message {
        assert_eq!(self.publish(subject, Some(inbox), payload), Verdict::Allowed, "{subject}");
        self.next()
    }

    /// Everything sent so far has been looked at by the server: says whether it complained.
    fn settle(&mut self) -> Result<Verdict, String> {
        self.send("PING\r\n");
        let mut verdict = Verdict::Allowed;
        loop {
            match self.read_one() {
                Ok(Some(op)) if op == "PONG" => return Ok(verdict),
                Ok(Some(op)) if op.contains("Permissions Violation") => verdict = Verdict::Denied,
                Ok(Some(op)) if op.starts_with("-ERR") => return Err(op),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Reads one operation; a message goes into the inbox.
    fn read_one(&mut self) -> io::Result<Option<String>> {
        let line = self.line()?;
        let mut words = line.split(' ');
        match words.next() {
            Some("PING") => {
                self.send("PONG\r\n");
                Ok(None)
            }
            Some(op @ ("MSG" | "HMSG")) => {
                let words: Vec<&str> = words.collect();
                let sizes = if op == "MSG" { 1 } else { 2 };
                let (size, headers) = match words[words.len() - sizes..] {
                    [size] => (size, "0"),
                    [headers, size] => (size, headers),
                    _ => unreachable!(),
                };
                let body = self.take(size.parse::<usize>().unwrap() + 2)?;
                let (headers, payload) = body[..body.len() - 2].split_at(headers.parse::<usize>().unwrap());
                self.inbox.push(Message {
                    subject: words[0].to_owned(),
                    reply: (words.len() == 3 + sizes).then(|| words[2].to_owned()),
                    payload: String::from_utf8_lossy(payload).into_owned(),
                    headers: String::from_utf8_lossy(headers).into_owned(),
                });
                Ok(None)
            }
            _ => Ok(Some(line)),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill()?;
        }
    }

    fn take(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < bytes {
            self.fill()?;
        }
        Ok(self.buffer.drain(..bytes).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buffer.extend(&chunk[..n]);
                Ok(())
            }
        }
    }
}
