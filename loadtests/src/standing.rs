//! How the front ends and NATS stand, by what `watari frontend status` tells.

use anyhow::Context;
use serde_json::Value;

use crate::lab::Lab;

impl Lab {
    /// How the front ends stand.
    pub(crate) fn standing(&self) -> anyhow::Result<Value> {
        self.watari(&["frontend", "status"])
    }

    /// The site from which all services lead; none while they do not.
    pub(crate) fn led_from(&self) -> anyhow::Result<Option<String>> {
        led_from(&self.standing()?)
    }
}

/// The same of what was told.
pub(crate) fn led_from(status: &Value) -> anyhow::Result<Option<String>> {
    let services = status["services"].as_array().context("no services")?;
    let sites: Vec<Option<&str>> = services.iter().map(|s| s["leader"]["site"].as_str()).collect();
    let same = sites.len() == 4 && sites.windows(2).all(|pair| pair[0] == pair[1]);
    Ok(sites.first().copied().flatten().filter(|_| same).map(str::to_owned))
}

/// Whether every NATS server votes and has everything, and every stream has its three copies.
pub(crate) fn is_whole(status: &Value) -> bool {
    rows(&status["quorum"]["servers"]).all(is_sound) && are_held_by(status, 3)
}

/// Whether two NATS servers alone have a vote, and both have everything.
pub(crate) fn is_pair(status: &Value) -> bool {
    voters(status).all(is_sound) && are_held_by(status, 2)
}

/// Whether so many NATS servers have a vote, and every stream has a copy on each.
fn are_held_by(status: &Value, servers: usize) -> bool {
    let current = |follower: &&Value| follower["current"] == true && follower["offline"] != true;
    // Beside the one that leads it.
    let copies = |stream: &Value| rows(&stream["followers"]).filter(current).count() + 1;
    let mut streams = rows(&status["streams"]).map(copies).peekable();
    voters(status).count() == servers && streams.peek().is_some() && streams.all(|copies| copies == servers)
}

fn voters(status: &Value) -> impl Iterator<Item = &Value> {
    rows(&status["quorum"]["servers"]).filter(|server| server["votes"] == true)
}

fn is_sound(server: &Value) -> bool {
    server["votes"] == true && server["online"] == true && server["current"] == true
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_site_leads_when_all_four_services_are_led_from_there() {
        let status = |sites: &[&str]| {
            let services: Vec<Value> = sites.iter().map(|site| json!({"leader": {"site": site}})).collect();
            json!({"services": services})
        };
        let from = |sites: &[&str]| led_from(&status(sites)).unwrap();
        assert_eq!(from(&["yamate"; 4]).as_deref(), Some("yamate"));
        assert_eq!(from(&["yamate"; 3]), None, "one of them is not heard");
        assert_eq!(from(&["yamate", "yamate", "myodaiji", "yamate"]), None);
        assert!(led_from(&json!({})).is_err());
    }

    fn told(servers: &[&Value], copies: &[&Value]) -> Value {
        json!({"quorum": {"servers": servers}, "streams": [{"followers": copies}]})
    }

    #[test]
    fn nats_is_whole_with_all_votes_and_all_copies() {
        let server = json!({"votes": true, "online": true, "current": true});
        let voteless = json!({"votes": false});
        let copy = json!({"current": true});
        let away = json!({"current": true, "offline": true});
        let all = [&server; 3];
        assert!(is_whole(&told(&all, &[&copy, &copy])));
        assert!(!is_whole(&told(&[], &[&copy, &copy])), "nobody looks after NATS");
        assert!(!is_whole(&told(&[&server, &server, &server, &voteless], &[&copy, &copy])));
        assert!(!is_whole(&told(&all, &[&copy, &away])) && !is_whole(&told(&all, &[&copy])));
        assert!(!is_whole(&json!({"quorum": {"servers": all}, "streams": []})), "no stream is told of");
    }

    #[test]
    fn a_pair_is_two_with_a_vote_whoever_else_is_there_without_one() {
        let server = json!({"votes": true, "online": true, "current": true});
        let behind = json!({"votes": true, "online": true, "current": false});
        let voteless = json!({"votes": false});
        let copy = json!({"current": true});
        assert!(is_pair(&told(&[&server, &voteless, &server], &[&copy])));
        assert!(!is_pair(&told(&[&server, &voteless], &[&copy])) && !is_pair(&told(&[&server; 3], &[&copy, &copy])));
        assert!(!is_pair(&told(&[&server, &server], &[])), "one of them lacks a copy");
        assert!(!is_pair(&told(&[&server, &behind], &[&copy])));
    }
}
