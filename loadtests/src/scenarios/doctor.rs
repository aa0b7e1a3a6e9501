//! `watari doctor` names what is really broken, and nothing else. What does not hide one another is broken together: each
//! time that something is mended the lab is waited for until it is well again.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, until};

mod around;
mod more;
mod silent;

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("the_doctor_names_nothing_in_a_healthy_lab_but_what_the_lab_is", healthy),
    ("the_doctor_names_bridges_that_are_down_lead_nowhere_are_gone_or_are_none", more::bridges),
    ("the_doctor_names_each_of_many_things_that_are_broken_at_once_and_nothing_else", many),
    ("the_doctor_mends_what_is_stopped_and_what_is_open_on_its_own_host", mended),
    ("the_doctor_names_what_is_wrong_with_its_own_node_and_with_the_ways_from_there", around::node),
    ("the_doctor_names_what_is_wrong_with_its_own_front_end_or_witness", around::front_and_witness),
    ("the_doctor_names_an_image_that_one_site_has_alone", image_at_one_site),
    ("the_doctor_names_what_people_have_made_that_cannot_go_well", more::made_by_people),
    ("the_doctor_names_a_witness_without_power_and_a_service_that_nobody_leads", more::unanswered),
    ("the_doctor_names_a_node_of_little_room_and_another_qemu_that_holds_its_servers_to_nothing", more::unprotected),
    ("the_doctor_names_what_somebody_may_not_ask", more::not_permitted),
    ("the_doctor_names_a_node_that_is_silent_then_its_whole_campus_and_a_node_that_is_known_to_be_off", silent::nodes),
];

/// Where nothing runs that another scenario needs.
const NODE: &str = "y2";
/// The other node of its campus.
const NEIGHBOUR: &str = "y1";
/// An administrator's key, where the client has it.
const KEY: &str = "/etc/watari/administrator.nk";
/// What is so in every lab, or on a machine that does much besides: nobody answers for its UPS until an `upsd`
/// is started, other scenarios import images that are refused and make servers for which there is no room, and the
/// disk is shared by all hosts.
const OF_THE_LAB: [&str; 5] = ["ups.silent", "image.failed", "disk.slow", "disk.filling", "vm.down"];

/// A certificate of this node, until February 2020.
const OLD: &str = "-----BEGIN CERTIFICATE-----\n\
    MIIBATCBqAIBATAKBggqhkjOPQQDAjANMQswCQYDVQQDDAJ5MjAeFw0yMDAxMDEw\n\
    MDAwMDBaFw0yMDAyMDEwMDAwMDBaMA0xCzAJBgNVBAMMAnkyMFkwEwYHKoZIzj0C\n\
    AQYIKoZIzj0DAQcDQgAEnBq7vGSkyebq3QbqKYQzXRXlke80/5sbYQUTNhcotSQo\n\
    yWEdOzyERUG0F5f3V861vOXr0zmk2A9FXmL5waum2jAKBggqhkjOPQQDAgNIADBF\n\
    AiAhwDnM9N59npWhbNiEFdR7R0wIT68txyTuSS7stlxPugIhANDnG4S8ithtMCc2\n\
    703rTciW12pQkYnRATcMMhtgZWSA\n-----END CERTIFICATE-----\n";

/// A list of revoked certificates from January 2026, of an authority that nobody has: only its date is looked at here.
const LIST: &str = "-----BEGIN X509 CRL-----\n\
    MIGoMFACAQEwCgYIKoZIzj0EAwIwDjEMMAoGA1UEAwwDbGFiFw0yNjAxMDEwMDAw\n\
    MDBaGA8yMTI2MDEwMTAwMDAwMFqgDzANMAsGA1UdFAQEAgIQATAKBggqhkjOPQQD\n\
    AgNIADBFAiAIkoLWztNGrOdah1VVz2xBCBlhkpFodHPEnp1Vc7FUGwIhAND4DOSg\n\
    dRw2vMvlBZBHC5nYE9rqUBU1Pn9TBrrF8Y4E\n-----END X509 CRL-----\n";

/// What was found.
pub(super) struct Found(Vec<Value>);

impl Found {
    pub(super) fn names(&self, code: &str, word: &str) -> bool {
        let says = |finding: &Value| finding["seen"].as_str().is_some_and(|seen| seen.contains(word));
        self.0.iter().any(|finding| finding["code"] == code && says(finding))
    }

    /// Whether all of this is named, of code and word.
    fn names_all(&self, broken: &[(&str, &str)]) -> bool {
        broken.iter().all(|(code, word)| self.names(code, word))
    }

    fn names_any(&self, broken: &[(&str, &str)]) -> bool {
        broken.iter().any(|(code, word)| self.names(code, word))
    }

    /// Save of notes.
    fn codes(&self) -> BTreeSet<&str> {
        let worse = self.0.iter().filter(|finding| finding["severity"] != "note");
        worse.filter_map(|finding| finding["code"].as_str()).collect()
    }
}

/// Files of a host as they were.
struct Kept(Vec<(PathBuf, Vec<u8>)>);

impl Kept {
    fn of(stage: &Stage, host: &str, paths: &[&str]) -> anyhow::Result<Self> {
        let files = paths.iter().map(|path| stage.lab.file(host, path));
        let whole = |file: PathBuf| {
            let read = fs::read(&file).with_context(|| format!("cannot read {}", file.display()));
            read.map(|bytes| (file, bytes))
        };
        files.map(whole).collect::<anyhow::Result<_>>().map(Self)
    }

    fn put_back(&self) -> anyhow::Result<()> {
        let put = |(file, bytes): &(PathBuf, Vec<u8>)| {
            fs::write(file, bytes).with_context(|| format!("{} is not as it was", file.display()))
        };
        self.0.iter().try_for_each(put)
    }
}

impl Stage {
    /// Asks the doctor.
    pub(super) fn doctor(&self, more: &[&str]) -> anyhow::Result<Found> {
        self.doctor_at("client", &[], more)
    }

    /// Asks the doctor on a host, with these variables set. That something was found is no failure of the command here.
    fn doctor_at(&self, host: &str, variables: &[&str], more: &[&str]) -> anyhow::Result<Found> {
        let script = "watari doctor -o json \"$@\" || [ $? -ge 4 ]";
        let ask = ["bash", "-c", script, "doctor"];
        let words = [&["exec", host, "--", "env"], variables, &ask[..], more].concat();
        let found: Value = serde_json::from_str(&self.lab.run(&words)?).context("the doctor's answer is no JSON")?;
        let found = found.as_array().context("no list")?.iter();
        for finding in found.clone() {
            let is_told = |told: &Value, field: &str| told[field].as_str().is_some_and(|text| !text.is_empty());
            let both = [finding, &finding["ja"]];
            let whole = both.iter().all(|told| ["seen", "matters", "mend"].iter().all(|field| is_told(told, field)));
            ensure!(whole, "a finding without a word: {finding}");
        }
        Ok(Found(found.cloned().collect()))
    }

    /// Waits until nothing is found but what the lab is. What another scenario has broken mends itself first.
    fn until_well(&self) -> anyhow::Result<()> {
        let mut last = String::new();
        let well = until(120, "the doctor finds nothing", || {
            let found = self.doctor(&[])?;
            last = format!("{:?}", found.0);
            Ok(found.codes().iter().all(|code| OF_THE_LAB.contains(code)))
        });
        well.with_context(|| format!("it finds {last}"))
    }

    /// Waits until the doctor names all of this, of code and word, and nothing else but what follows from it.
    fn until_named(&self, broken: &[(&str, &str)], also: &[&str], more: &[&str]) -> anyhow::Result<()> {
        let expected = |code: &&str| {
            broken.iter().any(|(named, _)| named == code) || also.contains(code) || OF_THE_LAB.contains(code)
        };
        let mut last = Vec::new();
        let named = until(90, &format!("the doctor names {broken:?} and nothing else"), || {
            let found = self.doctor(more)?;
            let done = found.names_all(broken) && found.codes().iter().all(expected);
            last = found.0;
            Ok(done)
        });
        named.with_context(|| format!("it finds {last:?}"))
    }

    /// Breaks something in a lab that is well, waits until the doctor names it, mends it, and waits until it is
    /// named no longer. `also` is what follows from it, which may be named as well; nothing else may.
    fn names(
        &self,
        code: &str,
        word: &str,
        also: &[&str],
        break_it: impl FnOnce() -> anyhow::Result<()>,
        mend: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.until_well()?;
        let named = break_it().and_then(|()| self.until_named(&[(code, word)], also, &[]));
        mend()?;
        named?;
        self.until_well()
    }

    /// Lets `act` ask the doctor on a node or front end itself, as root and with an administrator's key.
    fn on_host(
        &self,
        host: &str,
        act: impl FnOnce(&dyn Fn(&[&str]) -> anyhow::Result<Found>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let key = self.lab.file(host, KEY);
        fs::copy(self.lab.file("client", KEY), &key).with_context(|| format!("cannot write {}", key.display()))?;
        let url = self.lab.run(&["exec", "client", "--", "printenv", "WATARI_NATS"])?;
        let (url, seed) = (format!("WATARI_NATS={}", url.trim()), format!("WATARI_NKEY={KEY}"));
        let variables = [url.as_str(), seed.as_str(), "WATARI_CA=/etc/watari/tls/ca.crt"];
        let done = act(&|more: &[&str]| self.doctor_at(host, &variables, more));
        fs::remove_file(&key)?;
        done
    }

    fn at_node(&self, words: &[&str]) -> anyhow::Result<()> {
        self.lab.run(&[&["exec", NODE, "--"], words].concat()).map(drop)
    }

    /// Lets a shell on a host do this; what fails ends it.
    fn script(&self, host: &str, text: &str) -> anyhow::Result<()> {
        self.lab.run(&["exec", host, "--", "bash", "-ec", text]).map(drop)
    }

    /// Nothing of these scenarios is to happen under a server.
    fn away_from_the_campus(&self) -> anyhow::Result<()> {
        if [NODE, NEIGHBOUR].contains(&self.node_of("mail")?.as_str()) {
            self.watari(&["vm", "migrate", "mail", "--to", "m1", "--wait"])?;
        }
        Ok(())
    }
}

fn healthy(stage: &Stage) -> anyhow::Result<()> {
    stage.until_well()?;
    // The lab's UPS is configured, and no upsd is there.
    let found = stage.doctor(&[])?;
    ensure!(found.names("ups.silent", "ups1@"), "the silent UPS is not named");
    // And no power controller is.
    ensure!(found.names("site.no-fencing", "yamate"), "that no node can be fenced is not named");
    let found = stage.doctor(&["--node", NODE])?;
    ensure!(found.codes().iter().all(|code| OF_THE_LAB.contains(code)), "{:?}", found.0);
    Ok(())
}

/// What does not hide each other is broken together, which takes no longer than one of them.
fn many(stage: &Stage) -> anyhow::Result<()> {
    const ENDING: &str = "/etc/pki/libvirt/clientcert.pem";
    const SPOILT: &str = "/etc/pki/libvirt/servercert.pem";
    const DISKS: &str = "/var/lib/watari/disks";
    const PROGRAM: &str = "/usr/bin/qemu-img";
    const ENDED: &str = "/etc/pki/qemu/client-cert.pem";
    const REVOKED: &str = "/etc/pki/CA/cacrl.pem";
    const BROKEN: [(&str, &str); 11] = [
        ("disk.full", NODE),
        ("disk.files", NODE),
        ("certificate.expired", ENDED),
        ("certificate.expiring", ENDING),
        ("certificate.unreadable", SPOILT),
        ("certificate.list-old", NODE),
        ("bridge.address-on-port", "campus0"),
        ("node.program-missing", "qemu-img"),
        ("vm.cannot-leave", "mail"),
        ("node.cordoned", "y1"),
        ("service.no-standby", "image"),
    ];
    // That nobody can leave is told once, in place of each server.
    const NOBODY: [(&str, &str); 1] = [("site.no-refuge", "myodaiji")];
    stage.away_from_the_campus()?;
    stage.until_well()?;
    // libvirt has read its own before; only their ends are looked at.
    let kept = Kept::of(stage, NODE, &[ENDING, SPOILT, ENDED])?;
    let write = |path: &str, text: &str| fs::write(stage.lab.file(NODE, path), text).context("cannot break a file");
    let address = |way: &str| stage.at_node(&["ip", "address", way, "198.51.100.9/24", "dev", "campus0"]);
    let broken = || {
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/null"];
        let end = ["-days", "9", "-subj", "/CN=y2", "-out", ENDING];
        stage.at_node(&[&["openssl", "req", "-x509"][..], &curve, &end].concat())?;
        write(SPOILT, "spoilt")?;
        write(ENDED, OLD)?;
        // Nobody else has one. libvirt there is not told of it, and QEMU reads another file.
        fs::write(stage.lab.file(NEIGHBOUR, REVOKED), LIST).context("cannot write a list")?;
        stage.at_node(&["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=16", "tmpfs", DISKS])?;
        stage.at_node(&["bash", "-c", &format!("touch {DISKS}/{{1..15}} || true")])?;
        stage.at_node(&["mount", "--bind", "/dev/null", PROGRAM])?;
        address("add")?;
        stage.watari(&["node", "cordon", "y1"])?;
        stage.lab.run(&["stop", "y-front", "watari-image"])?;
        // The other node of the campus takes servers, and has no room for a disk.
        stage.until_named(&BROKEN, &[], &[])?;
        stage.watari(&["node", "cordon", "y2"])?;
        stage.until_named(&NOBODY, &BROKEN.map(|(code, _)| code), &[])
    };
    let outcome = broken();
    // Whatever of it has come about.
    let mended = [
        stage.lab.run(&["start", "y-front", "watari-image"]).map(drop),
        stage.watari(&["node", "uncordon", "y2"]).map(drop),
        stage.watari(&["node", "uncordon", "y1"]).map(drop),
        address("del"),
        stage.at_node(&["umount", PROGRAM]),
        stage.at_node(&["umount", DISKS]),
        stage.script(NEIGHBOUR, &format!("rm -f {REVOKED}")),
        kept.put_back(),
    ];
    outcome?;
    mended.into_iter().collect::<anyhow::Result<()>>()?;
    stage.until_well()
}

fn mended(stage: &Stage) -> anyhow::Result<()> {
    stage.away_from_the_campus()?;
    let key = stage.lab.file(NODE, KEY);
    let done = stage.on_host(NODE, |ask| {
        let stop = || {
            stage.at_node(&["chmod", "0644", KEY])?;
            stage.at_node(&["timedatectl", "set-ntp", "false"])?;
            stage.lab.run(&["stop", NODE, "libvirtd"])?;
            let found = ask(&[])?;
            let stopped = [("host.service-stopped", "libvirtd"), ("host.key-open", KEY), ("host.clock-free", NODE)];
            ensure!(found.names_all(&stopped), "on the node itself it finds {:?}", found.0);
            Ok(())
        };
        let fix = || {
            let found = ask(&["--fix", "--yes"])?;
            let mended = ["host.service-stopped", "host.key-open", "host.clock-free"];
            ensure!(!mended.iter().any(|code| found.codes().contains(code)), "it has not mended {:?}", found.0);
            let mode = fs::metadata(&key)?.permissions().mode();
            ensure!(mode & 0o007 == 0, "everybody can read the key: {mode:o}");
            Ok(())
        };
        stage.names("node.hypervisor", NODE, &["node.suspect"], stop, fix)
    });
    if done.is_err() {
        stage.at_node(&["timedatectl", "set-ntp", "true"])?;
        stage.lab.run(&["start", NODE, "libvirtd"])?;
    }
    done
}

/// The image is imported while the other front end is without power.
fn image_at_one_site(stage: &Stage) -> anyhow::Result<()> {
    const NAME: &str = "alone";
    let file = stage.lab.run(&["guest-image"])?.trim().to_owned();
    stage.watari(&["frontend", "promote", "myodaiji", "--wait", "--wait-timeout", "60s"])?;
    let import = || {
        stage.lab.run(&["power-off", "y-front"])?;
        stage.watari(&["image", "import", &file, "--name", NAME, "--wait"]).map(drop)
    };
    let mend = || stage.lab.run(&["power-on", "y-front"]).map(drop);
    let also = [
        "service.no-standby",
        "service.standby-lags",
        "quorum.server-away",
        "quorum.few-copies",
        "node.suspect",
        "node.hypervisor",
    ];
    // It gets its second copy by itself as soon as there is somebody to make it.
    let named = stage.names("image.one-copy", NAME, &also, import, mend);
    if stage.show("image", NAME).is_ok() {
        stage.watari(&["image", "delete", NAME, "--yes"])?;
    }
    named
}
