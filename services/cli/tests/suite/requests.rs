//! The guides say that any NATS client can send what the command does: each request in their chapter is sent as it stands
//! there, by the server and under the permissions that `watari setup` makes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::support::{
    Cloud, read,
    stub::{Answer::Reply, Stub},
    wire::Verdict::Allowed,
};
use serde_json::{Value, json};
use watari_contracts::{address, firewall, image, monitor, network, scheduler};

/// Who answers what.
const OWNERS: [(&str, &[&[&str]]); 4] = [
    ("scheduler.m-front", &[scheduler::SUBJECTS]),
    ("image.m-front", &[image::SUBJECTS]),
    ("network.m-front", &[network::SUBJECTS, address::SUBJECTS, firewall::SUBJECTS]),
    ("monitor.m-front", &[monitor::SUBJECTS]),
];
/// What people ask; the rest is between services.
const OF_PEOPLE: &str = "watari.v1.";
/// How a line of the chapter begins that is to be typed.
const TYPED: &str = "nats request ";

/// Subject and body of a line, as a shell reads them.
fn typed(line: &str) -> (&str, String) {
    let words = line.strip_prefix(TYPED).and_then(|words| words.split_once(' '));
    let quoted = words.and_then(|(subject, body)| Some((subject, body.strip_prefix('\'')?.strip_suffix('\'')?)));
    let (subject, body) = quoted.unwrap_or_else(|| panic!("no subject with a body: {line}"));
    (subject, body.replace(r"'\''", "'"))
}

#[test]
fn every_request_of_the_guides_is_let_through_and_arrives_as_the_request_that_it_is() {
    let cloud = Cloud::start();
    let stubs = OWNERS.map(|(owner, subjects)| {
        let mut subjects = subjects.concat();
        subjects.retain(|subject| subject.starts_with(OF_PEOPLE));
        Stub::start(&cloud, owner, &subjects, |_, _| Reply(json!({"heard": true})))
    });
    let mut administrator = cloud.client("administrator");
    assert_eq!(administrator.subscribe("_INBOX.>"), Allowed);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // The contracts' own test reads each of these as its request.
    let samples = read(&root.join("shared/contracts/tests/golden/least.json"));
    let samples: BTreeMap<String, Value> = serde_json::from_str(&samples).unwrap();
    for language in ["en", "ja"] {
        let chapter = read(&root.join(format!("docs/{language}/src/requests.md")));
        let mut untold: BTreeSet<&str> = samples.keys().map(String::as_str).collect();
        untold.retain(|subject| subject.starts_with(OF_PEOPLE));
        for line in chapter.lines().filter(|line| line.starts_with(TYPED)) {
            let (subject, body) = typed(line);
            let answer = administrator.ask("_INBOX.guide", subject, &body);
            assert_eq!(answer.payload, r#"{"heard":true}"#, "nobody hears what {language} says: {line}");
            let heard = stubs.iter().flat_map(Stub::asked).rfind(|(heard, _)| heard == subject);
            assert_eq!(heard.map(|(_, asked)| asked).as_ref(), samples.get(subject), "{language}: {line}");
            untold.remove(subject);
        }
        assert_eq!(untold, BTreeSet::new(), "requests of which {language} has no example");
    }
}
