//! Images that lie at both campuses, and servers that are made from them.

use std::fs;

use anyhow::{Context, ensure};
use watari_testkit::TempDir;

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[(
    "the_side_that_reaches_the_witness_leads_when_the_link_is_cut_and_starts_what_was_imported_at_the_other",
    tidily,
)];

/// The image, and the server that is made from it.
const FRESH: &str = "fresh";

/// Runs the scenario without an earlier one's image, and leaves none.
fn tidily(stage: &Stage) -> anyhow::Result<()> {
    discard(stage, FRESH)?;
    let outcome = cut_off(stage);
    outcome.and(discard(stage, FRESH))
}

fn cut_off(stage: &Stage) -> anyhow::Result<()> {
    stage.led_by("myodaiji")?;
    let boot = stage.boot_id(&stage.address("mail")?)?;
    import(stage, FRESH)?;
    at_both(stage, FRESH, "copies")?;
    let shown = stage.show("image", FRESH)?;
    ensure!(shown["nodes"].as_object().is_none_or(|sites| sites.is_empty()), "a node has it already: {shown}");

    stage.lab.run(&["cut", "myodaiji"])?;
    let started = started_in_yamate(stage);
    stage.lab.run(&["heal", "myodaiji"])?;
    started?;
    stage.until_whole()?;
    stage.until_led_from(60, "myodaiji")?;
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)
}

/// By whoever leads there now, from the copy there.
fn started_in_yamate(stage: &Stage) -> anyhow::Result<()> {
    stage.until_led_from(60, "yamate")?;
    start(stage, FRESH, "yamate", "1GiB")?;
    stage.until_page(&stage.address(FRESH)?, 120)
}

/// Imports the guest's disk in a file of its own, which no front end and no node has.
pub(super) fn import(stage: &Stage, name: &str) -> anyhow::Result<()> {
    let (dir, image) = (TempDir::new(), stage.lab.run(&["guest-image"])?);
    let mut bytes = fs::read(image.trim())?;
    // QEMU reads nothing behind the disk.
    bytes.extend(fs::read("/proc/sys/kernel/random/uuid")?);
    let file = dir.path().join("image.qcow2");
    fs::write(&file, bytes)?;
    let file = file.to_str().context("no path of text")?;
    stage.watari(&["image", "import", file, "--name", name, "--wait"]).map(drop)
}

/// Waits until an image is at both sites: what `image show` calls so, by site.
pub(super) fn at_both(stage: &Stage, image: &str, what: &str) -> anyhow::Result<()> {
    until(120, &format!("both sites have the image's {what}"), || {
        Ok(stage.show("image", image)?[what].as_object().is_some_and(|sites| sites.len() == 2))
    })
}

/// Starts a server from an image at a site, under the image's name.
pub(super) fn start(stage: &Stage, image: &str, site: &str, disk: &str) -> anyhow::Result<()> {
    let size = ["--memory", "128MiB", "--disk", disk];
    let who = ["vm", "create", image, "--image", image, "--network", "campus", "--site", site];
    stage.watari(&[&who[..], &size[..], &["--wait"]].concat())?;
    ensure!(stage.site_of(image)? == site, "it runs elsewhere");
    Ok(())
}

/// Removes an image and the server that was made from it.
pub(super) fn discard(stage: &Stage, name: &str) -> anyhow::Result<()> {
    if stage.show("vm", name).is_ok() {
        stage.watari(&["vm", "delete", name, "--yes", "--wait"])?;
        let ports = stage.watari(&["port", "list"])?;
        ensure!(
            ports.as_array().into_iter().flatten().all(|port| port["vm"] != name),
            "it has an address still: {ports}"
        );
    }
    if stage.show("image", name).is_ok() {
        stage.watari(&["image", "delete", name, "--yes"])?;
    }
    until(60, "the image is gone", || Ok(stage.show("image", name).is_err()))
}
