use ratatui::{Terminal, backend::TestBackend};
use serde::de::DeserializeOwned;
use watari_contracts::scheduler::SitePage;

use super::*;

fn sample<T: DeserializeOwned>(golden: &str) -> T {
    serde_json::from_str(golden).unwrap()
}

/// A cloud of which one site is being emptied.
fn cloud() -> State {
    let pages: Vec<SitePage> = sample(include_str!("../../../../../shared/contracts/tests/golden/reply.SitePage.json"));
    State {
        sites: pages.into_iter().flat_map(|page| page.sites).collect(),
        nodes: sample(include_str!("../../../../../shared/contracts/tests/golden/reply.NodeView.json")),
        vms: sample(include_str!("../../../../../shared/contracts/tests/golden/reply.VmView.json")),
        outages: sample(include_str!("../../../../../shared/contracts/tests/golden/reply.OutageView.json")),
        ..State::default()
    }
}

/// The terminal's lines. A wide character is followed by the cell that it covers.
fn lines(state: &State, lang: Lang, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, lang)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y: u16| (0..width).filter_map(|x| buffer.cell((x, y))).map(|cell| cell.symbol()).collect::<String>();
    (0..height).map(line).collect()
}

fn place(lines: &[String], part: &str) -> usize {
    lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part} in {lines:#?}"))
}

#[test]
fn sites_what_is_under_way_nodes_and_servers_stand_one_below_the_other() {
    let lines = lines(&cloud(), Lang::En, 140, 40);
    assert!(lines[0].starts_with("watari top"), "{lines:#?}");
    let places =
        ["yamate", "myodaiji-1 evacuating", "  mail → ", "VIRTUALISATION", "IMAGE"].map(|part| place(&lines, part));
    assert!(places.is_sorted(), "{places:?} {lines:#?}");
    let bar = &lines[places[1]];
    assert!(bar.contains("██████░░░░ 1/3"), "one has moved, one could not, one is on its way: {bar}");
    assert!(lines[places[2]].contains("memory 52 %"), "{lines:#?}");
    assert!(lines[39].starts_with("q "), "{lines:#?}");
}

#[test]
fn a_terminal_without_utf_8_shows_how_far_it_is_by_the_signs_that_it_has() {
    let lines = lines(&State { signs: Signs::Ascii, ..cloud() }, Lang::En, 140, 40);
    let (bar, moving) = (&lines[place(&lines, "myodaiji-1 evacuating")], &lines[place(&lines, "  mail -> ")]);
    assert!(bar.contains("######.... 1/3") && bar.is_ascii() && moving.is_ascii(), "{bar} {moving}");
}

#[test]
fn a_narrow_terminal_shows_the_first_columns_whole() {
    let lines = lines(&cloud(), Lang::En, 40, 40);
    let header = &lines[place(&lines, "STATE")];
    assert!(lines.iter().all(|line| line.chars().count() <= 40));
    assert!(header.starts_with("NAME"), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("VIRTUALISATION") || line.contains("IMAGE")), "{lines:#?}");
    assert!(lines[place(&lines, "myodaiji-1")].contains("1/3"), "{lines:#?}");
    let server = &lines[place(&lines, "migrating")];
    assert!(server.starts_with("mail"), "{lines:#?}");
}

#[test]
fn columns_keep_their_place_beside_wide_characters() {
    let state = cloud();
    let lines = lines(&state, Lang::Ja, 100, 40);
    let (first, second) = (place(&lines, "明"), place(&lines, "山"));
    // Each cell of the terminal is one symbol here, so that places can be counted.
    let cells = |line: &str, part: &str| line[..line.find(part).unwrap()].chars().count();
    assert_eq!(cells(&lines[first], "2/2"), cells(&lines[second], "1/2"), "{lines:#?}");
}

#[test]
fn no_terminal_is_too_small_and_none_too_large_to_be_drawn_upon() {
    let mut state = cloud();
    state.late = true;
    for scroll in [0, 3, usize::MAX] {
        state.scroll = scroll;
        for (width, height) in [(1, 1), (1, 2), (2, 3), (40, 4), (300, 120)] {
            for lang in [Lang::En, Lang::Ja] {
                assert_eq!(lines(&state, lang, width, height).len(), usize::from(height));
            }
        }
    }
    assert_eq!(lines(&State::default(), Lang::En, 40, 5)[1].trim(), "", "of nothing nothing is shown");
}

#[test]
fn one_scrolls_to_the_last_server_and_no_further() {
    let mut state = cloud();
    let size = Size { width: 80, height: 6 };
    let most = overflow(&state, Lang::En, size);
    assert!(most > 0);
    state.scroll = most;
    let last = lines(&state, Lang::En, size.width, size.height);
    assert!(last[4].contains("failed"), "the last line of the last table: {last:#?}");
    state.scroll = most + 100;
    assert_eq!(lines(&state, Lang::En, size.width, size.height), last);
    assert_eq!(overflow(&state, Lang::En, Size { width: 80, height: 100 }), 0);
}

#[test]
fn who_does_not_answer_is_told_about() {
    let mut state = cloud();
    assert!(!lines(&state, Lang::En, 80, 30).iter().any(|line| line.contains("may be old")));
    state.late = true;
    assert_eq!(place(&lines(&state, Lang::En, 80, 30), "may be old"), 1);
}
