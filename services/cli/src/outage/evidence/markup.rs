//! HTML in which nothing from outside can be markup: what the program itself writes is known when it is built, and
//! everything else is escaped.

use std::fmt::{Display, Write};

/// A piece of HTML or SVG.
#[derive(Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Markup of the program's own.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, for between two tags or for within an attribute's quotes.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string does not fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

struct Escaped<'t>(&'t mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                // What HTML has no place for, and what would turn the text around it.
                c if c.is_control() || turns(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// Controls of the direction in which text is read (Unicode, Annex 9).
const fn turns(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut markup = Markup::default();
        markup.text(text);
        markup.into_text()
    }

    #[test]
    fn no_text_becomes_markup_or_leaves_its_quotes() {
        assert_eq!(escaped("<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;");
        assert_eq!(escaped("\" onload='x' & y"), "&quot; onload=&#39;x&#39; &amp; y");
        assert_eq!(escaped("停電 \u{1f50c}"), "停電 \u{1f50c}");
        assert_eq!(escaped("a\u{0}b\u{1b}[2J\u{202e}c\u{85}"), "a\u{fffd}b\u{fffd}[2J\u{fffd}c\u{fffd}");
    }

    #[test]
    fn what_the_program_writes_stays_as_it_is() {
        let mut markup = Markup::default();
        markup.raw("<b>").text(1.5).raw("</b>");
        assert_eq!(markup.into_text(), "<b>1.5</b>");
    }
}
