//! The programs that the doctor starts on its own host, each by its arguments.

use std::{
    ffi::{OsStr, OsString},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};
use watari_chassis::program::PATH;

/// What takes longer hangs.
const BOUND: Duration = Duration::from_secs(20);

/// What a program prints, whatever it thinks of it; none if it is not there or hangs.
pub(in crate::doctor) async fn told<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Option<String> {
    let printed = timeout(BOUND, command(program, arguments).output()).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&printed.stdout).into_owned())
}

/// Runs a program.
///
/// # Errors
/// What it complains of, or why it cannot be run.
pub(in crate::doctor) async fn run<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<(), String> {
    let Ok(ended) = timeout(BOUND, command(program, arguments).output()).await else {
        return Err(format!("{program}: > {} s", BOUND.as_secs()));
    };
    let ended = ended.map_err(|error| format!("{program}: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&ended.stderr);
    Err(complaint.lines().last().map_or_else(|| format!("{program}: {}", ended.status), str::to_owned))
}

fn command<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Command {
    // Whoever is not root has seldom all of these folders. An empty one would be the folder where one stands.
    let own = std::env::var_os("PATH").filter(|path| !path.is_empty());
    let path = own.map_or_else(
        || OsString::from(PATH),
        |mut path| {
            path.push(":");
            path.push(PATH);
            path
        },
    );
    let mut command = Command::new(program);
    // What is parsed is the same in every language.
    command.args(arguments).env("PATH", path).env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_program_prints_or_complains_of_is_told() {
        assert_eq!(told("printf", &["%s", "a b"]).await.as_deref(), Some("a b"));
        assert_eq!(told("watari-no-such-program", &["x"]).await, None);
        assert_eq!(run("true", &[""; 0]).await, Ok(()));
        assert!(run("ls", &["/nonexistent"]).await.unwrap_err().contains("/nonexistent"));
        assert!(run("watari-no-such-program", &["x"]).await.is_err());
    }
}
