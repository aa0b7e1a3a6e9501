//! Projects: what their servers have together, and what they may have.

use futures_util::future::join_all;
use serde_json::{Value, json};
use watari_contracts::{
    permissions::OF_A_PROJECT,
    scheduler::{
        CreateProject, CreateSnapshot, CreateVm, DeleteProject, DeleteSnapshot, DeleteVm, EditVm, GetDisk, GetProject,
        GetVm, ListDisks, ListProjects, ListVms, ProjectView, ResizeVm, SetProject, VmView,
    },
};
use watari_model::{
    ProjectName, Refusal,
    project::{Bound, Quota, Used},
};
use watari_testkit::eventually_some;

use crate::{
    disks::kept_at_y2,
    support::{Cloud, SOON, create},
};

fn research() -> ProjectName {
    "research".parse().unwrap()
}

async fn bounded(cloud: &Cloud, quota: Quota) -> ProjectView {
    let request = CreateProject { request_id: Some("p1".to_owned()), name: research(), note: String::new(), quota };
    cloud.ask(&request).await.unwrap()
}

/// A server of the project that nobody starts.
fn wanted(name: &str) -> CreateVm {
    CreateVm { project: research(), start: false, ..create(name) }
}

fn set(servers: Bound) -> SetProject {
    SetProject { name: research(), note: None, servers: Some(servers), vcpus: None, memory_mib: None, disk_gib: None }
}

async fn used(cloud: &Cloud) -> Used {
    cloud.ask(&GetProject { name: research() }).await.unwrap().used
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_at_the_same_time_gets_no_more_than_the_project_may_have() {
    let cloud = Cloud::start().await;
    bounded(&cloud, Quota { servers: Some(3), ..Quota::default() }).await;
    let asks: Vec<CreateVm> = (0..12).map(|n| wanted(&format!("s{n}"))).collect();
    let answers = join_all(asks.iter().map(|ask| cloud.ask(ask))).await;
    let made: Vec<&VmView> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(made.len(), 3, "{answers:?}");
    assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|refusal| refusal.code() == "project.quota"));
    assert_eq!(cloud.ports.snapshot().len(), 3, "who is refused holds no address");
    let listed = ListVms { project: Some(research()), ..ListVms::default() };
    assert_eq!(cloud.ask(&listed).await.unwrap().vms.len(), 3);
    assert_eq!(used(&cloud).await.servers, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grows_is_bounded_too_and_a_lowered_bound_takes_nothing_away() {
    let cloud = Cloud::start().await;
    bounded(&cloud, Quota { vcpus: Some(2), ..Quota::default() }).await;
    let one = cloud.ask(&wanted("one")).await.unwrap();
    assert_eq!(one.project, research());
    let resize = |vcpus| ResizeVm {
        request_id: None,
        name: "one".parse().unwrap(),
        vcpus: Some(vcpus),
        memory_mib: None,
        disk_gib: None,
    };
    assert_eq!(cloud.ask(&resize(3)).await.unwrap_err().code(), "project.quota");
    assert_eq!(cloud.ask(&GetVm { name: "one".parse().unwrap() }).await.unwrap().vcpus, 1, "nothing changed");
    cloud.ask(&resize(2)).await.unwrap();

    let lowered = cloud.ask(&SetProject { vcpus: Some(Bound::AtMost(1)), ..set(Bound::AtMost(5)) }).await.unwrap();
    assert_eq!(lowered.warnings.iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>(), ["project.over"]);
    assert_eq!((lowered.used.vcpus, lowered.left.vcpus, lowered.left.servers), (2, Some(0), Some(4)));
    assert_eq!(cloud.ask(&wanted("two")).await.unwrap_err().code(), "project.quota");
    // What is smaller is taken, however much there is.
    cloud.ask(&resize(1)).await.unwrap();
    let raised = cloud.ask(&SetProject { vcpus: Some(Bound::None), ..set(Bound::None) }).await.unwrap();
    assert_eq!((raised.quota, raised.warnings.len()), (Quota::default(), 0));
    cloud.ask(&wanted("two")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_goes_to_a_project_that_has_something_left_and_a_project_in_use_stays() {
    let cloud = Cloud::start().await;
    let quota = Quota { servers: Some(1), ..Quota::default() };
    let made = bounded(&cloud, quota).await;
    assert_eq!(bounded(&cloud, quota).await, made, "asked twice, made once");
    let other = CreateProject { request_id: None, name: research(), note: String::new(), quota };
    assert!(matches!(cloud.ask(&other).await, Err(Refusal::ProjectExists { .. })));

    for name in ["one", "two"] {
        cloud.ask(&CreateVm { start: false, ..create(name) }).await.unwrap();
    }
    let edit = |name: &str, project: &str| EditVm {
        request_id: None,
        name: name.parse().unwrap(),
        project: Some(project.parse().unwrap()),
        probes: None,
        after: None,
        restart: None,
        priority: None,
        evacuate: None,
        on_isolation: None,
        restart_from_copy_seconds: None,
        max_downtime_seconds: None,
    };
    assert_eq!(cloud.ask(&edit("one", "research")).await.unwrap().project, research());
    cloud.ask(&edit("one", "research")).await.unwrap();
    assert_eq!(cloud.ask(&edit("two", "research")).await.unwrap_err().code(), "project.quota");
    assert_eq!(cloud.ask(&edit("two", "nowhere")).await.unwrap_err().code(), "project.unknown");
    let nowhere = CreateVm { project: "nowhere".parse().unwrap(), ..create("three") };
    assert_eq!(cloud.ask(&nowhere).await.unwrap_err().code(), "project.unknown");

    let delete = DeleteProject { name: research() };
    assert!(matches!(cloud.ask(&delete).await, Err(Refusal::ProjectInUse { users, .. }) if users == "one"));
    cloud.ask(&DeleteVm { request_id: None, name: "one".parse().unwrap(), keep_disk: false }).await.unwrap();
    eventually_some("the project is not in use any more", SOON, || async { cloud.ask(&delete).await.ok() }).await;
    assert_eq!(cloud.ask(&GetProject { name: research() }).await.unwrap_err().code(), "project.unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_project_of_servers_that_name_none_is_always_there_and_may_be_bounded() {
    let cloud = Cloud::start().await;
    let default = ProjectName::default();
    let [only] = <[ProjectView; 1]>::try_from(cloud.ask(&ListProjects {}).await.unwrap().projects).unwrap();
    assert_eq!((only.name, only.quota, only.created_at), (default.clone(), Quota::default(), None));
    cloud.ask(&CreateVm { start: false, ..create("one") }).await.unwrap();
    let bounded = cloud.ask(&SetProject { name: default.clone(), ..set(Bound::AtMost(1)) }).await.unwrap();
    assert_eq!((bounded.used.servers, bounded.left.servers), (1, Some(0)));
    let refused = cloud.ask(&CreateVm { start: false, ..create("two") }).await.unwrap_err();
    assert_eq!(refused.code(), "project.quota");
    let delete = DeleteProject { name: default };
    assert!(matches!(cloud.ask(&delete).await, Err(Refusal::ProjectDefault { .. })));
}

/// What whoever is bound to the project is answered: the NATS server says in this header from which account they ask.
async fn bound(cloud: &Cloud, subject: &str, body: &Value) -> Value {
    let asker = ("Nats-Request-Info", r#"{"acc":"PROJECT_research","user":"UABC","host":"192.0.2.10"}"#);
    serde_json::from_str(&cloud.nats.ask_with(subject, asker, &body.to_string()).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_of_one_project_changes_its_servers_and_no_others() {
    let cloud = Cloud::start().await;
    bounded(&cloud, Quota::default()).await;
    cloud.ask(&CreateVm { start: false, ..create("mail") }).await.unwrap();
    for subject in OF_A_PROJECT {
        let body = match *subject {
            "watari.v1.vm.create" => serde_json::to_value(create("new")).unwrap(),
            "watari.v1.vm.console" => json!({"name": "mail", "session": "7f3c", "act": {"open": {}}}),
            of_snapshot if of_snapshot.starts_with("watari.v1.snapshot.") => json!({"vm": "mail", "name": "before"}),
            _ => json!({"name": "mail"}),
        };
        let code = if *subject == "watari.v1.disk.delete" { "project.disk" } else { "project.other" };
        let answer = bound(&cloud, subject, &body).await;
        assert_eq!(answer["code"], code, "{subject}: {answer}");
    }
    assert_eq!(bound(&cloud, "watari.v1.vm.get", &json!({"name": "mail"})).await["name"], "mail", "they may look");
    let unknown = bound(&cloud, "watari.v1.vm.stop", &json!({"name": "nobody"})).await;
    assert_eq!(unknown["code"], "vm.unknown", "{unknown}");

    let one = bound(&cloud, "watari.v1.vm.create", &serde_json::to_value(wanted("one")).unwrap()).await;
    assert_eq!(one["project"], "research", "{one}");
    let edited = bound(&cloud, "watari.v1.vm.edit", &json!({"name": "one", "priority": 5})).await;
    assert_eq!(edited["name"], "one", "{edited}");
    let moved = bound(&cloud, "watari.v1.vm.edit", &json!({"name": "one", "project": "default"})).await;
    assert_eq!(moved["code"], "project.other", "{moved}");
    let disk = CreateVm { disk: "web-7b1d4c2e".parse().ok(), ..wanted("two") };
    let taken = bound(&cloud, "watari.v1.vm.create", &serde_json::to_value(disk).unwrap()).await;
    assert_eq!(taken["code"], "project.disk", "{taken}");
    let deleted = bound(&cloud, "watari.v1.vm.delete", &json!({"name": "one"})).await;
    assert_eq!(deleted["name"], "one", "{deleted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_disks_and_snapshots_are_counted_and_named_and_a_kept_disk_is_not_counted_twice_when_it_is_used() {
    let cloud = Cloud::start().await;
    bounded(&cloud, Quota { disk_gib: Some(7), ..Quota::default() }).await;
    let uuid = "7b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41";
    let kept = kept_at_y2(&cloud, "old", uuid, Some("research")).await;
    kept_at_y2(&cloud, "strange", "8b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41", None).await;
    assert_eq!((used(&cloud).await.disk_gib, used(&cloud).await.kept_disk_gib), (4, 4));
    let listed = cloud.ask(&ListDisks { project: Some(research()), ..ListDisks::default() }).await.unwrap();
    assert_eq!(listed.disks, std::slice::from_ref(&kept));
    let in_use = cloud.ask(&DeleteProject { name: research() }).await;
    assert!(matches!(&in_use, Err(Refusal::ProjectInUse { users, .. }) if users == kept.name.as_str()), "{in_use:?}");

    let large = CreateVm { disk_gib: 4, ..wanted("new") };
    let refused = cloud.ask(&large).await.unwrap_err();
    assert!(refused.code() == "project.quota" && refused.english().cause.contains("kept disks: 4 GiB"), "{refused:?}");
    cloud.ask(&CreateVm { disk: Some(kept.name), ..large }).await.unwrap();
    assert_eq!((used(&cloud).await.disk_gib, used(&cloud).await.kept_disk_gib), (4, 0));

    // What a snapshot will keep nobody knows before it is taken, but that it is no more than the disk.
    cloud.running("mail", "myodaiji").await;
    let size = cloud.vm("mail").await.disk_gib;
    let most =
        |gib| SetProject { disk_gib: Some(Bound::AtMost(gib)), name: ProjectName::default(), ..set(Bound::None) };
    let own = cloud.ask(&most(0)).await.unwrap().used.disk_gib;
    let snapshot = CreateSnapshot { request_id: None, vm: "mail".parse().unwrap(), name: "before".parse().unwrap() };
    cloud.ask(&most(own + size - 1)).await.unwrap();
    assert_eq!(cloud.ask(&snapshot).await.unwrap_err().code(), "project.quota");
    assert!(cloud.vm("mail").await.snapshots.list.is_empty(), "nothing was begun");
    cloud.ask(&most(own + size)).await.unwrap();
    cloud.ask(&snapshot).await.unwrap();
    let delete = DeleteSnapshot { request_id: None, vm: snapshot.vm, name: snapshot.name };
    cloud.ask(&delete).await.unwrap();
    assert_eq!(cloud.ask(&most(0)).await.unwrap().used.disk_gib, own);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_of_one_project_uses_and_deletes_its_kept_disks_and_no_others() {
    let cloud = Cloud::start().await;
    bounded(&cloud, Quota::default()).await;
    let uuid = |digit: u32| format!("{digit}b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41");
    for (digit, of) in [(1, Some("research")), (2, Some("default")), (3, None)] {
        kept_at_y2(&cloud, "old", &uuid(digit), of).await;
    }
    let create = |disk: &str| CreateVm { disk: disk.parse().ok(), ..wanted("two") };
    for others in ["old-2b1d4c2e", "old-3b1d4c2e", "old-4b1d4c2e"] {
        let deleted = bound(&cloud, "watari.v1.disk.delete", &json!({"name": others})).await;
        let taken = bound(&cloud, "watari.v1.vm.create", &serde_json::to_value(create(others)).unwrap()).await;
        for refused in [deleted, taken] {
            assert_eq!(refused["code"], "project.disk", "{others}: {refused}");
        }
    }
    let own = CreateVm { request_id: Some("r1".to_owned()), ..create("old-1b1d4c2e") };
    let own = serde_json::to_value(own).unwrap();
    for time in ["once", "twice"] {
        let made = bound(&cloud, "watari.v1.vm.create", &own).await;
        assert_eq!((&made["name"], &made["disk_gib"]), (&json!("two"), &json!(4)), "{time}: {made}");
    }
    let others = serde_json::to_value(create("old-2b1d4c2e")).unwrap();
    let refused = bound(&cloud, "watari.v1.vm.create", &others).await;
    assert_eq!(refused["code"], "project.disk", "whatever server of theirs is there: {refused}");
    let in_use = bound(&cloud, "watari.v1.disk.delete", &json!({"name": "old-1b1d4c2e"})).await;
    assert_eq!(in_use["code"], "disk.in-use", "it is theirs, and refused for another reason: {in_use}");

    // Once a server has taken it, its node tells of it no more.
    let y2 = cloud.nodes.get("y2").unwrap();
    let mut without = y2.value.clone();
    without.inventory.disks.clear();
    cloud.nodes.update(&without, y2.revision).await.unwrap();
    let show = GetDisk { name: "old-1b1d4c2e".parse().unwrap() };
    let untold = || async { cloud.ctx.bus.request(&show).await.err() };
    eventually_some("the disk is not told of any more", SOON, untold).await;
    let again = bound(&cloud, "watari.v1.vm.create", &own).await;
    assert_eq!(again["name"], "two", "{again}");
}
