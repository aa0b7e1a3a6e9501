//! Servers that stand in each other's places, or in the pieces of what would be room.

use watari_model::{
    migration::Reason,
    outage,
    vm::{Company, Membership, State},
};

use super::{
    super::{
        agent::Host,
        documents::{self, name, put},
        faults::CALM,
        sim::{Broken, Sim},
        wishes::Wish,
    },
    BEGINS, EVACUATE, LINK, SECOND, Story, amend_node, vm,
};

/// Three campuses with such nodes, of so many MiB each, and servers with their homes.
fn campuses(nodes: &[(&str, u64)], servers: &[(&str, &str, u64)]) -> Sim {
    let sizes: Vec<(&str, u64)> = servers.iter().map(|(vm, _, memory)| (*vm, *memory)).collect();
    let mut sim = Sim::new(1, &sizes, CALM, Broken::Nothing);
    sim.link = 8 * LINK;
    let docs = &mut sim.docs;
    assert!(put(&mut docs.sites, &mut docs.revision, documents::site("okazaki"), 0));
    assert!(put(&mut docs.nodes, &mut docs.revision, documents::node("o1", "okazaki", 0), 0));
    sim.hosts.insert(name("o1"), Host::new("o1", "okazaki"));
    for node in ["m1", "m2", "y1", "y2", "o1"] {
        let memory = nodes.iter().find(|(known, _)| *known == node).map(|(_, memory)| *memory);
        amend_node(&mut sim, node, |node| {
            node.cordoned = memory.is_none();
            node.inventory.memory_mib = memory.unwrap_or(0);
        });
    }
    for (vm, home, _) in servers {
        sim.amend(vm, |vm| vm.home_site = home.parse().unwrap());
    }
    sim.run(BEGINS);
    sim
}

/// An operator has servers migrate one after another.
fn carried(sim: &mut Sim, moves: &[(&str, &str)]) {
    for (server, to) in moves {
        sim.carry(&vm(server), name(to));
        sim.run(sim.now + 60 * SECOND);
        sim.assert_sound();
        assert_eq!(sim.document(&vm(server)).unwrap().node(), Some(&name(to)), "{}", sim.story());
    }
}

/// Everybody runs where it belongs, as it was booted once.
fn assert_at_home(story: &Story) {
    for vm in story.sim.docs.vms.values().map(|entry| &entry.value) {
        let site = &story.sim.docs.nodes[vm.node().unwrap().as_str()].value.site;
        assert_eq!((vm.state, site), (State::Running, &vm.home_site), "{}:\n{}", vm.name, story.sim.story());
        assert_eq!(story.sim.truth[&vm.name].boots, 1, "{}", vm.name);
    }
}

/// Mail stands in web's place and web in mail's, and there is just one more.
fn swapped() -> Sim {
    let nodes = [("m1", 512), ("y1", 512), ("o1", 512)];
    let mut sim = campuses(&nodes, &[("mail", "myodaiji", 400), ("web", "yamate", 300)]);
    carried(&mut sim, &[("mail", "o1"), ("web", "m1"), ("mail", "y1")]);
    sim
}

#[test]
fn two_that_stand_in_each_others_places_change_them_through_a_third_that_is_free() {
    let mut story = Story::from_here(swapped());
    story.wish(Wish::FetchHome("myodaiji"));
    story.until(240);
    assert_eq!(story.outage("myodaiji-1").state, outage::State::Completed, "{}", story.sim.story());
    assert!(story.outage("myodaiji-1").left.is_empty());
    assert_at_home(&story);
    story.is_told_as("changed-places");
}

#[test]
fn where_no_place_is_free_at_all_nobody_moves_and_it_is_said_why() {
    let mut story = Story::from_here(swapped());
    let before = story.sim.docs.migrations.len();
    story.happens("o1 is cordoned", |sim| amend_node(sim, "o1", |node| node.cordoned = true));
    story.wish(Wish::FetchHome("myodaiji"));
    story.until(60);
    let outage = story.outage("myodaiji-1");
    assert_eq!(outage.state, outage::State::Completed, "it does not wait for ever");
    let [left] = &outage.left[..] else { panic!("{:?}", outage.left) };
    assert_eq!((left.vm.as_str(), left.fault.code()), ("mail", "placement.no-room"));
    let (english, japanese) = (left.fault.english(), left.fault.japanese());
    assert!([english.cause, english.remedy, japanese.cause, japanese.remedy].iter().all(|text| !text.is_empty()));
    assert_eq!(story.sim.docs.migrations.len(), before);
    story.is_told_as("no-free-place");
}

#[test]
fn a_ring_over_three_sites_that_fit_exactly_comes_undone_through_the_one_free_place() {
    let nodes = [("m1", 300), ("y1", 300), ("y2", 300), ("o1", 300)];
    let servers = [("mail", "myodaiji", 300), ("web", "yamate", 300), ("batch", "okazaki", 300)];
    let mut sim = campuses(&nodes, &servers);
    let web = sim.document(&vm("web")).unwrap().node().unwrap().to_string();
    let other = if web == "y1" { "y2" } else { "y1" };
    carried(&mut sim, &[("mail", other), ("batch", "m1"), ("web", "o1")]);
    let mut story = Story::from_here(sim);
    story.wish(Wish::FetchHome("myodaiji"));
    story.until(240);
    assert_eq!(story.outage("myodaiji-1").state, outage::State::Completed, "{}", story.sim.story());
    assert_at_home(&story);
    story.is_told_as("ring");
}

#[test]
fn where_a_site_to_which_servers_leave_has_room_in_pieces_alone_it_is_put_together() {
    let nodes = [("m1", 1_024), ("y1", 1_000), ("y2", 1_000)];
    let servers = [("mail", "myodaiji", 700), ("web", "yamate", 500), ("batch", "yamate", 400)];
    let mut story = Story::from_here(campuses(&nodes, &servers));
    story.wish(EVACUATE);
    story.until(180);
    let outage = story.outage("myodaiji-1");
    assert_eq!(outage.state, outage::State::Evacuated, "{}", story.sim.story());
    assert!(outage.left.is_empty(), "{:?}", outage.left);
    assert!(story.servers().iter().all(|(_, state, site, boots)| (*state, *site, *boots) == (State::Running, 'y', 1)));
    story.is_told_as("room-in-pieces");
}

#[test]
fn who_keeps_apart_comes_home_to_a_node_that_another_of_its_group_leaves_first() {
    let nodes = [("m1", 512), ("y1", 512), ("y2", 512)];
    let servers = [("mail", "myodaiji", 200), ("mail2", "yamate", 200)];
    let mut sim = campuses(&nodes, &servers);
    for name in ["mail", "mail2"] {
        let apart = Membership { group: "mx".parse().unwrap(), company: Company::Apart };
        sim.amend(name, |vm| vm.spec.groups.push(apart));
    }
    let second = sim.document(&vm("mail2")).unwrap().node().unwrap().to_string();
    let other = if second == "y1" { "y2" } else { "y1" };
    carried(&mut sim, &[("mail", other), ("mail2", "m1")]);
    let mut story = Story::from_here(sim);
    story.wish(Wish::FetchHome("myodaiji"));
    for second in 1..120 {
        story.until(second);
        let vms = &story.sim.docs.vms;
        let shared = vms["mail"].value.reserves_on().find(|node| vms["mail2"].value.reserves_on().any(|n| n == *node));
        assert_eq!(shared, None, "they are to be apart at every moment:\n{}", story.sim.story());
    }
    assert_eq!(story.outage("myodaiji-1").state, outage::State::Completed, "{}", story.sim.story());
    assert_at_home(&story);
    let made = story.sim.docs.migrations.values().map(|entry| &entry.value);
    assert_eq!(made.filter(|migration| migration.reason == Reason::Return).count(), 2);
    story.is_told_as("apart-in-the-way");
}
