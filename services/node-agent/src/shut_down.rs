//! Shutting this node down, for a site that goes dark on purpose.
//!
//! Nobody's word counts for it but libvirt's own at this moment: while any domain may have a process, whoever made it,
//! the order is refused. What is run is the program of the settings, as its administrator would type it; that it
//! succeeds says only that it has begun. Whether the node is off is seen from elsewhere.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};
use watari_contracts::agent::{NodeFacts, ShutDown};
use watari_model::{Refusal, Said, node::Host, said};

use crate::{node::Node, uefi};

/// What the kernel calls this start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// How long the answer waits for the program, so that its failing is told. One that takes longer is left to itself.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many of those that live are named.
const NAMED: usize = 5;
/// At most so much of what the program complains of is told, in characters.
const TOLD: usize = 200;

/// What there is to say of the machine.
pub(crate) async fn host(node: &Node) -> Host {
    Host {
        boot_id: boot_id(Path::new(BOOT_ID)).await,
        shut_down: node.settings.power.shut_down.clone(),
        uefi: uefi::is_here(&node.settings.uefi).await,
    }
}

async fn boot_id(file: &Path) -> Option<String> {
    let text = tokio::fs::read_to_string(file).await.ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Has the machine shut down, if nothing lives on it.
///
/// # Errors
/// [`Refusal::NodeNotEmpty`]; then [`Refusal::ShutDownMissing`], if no program is named; [`Refusal::ShutDownFailed`];
/// the order is stale, or libvirt does not answer.
pub async fn shut_down(node: &Node, order: ShutDown) -> Result<NodeFacts, Refusal> {
    node.heed(&order.order).await?;
    let silent = || Refusal::Hypervisor { node: node.name.to_string(), detail: "it does not answer".to_owned() };
    let listed = timeout(node.settings.bounds.libvirt_answer(), node.hypervisor.list()).await;
    let domains = listed.map_err(|_| silent())?.map_err(|error| node.refuse(&error))?;
    let alive: Vec<String> =
        domains.into_iter().filter(|domain| domain.state.may_have_process()).map(|domain| domain.record.name).collect();
    if !alive.is_empty() {
        let more = if alive.len() > NAMED { format!(" (+{})", alive.len() - NAMED) } else { String::new() };
        let named: Vec<&str> = alive.iter().take(NAMED).map(String::as_str).collect();
        let domains = format!("{}{more}", named.join(", "));
        return Err(Refusal::NodeNotEmpty { node: node.name.to_string(), domains });
    }
    let Some((program, arguments)) = node.settings.power.shut_down.split_first() else {
        return Err(Refusal::ShutDownMissing { node: node.name.to_string() });
    };
    tracing::warn!(program, ?arguments, "this node is told to shut down and is empty");
    let failed = |detail| Refusal::ShutDownFailed { node: node.name.to_string(), detail };
    run(program, arguments).await.map_err(failed)?;
    Ok(node.facts.all())
}

/// Begins it. What ends in time has succeeded, or says why not.
async fn run(program: &str, arguments: &[String]) -> Result<(), Said> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let not_run = |error: std::io::Error| {
        said!("the program {program} could not be run: {error}", "プログラム {program} を実行できません: {error}")
    };
    let child = command.spawn().map_err(not_run)?;
    // In a task, so that one that takes longer is listened to until its end. It may end this agent first.
    let Ok(ended) = timeout(PATIENCE, tokio::spawn(child.wait_with_output())).await else { return Ok(()) };
    let output = ended.map_err(|error| not_run(error.into()))?.map_err(not_run)?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let last: String = last.chars().filter(|c| !c.is_control()).take(TOLD).collect();
    let status = output.status;
    Err(said!(
        "the program {program} failed ({status}): {last}",
        "プログラム {program} が失敗しました ({status}): {last}"
    ))
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_program_that_fails_says_so_and_one_that_takes_long_has_begun() {
        let failed = run("bash", &words(&["-c", "echo no such unit >&2; exit 4"])).await.unwrap_err();
        assert!(failed.en.contains("no such unit") && failed.ja.contains("no such unit"), "{failed:?}");
        assert!(run("/nowhere/poweroff", &[]).await.unwrap_err().en.contains("could not be run"));
        run("true", &[]).await.unwrap();
        // The machine would be gone before it ends.
        run("sleep", &words(&["5"])).await.unwrap();
    }

    #[tokio::test]
    async fn a_machine_that_does_not_say_which_start_it_is_is_not_made_up() {
        let folder = TempDir::new();
        let file = folder.path().join("boot_id");
        assert_eq!(boot_id(&file).await, None);
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(boot_id(&file).await, None);
        std::fs::write(&file, "f449\n").unwrap();
        assert_eq!(boot_id(&file).await.as_deref(), Some("f449"));
    }
}
