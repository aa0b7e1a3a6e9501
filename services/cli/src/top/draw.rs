//! The picture: a pure function of the state and the terminal's size.
//!
//! All of it is one column of lines, a table for each kind, which is scrolled as a whole. Where there is not room for
//! a table, it has fewer columns; the last one of a table too wide by itself is cut.

use ratatui::{
    Frame,
    layout::{Rect, Size},
    style::{Color, Modifier, Style},
    text::{Line, Span},
};
use watari_contracts::scheduler::{MigrationView, OutageView};
use watari_model::{node, vm};

use super::state::State;
use crate::{
    format,
    lang::{Lang, Signs},
    migration,
    out::{Column, Row, Tone},
    texts::{hints, states},
};

/// Between two columns.
const GAP: &str = "  ";
/// An outage's bar.
const BAR: usize = 10;
/// The line above what is scrolled, and the one below.
const FRAME: u16 = 2;

const TITLE: Style = Style::new().add_modifier(Modifier::REVERSED);
const HEADER: Style = Style::new().add_modifier(Modifier::BOLD);
const USUAL: Style = Style::new();
const UNUSUAL: Style = Style::new().fg(Color::Yellow);
const BAD: Style = Style::new().fg(Color::Red);

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, lang: Lang) {
    let area = frame.area();
    let body = body(state, lang, area.width);
    let room = usize::from(area.height.saturating_sub(FRAME));
    let first = state.scroll.min(body.len().saturating_sub(room));
    let shown = std::iter::once(title(state, lang)).chain(body.into_iter().skip(first).take(room));
    for (y, line) in (area.y..area.bottom()).zip(shown) {
        frame.render_widget(line, Rect { y, height: 1, ..area });
    }
    if area.height >= FRAME {
        let keys = Line::styled(hints::top_keys(lang), TITLE);
        frame.render_widget(keys, Rect { y: area.bottom() - 1, height: 1, ..area });
    }
}

/// How far one can scroll on a terminal of this size.
pub(super) fn overflow(state: &State, lang: Lang, size: Size) -> usize {
    body(state, lang, size.width).len().saturating_sub(usize::from(size.height.saturating_sub(FRAME)))
}

fn title(state: &State, lang: Lang) -> Line<'static> {
    let ready = state.nodes.iter().filter(|node| node.state == node::State::Ready).count();
    let running = state.vms.iter().filter(|vm| matches!(vm.state, vm::State::Running | vm::State::Migrating)).count();
    Line::styled(hints::top(lang, (ready, state.nodes.len()), (running, state.vms.len())), TITLE)
}

fn body(state: &State, lang: Lang, width: u16) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let mut lines = Vec::new();
    if state.late {
        lines.push(Line::styled(hints::top_late(lang), BAD));
    }
    lines.extend(table(&state.sites, lang, width));
    for outage in state.under_way() {
        lines.push(Line::default());
        lines.extend(progress(outage, lang, state.signs));
    }
    lines.extend(table(&state.nodes, lang, width));
    lines.extend(table(&state.vms, lang, width));
    lines
}

const fn style(tone: Tone) -> Style {
    match tone {
        Tone::Usual => USUAL,
        Tone::Unusual => UNUSUAL,
        Tone::Bad => BAD,
    }
}

/// How far an evacuation, a return or a draining is, and who is on the way.
fn progress(outage: &OutageView, lang: Lang, signs: Signs) -> Vec<Line<'static>> {
    let (moved, failed) = (outage.moved.len(), outage.failed.len());
    let all = moved + failed + outage.moving.len() + outage.waiting.len();
    let state = outage.paused_at.map_or(outage.state.word(), |_| "paused");
    let done = (BAR * (moved + failed)).checked_div(all).unwrap_or(BAR);
    let (full, empty) = match signs {
        Signs::Unicode => ("█", "░"),
        Signs::Ascii => ("#", "."),
    };
    let bar = format!("{}{}", full.repeat(done), empty.repeat(BAR.saturating_sub(done)));
    let (state, took) = (states::shown(lang, state), format::time(lang, outage.makespan_ms));
    let line = format!("{} {state} {bar} {moved}/{all} {took}", outage.id);
    let tone = if failed > 0 { BAD } else { UNUSUAL };
    std::iter::once(Line::styled(line, tone))
        .chain(outage.moving.iter().map(|moving| on_the_way(moving, lang, signs)))
        .collect()
}

fn on_the_way(moving: &MigrationView, lang: Lang, signs: Signs) -> Line<'static> {
    let state = states::shown(lang, moving.state.word());
    let percent = moving.transfer.map(|transfer| {
        let (part, sent, left) = migration::part(&transfer);
        format!(" {} {} %", states::shown(lang, part), format::percent(sent, sent.saturating_add(left)))
    });
    Line::raw(format!("  {} {} {} {state}{}", moving.vm, signs.arrow(), moving.to, percent.unwrap_or_default()))
}

/// An empty line, the headers and the rows; nothing of none.
fn table<R: Row>(rows: &[R], lang: Lang, width: usize) -> Vec<Line<'static>> {
    if rows.is_empty() {
        return Vec::new();
    }
    let columns = R::columns();
    let header: Vec<String> = columns.iter().map(|column| column.word().text(lang).to_owned()).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.cells(lang)).collect();
    let widest = |n: usize| cells.iter().chain([&header]).filter_map(|row| row.get(n)).map(|cell| wide(cell)).max();
    let widths: Vec<usize> = (0..columns.len()).map(|n| widest(n).unwrap_or(0)).collect();
    let shown = fitting(&widths, width);
    let line = |cells: &[String]| {
        let aligned = cells.iter().zip(&columns).zip(&widths).take(shown);
        aligned.map(|((cell, column), width)| padded(cell, *column, *width)).collect::<Vec<_>>().join(GAP)
    };
    let rows = rows.iter().zip(&cells).map(|(row, cells)| Line::styled(line(cells), style(row.tone())));
    [Line::default(), Line::styled(line(&header), HEADER)].into_iter().chain(rows).collect()
}

/// How many columns there is room for, and the first in any case.
fn fitting(widths: &[usize], room: usize) -> usize {
    let mut end = 0;
    let fitting = widths.iter().take_while(|width| {
        let fits = end + **width <= room;
        end += **width + GAP.len();
        fits
    });
    fitting.count().max(1)
}

fn padded(cell: &str, column: Column, width: usize) -> String {
    let blank = " ".repeat(width.saturating_sub(wide(cell)));
    match column {
        Column::Text(_) => format!("{cell}{blank}"),
        Column::Number(_) => format!("{blank}{cell}"),
    }
}

/// How many columns of the terminal a text takes: two for most Japanese characters.
fn wide(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests;
