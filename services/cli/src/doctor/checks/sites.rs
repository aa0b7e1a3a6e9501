//! Whether sites could be left, and what is the matter with their power and their outages.

use watari_contracts::{
    monitor::NodeView,
    scheduler::{NotMoved, OutageView, SiteView},
};
use watari_model::{
    Said, SiteName,
    node::State as Heard,
    outage::{Scope, State},
    said,
    site::Supply,
};

use super::joined;
use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
    },
    format,
    texts::troubles::Trouble,
};

/// A site or node that was emptied and stays so for longer was perhaps forgotten.
const FORGOTTEN_MS: u64 = 86_400_000;
/// What a link of 100 Mbit/s carries at most, in bytes a second.
const RATE_LEAST: u64 = 12_500_000;
/// What the plan says of a server that is off: nothing runs that could be lost.
const OFF: &str = "outage.not-running";
/// What the plan says of servers whose node is silent or off, of which the node's own finding tells.
const AWAY: [&str; 3] = ["vm.unreachable", "vm.stranded", "vm.deletion-waits"];
/// What the plan says of a server whose own policy keeps it where it is.
const STAYS: &str = "outage.policy-stays";

/// Sites whose servers could go nowhere.
pub(super) fn refuge(facts: &Facts) -> Vec<Finding> {
    let takes = |node: &NodeView| {
        node.state == Heard::Ready && !node.cordoned && facts.is_active(&node.site) && !facts.is_drained(&node.name)
    };
    let stuck = facts.sites.iter().filter(|site| facts.is_active(&site.name)).filter(|site| {
        let mut others = facts.nodes.iter().map(|one| &one.node).filter(|node| node.site != site.name);
        !others.any(takes)
    });
    // Nodes that could not be asked about are no proof.
    let known = !facts.nodes.is_empty();
    let trouble = |site: &SiteView| Trouble::NoRefuge { site: said(&site.name), mend: refuge_again(facts, site) };
    stuck.filter(|_| known).map(|site| Finding::of(trouble(site))).collect()
}

/// How a site gets somewhere to go again: another one that is emptied comes home, or its nodes become ready.
fn refuge_again(facts: &Facts, site: &SiteView) -> Said {
    let away = facts.sites.iter().find(|other| other.name != site.name && !facts.is_active(&other.name));
    match away.map(|other| &other.name) {
        Some(other) => said!(
            "bring the other site home when its power is back: watari site return {other}",
            "停電が終わっていれば watari site return {other} でサイト {other} を帰還させてください"
        ),
        None => said!(
            "watari node list: a node of another site must be ready and not cordoned; or add nodes there",
            "watari node list を確認し、ほかのサイトのノードを使用可能にするか、ノードを追加してください"
        ),
    }
}

/// Sites of whose nodes none could be cut off its power.
pub(super) fn unfenceable(facts: &Facts) -> Vec<Finding> {
    let bare = facts.sites.iter().filter(|site| {
        let mut there = facts.nodes.iter().map(|one| &one.node).filter(|node| node.site == site.name).peekable();
        there.peek().is_some() && !there.any(|node| node.fencing.configured)
    });
    bare.map(|site| Finding::of(Trouble::NoFencing { site: said(&site.name) })).collect()
}

/// Sites on battery.
pub(super) fn battery(facts: &Facts) -> Vec<Finding> {
    let found = facts.sites.iter().filter_map(|site| {
        let power = site.power.filter(|power| power.supply == Supply::Battery)?;
        let since = said(format::moment(power.since));
        Some(Finding::of(Trouble::OnBattery { site: said(&site.name), since, mend: off_battery(facts, site) }))
    });
    found.collect()
}

/// What is to be done about a site on battery, whose servers may have left already.
fn off_battery(facts: &Facts, site: &SiteView) -> Said {
    let name = &site.name;
    match facts.outages.iter().find(|outage| outage.scope == Scope::Site(name.clone()) && outage.state.is_open()) {
        Some(outage) => {
            let id = &outage.id;
            said!(
                "it is being emptied, or empty: watari outage show {id}; once its power is back: watari site return {name}",
                "退避は始まっているか、済んでいます。watari outage show {id} で確認し、復電したら watari site return {name} で帰還させてください"
            )
        }
        None => said!("watari site evacuate {name} --wait", "watari site evacuate {name} --wait で退避させてください"),
    }
}

/// UPSes that are asked in vain.
pub(super) fn upses(facts: &Facts) -> Vec<Finding> {
    let silent = facts.upses.iter().filter(|ups| !ups.answers);
    silent.map(|ups| Finding::of(Trouble::UpsSilent { site: said(&ups.site), ups: said(&ups.name) })).collect()
}

/// Servers that an evacuation would leave behind.
pub(super) fn plans(facts: &Facts) -> Vec<Finding> {
    let left = facts.plans.iter().flat_map(|plan| plan.failed.iter().map(move |server| (&plan.site, server)));
    // Where nobody of a site could go anywhere, that is told once.
    let stuck = refuge(facts);
    let told = |site: &SiteName| {
        stuck.iter().any(|f| matches!(&f.trouble, Trouble::NoRefuge { site: own, .. } if own.en == site.as_str()))
    };
    let left = left.filter(|(site, NotMoved { code, .. })| {
        let elsewhere = code == OFF || AWAY.contains(&code.as_str());
        !elsewhere && (code == STAYS || !told(site))
    });
    let found = left.map(|(site, NotMoved { vm, code, cause, remedy, ja })| {
        let (vm, site) = (said(vm), said(site));
        Finding::of(match code.as_str() {
            STAYS => Trouble::StaysByPolicy { vm, site },
            _ => Trouble::CannotLeave {
                vm,
                site,
                cause: Said::new(cause.clone(), ja.cause.clone()),
                remedy: Said::new(remedy.clone(), ja.remedy.clone()),
            },
        })
    });
    found.collect()
}

/// Sites out of which little is carried.
pub(super) fn links(facts: &Facts) -> Vec<Finding> {
    let slow = facts.plans.iter().filter_map(|plan| {
        let rate = plan.bytes_per_second.filter(|rate| *rate < RATE_LEAST)?;
        Some(Finding::of(Trouble::LinkSlow { site: said(&plan.site), rate: said(format::bytes(rate)) }))
    });
    slow.collect()
}

/// Scheduled outages in which servers would be lost.
pub(super) fn at_risk(facts: &Facts) -> Vec<Finding> {
    let risky = facts.outages.iter().filter(|outage| outage.state == State::Scheduled && !outage.at_risk.is_empty());
    let trouble = |outage: &OutageView| Trouble::AtRisk {
        outage: said(&outage.id),
        servers: joined(outage.at_risk.iter().map(|server| &server.vm)),
    };
    risky.map(|outage| Finding::of(trouble(outage))).collect()
}

/// Outages that are paused.
pub(super) fn paused(facts: &Facts) -> Vec<Finding> {
    let found = facts.outages.iter().filter(|outage| outage.state.is_open()).filter_map(|outage| {
        let since = said(format::moment(outage.paused_at?));
        Some(finding(&outage.scope, Trouble::OutagePaused { outage: said(&outage.id), since }))
    });
    found.collect()
}

/// Sites and nodes that are kept empty for long, beyond what was scheduled.
pub(super) fn forgotten(facts: &Facts) -> Vec<Finding> {
    let long = |outage: &&OutageView| {
        let over = outage.window.is_none_or(|window| window.until < facts.now);
        outage.state == State::Evacuated && over && facts.now.millis_since(outage.changed_at) > FORGOTTEN_MS
    };
    let trouble = |outage: &OutageView| {
        let (place, mend) = match &outage.scope {
            Scope::Site(site) => {
                let place = Said::new(format!("site {site}"), format!("サイト {site}"));
                (place, format!("watari site return {site}"))
            }
            Scope::Node(node) => {
                let place = Said::new(format!("node {node}"), format!("ノード {node}"));
                (place, format!("watari node uncordon {node}"))
            }
        };
        let since = said(format::moment(outage.changed_at));
        Trouble::OutageForgotten { outage: said(&outage.id), place, since, mend: said(mend) }
    };
    facts.outages.iter().filter(long).map(|outage| finding(&outage.scope, trouble(outage))).collect()
}

fn finding(scope: &Scope, trouble: Trouble) -> Finding {
    match scope {
        Scope::Site(_) => Finding::of(trouble),
        Scope::Node(node) => Finding::on(node, trouble),
    }
}

#[cfg(test)]
mod tests {
    use watari_model::outage::Window;

    use super::*;
    use crate::doctor::{
        checks::tests::codes,
        facts::sample::{NOW, healthy, outage, plan_with_one_left},
    };

    #[test]
    fn a_site_whose_servers_could_go_nowhere_is_named() {
        for break_it in [
            |facts: &mut Facts| facts.nodes[1].node.cordoned = true,
            |facts: &mut Facts| facts.nodes[1].node.state = Heard::Suspect,
            |facts: &mut Facts| {
                let node = facts.nodes[1].node.name.clone();
                facts.outages.push(outage(Scope::Node(node), State::Evacuated));
            },
        ] {
            let mut facts = healthy();
            break_it(&mut facts);
            let found = refuge(&facts);
            assert_eq!(codes(&found), ["site.no-refuge"]);
            let name = said(&facts.nodes[0].node.site);
            assert!(matches!(&found[0].trouble, Trouble::NoRefuge { site, .. } if *site == name), "{found:?}");
        }
    }

    #[test]
    fn whoever_has_nowhere_to_go_learns_which_site_can_be_brought_home() {
        let mut facts = healthy();
        let other = facts.nodes[1].node.site.clone();
        facts.sites.iter_mut().filter(|site| site.name == other).for_each(|site| site.state = "evacuated".to_owned());
        let found = refuge(&facts);
        let mend = found[0].trouble.told(crate::lang::Lang::Ja).mend;
        assert!(mend.contains(&format!("watari site return {other}")), "{mend}");
    }

    #[test]
    fn a_link_that_carries_little_is_noted_by_what_was_measured() {
        let mut facts = healthy();
        facts.plans = vec![plan_with_one_left()];
        for (rate, told) in [(None, vec![]), (Some(RATE_LEAST), vec![]), (Some(RATE_LEAST - 1), vec!["site.link-slow"])]
        {
            facts.plans[0].bytes_per_second = rate;
            assert_eq!(codes(&links(&facts)), told);
        }
    }

    #[test]
    fn a_site_whose_nodes_nobody_could_fence_is_noted() {
        let mut facts = healthy();
        facts.nodes[0].node.fencing.configured = false;
        let site = said(&facts.nodes[0].node.site);
        assert_eq!(unfenceable(&facts), [Finding::of(Trouble::NoFencing { site })]);
        facts.nodes.clear();
        assert_eq!(unfenceable(&facts), [], "there are none");
    }

    #[test]
    fn a_site_on_battery_and_a_silent_ups_are_named() {
        let mut facts = healthy();
        facts.sites[0].power.as_mut().unwrap().supply = Supply::Battery;
        facts.upses[0].answers = false;
        let mend = |facts: &Facts| battery(facts)[0].trouble.told(crate::lang::Lang::Ja).mend;
        assert!(mend(&facts).contains("watari site evacuate"), "{}", mend(&facts));
        let mut left = healthy();
        left.sites[0].power.as_mut().unwrap().supply = Supply::Battery;
        left.outages = vec![outage(Scope::Site(left.sites[0].name.clone()), State::Evacuated)];
        assert!(mend(&left).contains("watari site return"), "it has left: {}", mend(&left));
        assert_eq!((codes(&battery(&facts)), codes(&upses(&facts))), (vec!["site.on-battery"], vec!["ups.silent"]));
    }

    #[test]
    fn a_server_that_could_not_leave_is_worse_than_one_that_is_to_stay() {
        let mut facts = healthy();
        facts.plans = vec![plan_with_one_left()];
        assert_eq!(codes(&plans(&facts)), ["vm.stays"]);
        facts.plans[0].failed[0].code = "placement.no-room".to_owned();
        assert_eq!(codes(&plans(&facts)), ["vm.cannot-leave"]);
        // What has another finding of its own is not told for each server again.
        facts.plans[0].failed[0].code = "vm.unreachable".to_owned();
        assert_eq!(plans(&facts), []);
        facts.plans[0].failed[0].code = "placement.no-room".to_owned();
        let site = facts.plans[0].site.clone();
        facts.nodes.retain(|one| one.node.site == site);
        assert_eq!((codes(&refuge(&facts)), plans(&facts)), (vec!["site.no-refuge"], vec![]));
    }

    #[test]
    fn an_outage_at_risk_one_that_is_paused_and_one_that_was_forgotten_are_named() {
        let site = Scope::Site("myodaiji".parse().unwrap());
        let mut facts = healthy();
        let mut risky = outage(site.clone(), State::Scheduled);
        risky.at_risk = plan_with_one_left().failed;
        let mut halted = outage(site.clone(), State::Evacuating);
        halted.paused_at = Some(NOW);
        let mut old = outage(site.clone(), State::Evacuated);
        old.changed_at = NOW.minus_millis(FORGOTTEN_MS + 1);
        facts.outages = vec![risky, halted, old];
        let found = [at_risk(&facts), paused(&facts), forgotten(&facts)].concat();
        assert_eq!(codes(&found), ["outage.at-risk", "outage.paused", "outage.forgotten"]);

        let scheduled = Window { from: NOW.minus_millis(1), until: NOW };
        facts.outages[2].window = Some(scheduled);
        assert_eq!(forgotten(&facts), [], "its time is not over");
        facts.outages = vec![outage(site, State::Evacuated)];
        assert_eq!([at_risk(&facts), paused(&facts), forgotten(&facts)].concat(), []);
    }
}
