//! Rehearsals of evacuations as the lab has them. What the last migrations have shown goes in, as it does into a plan; what
//! has to come out is worked out here: bytes by what the link carries, and what each migration takes besides.

use super::*;
use crate::core::forecast::forecast;

/// What Ethernet, IP and TCP leave of 200 Mbit/s (`deploy/lab.d/net.sh`), in bytes a second.
const CARRIES: u64 = 191 * 125_000;
/// So many are under way at once: the next begins when the one before has little left to send, and is greeted first.
const AT_ONCE: usize = 3;

/// A server by what it has shown.
#[derive(Clone, Copy)]
struct Shown {
    memory_mib: u64,
    /// Bytes of memory that its migrations sent.
    memory: u64,
    disk: u64,
}

/// Of the benchmark's six (`loadtests/baselines/evacuate.json`), which together sent what needs 20.93 s of 200 Mbit/s.
const ONE_OF_SIX: Shown = Shown { memory_mib: 128, memory: 80_000_000, disk: 7_200_000 };
/// So that the six take the benchmark's 22.35 s.
const EACH_MS: u64 = 72;

/// Servers that write to their memory at different rates, one that uses little of it, and disks of all sizes.
fn mixed() -> Vec<Shown> {
    let servers = [
        (256, 60, 100),
        (128, 100, 0),
        (192, 125, 5),
        (128, 150, 20),
        (256, 175, 5),
        (128, 200, 5),
        (128, 250, 60),
        (128, 300, 5),
    ];
    let shown = |(memory_mib, percent, megabytes): (u64, u64, u64)| Shown {
        memory_mib,
        memory: (memory_mib << 20) / 100 * percent,
        disk: megabytes * 1_000_000,
    };
    servers.map(shown).into()
}

/// How long they take one after another.
fn takes_ms(servers: &[Shown], each_ms: u64, link: u64) -> u64 {
    servers.iter().map(|one| each_ms + (one.memory + one.disk) * 1_000 / link).sum()
}

/// A campus whose servers are home again, having crossed there and back so many times.
fn lab(servers: &[Shown], each_ms: u64, times: u64) -> Sim {
    let mut sim = Sim::new(1, &[], CALM, Broken::Nothing);
    sim.add_node(documents::node("n0", "myodaiji", 8_000));
    sim.add_node(documents::node("n1", "yamate", 8_000));
    for (n, one) in servers.iter().enumerate() {
        settled(&mut sim, &format!("v{n}"), one.memory_mib, "n0");
    }
    for leg in 1..=2 * times {
        let ends = if leg % 2 == 1 { ("n0", "n1") } else { ("n1", "n0") };
        let mut arrivals = vec![sim.now; AT_ONCE];
        for (n, one) in servers.iter().enumerate() {
            sim.now += takes_ms(&[*one], each_ms, CARRIES);
            let took = (Some(arrivals[n]), sim.now - arrivals[n]);
            arrivals.push(sim.now);
            let vm = format!("v{n}");
            crossed(&mut sim, (vm.as_str(), leg), ends, took, (one.memory, one.disk));
        }
        sim.now += MINUTE;
    }
    sim
}

fn planned(sim: &Sim) -> u64 {
    let plan = forecast(&sim.snapshot(), &sim.rules, &"myodaiji".parse().unwrap(), at(sim.now)).unwrap();
    plan.estimated_ms().unwrap()
}

fn rehearsed(sim: &Sim, link: Option<u64>) -> u64 {
    let what = What::Sudden("myodaiji".parse().unwrap(), None);
    let account = go(sim, Rehearsal { what, link, troubles: Troubles::default() }, Budget::default());
    assert!(account.servers.iter().all(|server| server.fate == Fate::Live && server.measured), "{account:#?}");
    after(&account, account.empty).unwrap()
}

fn assert_near(said: u64, wanted: u64, which: &str) {
    assert!(said.abs_diff(wanted) * 10 <= wanted, "{which}: {said} ms, not {wanted}");
}

#[test]
fn what_is_told_of_the_link_is_not_counted_beside_a_time_that_was_learned_without_it() {
    let six = [ONE_OF_SIX; 6];
    // From the third time on more has crossed than is remembered, and the oldest of that had the link with others.
    for times in 1..=3 {
        let sim = lab(&six, EACH_MS, times);
        let wanted = takes_ms(&six, EACH_MS, CARRIES);
        assert!((22_300..22_400).contains(&wanted), "{wanted} ms");
        assert_near(planned(&sim), wanted, "the plan");
        assert_near(rehearsed(&sim, None), wanted, "as fast as it was");
        assert_near(rehearsed(&sim, Some(CARRIES)), wanted, "told");
        assert_near(rehearsed(&sim, Some(CARRIES / 2)), takes_ms(&six, EACH_MS, CARRIES / 2), "told half of it");
    }
}

#[test]
fn a_bound_for_each_copy_says_what_it_can_have_had_of_the_link_as_well() {
    let six = [ONE_OF_SIX; 6];
    let mut sim = lab(&six, EACH_MS, 1);
    sim.rules.bandwidth_mib = CARRIES >> 20;
    assert_near(rehearsed(&sim, None), takes_ms(&six, EACH_MS, CARRIES), "bounded");
}

#[test]
fn of_servers_that_had_the_link_together_as_much_travels_again_however_long_each_was_under_way() {
    const GREETED_MS: u64 = 1_200;
    let (servers, sim) = (mixed(), lab(&mixed(), GREETED_MS, 2));
    let wanted = takes_ms(&servers, GREETED_MS, CARRIES);
    assert_near(planned(&sim), wanted, "the plan");
    assert_near(rehearsed(&sim, None), wanted, "as fast as it was");
    assert_near(rehearsed(&sim, Some(CARRIES)), wanted, "told");
}
