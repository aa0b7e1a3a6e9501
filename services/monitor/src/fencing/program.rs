//! The programs that switch nodes' power: run without a shell, with an environment of their own, within a bound on
//! time and output; and what the one that is asked for the power says.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncReadExt, process::Command};
use watari_chassis::program::{PATH, bounded};
use watari_model::{Said, node::fencing::Act, said};

/// The most bytes of each output that are read; the rest is swallowed.
const MOST_OUTPUT: u64 = 4_096;
/// The most bytes of a file with a secret.
const MOST_SECRET: u64 = 4_096;
/// The most of a complaint that is told, in letters.
const TOLD: usize = 200;
/// The exit status with which fence agents say *off*.
const FENCE_AGENT_OFF: i32 = 2;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// By itself.
    Ended {
        /// Its exit status; none if a signal ended it.
        code: Option<i32>,
        /// What it printed.
        said: String,
        /// The last line of its complaints.
        complaint: String,
    },
    /// It took too long: what it has done is not known.
    TimedOut,
    /// It could not be run, so that nothing was done.
    NotRun(String),
}

/// What a power controller says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The node is on or off.
    Is(Act),
    /// It does not say, or not so that it could be relied on.
    Unclear(Said),
}

impl Ran {
    /// Whether it is known to have failed. One that took too long may have done all the same what it was to do.
    pub(super) fn failed(&self) -> bool {
        match self {
            Self::Ended { code, .. } => *code != Some(0),
            Self::TimedOut => false,
            Self::NotRun(_) => true,
        }
    }

    /// How it ended, for people.
    pub(super) fn told(&self, program: &str) -> Said {
        match self {
            Self::Ended { code, complaint, .. } => {
                let code = code.map_or_else(|| "?".to_owned(), |code| code.to_string());
                let why = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
                said!(
                    "{program} ended with status {code}{why}",
                    "{program} は終了ステータス {code} で終わりました{why}"
                )
            }
            Self::TimedOut => said!("{program} took too long", "{program} が時間内に終わりませんでした"),
            Self::NotRun(why) => said!("{program} cannot be run: {why}", "{program} を実行できません: {why}"),
        }
    }
}

/// What the answer to `status` means. Anything but a plain word is taken for no answer.
pub(super) fn reading(ran: &Ran, program: &str) -> Reading {
    let Ran::Ended { code, said, .. } = ran else { return Reading::Unclear(ran.told(program)) };
    let last = said.split_whitespace().next_back().unwrap_or_default();
    let word = last.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    match code {
        Some(0 | FENCE_AGENT_OFF) if word.eq_ignore_ascii_case("off") => Reading::Is(Act::Off),
        Some(0) if word.eq_ignore_ascii_case("on") => Reading::Is(Act::On),
        Some(0) => Reading::Unclear(said!(
            "{program} does not end its answer with on or off",
            "{program} の出力が on または off で終わっていません"
        )),
        _ => Reading::Unclear(ran.told(program)),
    }
}

/// Runs a program to its end, or for as long as it may take. Whatever it has started ends with it then.
pub(super) async fn run(words: &[String], secrets: &[(String, PathBuf)], limit: Duration) -> Ran {
    let Some((program, arguments)) = words.split_first() else { return Ran::NotRun("it has no name".to_owned()) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/");
    for (variable, path) in secrets {
        match secret(path).await {
            Ok(text) => command.env(variable, text),
            Err(error) => return Ran::NotRun(format!("{}: {error}", path.display())),
        };
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.process_group(0).kill_on_drop(true).spawn() {
        Ok(child) => child,
        Err(error) => return Ran::NotRun(error.to_string()),
    };
    let group = child.id();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async { tokio::join!(bounded(stdout, MOST_OUTPUT), bounded(stderr, MOST_OUTPUT), child.wait()) };
    match tokio::time::timeout(limit, ended).await {
        Ok((said, complaint, Ok(status))) => Ran::Ended {
            code: status.code(),
            said: String::from_utf8_lossy(&said).into_owned(),
            complaint: last_line(&String::from_utf8_lossy(&complaint)),
        },
        Ok((_, _, Err(error))) => Ran::NotRun(error.to_string()),
        Err(_) => {
            end(group);
            Ran::TimedOut
        }
    }
}

/// The first line of a file.
async fn secret(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    tokio::fs::File::open(path).await?.take(MOST_SECRET).read_to_string(&mut text).await?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(TOLD).collect()
}

/// Ends a program that takes too long, with all that it has started.
fn end(group: Option<u32>) {
    let pid = group.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended this moment.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use watari_testkit::TempDir;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn ended(code: i32, said: &str) -> Ran {
        Ran::Ended { code: Some(code), said: said.to_owned(), complaint: String::new() }
    }

    #[test]
    fn only_a_plain_word_of_a_controller_that_succeeds_is_believed() {
        for (code, said, is) in [
            (2, "Status: OFF\n", Some(Act::Off)),
            (0, "Chassis Power is off", Some(Act::Off)),
            (0, "Status: ON", Some(Act::On)),
            (0, "\"Off\"", Some(Act::Off)),
            (2, "Status: ON", None),
            (1, "off", None),
            (0, "", None),
            (0, "it is off, I think", None),
            (0, "turned-off", None),
        ] {
            let told = match reading(&ended(code, said), "status") {
                Reading::Is(act) => Some(act),
                Reading::Unclear(_) => None,
            };
            assert_eq!(told, is, "{code} {said:?}");
        }
        for ran in [Ran::TimedOut, Ran::NotRun("missing".to_owned())] {
            assert!(matches!(reading(&ran, "status"), Reading::Unclear(_)));
        }
        assert!(!Ran::TimedOut.failed(), "it may have done it");
    }

    fn script(folder: &Path, text: &str) -> Vec<String> {
        let file = folder.join("program");
        fs::write(&file, text).unwrap();
        vec!["bash".to_owned(), file.display().to_string()]
    }

    #[tokio::test]
    async fn a_program_sees_its_arguments_and_secrets_and_nothing_else() {
        let folder = TempDir::new();
        let file = folder.path().join("secret");
        fs::write(&file, "geheim\nmore\n").unwrap();
        let mut words =
            script(folder.path(), "echo \"$1|$PASSWORD|${CARGO_MANIFEST_DIR-none}\"; echo gone wrong >&2; exit 3");
        words.push("$(id) x".to_owned());
        let ran = run(&words, &[("PASSWORD".to_owned(), file)], SOON).await;
        let complaint = "gone wrong".to_owned();
        assert_eq!(ran, Ran::Ended { code: Some(3), said: "$(id) x|geheim|none\n".to_owned(), complaint });
        assert!(ran.failed());
        let nobody = run(&["/nowhere/fence".to_owned()], &[], SOON).await;
        assert!(matches!(nobody, Ran::NotRun(_)), "{nobody:?}");
        let missing = run(&words, &[("PASSWORD".to_owned(), PathBuf::from("/nowhere/secret"))], SOON).await;
        assert!(matches!(missing, Ran::NotRun(_)), "{missing:?}");
    }

    #[tokio::test]
    async fn a_program_that_never_ends_is_ended_and_one_that_never_stops_talking_is_not_listened_to_for_ever() {
        let folder = TempDir::new();
        let endless = script(folder.path(), "sleep 1000 & wait");
        assert_eq!(run(&endless, &[], Duration::from_millis(300)).await, Ran::TimedOut);
        let talking = script(folder.path(), "head -c 300000 /dev/zero | tr '\\0' x; echo");
        let Ran::Ended { code, said, .. } = run(&talking, &[], SOON).await else { panic!("it did not end") };
        assert_eq!((code, said.len()), (Some(0), 4_096));
    }
}
