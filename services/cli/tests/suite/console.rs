//! Consoles: at a terminal, and without one.

use serde_json::{Value, json};
use watari_model::Refusal;

use crate::support::{
    Cloud, Ran, bare, eventually,
    stub::{
        Answer::{self, Refuse, Reply},
        Stub,
    },
    terminal::AtTerminal,
};

/// A server that greets; once something is typed it moves, and greets again from elsewhere.
fn moving() -> impl FnMut(&str, &Value) -> Answer + Send + 'static {
    let (mut opened, mut typed) = (0_usize, false);
    move |_, asked| {
        let act = &asked["act"];
        opened += usize::from(act.get("open").is_some());
        let node = if opened > 1 { "y1" } else { "m1" };
        let part = |from: u64, output: &str, typed: u64| {
            Reply(json!({"name": "mail", "node": node, "part": {"from": from, "output": output, "typed": typed}}))
        };
        if let Some(keys) = act.get("type") {
            let keys = (keys["from"].as_u64().unwrap(), keys["bytes"].as_str().unwrap());
            typed |= keys.1.ends_with('\r');
            return part(0, "", keys.0 + u64::try_from(keys.1.len()).unwrap());
        }
        let Some(follow) = act.get("follow") else { return part(0, "", 0) };
        match (opened, follow["from"].as_u64().unwrap()) {
            (1, 0) => part(0, "login: ", 0),
            (1, _) if typed => Refuse(Refusal::ConsoleOver { vm: "mail".to_owned(), node: "m1".to_owned() }),
            (2, 0) => part(0, "here again", 0),
            (_, from) => part(from, "", 0),
        }
    }
}

#[test]
fn a_person_types_at_a_console_which_goes_along_and_leaves_by_control_and_a_bracket() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.console"], moving());
    let mut person = AtTerminal::start(&cloud.command("operator", &["vm", "console", "mail"]));
    person.shows("Ctrl-] leaves it");
    person.shows("login: ");
    // Control-C is the server's.
    person.types(b"\x03\r").unwrap();
    person.shows("now on y1");
    person.shows("here again");
    person.types(b"\x1d").unwrap();
    person.shows("Left the console of mail.");
    person.ends_well();
    let acts: Vec<Value> = stub.asked().into_iter().map(|(_, asked)| asked["act"].clone()).collect();
    let typed: String = acts.iter().filter_map(|act| act["type"]["bytes"].as_str()).collect();
    assert_eq!(typed, "\u{3}\r");
    assert_eq!(acts.last(), Some(&json!("close")));
}

#[test]
fn a_console_that_is_in_use_is_told_and_taken_over_by_force_alone() {
    let cloud = Cloud::start();
    let answer = |_: &str, asked: &Value| match asked["act"]["open"]["take_over"].as_bool() {
        Some(false) => Refuse(Refusal::ConsoleHeld { vm: "mail".to_owned(), by: watari_model::Said::both("sato") }),
        _ => Reply(json!({"name": "mail", "node": "m1", "part": {"from": 0, "output": "", "typed": 0}})),
    };
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.console"], answer);
    let person = AtTerminal::start(&cloud.command("operator", &["vm", "console", "mail"]));
    person.shows("error[console.held]: ");
    person.shows("in use by sato");
    let mut person = AtTerminal::start(&cloud.command("operator", &["vm", "console", "mail", "--force"]));
    person.shows("Ctrl-] leaves it");
    // The terminal may not pass every key on yet: typed until it ends.
    let status = eventually(|| {
        // Who has ended takes no key.
        let _ = person.types(b"\x1d");
        person.ended().ok_or_else(|| "it has not ended".to_owned())
    });
    assert!(status.success(), "{status}");
}

#[test]
fn a_console_that_was_taken_over_or_whose_server_has_gone_says_so_and_ends() {
    let cloud = Cloud::start();
    let answer = |_: &str, asked: &Value| {
        let name = asked["name"].as_str().unwrap().to_owned();
        let vm = name.clone();
        if asked["act"].get("follow").is_some() {
            return Refuse(Refusal::ConsoleOver { vm, node: "m1".to_owned() });
        }
        if asked["again"] != json!(true) {
            return Reply(json!({"name": name, "node": "m1", "part": {"from": 0, "output": "", "typed": 0}}));
        }
        Refuse(match name.as_str() {
            "held" => Refusal::ConsoleHeld { vm, by: watari_model::Said::both("suzuki") },
            "off" => Refusal::VmState { vm, state: "stopped".to_owned(), wanted: "open its console".to_owned() },
            _ => Refusal::VmUnknown { vm },
        })
    };
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.console"], answer);
    for (vm, said) in [
        ("held", "suzuki has taken over the console of held."),
        ("off", "The console of off has ended, since the server has stopped."),
        ("gone", "The console of gone has ended, since the server was deleted."),
    ] {
        let mut person = AtTerminal::start(&cloud.command("operator", &["vm", "console", vm]));
        person.shows(said);
        person.ends_well();
        let shown = person.shown();
        assert!(!shown.contains("broke off") && !shown.contains("error["), "{shown}");
    }
}

#[test]
fn a_console_without_a_terminal_is_refused_before_anybody_is_asked() {
    let ran = Ran::of(bare(&["vm", "console", "mail"]).output().unwrap());
    assert!(ran.status == 2 && ran.err.starts_with("error[console.no-terminal]: "), "{ran:?}");
    assert!(ran.err.contains("watari vm console-log mail"), "{ran:?}");
    let ran = Ran::of(bare(&["vm", "console", "No Name"]).output().unwrap());
    assert!(ran.status == 2 && ran.err.starts_with("error[request.bad-name]: "), "{ran:?}");
}
