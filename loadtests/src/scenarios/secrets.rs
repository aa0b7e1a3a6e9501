//! What is secret stands where it belongs and nowhere else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use watari_testkit::TempDir;

use super::Stage;

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("no_key_and_no_user_data_stands_in_a_log_a_process_list_the_history_or_an_answer", kept)];

const HOSTS: [&str; 8] = ["m-front", "m1", "m2", "y-front", "y1", "y2", "witness", "client"];
/// Those with a NATS server.
const VOTERS: [&str; 3] = ["m-front", "y-front", "witness"];
/// Where hosts keep keys.
const KEYS: [&str; 4] = ["/etc/watari", "/etc/watari/nkeys", "/etc/watari/tls", "/etc/pki/libvirt/private"];
/// The server, and what its user-data says.
const NAME: &str = "hush";
const MARK: &str = "only-for-hush-itself";

fn kept(stage: &Stage) -> anyhow::Result<()> {
    let dir = TempDir::new();
    let file = dir.path().join("user-data");
    fs::write(&file, format!("#cloud-config\nbootcmd:\n  - [echo, {MARK}]\n"))?;
    let user_data = ["--user-data", file.to_str().context("no path of text")?];
    let outcome = stage.create(NAME, "campus", &user_data).and_then(|_| searched(stage, dir.path()));
    // Also one that was made and did not start.
    if stage.show("vm", NAME).is_ok() {
        stage.watari(&["vm", "delete", NAME, "--yes", "--wait"])?;
    }
    outcome
}

fn searched(stage: &Stage, dir: &Path) -> anyhow::Result<()> {
    let keys = keys(stage)?;
    ensure!(keys.len() > HOSTS.len(), "hardly any keys are found, so that nothing is shown");
    let (of_keys, of_all) = (dir.join("keys"), dir.join("all"));
    fs::write(&of_keys, keys.join("\n"))?;
    fs::write(&of_all, format!("{}\n{MARK}", keys.join("\n")))?;
    let at = |hosts: &[&str], path: &str| hosts.iter().map(|host| stage.lab.file(host, path)).collect::<Vec<_>>();
    // Whoever searches finds them where they belong.
    ensure!(!holding(&of_keys, &at(&HOSTS, "/etc/watari"))?.is_empty(), "the search finds nothing at all");

    let (processes, told) = (dir.join("processes"), dir.join("told"));
    fs::write(&processes, process_lists(stage)?)?;
    let answers = [stage.show("vm", NAME)?, stage.watari(&["history"])?, stage.watari(&["events"])?];
    fs::write(&told, answers.map(|answer| answer.to_string()).concat())?;
    let mut places = at(&HOSTS, "/var/log/watari");
    places.extend(at(&VOTERS, "/var/lib/watari/monitor"));
    places.extend([processes, told]);
    let found = holding(&of_all, &places)?;
    ensure!(found.is_empty(), "a secret stands in {found:?}");
    // User-data has a document of its own there.
    let found = holding(&of_keys, &at(&VOTERS, "/var/lib/nats"))?;
    ensure!(found.is_empty(), "a key stands in {found:?}");
    Ok(())
}

/// What no two keys share: the whole of a seed, and of a certificate's key the first line behind its heading.
fn keys(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let mut keys = Vec::new();
    for folder in HOSTS.iter().flat_map(|host| KEYS.map(|folder| stage.lab.file(host, folder))) {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
            let line = match path.extension().and_then(|end| end.to_str()) {
                Some("nk") => 0,
                Some("key" | "pem") => 1,
                _ => continue,
            };
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            keys.extend(text.lines().nth(line).map(|line| line.trim().to_owned()));
        }
    }
    keys.retain(|key| !key.is_empty());
    Ok(keys)
}

/// The arguments and variables of all processes of all hosts.
fn process_lists(stage: &Stage) -> anyhow::Result<Vec<u8>> {
    let mut all = Vec::new();
    let pids: Vec<i32> = HOSTS.iter().flat_map(|host| stage.lab.processes(host)).map(|(_, pid)| pid).collect();
    ensure!(pids.len() > HOSTS.len(), "hardly anything runs");
    for pid in pids {
        for kind in ["cmdline", "environ"] {
            // One that has ended meanwhile says nothing.
            all.extend(fs::read(format!("/proc/{pid}/{kind}")).unwrap_or_default());
            all.push(b'\n');
        }
    }
    Ok(all)
}

/// The files at or below these paths that hold any of the lines of `secrets`. Some may go away meanwhile.
fn holding(secrets: &Path, places: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut grep = Command::new("grep");
    grep.args(["-rlsaF", "-f"]).arg(secrets).arg("--").args(places.iter().filter(|place| place.exists()));
    let out = grep.stdin(Stdio::null()).output().context("cannot start grep")?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}
