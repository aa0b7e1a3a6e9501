use proptest::{collection::vec, prelude::*};
use time::OffsetDateTime;
use watari_model::{
    image::Consistency,
    vm::{Snapshot, Taken},
};

use super::*;

/// So many milliseconds after a day that is as good as any.
fn at(ms: u64) -> Timestamp {
    Timestamp(OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap()).plus_millis(ms)
}

fn form(created: u64, vcpus: u32, memory_mib: u64, disk_gib: u64, runs: bool) -> Seen {
    let size = Size { vcpus, memory_mib, disk_gib };
    let (uuid, project) = (format!("made-at-{created}"), ProjectName::default());
    Seen::Is(Form { uuid, project, created: at(created), size, placed: true, runs })
}

#[test]
fn a_server_that_no_node_ever_had_uses_no_disk_until_one_does() {
    let on_a_node = form(0, 1, 100, 2, true);
    let Seen::Is(form) = on_a_node.clone() else { panic!("{on_a_node:?}") };
    let nowhere = Seen::Is(Form { placed: false, runs: false, ..form });
    let sum = measured(0, 100, &[(0, nowhere), (60, on_a_node)]);
    assert_eq!((sum.existed_ms, sum.ran_ms, sum.disk_gib_ms), (100, 40, 80));
}

/// Of servers that were all of the project of those that name none.
fn measured(from: u64, until: u64, writes: &[(u64, Seen)]) -> Sum {
    let mut sums = by_project(from, until, writes);
    let sum = sums.remove(&ProjectName::default()).unwrap_or_default();
    assert!(sums.is_empty(), "{sums:?}");
    sum
}

fn by_project(from: u64, until: u64, writes: &[(u64, Seen)]) -> BTreeMap<ProjectName, Sum> {
    let mut meter = Meter::new(at(from), at(until));
    for (ms, seen) in writes {
        meter.see(at(*ms), seen.clone());
    }
    meter.done()
}

#[test]
fn what_a_server_used_is_of_the_project_that_it_was_of_at_that_time() {
    let Seen::Is(form) = form(0, 2, 100, 1, true) else { panic!("a form is one") };
    let research: ProjectName = "research".parse().unwrap();
    let there = Form { project: research.clone(), ..form.clone() };
    let (here, there) = (Seen::Is(form), Seen::Is(there));
    let sums = by_project(0, 100, &[(0, here.clone()), (30, there), (70, here), (80, Seen::Gone)]);
    let of = |project: &ProjectName| (sums[project].servers, sums[project].vcpu_ms, sums[project].existed_ms);
    assert_eq!((of(&ProjectName::default()), of(&research)), ((1, 80, 40), (1, 80, 40)));
    assert_eq!(sums.len(), 2);
}

#[test]
fn a_server_that_runs_throughout_uses_its_size_for_the_whole_window() {
    let writes = [(0, form(0, 2, 512, 4, false)), (1_000, form(0, 2, 512, 4, true))];
    let sum = measured(10_000, 20_000, &writes);
    let whole = Sum {
        servers: 1,
        existed_ms: 10_000,
        ran_ms: 10_000,
        vcpu_ms: 20_000,
        memory_mib_ms: 5_120_000,
        disk_gib_ms: 40_000,
        unknown_ms: 0,
    };
    assert_eq!(sum, whole);
}

#[test]
fn a_server_that_is_off_uses_its_disk_alone_and_one_that_is_deleted_nothing() {
    let on = form(0, 1, 100, 2, true);
    let off = form(0, 1, 100, 2, false);
    let sum = measured(0, 100, &[(0, on), (30, off), (70, Seen::Gone)]);
    assert_eq!((sum.ran_ms, sum.existed_ms), (30, 70));
    assert_eq!((sum.vcpu_ms, sum.memory_mib_ms, sum.disk_gib_ms), (30, 3_000, 140));
}

#[test]
fn a_kept_disk_uses_disk_alone_with_the_project_that_its_server_was_of() {
    let research: ProjectName = "research".parse().unwrap();
    let mut meter = Meter::new(at(10), at(100));
    meter.keep(research.clone(), 4, at(0), Some(at(30)));
    meter.keep(research.clone(), 1, at(90), None);
    meter.keep(ProjectName::default(), 1, at(200), None);
    meter.see(at(0), form(0, 1, 1, 1, false));
    let sums = meter.done();
    assert_eq!(sums[&research], Sum { disk_gib_ms: 20 * 4 + 10, ..Sum::default() });
    assert_eq!(sums[&ProjectName::default()].disk_gib_ms, 90);
}

#[test]
fn what_is_kept_for_snapshots_is_a_part_of_the_disk() {
    let golden = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
    let mut vm = serde_json::from_str::<Vec<Vm>>(golden).unwrap().swap_remove(0);
    let taken = Taken { at: at(0), layer: 0, consistency: Consistency::Crash, bytes: (2 << 30) + 1 };
    let (number, name, asked_at) = (1, "before".parse().unwrap(), at(0));
    vm.snapshots.list = vec![Snapshot { number, name, asked_at, taken: Some(taken), fault: None }];
    assert_eq!(Form::from(&vm).size.disk_gib, vm.spec.disk_gib + 3);
    vm.snapshots.list[0].taken = None;
    assert_eq!(Form::from(&vm).size.disk_gib, vm.spec.disk_gib, "nothing is kept yet");
}

#[test]
fn a_new_size_counts_from_when_it_is_true() {
    let small = form(0, 1, 100, 2, true);
    let large = form(0, 4, 300, 2, true);
    let sum = measured(0, 100, &[(0, small), (60, large)]);
    assert_eq!((sum.vcpu_ms, sum.memory_mib_ms, sum.disk_gib_ms), (60 + 160, 6_000 + 12_000, 200));
}

#[test]
fn servers_that_had_one_name_after_another_are_added_up() {
    let sum = measured(0, 100, &[(0, form(0, 1, 1, 1, true)), (20, Seen::Gone), (50, form(50, 2, 1, 1, true))]);
    assert_eq!((sum.servers, sum.vcpu_ms, sum.existed_ms), (2, 20 + 100, 70));
    // The end of the first was missed: it was not later than the beginning of the second.
    let sum = measured(0, 100, &[(0, form(0, 1, 1, 1, true)), (50, form(50, 2, 1, 1, true))]);
    assert_eq!((sum.servers, sum.vcpu_ms, sum.existed_ms), (2, 50 + 100, 100));
}

#[test]
fn what_was_before_or_after_the_window_is_not_there() {
    let past = [(0, form(0, 1, 1, 1, true)), (10, Seen::Gone)];
    assert_eq!(measured(10, 100, &past), Sum::default());
    assert_eq!(measured(0, 100, &[]), Sum::default());
    assert_eq!(measured(0, 100, &[(100, form(100, 1, 1, 1, true))]), Sum::default());
}

#[test]
fn time_of_which_the_history_has_nothing_is_told_apart() {
    let hour = 3_600_000;
    // It was made long before the first write that is kept.
    let sum = measured(hour, 4 * hour, &[(3 * hour, form(0, 1, 1, 1, true))]);
    assert_eq!((sum.servers, sum.unknown_ms, sum.existed_ms, sum.ran_ms), (1, 2 * hour, hour, hour));
    let gone = measured(hour, 2 * hour, &[(3 * hour, form(0, 1, 1, 1, true))]);
    assert_eq!((gone.servers, gone.unknown_ms, gone.existed_ms), (1, hour, 0));
}

#[test]
fn a_document_that_cannot_be_read_changes_nothing() {
    assert_eq!(Seen::document(None), Seen::Unreadable);
    assert_eq!(Seen::document(Some("{}")), Seen::Unreadable);
    let sum = measured(0, 100, &[(0, form(0, 1, 1, 1, true)), (50, Seen::Unreadable)]);
    assert_eq!(sum.ran_ms, 100);
}

#[test]
fn a_server_runs_from_when_it_is_seen_running_until_it_is_seen_off() {
    let golden = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
    let documents: Vec<Vm> = serde_json::from_str(golden).unwrap();
    let mut vm = documents.into_iter().next().unwrap();
    for (state, runs) in [
        (State::Pending, false),
        (State::Starting, false),
        (State::Running, true),
        (State::Migrating, true),
        (State::Stopping, true),
        (State::Stopped, false),
        (State::Deleting, false),
        (State::Failed, false),
    ] {
        vm.state = state;
        assert_eq!(Form::from(&vm).runs, runs, "{}", state.word());
    }
}

/// The life of servers of one name: at each step, after so many milliseconds, another form or none.
fn lives() -> impl Strategy<Value = Vec<(u64, Seen)>> {
    let step = (1..40_u64, prop::option::of((1..4_u32, 1..4_u64, 1..4_u64, any::<bool>())));
    vec(step, 0..12).prop_map(|steps| {
        let (mut now, mut born) = (0, None);
        let mut writes = Vec::new();
        for (later, what) in steps {
            now += later;
            let seen = match what {
                None => {
                    born = None;
                    Seen::Gone
                }
                Some((vcpus, memory, disk, runs)) => form(*born.get_or_insert(now), vcpus, memory, disk, runs),
            };
            writes.push((now, seen));
        }
        writes
    })
}

/// The same, looked up anew for each millisecond.
fn by_the_millisecond(from: u64, until: u64, writes: &[(u64, Seen)]) -> Sum {
    let mut sum = Sum::default();
    let mut names = std::collections::BTreeSet::new();
    for ms in from..until {
        let Some((_, Seen::Is(form))) = writes.iter().rfind(|(at, _)| *at <= ms) else { continue };
        names.insert(&form.uuid);
        sum.existed_ms += 1;
        sum.disk_gib_ms += form.size.disk_gib;
        if form.runs {
            sum.ran_ms += 1;
            sum.vcpu_ms += u64::from(form.size.vcpus);
            sum.memory_mib_ms += form.size.memory_mib;
        }
    }
    sum.servers = u32::try_from(names.len()).unwrap();
    sum
}

proptest! {
    #[test]
    fn use_is_what_looking_each_millisecond_would_find(writes in lives(), from in 0..300_u64, length in 0..300_u64) {
        let until = from + length;
        prop_assert_eq!(measured(from, until, &writes), by_the_millisecond(from, until, &writes));
    }

    #[test]
    fn the_parts_of_a_window_add_up_to_it(writes in lives(), from in 0..200_u64, first in 0..200_u64, second in 0..200_u64) {
        let (middle, until) = (from + first, from + first + second);
        let (a, b) = (measured(from, middle, &writes), measured(middle, until, &writes));
        let whole = measured(from, until, &writes);
        prop_assert_eq!(a.existed_ms + b.existed_ms, whole.existed_ms);
        prop_assert_eq!(a.ran_ms + b.ran_ms, whole.ran_ms);
        prop_assert_eq!(a.vcpu_ms + b.vcpu_ms, whole.vcpu_ms);
        prop_assert_eq!(a.memory_mib_ms + b.memory_mib_ms, whole.memory_mib_ms);
        prop_assert_eq!(a.disk_gib_ms + b.disk_gib_ms, whole.disk_gib_ms);
    }

    #[test]
    fn nothing_runs_longer_than_it_exists_nor_exists_longer_than_the_window(writes in lives(), from in 0..300_u64, length in 0..300_u64) {
        let sum = measured(from, from + length, &writes);
        prop_assert!(sum.ran_ms <= sum.existed_ms && sum.existed_ms <= length, "{sum:?}");
    }
}
