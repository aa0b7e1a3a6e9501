//! Servers that are saved as images, and go on.

use std::{fs, thread};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, failures::slowly, images, life::send_mail, until, until_some};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_server_saved_while_mail_comes_in_boots_elsewhere_with_its_mailbox", |s| tidily(s, saved)),
    ("a_saving_goes_on_when_the_agent_is_killed_and_leaves_nothing_behind", |s| tidily(s, agent_killed)),
    ("a_migration_does_not_wait_for_a_saving", |s| tidily(s, migrated)),
];

/// The image, and the server that is made from it.
const KEPT: &str = "kept";

/// Runs a scenario without an earlier one's image, and leaves none.
fn tidily(stage: &Stage, scenario: Run) -> anyhow::Result<()> {
    images::discard(stage, KEPT)?;
    let outcome = scenario(stage);
    outcome.and(images::discard(stage, KEPT))
}

fn until_ready(stage: &Stage) -> anyhow::Result<Value> {
    let shown = until_some(300, "the saving ends", || {
        let shown = stage.show("image", KEPT)?;
        Ok((shown["state"] == "ready" || shown["state"] == "failed").then_some(shown))
    })?;
    ensure!(shown["state"] == "ready", "it is {shown}");
    Ok(shown)
}

fn subject(mark: &str, mail: usize) -> String {
    format!("{mark}-{mail}-meanwhile")
}

/// Saves `mail` while it takes one mail after the other; how many.
fn saved_under_mail(stage: &Stage, address: &str, mark: &str) -> anyhow::Result<usize> {
    thread::scope(|scope| -> anyhow::Result<usize> {
        let saving = scope.spawn(|| stage.watari(&["vm", "save", "mail", "--as", KEPT, "--wait"]));
        let mut mails = 0;
        loop {
            send_mail(stage, address, &subject(mark, mails))?;
            mails += 1;
            if saving.is_finished() {
                let saved = saving.join().ok().context("the saver panicked")??;
                ensure!(saved["state"] == "ready", "it is {saved}");
                return Ok(mails);
            }
        }
    })
}

fn saved(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address("mail")?;
    let (boot, site) = (stage.boot_id(&address)?, stage.site_of("mail")?);
    // The mailbox holds mails of earlier runs.
    let mark = format!("saving-{}", std::process::id());
    let acknowledged = format!("{mark}-before");
    send_mail(stage, &address, &acknowledged)?;
    let mails = saved_under_mail(stage, &address, &mark)?;
    let mailbox = stage.page(&address, "/mbox")?;
    ensure!((0..mails).all(|mail| mailbox.contains(&subject(&mark, mail))), "a mail is lost");
    stage.sound("mail", &boot)?;

    images::at_both(stage, KEPT, "copies")?;
    let shown = stage.show("image", KEPT)?;
    let from = &shown["saved_from"];
    // No agent of its own is in this guest.
    let told = from["vm"] == "mail" && from["taken"]["at"].is_string() && from["taken"]["consistency"] == "crash";
    ensure!(told, "it is {shown}");

    let other = if site == "myodaiji" { "yamate" } else { "myodaiji" };
    let disk = format!("{}GiB", stage.show("vm", "mail")?["disk_gib"]);
    images::start(stage, KEPT, other, &disk)?;
    let copy = stage.address(KEPT)?;
    stage.until_page(&copy, 120)?;
    ensure!(copy != address && stage.boot_id(&copy)? != boot, "it is the same server");
    let mailbox = stage.page(&copy, "/mbox")?;
    ensure!(mailbox.contains(&acknowledged), "{acknowledged} is not in the {} bytes of its mailbox", mailbox.len());
    stage.sound("mail", &boot)
}

/// Brings `mail` to the site to which the copy has to travel.
fn away_from_the_front_end(stage: &Stage) -> anyhow::Result<()> {
    let leads = stage.lab.led_from()?.context("the services lead from nowhere")?;
    if stage.site_of("mail")? == leads {
        stage.watari(&["vm", "migrate", "mail", "--to", stage.other_side("mail")?, "--wait"])?;
    }
    Ok(())
}

/// Begins to save `mail`, and waits until a node has been told to copy its disk.
fn begun(stage: &Stage) -> anyhow::Result<()> {
    stage.watari(&["vm", "save", "mail", "--as", KEPT])?;
    until(60, "its node is to copy the disk", || Ok(has_come_to(stage, "copying")? || has_come_to(stage, "taken")?))
}

fn has_come_to(stage: &Stage, step: &str) -> anyhow::Result<bool> {
    let shown = stage.show("image", KEPT)?;
    ensure!(shown["state"] != "failed", "it is {shown}");
    Ok(!shown["saved_from"][step].is_null())
}

fn agent_killed(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    away_from_the_front_end(stage)?;
    let node = stage.node_of("mail")?;
    let kill = || {
        stage.lab.run(&["kill", &node, "watari-node-agent", "KILL"])?;
        until(60, "it is there again", || Ok(stage.lab.pids(&node, "watari-node-agent").len() == 1))
    };
    slowly(stage, || {
        begun(stage)?;
        kill()?;
        until(120, "the copy is on its way", || has_come_to(stage, "taken"))?;
        kill()
    })?;
    until_ready(stage)?;
    let folder = stage.lab.file(&node, "/var/lib/watari/saves");
    until(60, "nothing of it is left on the node", || Ok(fs::read_dir(&folder)?.next().is_none()))?;
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)
}

/// The copy gives way, or is whole by then; either way there is an image in the end.
fn migrated(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let to = stage.other_side("mail")?;
    begun(stage)?;
    stage.watari(&["vm", "migrate", "mail", "--to", to, "--wait"])?;
    ensure!(stage.node_of("mail")? == to, "it did not move");
    let shown = until_ready(stage)?;
    ensure!(shown["saved_from"]["vm"] == "mail", "it is {shown}");
    stage.sound("mail", &boot)
}
