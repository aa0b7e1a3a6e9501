//! What a key means. Pure.

use crossterm::event::{Event, KeyCode, KeyModifiers};

/// So many lines are a page.
const PAGE: usize = 10;

/// How far the view is scrolled after a key, which may be too far; none if the person leaves.
pub(super) fn react(event: &Event, scroll: usize) -> Option<usize> {
    let Some(key) = event.as_key_press_event() else { return Some(scroll) };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => None,
        // While the terminal is ours, Ctrl-C is a key like others.
        KeyCode::Char('c' | 'd') if control => None,
        KeyCode::Down | KeyCode::Char('j') => Some(scroll.saturating_add(1)),
        KeyCode::Up | KeyCode::Char('k') => Some(scroll.saturating_sub(1)),
        KeyCode::PageDown | KeyCode::Char(' ') => Some(scroll.saturating_add(PAGE)),
        KeyCode::PageUp => Some(scroll.saturating_sub(PAGE)),
        KeyCode::Home => Some(0),
        KeyCode::End => Some(usize::MAX),
        _ => Some(scroll),
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn one_scrolls_with_arrows_and_leaves_with_q_escape_and_control_c() {
        let press = |code, modifiers| react(&Event::Key(KeyEvent::new(code, modifiers)), 5);
        let plain = |code| press(code, KeyModifiers::NONE);
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(plain(code), None, "{code:?}");
        }
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), None);
        assert_eq!(plain(KeyCode::Char('c')), Some(5));
        assert_eq!((plain(KeyCode::Down), plain(KeyCode::Up)), (Some(6), Some(4)));
        assert_eq!((plain(KeyCode::PageUp), plain(KeyCode::Home)), (Some(0), Some(0)));
        assert_eq!(react(&Event::Resize(40, 10), 5), Some(5));
    }
}
