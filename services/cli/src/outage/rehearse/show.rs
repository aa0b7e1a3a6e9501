//! How a rehearsed outage went, as people read it.
//!
//! A rehearsal goes on when the power has gone, as if it were still there. What happens only then is not told as done.

use std::iter;

use watari_contracts::scheduler::{Leaving, NotMoved, Rehearsal, RehearsedFall, RehearsedServer};
use watari_model::Timestamp;

use super::super::report;
use crate::{
    Context,
    failure::{FAILED, Failure},
    format,
    lang::Lang,
    out::{Column, Out, joined, or_dash},
    texts::{
        off,
        rehearsal::{self as texts, End, Power},
        words::Word,
    },
};

/// Shows it.
///
/// # Errors
/// [`Failure`]; a silent one with status 1 if somebody would be lost with the power or with a node, or it would be too
/// late.
pub(super) fn show(ctx: &Context, went: &Rehearsal) -> Result<(), Failure> {
    ctx.out.reported(went, went.servers.iter().map(|server| server.vm.to_string()), || text(ctx.out, went))?;
    let well = went.at_risk.is_empty() && went.went_down.is_empty() && went.in_time != Some(false);
    if well { Ok(()) } else { Err(Failure::Silent(FAILED)) }
}

fn text(out: Out, went: &Rehearsal) -> String {
    let lang = out.lang;
    let after = |at: Timestamp| format::time(lang, at.millis_since(went.begins_at));
    let (empty, all) = (went.empty_at.map(after), went.evacuated_at.map(after));
    let end = end(went, empty.as_deref(), all.as_deref());
    let mut parts = vec![begins(lang, went)];
    if !went.servers.is_empty() {
        parts.push(table(out, went));
    } else if !matches!(end, End::Nobody { .. }) {
        parts.push(Word::NothingToMove.text(lang).to_owned());
    }
    parts.extend((went.not_listed > 0).then(|| texts::not_listed(lang, went.not_listed)));
    let why = reasons(went);
    if !why.is_empty() {
        parts.push(report::failed(out, &why));
    }
    if !went.went_down.is_empty() {
        let line = |fall: &RehearsedFall| texts::fall(lang, fall.vm.as_str(), fall.node.as_str(), &after(fall.at));
        let title = texts::went_down(lang).to_owned();
        parts.push(iter::once(title).chain(went.went_down.iter().map(line)).collect::<Vec<_>>().join("\n"));
    }
    parts.push(texts::evacuated(lang, end));
    if let (Some(at), Some(in_time)) = (went.power_off_at, went.in_time) {
        parts.push(texts::power(lang, &format::moment(at), &after(at), power(went, in_time)));
    }
    if !went.at_risk.is_empty() {
        parts.push(texts::at_risk(lang, &joined(&went.at_risk)));
    }
    let off: Vec<_> = went.servers.iter().filter(|s| s.way == Leaving::Off).map(|s| s.vm.clone()).collect();
    parts.extend(off::left_off(lang, &off));
    parts.extend(returns(lang, went));
    let stays = stays_away(went, &why);
    if !stays.is_empty() {
        parts.push(format!("{}\n{}", texts::stays_away(lang), report::failed(out, &stays)));
    }
    parts.push(texts::link(lang, &format::bytes(went.link.bytes_per_second), went.link.known));
    parts.extend((went.step_ms >= 1_000).then(|| texts::step(lang, &format::time(lang, went.step_ms))));
    parts.join("\n\n")
}

fn begins(lang: Lang, went: &Rehearsal) -> String {
    let (site, at) = (went.site.as_str(), format::moment(went.begins_at));
    match went.began_at {
        Some(began) => texts::goes_on(lang, site, &format::moment(began), &at),
        None => texts::begins(lang, site, &at),
    }
}

/// Whether the evacuation is over only after the power has gone.
fn is_late(went: &Rehearsal) -> bool {
    went.evacuated_at.zip(went.power_off_at).is_some_and(|(over, off)| over > off)
}

/// Whether it is only the front end's part that is late: all servers that move or go off have done so by then.
fn is_front_end_late(went: &Rehearsal) -> bool {
    let empty = went.empty_at.zip(went.power_off_at).is_some_and(|(empty, off)| empty <= off);
    is_late(went) && empty && went.at_risk.is_empty() && went.went_down.is_empty()
}

/// Whether a server has not left, and is not off, when the power goes.
fn has_no_time(went: &Rehearsal, server: &RehearsedServer) -> bool {
    let Some(off) = went.power_off_at else { return false };
    match server.way {
        Leaving::Live | Leaving::Suspended | Leaving::ShutDown => {
            server.ends_at.map_or_else(|| went.at_risk.contains(&server.vm), |ends| ends > off)
        }
        Leaving::Off | Leaving::Left => false,
    }
}

/// Whether it went down with a node, and not after it had crossed.
fn went_down_before(went: &Rehearsal, server: &RehearsedServer) -> bool {
    let leaves = server.begins_at.is_some() || !matches!(server.way, Leaving::Live | Leaving::Left);
    !leaves && went.went_down.iter().any(|fall| fall.vm == server.vm)
}

/// Whether it was at the other site before.
fn is_away(server: &RehearsedServer) -> bool {
    server.way == Leaving::Live && server.begins_at.is_none() && server.to.as_ref() == Some(&server.from)
}

fn end<'t>(went: &Rehearsal, empty: Option<&'t str>, all: Option<&'t str>) -> End<'t> {
    let (Some(empty), Some(all)) = (empty, all) else { return End::Never };
    let stays = |server: &RehearsedServer| server.begins_at.is_none() && server.ends_at.is_none();
    let crosses = |server: &RehearsedServer| matches!(server.way, Leaving::Live | Leaving::Off);
    if is_late(went) && !is_front_end_late(went) {
        End::Late { all }
    } else if went.not_listed == 0 && went.servers.iter().all(stays) {
        End::Nobody { all: (went.evacuated_at > Some(went.begins_at)).then_some(all) }
    } else if went.at_risk.is_empty() && went.went_down.is_empty() && went.servers.iter().all(crosses) {
        End::Whole { empty, all }
    } else {
        End::Partly { empty, all }
    }
}

fn power(went: &Rehearsal, in_time: bool) -> Power {
    let goes_off = |server: &RehearsedServer| matches!(server.way, Leaving::Suspended | Leaving::ShutDown);
    if is_front_end_late(went) {
        Power::FrontEndLate
    } else if !in_time {
        Power::TooSoon
    } else if !went.went_down.is_empty() {
        Power::SomeDown
    } else if went.servers.iter().any(goes_off) {
        Power::SomeOff
    } else {
        Power::InTime
    }
}

/// The way home; none is told if the power went too soon.
fn returns(lang: Lang, went: &Rehearsal) -> Option<String> {
    let at = went.returns_at.filter(|_| !is_late(went))?;
    let took = went.home_at.map(|home| format::time(lang, home.millis_since(at)));
    let comes = went.not_listed > 0 || went.servers.iter().any(|server| server.home_at.is_some());
    Some(if comes || took.is_none() {
        texts::returns(lang, &format::moment(at), took.as_deref())
    } else {
        texts::nobody_returns(lang).to_owned()
    })
}

/// Times count from the beginning of each way.
fn table(out: Out, went: &Rehearsal) -> String {
    use Column::{Number, Text};
    let columns = [
        Text(Word::Vm),
        Text(Word::Done),
        Text(Word::From),
        Text(Word::To),
        Number(Word::Data),
        Number(Word::Begins),
        Number(Word::Ends),
        Number(Word::HomeAgain),
    ];
    let since = |from: Timestamp, at: Option<Timestamp>| {
        or_dash(at.map(|at| format!("+{}", format::time(out.lang, at.millis_since(from)))))
    };
    let has_power = |at: &Timestamp| went.power_off_at.is_none_or(|off| *at <= off);
    let late = is_late(went);
    let row = |server: &RehearsedServer| {
        // What is not measured is a guess.
        let about = if server.measured { "" } else { "~" };
        let data = (server.bytes > 0).then(|| format!("{about}{}", format::bytes(server.bytes)));
        vec![
            server.vm.to_string(),
            way(out.lang, went, server).to_owned(),
            server.from.to_string(),
            or_dash(server.to.as_ref()),
            or_dash(data),
            since(went.begins_at, server.begins_at.filter(has_power)),
            since(went.begins_at, server.ends_at.filter(has_power)),
            since(went.returns_at.unwrap_or(went.begins_at), server.home_at.filter(|_| !late)),
        ]
    };
    out.table(&columns, went.servers.iter().map(row))
}

fn way(lang: Lang, went: &Rehearsal, server: &RehearsedServer) -> &'static str {
    if went_down_before(went, server) {
        texts::down(lang)
    } else if is_away(server) {
        texts::away(lang)
    } else if has_no_time(went, server) {
        texts::no_time(lang)
    } else {
        texts::way(lang, server.way)
    }
}

/// Who does not cross, and why. Who is off, or down, is told of apart.
fn reasons(went: &Rehearsal) -> Vec<NotMoved> {
    let told = went.servers.iter().filter(|s| s.way != Leaving::Off && !went_down_before(went, s));
    let why = |server: &RehearsedServer| {
        let why = server.why.clone()?;
        Some(NotMoved { vm: server.vm.clone(), code: why.code, cause: why.cause, remedy: why.remedy, ja: why.ja })
    };
    told.filter_map(why).collect()
}

/// Who does not come home, without those of whom it is told already why.
fn stays_away(went: &Rehearsal, why: &[NotMoved]) -> Vec<NotMoved> {
    let is_down = |left: &NotMoved| went.went_down.iter().any(|fall| fall.vm == left.vm);
    let is_told = |left: &NotMoved| why.iter().any(|told| told.vm == left.vm && told.code == left.code);
    went.stays_away.iter().filter(|left| !is_down(left) && !is_told(left)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::Format;

    fn samples() -> Vec<Rehearsal> {
        let text = include_str!("../../../../../shared/contracts/tests/golden/reply.Rehearsal.json");
        serde_json::from_str(text).unwrap()
    }

    fn shown(went: &Rehearsal, lang: Lang) -> String {
        text(Out { format: Format::Table, lang }, went)
    }

    #[test]
    fn a_rehearsal_tells_the_time_of_each_server_and_who_is_lost_in_both_languages() {
        let went = samples().swap_remove(0);
        let en = shown(&went, Lang::En);
        for told in ["+2 min 05 s", "+2 min 06 s", "left behind", "outage.policy-stays", "AT RISK", "TOO LATE"] {
            assert!(en.contains(told), "{told}: {en}");
        }
        let ja = shown(&went, Lang::Ja);
        for told in ["+2 分 05 秒", "残留", "outage.policy-stays", "危険"] {
            assert!(ja.contains(told), "{told}: {ja}");
        }
        assert!(!ja.contains("全サーバの退避完了"), "one is left: {ja}");
    }

    #[test]
    fn nothing_that_comes_after_the_power_has_gone_is_told_as_done() {
        let mut went = samples().swap_remove(0);
        went.power_off_at = Some(went.begins_at.plus_millis(5_000));
        let ja = shown(&went, Lang::Ja);
        assert!(ja.contains("電源が切れるまでに退避は完了しません") && ja.contains("間に合わない"), "{ja}");
        for later in ["+2 分", "帰還開始", "無停止で移動"] {
            assert!(!ja.contains(later), "{later}: {ja}");
        }
    }

    #[test]
    fn where_only_the_front_end_is_late_it_is_not_said_of_the_servers() {
        let mut went = samples().swap_remove(1);
        (went.went_down, went.stays_away, went.in_time) = (Vec::new(), Vec::new(), Some(false));
        went.power_off_at = Some(went.begins_at.plus_millis(6_000));
        let (en, ja) = (shown(&went, Lang::En), shown(&went, Lang::Ja));
        assert!(en.contains("empty after 3.0 s") && en.contains("but the front end's part is TOO LATE"), "{en}");
        assert!(!en.contains("does not come to its end") && !en.contains("not everybody"), "{en}");
        assert!(ja.contains("フロントエンドの交代は間に合いません"), "{ja}");
        // The moment that was asked for is the last.
        went.power_off_at = Some(went.begins_at.plus_millis(2_999));
        assert!(shown(&went, Lang::En).contains("does not come to its end before the power goes"));
    }

    #[test]
    fn who_goes_down_with_a_node_is_told_apart_and_who_is_away_already_does_not_move() {
        let mut went = samples().swap_remove(1);
        let ja = shown(&went, Lang::Ja);
        for told in [":59:22", "すでに移動済み", "この予行で停止したサーバ:", "y2", "3.0 秒後"] {
            assert!(ja.contains(told), "{told}: {ja}");
        }
        for not_so in ["vm.unreachable", "間に合います", "退避完了"] {
            assert!(!ja.contains(not_so), "{not_so}: {ja}");
        }
        // Before it has crossed it is down where it was.
        if let [mail, _] = &mut went.servers[..] {
            (mail.way, mail.to, mail.begins_at, mail.ends_at) = (Leaving::Left, None, None, None);
        }
        let ja = shown(&went, Lang::Ja);
        assert!(ja.contains("ノード障害で停止") && !ja.contains("残留"), "{ja}");
    }

    #[test]
    fn where_nobody_moves_and_nobody_comes_home_no_time_is_told_for_it() {
        let mut went = samples().swap_remove(1);
        (went.went_down, went.stays_away) = (Vec::new(), Vec::new());
        went.servers.clear();
        (went.empty_at, went.evacuated_at) = (Some(went.begins_at), Some(went.begins_at));
        let ja = shown(&went, Lang::Ja);
        assert!(ja.contains("移動するサーバはもうありません") && ja.contains("帰還するサーバはありません"), "{ja}");
        assert!(!ja.contains("0 ミリ秒") && !ja.contains("所要"), "{ja}");
    }
}
