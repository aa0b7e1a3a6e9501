//! A server that is started from the copy of its disk at the other campus when its node is off.

use std::time::Instant;

use anyhow::{Context, ensure};

use super::{Stage, life::send_mail, until};

const VM: &str = "risky";
const WRITTEN: &str = "before-the-copy";

/// It runs where it is told to, and a copy of its disk lies elsewhere.
pub(crate) struct Copied {
    address: String,
    from: String,
    to: String,
}

/// Makes the server on `node`, with something on its disk, and sends that ahead.
pub(crate) fn send_ahead(stage: &Stage, node: &str) -> anyhow::Result<Copied> {
    clear(stage)?;
    let site = stage.show("node", node)?["site"].as_str().context("it stands nowhere")?.to_owned();
    let who = ["vm", "create", VM, "--image", "mini", "--network", "campus", "--site", &site];
    let what = ["--memory", "128MiB", "--disk", "2GiB", "--restart-from-copy", "3600", "--wait"];
    stage.watari(&[&who[..], &what[..]].concat())?;
    if stage.node_of(VM)? != node {
        stage.watari(&["vm", "migrate", VM, "--to", node, "--wait"])?;
    }
    let address = stage.address(VM)?;
    stage.until_page(&address, 120)?;
    // A mail is on the disk before it is shown. The web server is up before the mail server.
    until(60, "it takes mail", || Ok(send_mail(stage, &address, WRITTEN).is_ok()))?;
    let shown = stage.watari(&["vm", "preseed", VM, "--wait"])?;
    ensure!(shown["copy_loss_seconds"].is_u64(), "it is started from no copy: {shown}");
    let to = shown["preseed"]["done"]["node"].as_str().context("there is no copy")?.to_owned();
    Ok(Copied { address, from: node.to_owned(), to })
}

impl Copied {
    /// Waits until it begins to boot where the copy lies, as the agent there tells.
    pub(crate) fn until_begun(&self, stage: &Stage) -> anyhow::Result<()> {
        until(120, "it is started from its copy", || {
            let shown = stage.show("vm", VM)?;
            Ok(shown["state"] == "running" && shown["node"] == self.to.as_str())
        })
    }

    /// It runs where the copy lies, with what that holds; its node has been `dark` since then. Which boot that is.
    pub(crate) fn came_up(&self, stage: &Stage, dark: Instant) -> anyhow::Result<String> {
        until(60, "it is granted the copy", || Ok(stage.node_of(VM)? == self.to))?;
        stage.until_page(&self.address, 120)?;
        let blackout = dark.elapsed();
        let restored = stage.show("vm", VM)?["restored"].clone();
        let lost = restored["lost_seconds"].as_u64().context("nobody says what was lost")?;
        ensure!(restored["from"] == self.from.as_str() && lost < 3_600, "{restored}");
        ensure!(stage.page(&self.address, "/mbox")?.contains(WRITTEN), "what was written before the copy is gone");
        eprintln!("it was away for {:.1} s, and at most {lost} s of writing are lost", blackout.as_secs_f64());
        stage.boot_id(&self.address)
    }

    /// Its node is back: the disk there is a kept one, and the server is run there no more.
    pub(crate) fn stayed(&self, stage: &Stage, boot: &str) -> anyhow::Result<()> {
        until(60, "its old disk is a kept one", || Ok(kept(stage)?.len() == 1))?;
        stage.sound(VM, boot)?;
        ensure!(stage.node_of(VM)? == self.to, "it went elsewhere");
        clear(stage)
    }
}

/// Removes the server and what became of its disks.
fn clear(stage: &Stage) -> anyhow::Result<()> {
    if stage.show("vm", VM).is_ok() {
        stage.watari(&["vm", "delete", VM, "--yes", "--wait"])?;
    }
    for disk in kept(stage)? {
        stage.watari(&["disk", "delete", &disk, "--yes"])?;
    }
    Ok(())
}

/// The names of its kept disks.
fn kept(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let disks = stage.watari(&["disk", "list"])?;
    let of_it = disks.as_array().into_iter().flatten().filter(|disk| disk["vm"] == VM);
    Ok(of_it.filter_map(|disk| disk["name"].as_str().map(str::to_owned)).collect())
}
