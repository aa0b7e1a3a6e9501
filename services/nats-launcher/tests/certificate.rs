//! A real NATS server, started by `watari-nats`, whose certificate is renewed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rcgen::{CertificateParams, DnType, KeyPair};
use watari_chassis::{Bus, BusError, BusSettings};
use watari_testkit::{TempDir, eventually, free_port};

const SOON: Duration = Duration::from_secs(60);

/// The server's files, and what has started it.
struct Host {
    dir: TempDir,
    port: u16,
    running: Child,
}

impl Host {
    /// Two certificates for one key are there, of which the first is shown.
    fn start() -> Self {
        let (dir, port, key) = (TempDir::new(), free_port(), KeyPair::generate().unwrap());
        let file = |name: &str| dir.path().join(name);
        for name in ["old", "new"] {
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            fs::write(file(name), params.self_signed(&key).unwrap().pem()).unwrap();
        }
        fs::copy(file("old"), file("crt")).unwrap();
        fs::write(file("key"), key.serialize_pem()).unwrap();
        let conf = format!(
            "server_name: $WATARI_NATS_NAME\nlisten: \"127.0.0.1:{port}\"\ntls {{ cert_file: {:?}, key_file: {:?} }}\n",
            file("crt"),
            file("key")
        );
        fs::write(file("conf"), conf).unwrap();
        let settings = format!(
            "host = \"n1\"\nconfig = {:?}\ncertificate = {:?}\nstore = {:?}\n[bus]\nurls = [\"tls://127.0.0.1:{port}\"]\nca = {:?}\n",
            file("conf"),
            file("crt"),
            file("store"),
            file("old")
        );
        fs::write(file("toml"), settings).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_watari-nats"));
        command.arg(file("toml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = command.spawn().unwrap();
        Self { dir, port, running }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The bus of one who trusts this certificate alone.
    async fn bus(&self, certificate: &Path) -> Result<Bus, BusError> {
        let (urls, ca) = (vec![format!("tls://127.0.0.1:{}", self.port)], Some(certificate.to_owned()));
        Bus::connect(&BusSettings { urls, ca, ..BusSettings::default() }).await
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_put_in_place_is_shown_without_a_restart() {
    let host = Host::start();
    let (old, new) = (host.file("old"), host.file("new"));
    eventually("it serves", SOON, || async { host.bus(&old).await.is_ok() }).await;
    let connected = host.bus(&old).await.unwrap();
    let mut up = connected.connected();
    assert!(*up.borrow_and_update());
    assert!(host.bus(&new).await.is_err());
    // As what is renewed comes: whole, for the key that is there.
    fs::copy(&new, host.file("fresh")).unwrap();
    fs::rename(host.file("fresh"), host.file("crt")).unwrap();
    eventually("it shows the new one", SOON, || async { host.bus(&new).await.is_ok() }).await;
    assert!(host.bus(&old).await.is_err());
    assert!(!up.has_changed().unwrap(), "who was connected has noticed");
}
