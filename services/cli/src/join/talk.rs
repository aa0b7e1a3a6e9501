//! Asking the front end, and checking what it answers before any of it is written.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use reqwest::{Client, Response};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
};
use serde::de::DeserializeOwned;
use watari_contracts::{
    enrol::{EnrolHost, Enrolled, GREETING, Greeting, HOSTS, HostFile, NATS, SETTINGS},
    scheduler,
};

use super::pinned::{Pinned, certified};
use crate::{
    enrol::token::Mark,
    failure::{Failure, chain},
    setup::{AUTHORITY, kit::CERTIFICATE},
    texts::faults::Fault,
};

const CONNECT: Duration = Duration::from_secs(10);
/// Everybody's configuration is made meanwhile.
const ANSWER: Duration = Duration::from_secs(60);
/// The longest answer, in bytes: what NATS is to know has some six hundred for each node.
const MOST_ANSWER: usize = 16 * 1024 * 1024;

/// The front end that was named.
pub(crate) struct Front {
    client: Client,
    address: String,
}

impl Front {
    /// Prepared to connect to `address` (with its port) from `own`, trusting `authority` alone.
    pub(crate) fn new(address: String, own: IpAddr, authority: Mark) -> Result<Self, Failure> {
        let fault = |detail: String| Fault::FrontUnreachable { front: address.clone(), detail };
        let tls = Pinned::on(authority).client().map_err(|e| fault(e.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .local_address(own)
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build()
            .map_err(|e| fault(chain(&e)))?;
        Ok(Self { client, address })
    }

    /// Who it is.
    pub(super) async fn greeting(&self) -> Result<Greeting, Failure> {
        let asked = self.client.get(format!("https://{}{GREETING}", self.address)).send().await;
        self.answered(asked).await
    }

    /// Asks to be let in.
    pub(super) async fn enrol(&self, request: &EnrolHost) -> Result<Enrolled, Failure> {
        let body = serde_json::to_vec(request).map_err(|e| Fault::JoinBroken { detail: e.to_string() })?;
        let asked = self.client.post(format!("https://{}{HOSTS}", self.address)).body(body).send().await;
        self.answered(asked).await
    }

    /// Asks for the configuration of this host's NATS server.
    pub(crate) async fn nats(&self) -> Result<HostFile, Failure> {
        let asked = self.client.get(format!("https://{}{NATS}", self.address)).send().await;
        self.answered(asked).await
    }

    /// Asks for the settings of this host's processes.
    pub(crate) async fn settings(&self) -> Result<Vec<HostFile>, Failure> {
        let asked = self.client.get(format!("https://{}{SETTINGS}", self.address)).send().await;
        self.answered(asked).await
    }

    async fn answered<T: DeserializeOwned>(&self, asked: Result<Response, reqwest::Error>) -> Result<T, Failure> {
        let front = || self.address.clone();
        let mut response = asked.map_err(|e| {
            let detail = chain(&e);
            // That a certificate does not do is told by the TLS library, in these words.
            if detail.contains("certificate") {
                Fault::FrontUntrusted { front: front(), detail }
            } else {
                Fault::FrontUnreachable { front: front(), detail }
            }
        })?;
        let good = response.status().is_success();
        let mut body = Vec::new();
        let broken = |e: reqwest::Error| Fault::FrontUnreachable { front: front(), detail: chain(&e) };
        while let Some(part) = response.chunk().await.map_err(broken)? {
            body.extend_from_slice(&part);
            if body.len() > MOST_ANSWER {
                return Err(Fault::JoinBroken { detail: "the answer has no end".to_owned() }.into());
            }
        }
        if good {
            return Ok(serde_json::from_slice(&body).map_err(|e| Fault::JoinBroken { detail: e.to_string() })?);
        }
        match serde_json::from_slice::<scheduler::Fault>(&body) {
            Ok(refused) => Err(refused.into()),
            Err(_) => Err(Fault::JoinBroken { detail: response.status().to_string() }.into()),
        }
    }
}

/// Whether the answer is what such a host of this cluster needs and nothing else: exactly its `files`, the authority of
/// the token, and a certificate of that for this host's own key and address.
pub(super) fn check(enrolled: &Enrolled, files: &[&str], authority: Mark, own: IpAddr, key: &str) -> Result<(), Fault> {
    let paths: BTreeSet<&str> = enrolled.files.iter().map(|file| file.path.as_str()).collect();
    if let Some(path) = paths.symmetric_difference(&files.iter().copied().collect()).next() {
        return Err(Fault::JoinFiles { path: (*path).to_owned() });
    }
    let text = |path: &str| enrolled.files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str());
    if Mark::of_pem(text(AUTHORITY)) != Some(authority) {
        return Err(Fault::JoinCertificate { detail: format!("{AUTHORITY} is not that of the token") });
    }
    fits(text(AUTHORITY), text(CERTIFICATE), own, key)
}

/// Whether a certificate is one of an authority for the host at `address`, and for its key; all of them in PEM.
pub(crate) fn fits(authority: &str, certificate: &str, address: IpAddr, key: &str) -> Result<(), Fault> {
    let foreign = |detail: String| Fault::JoinCertificate { detail };
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| foreign(e.to_string()));
    let (authority, own) = (read(authority)?, read(certificate)?);
    let provider = Arc::new(ring::default_provider());
    let told = |e: rustls::Error| foreign(format!("{CERTIFICATE}: {e}"));
    certified(&authority, &own, &address.into(), &provider, UnixTime::now()).map_err(told)?;
    // Whoever serves with it finds out whether the key is that of the certificate.
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| foreign(e.to_string()))?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(told)?.with_no_client_auth().with_single_cert(vec![own], key).map_err(told)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use watari_contracts::enrol::HostFile;
    use watari_testkit::TempDir;

    use super::*;
    use crate::setup::{
        self, KEYS_OF_NODE, OF_NODE,
        authority::{Renewal, fresh_key},
        cluster::Cluster,
        files::Overlay,
    };

    const CLUSTER: &str = "name='c'\n[[site]]\nname='a'\n[[host]]\nname='f'\nrole='front'\nsite='a'\naddress='192.0.2.1'\n[[host]]\nname='m'\nrole='node'\nsite='a'\naddress='192.0.2.2'\n";

    /// What a cluster of its own answers to node `m`, and the key of `m`.
    fn answered() -> (Enrolled, String) {
        let dir = TempDir::new();
        setup::make(&Cluster::parse(CLUSTER, "test").unwrap(), dir.path(), Renewal::WhenNeeded).unwrap();
        let root = Overlay::at(dir.path().join("hosts/m"));
        let text = |path: &str| root.read(path).unwrap().unwrap();
        let files = OF_NODE.iter().map(|path| HostFile { path: (*path).to_owned(), text: text(path) }).collect();
        let key = text(KEYS_OF_NODE[0]);
        let (cluster, site) = ("c".parse().unwrap(), "a".parse().unwrap());
        (Enrolled { cluster, site: Some(site), files, elsewhere: Vec::new() }, key)
    }

    fn file<'a>(enrolled: &'a mut Enrolled, path: &str) -> &'a mut HostFile {
        enrolled.files.iter_mut().find(|file| file.path == path).unwrap()
    }

    #[test]
    fn only_what_this_cluster_gives_to_this_host_is_written() {
        let ((good, key), (mut other, _)) = (answered(), answered());
        let own: IpAddr = "192.0.2.2".parse().unwrap();
        let mark = Mark::of_pem(&file(&mut good.clone(), AUTHORITY).text).unwrap();
        let code =
            |answer: &Enrolled, own: IpAddr, key: &str| check(answer, &OF_NODE, mark, own, key).map_err(|e| e.code());
        assert_eq!(code(&good, own, &key), Ok(()));
        assert_eq!(code(&good, "192.0.2.3".parse().unwrap(), &key), Err("join.certificate"), "another host's");
        assert_eq!(code(&good, own, &fresh_key().unwrap()), Err("join.certificate"), "another key's");
        assert_eq!(code(&other, own, &key), Err("join.certificate"), "another cluster's");
        let mut mixed = good.clone();
        file(&mut mixed, CERTIFICATE).text = std::mem::take(&mut file(&mut other, CERTIFICATE).text);
        assert_eq!(code(&mixed, own, &key), Err("join.certificate"), "another cluster's, with this one's authority");
        let mut lacking = good.clone();
        lacking.files.pop();
        assert_eq!(code(&lacking, own, &key), Err("join.files"));
        let mut more = good.clone();
        more.files.push(HostFile { path: "etc/passwd".to_owned(), text: String::new() });
        assert_eq!(code(&more, own, &key), Err("join.files"));
        file(&mut more, "etc/passwd").path = "../etc/watari/tls/ca.crt".to_owned();
        assert_eq!(code(&more, own, &key), Err("join.files"));
    }
}
