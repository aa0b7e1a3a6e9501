//! The lab, as a program sees it: its command, its processes, its network namespaces.

mod entering;
#[cfg(test)]
mod typed;

use std::{
    collections::HashMap,
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

/// Its nodes.
pub const NODES: [&str; 4] = ["m1", "m2", "y1", "y2"];
/// Its hosts with a NATS server: both front ends and the witness.
pub const VOTERS: [&str; 3] = ["m-front", "y-front", "witness"];
/// Where the front ends' NATS servers are.
pub(crate) const URLS: [&str; 2] = ["tls://10.88.0.2:4222", "tls://10.88.0.3:4222"];

/// A site's front end.
#[must_use]
pub fn front_of(site: &str) -> &'static str {
    if site == "myodaiji" { VOTERS[0] } else { VOTERS[1] }
}

/// The running lab.
#[derive(Clone, Debug)]
pub struct Lab {
    command: PathBuf,
    folder: PathBuf,
    prefix: String,
}

impl Lab {
    /// The lab of this checkout. `command` is the path of `deploy/lab`.
    #[must_use]
    pub fn new(command: PathBuf) -> Self {
        let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        Self {
            // Commands on hosts run in another folder.
            command: command.canonicalize().unwrap_or(command),
            folder: variable("WATARI_LAB_DIR", "/var/tmp/watari-lab").into(),
            prefix: variable("WATARI_LAB_PREFIX", "watari-"),
        }
    }

    /// Runs `deploy/lab` and gives what it prints. What it would execute on a host is entered into that host directly,
    /// in the host's root folder.
    ///
    /// # Errors
    /// When it cannot be started or ends with another status than 0; its complaint is included.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = match arguments {
            ["exec", host, "--", words @ ..] if !words.is_empty() => {
                self.command_on(host, words).with_context(|| format!("lab {}", arguments.join(" ")))?
            }
            _ => self.script(arguments),
        };
        let out = command.stdin(Stdio::null()).output();
        let out = out.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        if !out.status.success() {
            bail!("lab {}: {}", arguments.join(" "), String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// `deploy/lab` as people type it.
    pub(crate) fn script(&self, arguments: &[&str]) -> Command {
        let mut script = Command::new(&self.command);
        script.args(arguments);
        script
    }

    /// Runs `watari … -o json` on the client host.
    ///
    /// # Errors
    /// As [`Lab::run`], or when the answer is no JSON.
    pub fn watari(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let all = [&["exec", "client", "--", "watari", "-o", "json"], arguments].concat();
        serde_json::from_str(&self.run(&all)?).context("watari's answer is no JSON")
    }

    /// The ids, in the machine's own numbering, of the host's processes of this program.
    #[must_use]
    pub fn pids(&self, host: &str, program: &str) -> Vec<i32> {
        self.processes(host).into_iter().filter(|(name, _)| name == program).map(|(_, pid)| pid).collect()
    }

    /// The host's processes: what program each runs, and its id as above.
    pub(crate) fn processes(&self, host: &str) -> Vec<(String, i32)> {
        self.running(&[host]).into_iter().map(|(_, pid, line)| (program(&line).to_owned(), pid)).collect()
    }

    /// The QEMU processes that hold this server, over all nodes: (host, process id).
    #[must_use]
    pub fn copies(&self, vm: &str) -> Vec<(String, i32)> {
        let named = format!("guest={vm},");
        let holds = |line: &str| program(line) == "qemu-system-x86_64" && line.contains(&named);
        let running = self.running(&NODES).into_iter().filter(|(.., line)| holds(line));
        running.map(|(host, pid, _)| (host.to_owned(), pid)).collect()
    }

    /// The processes of these hosts, in one walk through all of the machine's: where each runs, its id, and its command
    /// line.
    fn running<'a>(&self, hosts: &[&'a str]) -> Vec<(&'a str, i32, String)> {
        let namespaces: HashMap<u64, &'a str> =
            hosts.iter().filter_map(|host| Some((fs::metadata(self.namespace(host)).ok()?.ino(), *host))).collect();
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        processes
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter_map(|pid| {
                let host = *namespaces.get(&fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino())?;
                let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                Some((host, pid, String::from_utf8_lossy(&line).into_owned()))
            })
            .collect()
    }

    /// Moves the calling thread, and what it starts, into the host's network.
    ///
    /// # Errors
    /// When the lab is not up or the caller is not root.
    pub fn enter_network(&self, host: &str) -> anyhow::Result<()> {
        let file = fs::File::open(self.namespace(host)).context("the lab is not up")?;
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))
            .context("cannot enter the host's network")
    }

    /// Does something in the host's network.
    ///
    /// # Errors
    /// As [`Lab::enter_network`], or what the act says.
    pub fn within<T: Send>(&self, host: &str, act: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        // A thread's network is its own.
        std::thread::scope(|scope| {
            let work = scope.spawn(|| self.enter_network(host).and_then(|()| act()));
            work.join().map_err(|_| anyhow::anyhow!("it fell on {host}"))?
        })
    }

    /// A file on the host's own disk.
    #[must_use]
    pub fn file(&self, host: &str, path: &str) -> PathBuf {
        self.folder.join("hosts").join(host).join("disk").join(path.trim_start_matches('/'))
    }

    /// The links between the sites, ready to be cut and healed without starting a program first.
    ///
    /// # Errors
    /// When `ip` cannot be started.
    pub fn trunks(&self) -> anyhow::Result<Trunks> {
        let switch = format!("{}switch", self.prefix);
        let mut ip = Command::new("ip");
        ip.args(["-n", &switch, "-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Trunks(ip.spawn().context("cannot start ip")?))
    }

    /// Runs `ip` where the switches are.
    ///
    /// # Errors
    /// When it cannot be started or complains.
    pub fn switch(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let switch = format!("{}switch", self.prefix);
        let status = Command::new("ip").args(["-n", &switch]).args(arguments).status().context("cannot start ip")?;
        ensure!(status.success(), "ip {}: {status}", arguments.join(" "));
        Ok(())
    }

    fn namespace(&self, host: &str) -> PathBuf {
        PathBuf::from(format!("/run/netns/{}{host}", self.prefix))
    }
}

/// What a command line runs: its words end with a zero byte.
fn program(line: &str) -> &str {
    let first = line.split('\0').next().unwrap_or_default();
    first.rsplit('/').next().unwrap_or_default()
}

/// What `deploy/lab cut` and `heal` do, by an `ip` that waits for its next line.
#[derive(Debug)]
pub struct Trunks(Child);

impl Trunks {
    /// Takes a site's links down or brings them up.
    ///
    /// # Errors
    /// When `ip` has ended.
    pub fn set(&mut self, site: &str, to: &str) -> anyhow::Result<()> {
        let short = site.get(..1).context("a site has a name")?;
        let lines: String = ["campus", "mgmt"]
            .iter()
            .flat_map(|net| ["out", "in"].map(|end| format!("link set {net}-{short}-{end} {to}\n")))
            .collect();
        let stdin = self.0.stdin.as_mut().context("ip has no input")?;
        stdin.write_all(lines.as_bytes()).context("ip has ended")
    }
}

impl Trunks {
    /// Waits until everything is carried out.
    ///
    /// # Errors
    /// When any of it was not.
    pub fn done(mut self) -> anyhow::Result<()> {
        // The end of its input ends it.
        drop(self.0.stdin.take());
        let status = self.0.wait().context("ip cannot be waited for")?;
        ensure!(status.success(), "a link was not set: ip ended with {status}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_by_its_file() {
        assert_eq!(program("/usr/sbin/libvirtd\0--listen\0/a/b\0"), "libvirtd");
        assert_eq!(program("watari\0vm\0"), "watari");
        assert_eq!(program(""), "", "the kernel's own have no command line");
    }
}
