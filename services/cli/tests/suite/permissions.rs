//! Safe from the first day: each identity, on a real nats-server with the configuration that
//! `watari setup` makes, can do its own work and nothing else.

use std::{
    fs,
    io::{Read, Write},
    time::Duration,
};

use crate::support::{
    CLUSTER, Cloud, eventually, read,
    wire::{
        self, Client, Message,
        Verdict::{Allowed, Denied},
    },
};

const STREAM: &str = r#"{"name":"KV_vms","subjects":["$KV.vms.>"],"allow_direct":true,"max_msgs_per_subject":8,"republish":{"src":"$KV.vms.>","dest":"watari.event.vms.>"}}"#;

/// The scheduler with its bucket `vms`, in which one document stands.
fn scheduler(cloud: &Cloud) -> Client {
    let mut scheduler = cloud.client("scheduler.m-front");
    assert_eq!(scheduler.subscribe("_INBOX_scheduler-m-front.>"), Allowed);
    let made = scheduler.ask("_INBOX_scheduler-m-front.1", "$JS.API.STREAM.CREATE.KV_vms", STREAM);
    assert!(made.payload.contains("\"config\""), "{made:?}");
    let put = scheduler.ask("_INBOX_scheduler-m-front.2", "$KV.vms.mail", r#"{"v":1}"#);
    assert!(put.payload.contains("\"seq\":1"), "{put:?}");
    scheduler
}

/// How many messages the bucket `vms` has ever taken.
fn last_sequence(scheduler: &mut Client) -> u64 {
    let info = scheduler.ask("_INBOX_scheduler-m-front.9", "$JS.API.STREAM.INFO.KV_vms", "");
    let info: serde_json::Value = serde_json::from_str(&info.payload).unwrap();
    info["state"]["last_seq"].as_u64().unwrap()
}

#[test]
fn an_agent_reports_as_itself_and_asks_nothing() {
    let cloud = Cloud::start();
    let mut scheduler = scheduler(&cloud);
    let mut m1 = cloud.client("node-agent.m1");
    for subject in ["watari.beat.myodaiji.m1", "watari.fact.myodaiji.m1", "watari.inventory.myodaiji.m1"] {
        assert_eq!(m1.publish(subject, None, "x"), Allowed, "{subject}");
    }
    for subject in [
        "watari.beat.myodaiji.m2",
        "watari.beat.yamate.m1",
        "watari.fact.yamate.y1",
        "watari.inventory.yamate.y1",
        "watari.agent.y1.stop",
        "watari.agent.m1.stop",
        "watari.event.vms.mail",
        "watari.capacity.myodaiji.m1",
        "watari.v1.vm.list",
        "watari.v1.vm.delete",
        "watari.service.port.allocate",
        "$KV.vms.mail",
        "$KV.nodes.m1",
        "$KV.leases.scheduler",
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.KV_vms",
        "$JS.API.STREAM.CREATE.KV_vms",
        "$JS.API.CONSUMER.CREATE.KV_vms",
        "$SYS.REQ.SERVER.PING",
        "$SRV.PING",
        "_INBOX_scheduler-m-front.9",
        "_INBOX.x",
    ] {
        assert_eq!(m1.publish(subject, Some("watari.fact.myodaiji.m1"), "x"), Denied, "{subject}");
    }
    assert_eq!(last_sequence(&mut scheduler), 1);
}

#[test]
fn an_agent_hears_its_own_orders_only_and_answers_each_once() {
    let cloud = Cloud::start();
    let mut scheduler = scheduler(&cloud);
    let (mut m1, mut y1) = (cloud.client("node-agent.m1"), cloud.client("node-agent.y1"));
    for subject in [
        "watari.agent.y1.>",
        "watari.agent.y1.start",
        "watari.agent.*.start",
        "watari.agent.>",
        "watari.>",
        ">",
        "watari.event.>",
        "watari.fact.*.*",
        "watari.v1.>",
        "$KV.vms.>",
        "_INBOX.>",
        "_INBOX_scheduler-m-front.>",
        "_INBOX_node-agent-y1.>",
        "$SYS.>",
    ] {
        assert_eq!(m1.subscribe(subject), Denied, "{subject}");
    }
    assert_eq!(m1.subscribe("watari.agent.m1.>"), Allowed);
    assert_eq!(y1.subscribe("watari.agent.y1.>"), Allowed);
    assert_eq!(scheduler.publish("watari.agent.y1.stop", Some("_INBOX_scheduler-m-front.7"), "{}"), Allowed);
    let order = y1.next();
    assert_eq!(order.subject, "watari.agent.y1.stop");
    assert!(m1.next_within(Duration::from_millis(200)).is_none(), "m1 heard y1's order");
    let reply = order.reply.unwrap();
    assert_eq!(m1.publish(&reply, None, "forged"), Denied);
    assert_eq!(y1.publish(&reply, None, "done"), Allowed);
    assert_eq!(y1.publish(&reply, None, "done again"), Denied);
    assert_eq!(scheduler.next().payload, "done");
}

#[test]
fn a_service_is_told_by_the_server_who_asks_whatever_the_asker_says() {
    let cloud = Cloud::start();
    let mut scheduler = cloud.client("scheduler.m-front");
    assert_eq!(scheduler.subscribe("watari.v1.vm.stop"), Allowed);
    let mut operator = cloud.client("operator");
    let forged = [("Nats-Request-Info", r#"{"user":"UFORGED","host":"192.0.2.99"}"#)];
    assert_eq!(operator.publish_with_headers("watari.v1.vm.stop", &forged, "{}"), Allowed);
    let asked = scheduler.next();
    let seed = read(&cloud.files.seed_file("operator"));
    let key = nkeys::KeyPair::from_seed(seed.trim()).unwrap().public_key();
    assert!(asked.headers.contains(&format!(r#""user":"{key}""#)), "{}", asked.headers);
    assert!(!asked.headers.contains("UFORGED") && asked.headers.contains(r#""host":"127.0.0.1""#), "{}", asked.headers);
    // The monitor and the scheduler are told what that key is called.
    let settings = |service: &str| -> toml::Table {
        cloud.files.read("m-front", &format!("etc/watari/{service}.toml")).parse().unwrap()
    };
    assert_eq!(settings("monitor")["history"]["people"][&key].as_str(), Some("operator"));
    assert_eq!(settings("scheduler")["people"][&key].as_str(), Some("operator"));
}

#[test]
fn a_viewer_looks_and_changes_nothing() {
    let cloud = Cloud::start();
    let mut scheduler = scheduler(&cloud);
    assert_eq!(scheduler.subscribe("watari.v1.vm.list"), Allowed);
    let mut viewer = cloud.client("viewer");
    assert_eq!(viewer.subscribe("_INBOX.>"), Allowed);
    assert_eq!(viewer.subscribe("watari.event.>"), Allowed);

    assert_eq!(viewer.publish("watari.v1.vm.list", Some("_INBOX.a"), "{}"), Allowed);
    let asked = scheduler.next();
    assert_eq!(scheduler.publish(asked.reply.as_deref().unwrap(), None, "[]"), Allowed);
    let answer = viewer.next();
    assert_eq!((answer.subject.as_str(), answer.payload.as_str()), ("_INBOX.a", "[]"));

    for subject in [
        "watari.v1.vm.create",
        "watari.v1.vm.delete",
        "watari.v1.vm.migrate",
        "watari.v1.vm.console",
        "watari.v1.site.evacuate",
        "watari.v1.node.cordon",
        "watari.v1.outage.cancel",
        "watari.v1.image.import",
        "watari.v1.image.save",
        "watari.v1.network.create",
        "watari.service.port.release",
        "watari.agent.m1.stop",
        "watari.event.vms.mail",
        "$KV.vms.mail",
        "$JS.API.STREAM.DELETE.KV_vms",
        "$JS.API.STREAM.PURGE.KV_vms",
        "$JS.API.STREAM.MSG.DELETE.KV_vms",
        "$JS.API.CONSUMER.CREATE.KV_vms",
        "$SYS.REQ.SERVER.PING",
    ] {
        assert_eq!(viewer.publish(subject, Some("_INBOX.x"), "{}"), Denied, "{subject}");
    }
    for subject in [">", "watari.agent.>", "watari.v1.>", "$KV.>", "_INBOX_scheduler-m-front.>"] {
        assert_eq!(viewer.subscribe(subject), Denied, "{subject}");
    }
    assert_eq!(last_sequence(&mut scheduler), 1);
}

/// NATS does not check the reply subject of a message. Whoever answers must not become the hand
/// with which a reader writes.
#[test]
fn an_answer_cannot_be_made_to_land_in_a_bucket_or_at_an_agent() {
    let cloud = Cloud::start();
    let mut scheduler = scheduler(&cloud);
    let mut m1 = cloud.client("node-agent.m1");
    assert_eq!(m1.subscribe("watari.agent.m1.>"), Allowed);
    for subject in ["watari.v1.vm.list", "$SRV.>"] {
        assert_eq!(scheduler.subscribe(subject), Allowed);
    }
    let mut viewer = cloud.client("viewer");
    let mut operator = cloud.client("operator");
    for evil in ["$KV.vms.mail", "watari.agent.m1.stop", "$JS.API.STREAM.DELETE.KV_vms"] {
        assert_eq!(viewer.publish("watari.v1.vm.list", Some(evil), "{}"), Allowed);
        let asked = scheduler.next();
        assert_ne!(asked.reply.as_deref(), Some(evil), "the reply subject crossed the border as it was");
        assert_eq!(scheduler.publish(asked.reply.as_deref().unwrap(), None, "{}"), Allowed);
        for asker in [&mut viewer, &mut operator] {
            assert_eq!(asker.publish("$JS.API.STREAM.INFO.KV_vms", Some(evil), ""), Allowed);
            assert_eq!(asker.publish("$JS.API.DIRECT.GET.KV_vms.$KV.vms.mail", Some(evil), ""), Allowed);
        }
        assert_eq!(operator.publish("$SRV.PING", Some(evil), ""), Allowed);
        let asked = scheduler.next();
        assert_ne!(asked.reply.as_deref(), Some(evil));
        assert_eq!(scheduler.publish(asked.reply.as_deref().unwrap(), None, "{}"), Allowed);
    }
    assert_eq!(last_sequence(&mut scheduler), 1, "an answer was written into the bucket");
    assert!(m1.next_within(Duration::from_millis(200)).is_none(), "an answer reached the agent");
}

#[test]
fn an_operator_asks_and_reads_but_neither_writes_buckets_nor_orders_agents() {
    let cloud = Cloud::start();
    let mut scheduler = scheduler(&cloud);
    let mut m1 = cloud.client("node-agent.m1");
    for subject in ["watari.v1.vm.create", "$SRV.>"] {
        assert_eq!(scheduler.subscribe(subject), Allowed);
    }
    assert_eq!(m1.subscribe("$SRV.>"), Allowed);
    let mut operator = cloud.client("operator");
    for subject in ["_INBOX.>", "watari.event.>", "watari.fact.*.*"] {
        assert_eq!(operator.subscribe(subject), Allowed, "{subject}");
    }
    // What `nats kv get vms mail` sends.
    let info = operator.ask("_INBOX.a", "$JS.API.STREAM.INFO.KV_vms", "");
    assert!(info.payload.contains("KV_vms"), "{info:?}");
    let got = operator.ask("_INBOX.b", "$JS.API.DIRECT.GET.KV_vms.$KV.vms.mail", "");
    assert_eq!(got.payload, r#"{"v":1}"#);
    let got = operator.ask("_INBOX.b", "$JS.API.STREAM.MSG.GET.KV_vms", r#"{"last_by_subj":"$KV.vms.mail"}"#);
    assert!(got.payload.contains("stream_msg_get_response") && got.payload.contains("\"data\""), "{got:?}");
    let got = operator.ask("_INBOX.c", "$JS.API.DIRECT.GET.KV_vms", r#"{"last_by_subj":"$KV.vms.mail"}"#);
    assert_eq!(got.payload, r#"{"v":1}"#);

    // User-data may hold passwords: no person reads its bucket, with or without the detour.
    for subject in [
        "$JS.API.DIRECT.GET.KV_userdata",
        "$JS.API.DIRECT.GET.KV_userdata.$KV.userdata.x",
        "$JS.API.STREAM.MSG.GET.KV_userdata",
        "watari.js.DIRECT.GET.KV_userdata.$KV.userdata.x",
        "watari.js.STREAM.MSG.GET.KV_userdata",
    ] {
        assert_eq!(operator.publish(subject, Some("_INBOX.x"), ""), Denied, "{subject}");
    }

    // A request, and `nats micro ls`, to which everybody answers.
    assert_eq!(operator.publish("watari.v1.vm.create", Some("_INBOX.d"), "{}"), Allowed);
    let asked = scheduler.next();
    assert_eq!(scheduler.publish(asked.reply.as_deref().unwrap(), None, "made"), Allowed);
    assert_eq!(operator.next().payload, "made");
    assert_eq!(operator.publish("$SRV.PING", Some("_INBOX.e"), ""), Allowed);
    for one in [&mut scheduler, &mut m1] {
        let Message { reply, .. } = one.next();
        assert_eq!(one.publish(reply.as_deref().unwrap(), None, "pong"), Allowed);
    }
    assert_eq!((operator.next().subject, operator.next().subject), ("_INBOX.e".to_owned(), "_INBOX.e".to_owned()));

    // Events and facts are heard.
    assert_eq!(scheduler.publish("$KV.vms.web", Some("_INBOX_scheduler-m-front.5"), "{}"), Allowed);
    assert!(scheduler.next().payload.contains("\"seq\":2"));
    assert_eq!(operator.next().subject, "watari.event.vms.web");
    assert_eq!(m1.publish("watari.fact.myodaiji.m1", None, "fact"), Allowed);
    assert_eq!(operator.next().payload, "fact");

    for subject in [
        "$KV.vms.mail",
        "$KV.leases.scheduler",
        "watari.agent.m1.stop",
        "watari.service.port.release",
        "watari.event.vms.mail",
        "watari.fact.myodaiji.m1",
        "watari.beat.myodaiji.m1",
        "$JS.API.STREAM.DELETE.KV_vms",
        "$JS.API.STREAM.UPDATE.KV_vms",
        "$JS.API.CONSUMER.CREATE.KV_vms",
        "$SYS.REQ.SERVER.PING",
    ] {
        assert_eq!(operator.publish(subject, Some("_INBOX.x"), "{}"), Denied, "{subject}");
    }
    assert_eq!(last_sequence(&mut scheduler), 2);
}

#[test]
fn an_operator_changes_neither_projects_nor_which_nodes_there_are() {
    let cloud = Cloud::start();
    let (mut administrator, mut operator) = (cloud.client("administrator"), cloud.client("operator"));
    for subject in
        ["watari.v1.project.create", "watari.v1.project.set", "watari.v1.project.delete", "watari.v1.node.remove"]
    {
        assert_eq!(operator.publish(subject, Some("_INBOX.x"), "{}"), Denied, "{subject}");
        assert_eq!(administrator.publish(subject, Some("_INBOX.x"), "{}"), Allowed, "{subject}");
    }
    for subject in ["watari.v1.project.list", "watari.v1.node.confirm-off", "watari.v1.site.evacuate"] {
        assert_eq!(operator.publish(subject, Some("_INBOX.x"), "{}"), Allowed, "{subject}");
    }
    for subject in ["$KV.vms.mail", "watari.agent.m1.stop", "$JS.API.DIRECT.GET.KV_userdata", "$SYS.REQ.SERVER.PING"] {
        assert_eq!(administrator.publish(subject, Some("_INBOX.x"), "{}"), Denied, "{subject}");
    }
}

#[test]
fn of_which_project_an_operator_is_is_the_servers_word_and_nothing_else_can_be_asked() {
    let person = "[[person]]\nname = \"sato\"\nrole = \"operator\"\nproject = \"research\"\n";
    let cloud = Cloud::of(&format!("{CLUSTER}{person}"));
    let mut scheduler = scheduler(&cloud);
    assert_eq!(scheduler.subscribe("watari.v1.vm.stop"), Allowed);
    let mut sato = cloud.client("sato");
    let forged = [("Nats-Request-Info", r#"{"acc":"PEOPLE","user":"UFORGED"}"#)];
    assert_eq!(sato.publish_with_headers("watari.v1.vm.stop", &forged, "{}"), Allowed);
    let asked = scheduler.next();
    let key = nkeys::KeyPair::from_seed(read(&cloud.files.seed_file("sato")).trim()).unwrap();
    assert!(asked.headers.contains(r#""acc":"PROJECT_research""#), "{}", asked.headers);
    assert!(asked.headers.contains(&key.public_key()) && !asked.headers.contains("FORGED"), "{}", asked.headers);
    let settings: toml::Table = cloud.files.read("m-front", "etc/watari/monitor.toml").parse().unwrap();
    assert_eq!(settings["history"]["people"][&key.public_key()].as_str(), Some("sato"));

    // Everything can be looked at.
    assert_eq!(sato.subscribe("_INBOX.>"), Allowed);
    assert_eq!(sato.publish("watari.v1.vm.list", None, "{}"), Allowed);
    let got = sato.ask("_INBOX.b", "$JS.API.DIRECT.GET.KV_vms.$KV.vms.mail", "");
    assert_eq!(got.payload, r#"{"v":1}"#);
    for subject in [
        "watari.v1.vm.migrate",
        "watari.v1.vm.preseed",
        "watari.v1.image.save",
        "watari.v1.network.create",
        "watari.v1.node.cordon",
        "watari.v1.outage.cancel",
        "watari.v1.project.set",
        "watari.v1.site.evacuate",
        "watari.service.port.release",
        "watari.agent.m1.stop",
        "$KV.vms.mail",
        "$JS.API.DIRECT.GET.KV_userdata",
        "$SYS.REQ.SERVER.PING",
    ] {
        assert_eq!(sato.publish(subject, Some("_INBOX.x"), "{}"), Denied, "{subject}");
    }
    assert_eq!(last_sequence(&mut scheduler), 1);
}

#[test]
fn a_persons_key_that_was_replaced_or_taken_out_opens_nothing_any_more_and_others_keys_still_do() {
    let person = "[[person]]\nname = \"sato\"\nrole = \"operator\"\n";
    let cloud = Cloud::of(&format!("{CLUSTER}{person}"));
    let (server, files) = (&cloud.server, &cloud.files);
    let ports = [("127.0.0.1:4222".to_owned(), format!("127.0.0.1:{}", server.port))];
    let seed = |identity: &str| read(&files.seed_file(identity));
    let comes_in = |seed: &str| Client::connect(server.port, &files.authority(), Some(seed)).map(drop);
    let set_up = || {
        let ran = files.setup(&[]);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        server.reload(files, "m-front", &ports);
    };
    let (stolen, satos) = (seed("operator"), seed("sato"));
    assert_eq!((comes_in(&stolen), comes_in(&satos)), (Ok(()), Ok(())));

    // As the guide has it done when one was stolen.
    fs::remove_file(files.seed_file("operator")).unwrap();
    set_up();
    let new = seed("operator");
    eventually(|| comes_in(&new).map_err(|error| format!("the new key is not let in: {error}\n{}", server.log())));
    assert!(comes_in(&stolen).is_err(), "the stolen key is let in still");
    assert_eq!(comes_in(&satos), Ok(()));

    fs::write(files.path("cluster.toml"), CLUSTER).unwrap();
    set_up();
    eventually(|| comes_in(&satos).map_or(Ok(()), |()| Err(format!("sato is let in still\n{}", server.log()))));
    assert_eq!(comes_in(&new), Ok(()));
}

#[test]
fn a_request_to_which_nobody_listens_is_answered_at_once() {
    let cloud = Cloud::start();
    let mut operator = cloud.client("operator");
    assert_eq!(operator.subscribe("_INBOX.>"), Allowed);
    let answer = operator.ask("_INBOX.a", "watari.v1.vm.list", "{}");
    assert_eq!((answer.subject.as_str(), answer.payload.as_str()), ("_INBOX.a", ""));
}

#[test]
fn a_service_writes_its_own_buckets_and_orders_only_what_it_must() {
    let cloud = Cloud::start();
    let mut scheduler = scheduler(&cloud);
    for (service, own, others) in [
        (
            "scheduler",
            vec!["vms.a", "sites.a", "outages.a", "migrations.a", "leases.scheduler"],
            vec!["nodes.a", "images.a", "ports.a.b", "leases.image"],
        ),
        (
            "image",
            vec!["images.a", "leases.image"],
            vec!["vms.a", "sites.a", "nodes.a", "networks.a", "leases.scheduler"],
        ),
        (
            "network",
            vec!["networks.a", "ports.a.b", "leases.network"],
            vec!["vms.a", "images.a", "nodes.a", "leases.monitor"],
        ),
        ("monitor", vec!["nodes.a", "leases.monitor"], vec!["vms.a", "ports.a.b", "images.a", "leases.network"]),
    ] {
        let mut client = cloud.client(&format!("{service}.m-front"));
        for key in own.iter().filter(|k| !k.starts_with("vms")) {
            assert_eq!(client.publish(&format!("$KV.{key}"), None, "{}"), Allowed, "{service} {key}");
        }
        for key in others {
            assert_eq!(client.publish(&format!("$KV.{key}"), None, "{}"), Denied, "{service} {key}");
        }
        for verb in ["start", "stop", "resume", "discard", "remove", "send"] {
            let expected = if service == "scheduler" { Allowed } else { Denied };
            assert_eq!(client.publish(&format!("watari.agent.m1.{verb}"), None, "{}"), expected, "{service} {verb}");
        }
        let expected = if service == "image" { Allowed } else { Denied };
        assert_eq!(client.publish("watari.agent.m1.save", None, "{}"), expected, "{service}");
        for subject in [
            "$JS.API.STREAM.DELETE.KV_vms",
            "$JS.API.STREAM.PURGE.KV_vms",
            "$SYS.REQ.SERVER.PING",
            "watari.event.vms.mail",
        ] {
            assert_eq!(client.publish(subject, None, "{}"), Denied, "{service} {subject}");
        }
        for subject in ["_INBOX.>", ">", "watari.agent.>", "$KV.>"] {
            assert_eq!(client.subscribe(subject), Denied, "{service} {subject}");
        }
    }
    assert_eq!(last_sequence(&mut scheduler), 1);
}

/// It watches the UPSes and hears of heat and water; what is done about power is not its to say.
#[test]
fn a_monitor_tells_of_power_and_peril_and_asks_nothing_else_that_people_ask() {
    let cloud = Cloud::start();
    let mut scheduler = cloud.client("scheduler.m-front");
    let told = ["watari.v1.site.power", "watari.v1.site.evacuate", "watari.v1.outage.withdraw"];
    for subject in told {
        assert_eq!(scheduler.subscribe(subject), Allowed);
    }
    let mut monitor = cloud.client("monitor.m-front");
    assert_eq!(monitor.subscribe("_INBOX_monitor-m-front.>"), Allowed);
    for subject in told {
        assert_eq!(monitor.publish(subject, Some("_INBOX_monitor-m-front.1"), "{}"), Allowed);
        let asked = scheduler.next();
        assert_eq!((asked.subject.as_str(), asked.reply.as_deref()), (subject, Some("_INBOX_monitor-m-front.1")));
        assert_eq!(scheduler.publish("_INBOX_monitor-m-front.1", None, "told"), Allowed);
        assert_eq!(monitor.next().payload, "told");
    }

    for subject in ["watari.v1.site.return", "watari.v1.vm.stop", "watari.v1.outage.cancel"] {
        assert_eq!(monitor.publish(subject, Some("_INBOX_monitor-m-front.2"), "{}"), Denied, "{subject}");
    }
    for service in ["image", "network"] {
        let mut client = cloud.client(&format!("{service}.m-front"));
        assert_eq!(client.publish("watari.v1.site.power", None, "{}"), Denied, "{service}");
    }
}

#[test]
fn who_makes_backups_reads_all_documents_and_neither_leads_nor_orders_nor_answers() {
    let cloud = Cloud::start();
    let mut scheduler = scheduler(&cloud);
    let mut backup = cloud.client("backup.m-front");
    let public = nkeys::KeyPair::from_seed(read(&cloud.files.seed_file("backup.m-front")).trim()).unwrap();
    let inbox = format!("_INBOX_{}", public.public_key().to_lowercase());
    assert_eq!(backup.subscribe(&format!("{inbox}.>")), Allowed);
    let read = backup.ask(&format!("{inbox}.1"), "$JS.API.STREAM.INFO.KV_vms", "");
    assert!(read.payload.contains("\"config\""), "{read:?}");
    for subject in ["watari.fact.*.*", "$KV.vms.>", "watari.standing", "watari.v1.>"] {
        let expected = if subject == "watari.fact.*.*" { Allowed } else { Denied };
        assert_eq!(backup.subscribe(subject), expected, "{subject}");
    }
    for subject in [
        "$KV.leases.scheduler",
        "watari.agent.m1.stop",
        "watari.v1.vm.delete",
        "$JS.API.STREAM.UPDATE.KV_vms",
        "$JS.API.STREAM.PURGE.KV_vms",
        "$JS.API.STREAM.DELETE.KV_vms",
        "$SYS.REQ.SERVER.PING",
    ] {
        assert_eq!(backup.publish(subject, None, "{}"), Denied, "{subject}");
    }
    for identity in ["administrator", "operator", "node-agent.m1"] {
        let mut other = cloud.client(identity);
        assert_eq!(other.publish("$JS.API.STREAM.INFO.KV_userdata", None, ""), Denied, "{identity}");
    }
    assert_eq!(last_sequence(&mut scheduler), 1);
}

#[test]
fn without_an_identity_or_without_encryption_there_is_no_way_in() {
    let cloud = Cloud::start();
    let authority = cloud.files.authority();
    assert!(Client::connect(cloud.server.port, &authority, None).is_err());
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    assert!(Client::connect(cloud.server.port, &authority, Some(&stranger)).is_err());

    let (mut tcp, info) = wire::dial(cloud.server.port);
    assert_eq!(info["tls_required"], true);
    tcp.write_all(b"CONNECT {\"verbose\":false,\"tls_required\":false}\r\nPING\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest);
    assert!(!rest.windows(4).any(|w| w == b"PONG"), "a plain connection was served");
}
