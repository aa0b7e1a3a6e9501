//! How far long work is: bars on a terminal, plain lines elsewhere; always on standard error, so
//! that standard output holds the result alone.

use std::{collections::BTreeMap, io::IsTerminal, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::{
    format,
    lang::{Lang, Signs},
    out,
    texts::words,
};

/// A plain line is written when it is so many percent further, or back as when other work has begun,
const STEP: u64 = 10;
/// or when nothing was written for so long and something changed.
const QUIET: Duration = Duration::from_secs(10);
/// How work of unknown size is shown.
const TURNING: &str = "{prefix:16} {spinner} {msg}";

/// What is shown of several things under way, each by its name.
pub struct Progress {
    bars: Option<MultiProgress>,
    signs: Signs,
    shown: BTreeMap<String, Shown>,
}

struct Shown {
    bar: Option<ProgressBar>,
    text: String,
    percent: u64,
    at: Instant,
    /// The part of the work that a bar climbs in, and how far it came.
    climbed: (String, u64),
    /// The part of the work whose pace is measured, how much of it was there first, and when.
    since: Option<(String, u64, Instant)>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Bars if standard error is a terminal.
    #[must_use]
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { bars, signs: Signs::of_environment(), shown: BTreeMap::new() }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| out::say(text)),
            None => out::say(text),
        }
    }

    /// Work of unknown size: what it is doing.
    pub fn doing(&mut self, name: &str, text: &str) {
        let signs = self.signs;
        let shown = self.shown(name);
        if let Some(bar) = &shown.bar {
            if bar.length().is_some() {
                bar.unset_length();
            }
            bar.set_style(style(signs, TURNING));
            bar.set_message(text.to_owned());
        } else if shown.text != text {
            out::say(&format!("{name}: {text}"));
            shown.percent = 0;
        }
        shown.text = text.to_owned();
    }

    /// Work of known size: how many bytes of how many, and what else is to be said. A total of 0 is
    /// not known yet.
    pub fn moving(&mut self, name: &str, done: u64, total: u64, text: &str) {
        if total == 0 {
            // Not measured yet.
            return self.doing(name, text);
        }
        self.at(name, "", format::percent(done, total), (done, total), text);
    }

    /// As [`Progress::moving`], of one part of the work, which is named, and never back within it: where more turns
    /// out to be left, the bar stands still for a while.
    pub fn climbing(&mut self, name: &str, part: &str, done: u64, total: u64, text: &str) {
        if total == 0 {
            return self.doing(name, text);
        }
        let (climbed, most) = &mut self.shown(name).climbed;
        let before = if climbed.as_str() == part { *most } else { 0 };
        part.clone_into(climbed);
        *most = format::percent(done, total).max(before);
        let percent = *most;
        self.at(name, part, percent, (done, total), text);
    }

    /// As [`Progress::moving`], or [`Progress::flowing`] if nobody knows how much it is altogether, where all that is told
    /// is how much of it there is: how fast it goes is measured here.
    pub fn arriving(&mut self, lang: Lang, name: &str, done: u64, total: Option<u64>, text: &str) {
        let rate = self.shown(name).rate(text, done);
        let left_ms = total.and_then(|total| total.saturating_sub(done).saturating_mul(1000).checked_div(rate));
        let told = format!("{text}  {}", words::pace(lang, rate, left_ms));
        match total {
            Some(total) => self.moving(name, done, total, told.trim_end()),
            None => self.flowing(name, done, told.trim_end()),
        }
    }

    fn at(&mut self, name: &str, part: &str, percent: u64, (done, total): (u64, u64), text: &str) {
        let signs = self.signs;
        let shown = self.shown(name);
        let sizes = format!("{}/{}", format::bytes(done), format::bytes(total));
        if let Some(bar) = &shown.bar {
            bar.set_style(style(signs, "{prefix:16} {bar:30} {percent:>3} %  {msg}"));
            bar.set_length(100);
            bar.set_position(percent);
            bar.set_message(format!("{part} {sizes}  {text}").trim().to_owned());
        } else if percent.abs_diff(shown.percent) >= STEP || (percent != shown.percent && shown.at.elapsed() >= QUIET) {
            out::say(&line(name, part, percent, &sizes, text));
            shown.percent = percent;
            shown.at = Instant::now();
        }
        text.clone_into(&mut shown.text);
    }

    /// Work that goes on until its end is reached: how many bytes so far.
    pub fn flowing(&mut self, name: &str, done: u64, text: &str) {
        let signs = self.signs;
        let shown = self.shown(name);
        let line = format!("{}  {text}", format::bytes(done));
        if let Some(bar) = &shown.bar {
            bar.set_style(style(signs, TURNING));
            bar.set_message(line.clone());
        } else if shown.text.is_empty() || (shown.text != line && shown.at.elapsed() >= QUIET) {
            out::say(&format!("{name}: {line}"));
            shown.at = Instant::now();
            shown.text.clone_from(&line);
        }
    }

    /// It is over: its bar goes.
    pub fn over(&mut self, name: &str) {
        if let Some(Shown { bar: Some(bar), .. }) = self.shown.remove(name) {
            bar.finish_and_clear();
            if let Some(bars) = &self.bars {
                bars.remove(&bar);
            }
        }
    }

    /// Everything that is shown but not named here is over.
    pub fn only(&mut self, names: &[String]) {
        let gone: Vec<String> = self.shown.keys().filter(|n| !names.contains(n)).cloned().collect();
        for name in gone {
            self.over(&name);
        }
    }

    fn shown(&mut self, name: &str) -> &mut Shown {
        let (bars, signs) = (&self.bars, self.signs);
        self.shown.entry(name.to_owned()).or_insert_with(|| {
            let bar = bars.as_ref().map(|bars| {
                // It may be drawn at once, and by itself it would be drawn in Unicode.
                let bar = ProgressBar::no_length().with_style(style(signs, TURNING)).with_prefix(name.to_owned());
                let bar = bars.add(bar);
                bar.enable_steady_tick(Duration::from_millis(200));
                bar
            });
            let climbed = (String::new(), 0);
            Shown { bar, text: String::new(), percent: 0, at: Instant::now(), climbed, since: None }
        })
    }
}

impl Shown {
    /// Bytes a second since this part of the work was shown first; 0 at that moment, and when it has begun anew.
    fn rate(&mut self, part: &str, done: u64) -> u64 {
        if let Some((since, from, at)) = &self.since
            && since == part
            && done >= *from
        {
            let millis = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
            return (done - from).saturating_mul(1000) / millis;
        }
        self.since = Some((part.to_owned(), done, Instant::now()));
        0
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // What is printed next must not find half a bar on its line.
        self.only(&[]);
    }
}

/// `mail: memory 52 % (100 MiB/192 MiB, copying m1 -> y1)`, as far as each is known.
fn line(name: &str, part: &str, percent: u64, sizes: &str, text: &str) -> String {
    let part = if part.is_empty() { String::new() } else { format!("{part} ") };
    let text = if text.is_empty() { String::new() } else { format!(", {text}") };
    format!("{name}: {part}{percent} % ({sizes}{text})")
}

fn style(signs: Signs, template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    match signs {
        Signs::Unicode => style.progress_chars("━╸─"),
        // What turns is of Unicode otherwise.
        Signs::Ascii => style.progress_chars("=>-").tick_chars("|/-\\ "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_measured_and_nothing_that_is_not_known() {
        assert_eq!(line("mini", "", 100, "1 MiB/1 MiB", ""), "mini: 100 % (1 MiB/1 MiB)");
        assert_eq!(line("mail", "memory", 52, "1 MiB/2 MiB", "copying"), "mail: memory 52 % (1 MiB/2 MiB, copying)");
    }

    #[test]
    fn what_only_tells_how_much_of_it_there_is_has_a_pace_once_there_is_more() {
        let mut progress = Progress { bars: None, signs: Signs::Ascii, shown: BTreeMap::new() };
        let shown = progress.shown("mini");
        assert_eq!(shown.rate("fetched", 100), 0, "there is nothing to compare with");
        shown.since = Some(("fetched".to_owned(), 100, Instant::now() - Duration::from_secs(2)));
        let rate = shown.rate("fetched", 2_000_100);
        assert!((1..=1_000_000).contains(&rate), "{rate}");
        assert_eq!(shown.rate("checked", 300), 0, "it is another part of the work");
        assert_eq!(shown.rate("checked", 200), 0, "it has begun anew");
    }

    #[test]
    fn a_part_of_the_work_never_goes_back_and_the_next_one_begins_anew() {
        let mut progress = Progress { bars: None, signs: Signs::Ascii, shown: BTreeMap::new() };
        let mut percents = Vec::new();
        for (part, done, total) in
            [("disk", 50, 100), ("disk", 60, 200), ("disk", 200, 200), ("memory", 10, 100), ("memory", 12, 400)]
        {
            progress.climbing("mail", part, done, total, "");
            percents.push(progress.shown("mail").climbed.1);
        }
        assert_eq!(percents, [50, 50, 100, 10, 10]);
    }
}
