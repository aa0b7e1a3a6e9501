//! The verdict, over everything that two agents can say.

use watari_contracts::agent::{Domain, OffReason, Passage, Phase, VmFact};
use watari_model::MigrationId;

use super::{
    stands_ready,
    verdict::{Copy, Verdict, verdict},
};
use crate::core::{
    Both, Off, Rules, Snapshot,
    tests::documents::{Documents, at, image, migration, node, put, site, vm},
    turn::Turn,
};

fn id() -> MigrationId {
    "mail-1".parse().unwrap()
}

fn domains() -> Vec<Option<Domain>> {
    let mut all = vec![None];
    let known = [Domain::Absent, Domain::Running, Domain::Paused, Domain::Incoming, Domain::Unknown];
    all.extend(known.map(Some));
    let reasons =
        [OffReason::Shutdown, OffReason::Destroyed, OffReason::Crashed, OffReason::Migrated, OffReason::Unknown];
    all.extend(reasons.map(|reason| Some(Domain::Off(reason))));
    all
}

fn passages() -> Vec<Option<Passage>> {
    let passage = |migration: &str, phase| Passage::new(migration.parse().unwrap(), phase);
    vec![
        None,
        Some(passage("mail-1", Phase::Copying)),
        Some(passage("mail-1", Phase::Ended)),
        Some(passage("mail-9", Phase::Ended)),
    ]
}

fn fact(domain: Option<Domain>, passage: Option<Passage>) -> Option<VmFact> {
    let vm = "mail".parse().unwrap();
    domain.map(|domain| VmFact {
        vm,
        uuid: None,
        domain,
        generation: 1,
        granted: true,
        disk: true,
        passage,
        stack: watari_contracts::agent::Stack::default(),
        still: None,
    })
}

#[test]
fn an_operators_word_counts_only_where_nothing_is_heard_and_for_a_copy_that_says_whose_it_is() {
    for (a, b) in domains().into_iter().flat_map(|a| domains().into_iter().map(move |b| (a, b))) {
        for (pa, pb) in passages().into_iter().flat_map(|pa| passages().into_iter().map(move |pb| (pa.clone(), pb))) {
            let (source, target) = (fact(a, pa.clone()), fact(b, pb.clone()));
            let silence = Both { copy: Copy::Unknown, source, target, off: Off::default() };
            let told = Both { off: Off { source: true, target: true }, ..silence.clone() };
            let (before, after) = (verdict(&id(), &silence), verdict(&id(), &told));
            if a.is_some() && b.is_some() {
                assert_eq!(before, after, "a look goes before a word: {a:?} {b:?}");
            }
            let own = pb.as_ref().is_some_and(|p| p.migration == id());
            match (a, b) {
                (None, Some(Domain::Paused)) => {
                    assert_eq!(after, if own { Verdict::Switch } else { Verdict::Wait }, "{pb:?}");
                }
                (None, None | Some(Domain::Absent | Domain::Off(_))) => assert_eq!(after, Verdict::GiveUp),
                (None, _) => assert_eq!(after, Verdict::Wait, "{b:?}"),
                (Some(Domain::Running | Domain::Paused), None) => assert_ne!(after, Verdict::Switch),
                _ => {}
            }
        }
    }
}

#[test]
fn invariant_1_the_grant_goes_over_only_when_the_source_is_seen_gone_and_a_whole_copy_seen_paused() {
    for a in domains() {
        for b in domains() {
            for (pa, pb) in passages().into_iter().flat_map(|pa| passages().into_iter().map(move |pb| (pa.clone(), pb)))
            {
                for copy in [Copy::Over, Copy::Unknown] {
                    let (source, target) = (fact(a, pa.clone()), fact(b, pb.clone()));
                    let given = verdict(&id(), &Both { copy, source, target, off: Off::default() });
                    let gone = matches!(a, Some(Domain::Absent | Domain::Off(_)));
                    let silent = |domain: Option<Domain>| matches!(domain, None | Some(Domain::Unknown));
                    match given {
                        Verdict::Switch => {
                            assert!(gone && b == Some(Domain::Paused), "{a:?} {b:?}");
                            assert!(pb.as_ref().is_none_or(|p| p.migration == id()), "another migration's copy");
                        }
                        Verdict::GiveUp => {
                            assert!(!silent(a), "the source must have spoken");
                            assert!(a == Some(Domain::Running) || !silent(b), "{a:?} {b:?}");
                            assert!(!(gone && b == Some(Domain::Paused)), "a whole copy is given up");
                            assert!(b != Some(Domain::Running));
                        }
                        Verdict::Double => assert_eq!((a, b), (Some(Domain::Running), Some(Domain::Running))),
                        Verdict::Wait => {}
                    }
                    // While bytes travel nothing is given up.
                    if pa.as_ref().is_some_and(|p| p.migration == id() && p.phase == Phase::Copying) && !gone {
                        assert!(matches!(given, Verdict::Wait | Verdict::Double), "{a:?} {b:?} {given:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn an_image_that_comes_to_the_targets_site_while_it_is_fetched_shortens_nobodys_time_for_it() {
    let is_ready = |sites: &[&str], begun: u64| {
        let (mut docs, mut counter) = (Documents::default(), 0);
        for (name, at_site) in [("m1", "myodaiji"), ("y1", "yamate")] {
            put(&mut docs.sites, &mut counter, site(at_site), 0);
            put(&mut docs.nodes, &mut counter, node(name, at_site, 1_024), 0);
        }
        let mut stored = image(sites);
        stored.copies.values_mut().for_each(|copied| *copied = at(5_000));
        put(&mut docs.images, &mut counter, stored, 0);
        let Documents { sites, nodes, images, .. } = docs;
        let (snap, rules) = (Snapshot { sites, nodes, images, ..Snapshot::default() }, Rules::default());
        let moves = watari_model::migration::Migration { changed_at: at(begun), ..migration("mail") };
        stands_ready(&Turn::new(&snap, &rules, at(9_000)), &moves, &vm("mail", 128), false)
    };
    assert!(is_ready(&["myodaiji", "yamate"], 6_000));
    assert!(!is_ready(&["myodaiji", "yamate"], 4_000), "it was fetched from further away when it came");
    assert!(!is_ready(&["myodaiji"], 6_000));
}
