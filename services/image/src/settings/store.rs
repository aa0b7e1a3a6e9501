//! `[image.store]`: the object store in which ready images are kept for good.

use std::{net::IpAddr, path::PathBuf};

use serde::Deserialize;
use watari_model::{SiteName, image::ObjectStore};

/// The word for a store that goes dark with neither campus.
const ELSEWHERE: &str = "elsewhere";

/// `[image.store]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "defaults.toml documents each of them")]
pub struct StoreSection {
    pub url: String,
    pub endpoint: String,
    pub region: String,
    pub addressing: Addressing,
    pub campus: String,
    pub credentials: PathBuf,
    pub ca: PathBuf,
    pub cache_mib: u64,
    pub part_mib: u64,
    pub stall_seconds: u64,
    pub look_seconds: u64,
    pub orphan_days: u64,
}

/// Where a bucket's name stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Addressing {
    /// In the path: `https://ENDPOINT/BUCKET/KEY`.
    Path,
    /// In the host's name: `https://BUCKET.ENDPOINT/KEY`.
    Virtual,
}

/// A bucket, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with; may be empty.
    pub prefix: String,
}

impl StoreSection {
    /// The bucket and the prefix; none if images are kept on the front ends alone.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn place(&self) -> Result<Option<Place>, String> {
        if self.url.is_empty() {
            return Ok(None);
        }
        let wrong = || format!("image.store.url is {:?}: give it the form s3://BUCKET or s3://BUCKET/PREFIX", self.url);
        let rest = self.url.strip_prefix("s3://").ok_or_else(wrong)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        let part = |part: &str| {
            let sound = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !part.is_empty() && part != "." && part != ".." && part.chars().all(sound)
        };
        let sound = (3..=63).contains(&bucket.len()) && bucket.chars().all(named);
        if !sound || !(prefix.is_empty() || prefix.split('/').all(part)) {
            return Err(wrong());
        }
        Ok(Some(Place { bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
    }

    /// What the store is called wherever it is spoken of; none if there is none. Who names the same bucket of the same
    /// server shares it, however the settings spell it.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn name(&self) -> Result<Option<ObjectStore>, String> {
        let Some(Place { bucket, prefix }) = self.place()? else { return Ok(None) };
        let slash = if prefix.is_empty() { "" } else { "/" };
        let by = self.endpoint.trim_end_matches('/');
        let by = if by.is_empty() { String::new() } else { format!(" ({by})") };
        Ok(Some(ObjectStore { url: format!("s3://{bucket}{slash}{prefix}{by}"), campus: self.campus()? }))
    }

    /// The site with whose power the store goes away.
    fn campus(&self) -> Result<Option<SiteName>, String> {
        if self.campus == ELSEWHERE {
            return Ok(None);
        }
        let site = self.campus.parse().map_err(|_| {
            let given = &self.campus;
            format!("image.store.campus is {given:?}: name the site that the store stands at, or say \"{ELSEWHERE}\"")
        })?;
        Ok(Some(site))
    }

    /// What the front end's disk may hold, in bytes; none for no bound.
    #[must_use]
    pub fn cache_bytes(&self) -> Option<u64> {
        (self.cache_mib > 0).then_some(self.cache_mib << 20)
    }

    /// How long what nobody names stays, in milliseconds; none for ever.
    #[must_use]
    pub fn orphan_patience_ms(&self) -> Option<u64> {
        (self.orphan_days > 0).then_some(self.orphan_days * 86_400_000)
    }

    /// What types cannot say.
    pub(super) fn validate(&self) -> Result<(), String> {
        for (key, value, least, most) in [
            ("cache_mib", self.cache_mib, 0, 1 << 40),
            // S3 takes no smaller parts but the last, and no larger ones than 5 GiB; each is held in memory.
            ("part_mib", self.part_mib, 5, 512),
            ("stall_seconds", self.stall_seconds, 1, 3_600),
            ("look_seconds", self.look_seconds, 1, 86_400),
            ("orphan_days", self.orphan_days, 0, 100_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("image.store.{key} is {value}: use {least} to {most}"));
            }
        }
        if self.name()?.is_none() {
            return Ok(());
        }
        if self.region.is_empty() {
            return Err(
                "image.store.region is empty: name it, as in \"us-east-1\", which most stores of one's own take"
                    .to_owned(),
            );
        }
        self.validate_endpoint()
    }

    /// What is sent and read must not be open to who listens, except to nobody but this host.
    fn validate_endpoint(&self) -> Result<(), String> {
        let endpoint = &self.endpoint;
        if endpoint.is_empty() {
            return Ok(());
        }
        let host = |scheme: &str| endpoint.strip_prefix(scheme).map(|rest| rest.trim_end_matches('/'));
        let sound = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
        let plain = host("http://").is_some_and(|host| sound(host) && is_loopback(host));
        if plain || host("https://").is_some_and(sound) {
            return Ok(());
        }
        Err(format!(
            "image.store.endpoint is {endpoint:?}: give it the form https://HOST:PORT (http:// for loopback alone)"
        ))
    }
}

/// Whether `HOST` or `HOST:PORT` is this host by its address.
fn is_loopback(host: &str) -> bool {
    let address = host.rsplit_once(':').map_or(host, |(address, _)| address);
    address.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(url: &str, endpoint: &str, campus: &str) -> StoreSection {
        StoreSection {
            url: url.to_owned(),
            endpoint: endpoint.to_owned(),
            region: "us-east-1".to_owned(),
            addressing: Addressing::Path,
            campus: campus.to_owned(),
            credentials: PathBuf::new(),
            ca: PathBuf::new(),
            cache_mib: 0,
            part_mib: 16,
            stall_seconds: 60,
            look_seconds: 60,
            orphan_days: 30,
        }
    }

    #[test]
    fn who_means_the_same_bucket_calls_it_the_same() {
        let name = |url, endpoint| section(url, endpoint, ELSEWHERE).name().unwrap().unwrap();
        let known = name("s3://images/watari", "https://s3.example:9000");
        assert_eq!(known.url, "s3://images/watari (https://s3.example:9000)");
        assert_eq!(name("s3://images/watari/", "https://s3.example:9000/"), known);
        assert_eq!(name("s3://images", "").url, "s3://images");
        let here = section("s3://images", "", "yamate").name().unwrap().unwrap();
        assert_eq!(here.campus.as_ref().map(SiteName::as_str), Some("yamate"));
        assert_eq!(section("", "", "").name(), Ok(None));
    }

    #[test]
    fn nonsense_and_open_lines_are_told() {
        let told = |url, endpoint, campus| section(url, endpoint, campus).validate().unwrap_err();
        for url in [
            "images",
            "http://images",
            "s3://",
            "s3://ab",
            "s3://Images",
            "s3://images//x",
            "s3://images/../x",
            "s3://k:s@images",
        ] {
            assert!(told(url, "", ELSEWHERE).contains("image.store.url"), "{url}");
        }
        for endpoint in [
            "s3.example",
            "http://s3.example:9000",
            "http://127.0.0.1.example",
            "https://key:secret@s3.example",
            "https://s3.example/bucket",
        ] {
            assert!(told("s3://images", endpoint, ELSEWHERE).contains("image.store.endpoint"), "{endpoint}");
        }
        assert!(told("s3://images", "", "").contains("image.store.campus"), "where it stands must be said");
        for endpoint in ["", "https://s3.example", "http://127.0.0.1:9000", "http://[::1]:9000"] {
            assert_eq!(section("s3://images", endpoint, "yamate").validate(), Ok(()), "{endpoint}");
        }
        let mut small = section("s3://images", "", ELSEWHERE);
        small.part_mib = 4;
        assert!(small.validate().unwrap_err().contains("image.store.part_mib"));
        assert_eq!(section("", "nonsense", "").validate(), Ok(()), "there is no store");
    }
}
