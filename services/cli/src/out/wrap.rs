//! How wide texts are, and where they may be broken: between words, and beside the wide characters of Japanese, of
//! which few words have spaces between.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What does not begin a line,
const CLOSING: &str = ")]},.:;!?%、。，．）］」』】〉》：；！？・ー々";
/// and what does not end one.
const OPENING: &str = "([{（［「『【〈《";

/// How many columns a text takes: its widest line.
pub(super) fn width(text: &str) -> usize {
    text.split('\n').map(UnicodeWidthStr::width).max().unwrap_or_default()
}

/// How many columns the longest piece takes that is not broken.
pub(super) fn longest(text: &str) -> usize {
    text.split('\n').flat_map(pieces).map(|piece| piece.text.width()).max().unwrap_or_default()
}

/// The text in lines of so many columns. A piece that is longer stands whole on a line of its own.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        if line.width() <= room {
            lines.push(line.to_owned());
            continue;
        }
        let mut last = String::new();
        for Piece { text, spaced } in pieces(line) {
            let space = usize::from(spaced && !last.is_empty());
            if !last.is_empty() && last.width() + space + text.width() > room {
                lines.push(std::mem::take(&mut last));
            } else if space > 0 {
                last.push(' ');
            }
            last.push_str(text);
        }
        lines.push(last);
    }
    lines
}

/// A text in so many columns: a line that is wider goes on below, as far to the right as it began. One with a piece that
/// is wider still, such as a key, is left to the terminal, so that it can be copied.
pub(super) fn folded(text: &str, columns: usize) -> String {
    let fold = |line: &str| {
        let rest = line.trim_start_matches(' ');
        let indent = line.len() - rest.len();
        let room = columns.saturating_sub(indent);
        // What has colours is a table's, which fits.
        if line.width() <= columns || longest(rest) > room || line.contains('\x1b') {
            return line.to_owned();
        }
        let lines = wrapped(rest, room).into_iter().map(|part| format!("{:indent$}{part}", ""));
        lines.collect::<Vec<_>>().join("\n")
    };
    text.split('\n').map(fold).collect::<Vec<_>>().join("\n")
}

/// What is not broken.
struct Piece<'t> {
    text: &'t str,
    /// Whether there is a space before it.
    spaced: bool,
}

fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let (mut rest, mut spaced) = (word, true);
        while let Some(at) = first_break(rest) {
            let (text, after) = rest.split_at(at);
            pieces.push(Piece { text, spaced });
            (rest, spaced) = (after, false);
        }
        pieces.push(Piece { text: rest, spaced });
    }
    pieces
}

/// Where a word may be broken first.
fn first_break(word: &str) -> Option<usize> {
    let is_wide = |c: char| c.width() == Some(2);
    let may = |before: char, after: char| {
        (is_wide(before) || is_wide(after)) && !OPENING.contains(before) && !CLOSING.contains(after)
    };
    let (before, after) = (word.chars(), word.char_indices().skip(1));
    before.zip(after).find(|(before, (_, after))| may(*before, *after)).map(|(_, (at, _))| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_is_broken_between_words_and_japanese_anywhere_but_before_what_closes() {
        assert_eq!(wrapped("a server is not lost", 9), ["a server", "is not", "lost"]);
        assert_eq!(wrapped("サーバ mail は稼働中です。", 10), ["サーバ", "mail は稼", "働中です。"]);
        assert_eq!(wrapped("停止中 (空き", 8), ["停止中", "(空き"]);
        assert_eq!(wrapped("一二三四、五", 8), ["一二三", "四、五"], "what closes takes what is before it along");
        assert_eq!((longest("ab cde"), longest("稼働。"), width("稼働\nabcde")), (3, 4, 5));
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn what_cannot_be_broken_stays_whole_and_lines_stay_lines() {
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIA";
        assert_eq!(wrapped(&format!("ssh-ed25519 {key} sato"), 12), ["ssh-ed25519", key, "sato"]);
        assert_eq!(wrapped("one\ntwo  2", 20), ["one", "two  2"]);
    }

    #[test]
    fn a_sentence_goes_on_below_where_it_began_and_what_fits_or_cannot_be_broken_stays() {
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIA";
        let text = format!("one  two\n  the services are led\n\nkey {key}\n  停電の終了後に戻ります。");
        let narrow = format!("one  two\n  the services\n  are led\n\nkey {key}\n  停電の終了後\n  に戻ります。");
        assert_eq!(folded(&text, 14), narrow);
        assert_eq!(folded(&text, 80), text);
    }
}
