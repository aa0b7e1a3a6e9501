//! Servers that grow while they run and move.

use watari_model::{
    VmName, migration,
    vm::{Change, Size},
};

use super::{
    documents::at,
    faults::{CALM, Faults, LOSSY},
    sim::{Broken, Event, MINUTE, Sim},
    wishes::Wish,
};

/// A server that is to grow by a GiB and a processor again and again, and to move meanwhile.
fn grown(seed: u64, faults: Faults) -> Sim {
    let mail: VmName = "mail".parse().unwrap();
    let mut sim = Sim::new(seed, &[("mail", 192)], faults, Broken::Nothing);
    sim.run(3_000);
    for n in 1..=4_u32 {
        let (moves, grows) = (sim.rng.between(0, 400), sim.rng.between(1, 4_000));
        sim.after(moves, Event::Operator(Wish::Migrate(mail.clone())));
        let until = sim.now + grows;
        sim.run(until);
        let now = at(sim.now);
        sim.amend("mail", |vm| {
            let size = Size { vcpus: 1 + n, memory_mib: 192, disk_gib: 2 + u64::from(n) };
            // What its state does not allow is refused.
            let _ = vm.apply(Change::Resized(size), now);
        });
    }
    sim.heal();
    let until = sim.now + 9 * MINUTE;
    sim.run(until);
    sim.check_end();
    sim
}

#[test]
fn a_server_that_grows_while_it_moves_has_its_size_in_the_end_and_so_has_its_disk() {
    for seed in 0..24_u64 {
        let calm = seed.is_multiple_of(2);
        let sim = grown(seed, if calm { CALM } else { LOSSY });
        sim.assert_sound();
        let mail = sim.document(&"mail".parse().unwrap()).unwrap();
        let size = Size { vcpus: 5, memory_mib: 192, disk_gib: 6 };
        assert_eq!((mail.spec.size(), mail.pending), (size, None), "seed {seed}:\n{}", sim.story());
        let guest = &sim.hosts[mail.node().unwrap()].guests[&mail.name];
        assert_eq!(guest.disk_gib, 6, "seed {seed}:\n{}", sim.story());
        if calm {
            assert_eq!(sim.truth[&mail.name].boots, 1, "seed {seed}: it was booted anew:\n{}", sim.story());
            let moved = sim.docs.migrations.values().all(|m| m.value.state == migration::State::Completed);
            assert!(moved, "seed {seed}: growing was in the way of moving:\n{}", sim.story());
        }
    }
}
