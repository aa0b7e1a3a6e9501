//! Who travelled when: a chart for each way, as SVG, a row a server.

use watari_contracts::scheduler::LegName;
use watari_model::Timestamp;

use super::{
    facts::{Evidence, Leg, Move, Server},
    markup::Markup,
    requested::seen_until,
};
use crate::{
    format,
    lang::Lang,
    outage::report,
    texts::{
        evidence::{Words, words},
        states,
    },
};

/// Of one drawing, in its own units; it is as wide as the page.
const WIDTH: f64 = 720.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 24.0;
const ROW: f64 = 20.0;
const BAR: f64 = 9.0;
/// What is shorter is drawn so wide, or it would not be seen.
const LEAST: f64 = 1.5;
/// A drawing is not broken between pages, so that it must fit on one.
const ROWS: usize = 40;
/// The longest name that has room, in characters.
const NAME: usize = 18;
const TICKS: u32 = 6;

/// Both ways, each in as many drawings as it needs.
pub(super) fn charts(page: &mut Markup, evidence: &Evidence, lang: Lang) {
    let words = words(lang);
    for leg in &evidence.legs {
        let mut rows: Vec<&Server> =
            evidence.servers.iter().filter(|server| moves(server, leg.leg).next().is_some()).collect();
        rows.sort_by_key(|server| moves(server, leg.leg).map(|one| one.began_at.unwrap_or(one.queued_at)).min());
        for some in rows.chunks(ROWS) {
            let scale = Scale::of(leg, evidence);
            page.raw("<figure><figcaption>")
                .text(words.chart)
                .raw(": ")
                .text(states::shown(lang, report::leg(leg.leg)));
            page.raw(", ").text(format::moment(leg.began_at)).raw("</figcaption>");
            drawing(page, some, leg.leg, &scale, lang);
            page.raw("</figure>");
        }
    }
    if !evidence.legs.is_empty() {
        legend(page, words);
    }
}

fn moves(server: &Server, leg: LegName) -> impl Iterator<Item = &Move> {
    server.moves.iter().filter(move |one| one.leg == leg)
}

/// From moments to places.
struct Scale {
    from: Timestamp,
    until: Timestamp,
}

impl Scale {
    /// From the beginning of a way to its last server; to now, if it goes on.
    fn of(leg: &Leg, evidence: &Evidence) -> Self {
        let ends = evidence.servers.iter().flat_map(|server| moves(server, leg.leg));
        let last = ends.filter_map(|one| one.arrived_at.max(one.given_up_at)).max();
        let until = if leg.ended_at.is_some() { last } else { Some(evidence.made_at) };
        let least = leg.began_at.plus_millis(1_000);
        Self { from: leg.began_at, until: until.map_or(least, |until| until.max(least)) }
    }

    fn millis(&self) -> u64 {
        self.until.millis_since(self.from)
    }

    /// Where a moment is; one before the beginning or after the end is at the edge.
    fn x(&self, at: Timestamp) -> f64 {
        let share = at.millis_since(self.from) as f64 / self.millis() as f64;
        LEFT + share.min(1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Whether something of this time is to be seen.
    fn shows(&self, from: Timestamp, until: Timestamp) -> bool {
        from <= self.until && until >= self.from
    }
}

fn drawing(page: &mut Markup, rows: &[&Server], leg: LegName, scale: &Scale, lang: Lang) {
    let height = TOP + ROW * rows.len() as f64 + 6.0;
    page.raw("<svg viewBox=\"0 0 ").text(WIDTH).raw(" ").text(height).raw("\" role=\"img\" aria-label=\"");
    page.text(words(lang).chart).raw("\">");
    for tick in 0..=TICKS {
        let ms = scale.millis() * u64::from(tick) / u64::from(TICKS);
        let x = scale.x(scale.from.plus_millis(ms));
        page.raw("<line class=\"tick\" x1=\"").text(number(x)).raw("\" x2=\"").text(number(x));
        page.raw("\" y1=\"").text(TOP - 4.0).raw("\" y2=\"").text(height).raw("\"/>");
        page.raw("<text class=\"tick\" text-anchor=\"middle\" x=\"").text(number(x)).raw("\" y=\"").text(TOP - 10.0);
        page.raw("\">").text(format::time(lang, ms)).raw("</text>");
    }
    for (n, server) in rows.iter().enumerate() {
        row(page, server, leg, scale, TOP + ROW * n as f64);
    }
    page.raw("</svg>");
}

fn row(page: &mut Markup, server: &Server, leg: LegName, scale: &Scale, y: f64) {
    page.raw("<text x=\"0\" y=\"").text(number(y + BAR + 1.0)).raw("\">").text(name(server.vm.as_str())).raw("</text>");
    for one in moves(server, leg) {
        let end = one.arrived_at.or(one.given_up_at).unwrap_or(scale.until);
        let copied = one.measured.filter(|_| one.arrived_at.is_some()).map(|m| end.minus_millis(m.total_ms));
        let began = one.began_at.or(copied).unwrap_or(end).min(end);
        bar(page, "wait", scale, (one.queued_at, began), (y, BAR));
        match (one.given_up_at, one.measured) {
            (Some(_), _) => bar(page, "lost", scale, (one.queued_at, end), (y, BAR)),
            (None, measured) => {
                bar(page, "copy", scale, (began, end), (y, BAR));
                let still = measured.map(|m| m.downtime_ms + m.pause_ms).filter(|_| one.arrived_at.is_some());
                if let Some(still) = still {
                    bar(page, "still", scale, (end.minus_millis(still), end), (y, BAR));
                }
            }
        }
    }
    for seen in &server.seen {
        let requested = seen.requested.iter().map(|one| ("asked", &one.gap));
        for (class, gap) in seen.watched.longest.iter().map(|gap| ("gap", gap)).chain(requested) {
            // One whose end nobody saw is drawn for as long as it was seen.
            let until = seen_until(&seen.watched, gap);
            if scale.shows(gap.from, until) {
                bar(page, class, scale, (gap.from, until), (y + BAR + 2.0, 3.0));
            }
        }
    }
}

fn bar(
    page: &mut Markup,
    class: &'static str,
    scale: &Scale,
    (from, until): (Timestamp, Timestamp),
    (y, height): (f64, f64),
) {
    if class == "wait" && from >= until {
        return;
    }
    let width = (scale.x(until) - scale.x(from)).max(LEAST);
    // At the right edge it is widened to the left.
    let x = scale.x(from).min(WIDTH - RIGHT - width);
    page.raw("<rect class=\"").raw(class).raw("\" x=\"").text(number(x)).raw("\" y=\"").text(number(y));
    page.raw("\" width=\"").text(number(width)).raw("\" height=\"").text(number(height)).raw("\"/>");
}

fn legend(page: &mut Markup, words: &Words) {
    page.raw("<p class=\"legend\">");
    for (class, word) in [
        ("<i class=\"wait\"></i> ", words.waiting),
        ("<i class=\"copy\"></i> ", words.copying),
        ("<i class=\"still\"></i> ", words.standing),
        ("<i class=\"lost\"></i> ", words.given_up),
        ("<i class=\"gap\"></i> ", words.silent),
        ("<i class=\"asked\"></i> ", words.requested),
    ] {
        page.raw("<span>").raw(class).text(word).raw("</span> ");
    }
    page.raw("</p>");
}

/// As SVG has room for it: a tenth is less than what is seen.
fn number(of: f64) -> String {
    format!("{of:.1}")
}

fn name(vm: &str) -> String {
    let cut: String = vm.chars().take(NAME).collect();
    if cut.len() < vm.len() { format!("{cut}…") } else { cut }
}
