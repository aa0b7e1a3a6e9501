//! What a site's power sets off.

use anyhow::ensure;

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("a_site_on_battery_is_emptied_and_its_servers_come_home_with_the_mains", battery)];

/// The lab's scheduler acts after five seconds on battery, and after five on mains.
fn battery(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let home = stage.send_home("mail")?;
    // A flicker is nothing.
    stage.watari(&["site", "power", &home, "battery", "--left", "20m"])?;
    stage.watari(&["site", "power", &home, "mains"])?;
    ensure!(stage.outage_at(&home)?.is_none(), "a flicker began an outage");

    stage.watari(&["site", "power", &home, "battery", "--left", "20m"])?;
    ensure!(stage.doctor(&[])?.names("site.on-battery", &home), "the doctor does not name the site on battery");
    let outage = stage.emptying(&home, 30)?;
    until(180, "the site is empty", || Ok(stage.show("outage", &outage)?["state"] == "evacuated"))?;
    ensure!(stage.site_of("mail")? != home, "it is still there");

    stage.watari(&["site", "power", &home, "mains"])?;
    until(180, "everything is home", || Ok(stage.show("outage", &outage)?["state"] == "completed"))?;
    ensure!(stage.site_of("mail")? == home, "it did not come home");
    stage.sound("mail", &boot)
}
