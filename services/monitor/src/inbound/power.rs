//! Nodes whose power an operator asks about, or has switched.

use std::sync::Arc;

use watari_contracts::monitor::{NodePower, PowerNode, PowerWish};
use watari_model::{
    Refusal,
    node::fencing::{Act, Outcome},
};

use super::gone::word;
use crate::{
    fencing::{Desk, Errand},
    watch::Watch,
};

/// Says which programs are for it, and unless that is all that is wanted, asks the controller or begins to switch.
pub(super) async fn power(watch: &Watch, desk: &Arc<Desk>, request: &PowerNode) -> Result<NodePower, Refusal> {
    let by = word(watch, request.by.as_deref(), false)?.by;
    let name = &request.name;
    let Some(entry) = watch.nodes.get(name.as_str()) else {
        return Err(Refusal::NodeUnknown { node: name.to_string() });
    };
    let missing = || Refusal::FencingMissing { node: name.to_string() };
    let programs = desk.commands(&entry.value).ok_or_else(missing)?;
    let commands = programs.of(request.wish);
    if commands.is_empty() {
        return Err(missing());
    }
    let mut answer = NodePower { name: name.clone(), commands, says: None, begun: None };
    if request.dry_run {
        return Ok(answer);
    }
    let act = match request.wish {
        PowerWish::Status => {
            answer.says = Some(desk.ask(name, &programs).await?);
            return Ok(answer);
        }
        PowerWish::Off => Act::Off,
        PowerWish::On => Act::On,
    };
    answer.begun = desk.begin(&entry.value, programs, Errand { act, by, tries: 1 }).await?;
    if answer.begun.is_none() {
        // Asked again while the answer to the first time was on its way, it is under way already.
        let known = watch.nodes.get(name.as_str()).and_then(|entry| entry.value.fencing.clone());
        answer.begun = known.filter(|told| told.outcome == Outcome::Begun && told.act == act);
    }
    if answer.begun.is_none() {
        return Err(Refusal::NoAnswer { who: format!("whoever switches node {name}") });
    }
    Ok(answer)
}
