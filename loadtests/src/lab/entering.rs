//! Commands on a host, as `deploy/lab exec` runs them but without its shells, which cost the machine more than most of
//! what is asked; scenarios and campaigns ask by the thousand.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;

use super::{Lab, URLS, VOTERS};

/// Where a host's programs are looked for after the lab's own and Watari's.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

impl Lab {
    /// What becomes `words` on the host, with the caller's environment and what a host has of its own.
    ///
    /// # Errors
    /// When the host is off.
    pub(super) fn command_on(&self, host: &str, words: &[&str]) -> anyhow::Result<Command> {
        let pid = self.first_process(host).with_context(|| format!("{host} is off, or the lab is not up"))?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--"]).args(words);
        command.env("PATH", self.search_path()?).env("LAB_HOST", host);
        if env::var_os("HOME").is_none_or(|home| home.is_empty()) {
            command.env("HOME", "/root");
        }
        if host == "client" {
            command.envs(self.client_variables());
        }
        Ok(command)
    }

    /// The host's PID 1 in the machine's own numbering; none when it is off. It is looked up for each command, since the
    /// host may have been off and on again since the last one.
    fn first_process(&self, host: &str) -> Option<String> {
        let noted = fs::read_to_string(self.folder.join("hosts").join(host).join("pid")).ok()?;
        let (pid, start) = noted.trim().split_once(' ')?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        lives_since(&stat, start).then(|| pid.to_owned())
    }

    fn search_path(&self) -> anyhow::Result<OsString> {
        let deploy = self.command.parent().context("the lab's command is in no folder")?;
        let programs = env::var_os("WATARI_BIN").filter(|set| !set.is_empty()).map_or_else(
            || deploy.parent().unwrap_or(deploy).join("target/debug"),
            |set| std::path::absolute(&set).unwrap_or_else(|_| PathBuf::from(set)),
        );
        let first = [deploy.join("lab.d/bin"), programs];
        Ok(env::join_paths(first.iter().map(PathBuf::as_path).chain(FOLDERS.map(Path::new)))?)
    }

    /// What programs on the client need to find the cloud and to trust it.
    fn client_variables(&self) -> [(&'static str, &'static str); 4] {
        // One URL, since not every NATS client takes a list: the first front end that has power and a link.
        let reached = |host: &str| self.first_process(host).is_some() && !self.is_cut(host);
        let [first, second] = URLS;
        let url = if !reached(VOTERS[0]) && reached(VOTERS[1]) { second } else { first };
        [
            ("WATARI_NATS", url),
            ("WATARI_NKEY", "/etc/watari/operator.nk"),
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
            ("NODE_EXTRA_CA_CERTS", "/etc/watari/ca.crt"),
        ]
    }

    /// Whether the site of a front end is cut off. A link that is down is not listed.
    fn is_cut(&self, front: &str) -> bool {
        let switch = format!("{}switch", self.prefix);
        let trunk = format!("campus-{}-out", front.get(..1).unwrap_or_default());
        let mut ip = Command::new("ip");
        ip.args(["-n", &switch, "-brief", "link", "show", &trunk, "up"]).stdin(Stdio::null()).stderr(Stdio::null());
        ip.output().map_or(true, |told| told.stdout.is_empty())
    }
}

/// Whether `/proc/PID/stat` is of a process that was started then and lives: its number may be another's by now.
fn lives_since(stat: &str, start: &str) -> bool {
    // What stands before is the program's name, which may hold anything. The state is the third field, the start the 22nd.
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let mut fields = fields.split_whitespace();
    fields.next().is_some_and(|state| state != "Z") && fields.nth(18) == Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_on_while_the_very_process_lives_that_it_was_started_as() {
        let stat = |state: &str| format!("7 (a) b (c) {state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 1");
        assert!(lives_since(&stat("S"), "4711"));
        assert!(!lives_since(&stat("S"), "471"), "another process has its number");
        assert!(!lives_since(&stat("Z"), "4711"), "it is dead, and nobody has asked how it ended");
        assert!(!lives_since("", "4711"));
    }

    #[test]
    fn this_process_lives_since_it_was_started() {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned();
        assert!(lives_since(&stat, &start));
    }

    #[test]
    fn the_lab_s_own_programs_come_first() {
        let path = Lab::new("/w/deploy/lab".into()).search_path().unwrap();
        let folders: Vec<PathBuf> = env::split_paths(&path).collect();
        assert_eq!(folders.first(), Some(&PathBuf::from("/w/deploy/lab.d/bin")));
        assert_eq!(folders.last(), Some(&PathBuf::from("/bin")));
        assert_eq!(folders.len(), 8);
    }
}
