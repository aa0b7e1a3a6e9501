//! What nobody planned takes a whole campus, the witness besides, or the link while the witness is at neither side.

use anyhow::{Context, ensure};

use super::{Stage, until};
use crate::lab::VOTERS;

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_campus_lost_without_a_plan_is_followed_by_the_other_and_with_the_witness_by_nobody", lost),
    ("with_the_link_cut_and_the_witness_at_neither_side_nobody_leads_and_all_servers_run_on", split),
];

/// The server in Yamate, beside the one in Myodaiji.
const YONDER: &str = "yonder";
/// Where the services of a front end tell on its own loopback how they stand.
const READY: [&str; 4] = ["9101", "9102", "9103", "9104"];

/// A server of one campus, and the boot in which it is.
struct Resident {
    name: &'static str,
    node: String,
    address: String,
    boot: String,
}

impl Resident {
    fn of(stage: &Stage, name: &'static str) -> anyhow::Result<Self> {
        let address = stage.address(name)?;
        stage.until_page(&address, 120)?;
        Ok(Self { name, node: stage.node_of(name)?, boot: stage.boot_id(&address)?, address })
    }

    fn runs_on(&self, stage: &Stage) -> anyhow::Result<()> {
        ensure!(stage.boot_id(&self.address)? == self.boot, "{} did not run on", self.name);
        Ok(())
    }

    /// It runs nowhere.
    fn waits(&self, stage: &Stage) -> anyhow::Result<()> {
        let copies = stage.lab.copies(self.name);
        ensure!(copies.is_empty(), "{} was started while its campus was only silent: {copies:?}", self.name);
        Ok(())
    }
}

/// Does something to Myodaiji, which leads, with a server in each campus. Whatever comes of it, the lab is whole again.
fn beset(
    stage: &Stage,
    act: impl FnOnce(&Resident, &Resident) -> anyhow::Result<()>,
    heal: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<(Resident, Resident)> {
    stage.led_by("myodaiji")?;
    stage.ready("mail")?;
    stage.send_home("mail")?;
    stage.server_at(YONDER, "campus", "yamate")?;
    let (mail, yonder) = (Resident::of(stage, "mail")?, Resident::of(stage, YONDER)?);
    let done = act(&mail, &yonder);
    // What failed first is told, whatever fails because of it.
    done.and(heal().and_then(|()| stage.put_back()))?;
    stage.until_whole()?;
    stage.until_led_from(60, "myodaiji")?;
    Ok((mail, yonder))
}

fn lost(stage: &Stage) -> anyhow::Result<()> {
    let (mail, yonder) = beset(stage, |mail, yonder| dark(stage, mail, yonder), || Ok(()))?;
    // The power is back, and with it what was lost.
    stage.until_page(&mail.address, 180)?;
    ensure!(stage.node_of("mail")? == mail.node, "it was started elsewhere");
    let again = stage.boot_id(&mail.address)?;
    ensure!(again != mail.boot, "its campus had no power");
    stage.sound("mail", &again)?;
    stage.sound(YONDER, &yonder.boot)
}

/// The campus goes, and then the witness; that one comes back before the campus does.
fn dark(stage: &Stage, mail: &Resident, yonder: &Resident) -> anyhow::Result<()> {
    stage.lab.run(&["power-off", "myodaiji"])?;
    stage.until_led_from(60, "yamate")?;
    until(60, "its node is lost", || Ok(stage.show("node", &mail.node)?["state"] == "lost"))?;
    // The other front end writes; what runs there runs on, and nothing is started on the strength of silence.
    stage.watari(&["vm", "edit", YONDER, "--priority", "7"])?;
    yonder.runs_on(stage)?;
    mail.waits(stage)?;
    ensure!(stage.node_of("mail")? == mail.node, "the books have it elsewhere");

    stage.lab.run(&["power-off", "witness"])?;
    stage.until_leaderless()?;
    yonder.runs_on(stage)?;
    mail.waits(stage)?;

    stage.lab.run(&["power-on", "witness"])?;
    stage.until_led_from(60, "yamate")?;
    ensure!(stage.show("vm", YONDER)?["priority"] == 7, "what was written is gone");
    yonder.runs_on(stage)?;
    mail.waits(stage)
}

fn split(stage: &Stage) -> anyhow::Result<()> {
    let witness = |to: &str| stage.lab.run(&["exec", "witness", "--", "ip", "link", "set", "mgmt0", to]).map(drop);
    let cut = |mail: &Resident, yonder: &Resident| {
        witness("down")?;
        stage.lab.run(&["cut", "myodaiji"])?;
        until(60, "no service leads at either side", || Ok(!anybody_leads(stage)?))?;
        yonder.runs_on(stage)?;
        let copies = stage.lab.copies("mail");
        ensure!(matches!(copies.as_slice(), [(host, _)] if *host == mail.node), "{copies:?}");
        ensure!(!anybody_leads(stage)?, "somebody leads without a majority");
        Ok(())
    };
    let heal = || {
        let healed = stage.lab.run(&["heal", "myodaiji"]);
        witness("up").and(healed.map(drop))
    };
    let (mail, yonder) = beset(stage, cut, heal)?;
    for resident in [mail, yonder] {
        stage.sound(resident.name, &resident.boot)?;
    }
    // The other one has used it too.
    stage.watari(&["vm", "delete", YONDER, "--yes", "--wait"]).map(drop)
}

/// Whether a service of a front end leads, as each tells on its own host: nobody reaches both sides.
fn anybody_leads(stage: &Stage) -> anyhow::Result<bool> {
    for front in VOTERS.into_iter().take(2) {
        for port in READY {
            let page = format!("http://127.0.0.1:{port}/ready");
            let told = stage.lab.run(&["exec", front, "--", "curl", "-sS", "-m", "5", &page])?;
            let word = told.lines().next().with_context(|| format!("{front} tells nothing at {port}"))?;
            if word == "primary" {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
