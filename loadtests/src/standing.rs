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
    let all = |list: &Value, holds: &dyn Fn(&Value) -> bool| {
        list.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(holds))
    };
    let sound = |s: &Value| s["votes"] == true && s["online"] == true && s["current"] == true;
    let current = |f: &Value| f["current"] == true && f["offline"] != true;
    let copies = |s: &Value| s["followers"].as_array().map_or(0, |f| f.iter().filter(|f| current(f)).count());
    all(&status["quorum"]["servers"], &sound) && all(&status["streams"], &|s| copies(s) == 2)
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

    #[test]
    fn nats_is_whole_with_all_votes_and_all_copies() {
        let server = json!({"votes": true, "online": true, "current": true});
        let copy = json!({"current": true});
        let away = json!({"current": true, "offline": true});
        let told = |servers: &[&Value], copies: &[&Value]| json!({"quorum": {"servers": servers}, "streams": [{"followers": copies}]});
        assert!(is_whole(&told(&[&server], &[&copy, &copy])));
        assert!(!is_whole(&told(&[], &[&copy, &copy])), "nobody looks after NATS");
        assert!(!is_whole(&told(&[&server, &json!({"votes": false})], &[&copy, &copy])));
        assert!(!is_whole(&told(&[&server], &[&copy, &away])) && !is_whole(&told(&[&server], &[&copy])));
    }
}
