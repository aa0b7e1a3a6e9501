//! Who asks for an outage that is proposed. It is one question, whoever asks it, and is withdrawn when nobody asks any more.
//!
//! Causes that come and go ask under names of the form `CAUSE/SINCE`, in seconds since 1970: a battery as
//! `power/myodaiji/1785553200`, an alert as `alert/c4f5a4a8bd7b6e21/1785553200`. A cause that is over is over for each
//! time that it has asked since.

use super::{Outage, State};

/// So many are remembered; whoever asks beside so many others is not waited for.
const MOST: usize = 64;

impl Outage {
    /// The requests that ask for it, or asked, if it was proposed.
    #[must_use]
    pub fn askers(&self) -> &[String] {
        if self.asked_by.is_empty() { std::slice::from_ref(&self.request_id) } else { &self.asked_by }
    }

    /// Whether it is proposed and one that asks for it is over when this request's cause is.
    #[must_use]
    pub fn waits_for(&self, request: &str) -> bool {
        self.is_proposed() && self.askers().iter().any(|asked| ends_with(asked, request))
    }

    pub(super) fn also_asked(&mut self, request: String) {
        let mut all = self.askers().to_vec();
        if all.len() < MOST && !all.contains(&request) {
            all.push(request);
            self.asked_by = all;
        }
    }

    /// The state that follows. Of one that is withdrawn it is still known who asked.
    pub(super) fn unasked(&mut self, request: &str) -> State {
        let others: Vec<String> = self.askers().iter().filter(|asked| !ends_with(asked, request)).cloned().collect();
        if others.is_empty() {
            return State::Cancelled;
        }
        self.asked_by = others;
        State::Scheduled
    }
}

/// Whether what one request asked for is over when another's cause is.
fn ends_with(asked: &str, over: &str) -> bool {
    match (cause(asked), cause(over)) {
        (Some((cause, since)), Some((other, until))) => cause == other && since <= until,
        _ => asked == over,
    }
}

/// The cause for which a request asks, and since when.
fn cause(request: &str) -> Option<(&str, i64)> {
    let (cause, since) = request.rsplit_once('/')?;
    Some((cause, since.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::{Change, Scope};
    use super::*;
    use crate::Timestamp;

    fn at() -> Timestamp {
        Timestamp(OffsetDateTime::UNIX_EPOCH)
    }

    fn proposed(request: &str) -> Outage {
        let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
        Outage::proposed(id, scope, "RoomTooHot".to_owned(), request.to_owned(), at())
    }

    fn unasked(outage: &mut Outage, request: &str) -> State {
        outage.apply(Change::Unasked(request.to_owned()), at()).unwrap();
        outage.state
    }

    #[test]
    fn a_question_is_withdrawn_when_the_last_who_asks_it_is_over() {
        let mut outage = proposed("alert/heat/1");
        for request in ["alert/water/5", "alert/water/5"] {
            outage.apply(Change::AlsoAsked(request.to_owned()), at()).unwrap();
        }
        assert_eq!(outage.askers(), ["alert/heat/1", "alert/water/5"]);
        assert_eq!(unasked(&mut outage, "alert/heat/1"), State::Scheduled, "the water is still there");
        assert!(!outage.waits_for("alert/heat/1") && outage.waits_for("alert/water/5"));
        assert_eq!(unasked(&mut outage, "alert/heat/1"), State::Scheduled, "said twice");
        assert_eq!(unasked(&mut outage, "alert/water/5"), State::Cancelled);
        assert_eq!(outage.askers(), ["alert/water/5"], "who asked last is still known");
        assert!(!outage.waits_for("alert/water/5"));
    }

    #[test]
    fn a_cause_is_over_as_often_as_it_has_asked_and_one_that_came_since_is_not() {
        let mut outage = proposed("alert/heat/1");
        assert!(outage.waits_for("alert/heat/7"), "the times between were not told");
        for other in ["alert/heat/0", "alert/water/7", "alert/heat", "alert/heat/x", ""] {
            assert!(!outage.waits_for(other), "{other}");
        }
        outage.apply(Change::AlsoAsked("alert/heat/7".to_owned()), at()).unwrap();
        assert_eq!(unasked(&mut outage, "alert/heat/1"), State::Scheduled, "it came again");
        assert_eq!(unasked(&mut outage, "alert/heat/7"), State::Cancelled);
        // Names of another form are over by themselves alone.
        let mut plain = proposed("r1");
        assert!(!plain.waits_for("r2"));
        assert_eq!(unasked(&mut plain, "r1"), State::Cancelled);
    }

    #[test]
    fn what_an_older_version_proposed_is_asked_by_the_request_that_made_it() {
        let mut outage = Outage { asked_by: Vec::new(), ..proposed("alert/heat/1") };
        outage.apply(Change::AlsoAsked("alert/water/5".to_owned()), at()).unwrap();
        assert_eq!(outage.askers(), ["alert/heat/1", "alert/water/5"]);
        let mut outage = Outage { asked_by: Vec::new(), ..proposed("alert/heat/1") };
        assert_eq!(unasked(&mut outage, "alert/heat/1"), State::Cancelled);
    }

    #[test]
    fn only_a_question_is_asked_or_withdrawn_and_not_without_bound() {
        let mut outage = proposed("alert/heat/1");
        for n in 0..2 * MOST {
            outage.apply(Change::AlsoAsked(format!("alert/{n}/1")), at()).unwrap();
        }
        assert_eq!(outage.askers().len(), MOST);
        outage.apply(Change::BeginAsked, at()).unwrap();
        for change in [Change::AlsoAsked, Change::Unasked] {
            assert!(outage.apply(change("alert/heat/1".to_owned()), at()).is_err(), "it has begun");
        }
        assert!(!outage.waits_for("alert/heat/1"));
    }
}
