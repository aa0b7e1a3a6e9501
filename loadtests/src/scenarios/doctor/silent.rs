//! Nodes of which nothing is heard: for a moment, for long, all of a campus, and known to be off with what they ran.

use super::{NEIGHBOUR, NODE};
use crate::scenarios::{Stage, until};

/// What runs on the node alone, and has its disks nowhere else.
const ALONE: [&str; 3] = ["alone1", "alone2", "alone3"];
/// On the way to a node that is lost, and back.
const ON_THE_WAY: [&str; 2] = ["node.suspect", "node.hypervisor"];
/// Has the agent stand still again and again: longer than it takes to be suspect (3 s), and not as long as it takes to be
/// lost (10 s), or whoever looks now and then would miss the one on the way to the other.
const STUTTERS: &str = "pid=$(cat /run/lab/watari-node-agent.pid)
    (for _ in {1..13}; do kill -STOP $pid; sleep 6; kill -CONT $pid; sleep 1; done) >/dev/null 2>&1 &
    echo $! >/run/stutter.pid";
const STEADY: &str = "[ ! -e /run/stutter.pid ] || kill \"$(cat /run/stutter.pid)\" 2>/dev/null || true
    rm -f /run/stutter.pid
    [ ! -e /run/lab/watari-node-agent.pid ] || kill -CONT \"$(cat /run/lab/watari-node-agent.pid)\"";

/// What is waited for is that they count as lost: each of them once, and nobody twice.
pub(super) fn nodes(stage: &Stage) -> anyhow::Result<()> {
    stage.away_from_the_campus()?;
    stage.until_well()?;
    let agent = |verb: &str, node: &str| stage.lab.run(&[verb, node, "watari-node-agent"]).map(drop);
    let broken = || {
        suspect(stage)?;
        make_alone(stage)?;
        agent("stop", NODE)?;
        stage.until_named(&[("node.lost", NODE)], &ON_THE_WAY, &[])?;
        agent("stop", NEIGHBOUR)?;
        // Nobody is advised to say of nodes that they are off, of which nobody can tell.
        stage.until_named(&[("site.silent", "yamate"), ("site.no-refuge", "myodaiji")], &ON_THE_WAY, &[])?;
        agent("start", NEIGHBOUR)?;
        stage.lab.run(&["power-off", NODE])?;
        stage.watari(&["node", "confirm-off", NODE, "--yes"])?;
        stage.until_named(&[("node.off", NODE), ("vm.several-down", "3 servers")], &ON_THE_WAY, &[])
    };
    let outcome = broken();
    // A host that was off starts all that it runs.
    let mended = [
        stage.lab.run(&["power-on", NODE]).map(drop),
        agent("start", NODE),
        agent("start", NEIGHBOUR),
        stage.until_nodes_ready(),
        ALONE.into_iter().try_for_each(|name| delete(stage, name)),
    ];
    outcome?;
    mended.into_iter().collect::<anyhow::Result<()>>()?;
    stage.until_well()
}

/// The other node of the campus takes nothing meanwhile.
fn make_alone(stage: &Stage) -> anyhow::Result<()> {
    stage.watari(&["node", "cordon", NEIGHBOUR])?;
    let made = ALONE.into_iter().try_for_each(|name| {
        let small = ["--image", "mini", "--network", "campus", "--memory", "128MiB", "--disk", "1GiB"];
        stage.watari(&[&["vm", "create", name, "--site", "yamate"][..], &small].concat()).map(drop)
    });
    let made = made.and_then(|()| {
        until(120, "they run", || {
            for name in ALONE {
                if stage.show("vm", name)?["state"] != "running" {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    });
    stage.watari(&["node", "uncordon", NEIGHBOUR])?;
    made
}

fn suspect(stage: &Stage) -> anyhow::Result<()> {
    let named =
        stage.script(NODE, STUTTERS).and_then(|()| stage.until_named(&[("node.suspect", NODE)], &ON_THE_WAY, &[]));
    stage.script(NODE, STEADY)?;
    named
}

fn delete(stage: &Stage, name: &str) -> anyhow::Result<()> {
    if stage.show("vm", name).is_ok() {
        stage.watari(&["vm", "delete", name, "--yes", "--wait"])?;
    }
    Ok(())
}
