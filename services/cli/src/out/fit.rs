//! A table for as many columns as the terminal has.
//!
//! ```text
//!  it fits ──▶ whole     texts can give way ──▶ narrow: they go on below     neither ──▶ apart: some lines a row
//! ```
//!
//! So no name is cut, no column is lost, and nothing goes on at the left edge between other cells.

use comfy_table::{CellAlignment, Table, presets::NOTHING};

use super::{
    Align, Tone,
    wrap::{longest, width, wrapped},
};

/// Between columns, and between what stands beside each other otherwise.
const GAP: u16 = 2;
/// A text in a narrower column is hard to read.
const READABLE: usize = 16;
/// By how much stands to the right what belongs to a name.
const INDENT: usize = 2;

/// How a table is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    /// As it is.
    Whole,
    /// With columns of these widths.
    Narrow(Vec<usize>),
    /// Each row by itself.
    Apart,
}

/// The table for so many columns, or however wide it is. Rows without a tone of their own are usual.
pub(super) fn laid_out(
    headings: &[(&str, Align)],
    rows: &[Vec<String>],
    tones: &[Tone],
    columns: Option<u16>,
) -> String {
    let Some(columns) = columns.map(usize::from) else { return whole(headings, rows, tones) };
    match layout(headings, rows, columns) {
        Layout::Whole => whole(headings, rows, tones),
        Layout::Narrow(widths) => narrow(headings, rows, tones, &widths),
        Layout::Apart => apart(headings, rows, tones, columns),
    }
}

fn layout(headings: &[(&str, Align)], rows: &[Vec<String>], columns: usize) -> Layout {
    let cells = |n: usize| rows.iter().filter_map(move |row| row.get(n)).map(String::as_str);
    let gaps = usize::from(GAP) * headings.len().saturating_sub(1);
    let room = columns.saturating_sub(gaps);
    let column = headings.iter().enumerate();
    let wide = column.clone().map(|(n, (heading, _))| cells(n).chain([*heading]).map(width).max().unwrap_or_default());
    let wide: Vec<usize> = wide.collect();
    if wide.iter().sum::<usize>() <= room {
        return Layout::Whole;
    }
    // Names and numbers are not broken.
    let least = column.map(|(n, (heading, align))| {
        let solid = n == 0 || *align == Align::Right;
        let of = |cell: &str| if solid { width(cell) } else { longest(cell).max(width(cell).min(READABLE)) };
        cells(n).map(of).chain([longest(heading)]).max().unwrap_or_default()
    });
    let least: Vec<usize> = least.collect();
    if least.iter().sum::<usize>() > room {
        return Layout::Apart;
    }
    // The widest give way first.
    let within = |most: usize| wide.iter().zip(&least).map(move |(wide, least)| (*wide).min(most).max(*least));
    let most = (0..=columns).rev().find(|most| within(*most).sum::<usize>() <= room);
    Layout::Narrow(within(most.unwrap_or_default()).collect())
}

fn whole(headings: &[(&str, Align)], rows: &[Vec<String>], tones: &[Tone]) -> String {
    let aligns = headings.iter().map(|(_, align)| *align);
    drawn(aligns, headings.iter().map(|(heading, _)| (*heading).to_owned()).collect(), rows.to_vec(), tones)
}

fn narrow(headings: &[(&str, Align)], rows: &[Vec<String>], tones: &[Tone], widths: &[usize]) -> String {
    let fold = |text: &str, room: &usize| wrapped(text, *room).join("\n");
    let folded = headings.iter().zip(widths).map(|((heading, _), room)| fold(heading, room));
    let rows = rows.iter().map(|row| row.iter().zip(widths).map(|(cell, room)| fold(cell, room)).collect());
    drawn(headings.iter().map(|(_, align)| *align), folded.collect(), rows.collect(), tones)
}

fn drawn(aligns: impl Iterator<Item = Align>, headings: Vec<String>, rows: Vec<Vec<String>>, tones: &[Tone]) -> String {
    // A row takes as many lines as its highest cell, and colours must not count as characters.
    let lines = |cells: &[String]| cells.iter().map(|cell| cell.split('\n').count()).max().unwrap_or(1);
    let of_rows = rows.iter().zip(tones).flat_map(|(row, tone)| std::iter::repeat_n(*tone, lines(row)));
    let of_lines: Vec<Tone> = std::iter::repeat_n(Tone::Usual, lines(&headings)).chain(of_rows).collect();
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(headings);
    table.add_rows(rows);
    for (n, align) in aligns.enumerate() {
        let Some(shown) = table.column_mut(n) else { continue };
        shown.set_padding((0, GAP));
        if align == Align::Right {
            shown.set_cell_alignment(CellAlignment::Right);
        }
    }
    let of_lines = of_lines.into_iter().chain(std::iter::repeat(Tone::Usual));
    let painted = table.trim_fmt().lines().zip(of_lines).map(|(line, tone)| tone.painted(line)).collect::<Vec<_>>();
    painted.join("\n")
}

/// The first cell of each row, and below it the others with their headings, as many a line as there is room for. A row
/// without a first cell goes on with the one before.
fn apart(headings: &[(&str, Align)], rows: &[Vec<String>], tones: &[Tone], columns: usize) -> String {
    let mut lines = Vec::new();
    for (row, tone) in rows.iter().zip(tones.iter().copied().chain(std::iter::repeat(Tone::Usual))) {
        let named = row.first().filter(|name| !name.is_empty());
        let told = headings.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty());
        let told = told.map(|((heading, _), cell)| match named {
            Some(_) => format!("{heading} {cell}"),
            None => cell.clone(),
        });
        let of_row = named.cloned().into_iter().chain(flowing(told, columns));
        lines.extend(of_row.map(|line| tone.painted(&line)));
    }
    lines.join("\n")
}

/// Parts beside each other, as many a line as there is room for; one that takes several lines has them for itself.
fn flowing(parts: impl Iterator<Item = String>, columns: usize) -> Vec<String> {
    let (mut lines, mut last) = (Vec::new(), String::new());
    for part in parts {
        if !last.is_empty() && !part.contains('\n') && width(&last) + usize::from(GAP) + width(&part) <= columns {
            last.push_str(&" ".repeat(usize::from(GAP)));
            last.push_str(&part);
            continue;
        }
        lines.extend(Some(std::mem::take(&mut last)).filter(|line| !line.is_empty()));
        let folded = wrapped(&part, columns.saturating_sub(2 * INDENT));
        if let [alone] = folded.as_slice() {
            last = format!("{:INDENT$}{alone}", "");
            continue;
        }
        let indents = std::iter::once(INDENT).chain(std::iter::repeat(2 * INDENT));
        lines.extend(folded.iter().zip(indents).map(|(line, indent)| format!("{:indent$}{line}", "")));
    }
    lines.extend(Some(last).filter(|line| !line.is_empty()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headings = [(&'static str, Align)];

    const EN: &Headings = &[
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("ADDRESSES", Align::Left),
        ("MEMORY", Align::Right),
        ("FAULT", Align::Left),
    ];
    const JA: &Headings = &[
        ("名前", Align::Left),
        ("状態", Align::Left),
        ("アドレス", Align::Left),
        ("メモリ", Align::Right),
        ("障害", Align::Left),
    ];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
        vec![
            row(["mail", "稼働中", "203.0.113.100 203.0.113.101", "192 MiB", "-"]),
            row(["web-server-of-the-library", "停止", "203.0.113.102", "16 GiB", "the only disk is on node m1"]),
            row([
                "db",
                "running",
                "-",
                "2048 MiB",
                "ディスクは停止中のノード m1 にしかありません。復旧すると起動します。",
            ]),
        ]
    }

    fn solid(text: &str) -> String {
        text.split_whitespace().collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_name_address_or_number_is_broken_or_lost() {
        for headings in [EN, JA] {
            for columns in [40, 60, 80, 120] {
                let text = laid_out(headings, &rows(), &[], Some(columns));
                let wide = text.lines().find(|line| width(line) > usize::from(columns));
                assert_eq!(wide, None, "{columns}: {text}");
                let kept = ["mail", "web-server-of-the-library", "203.0.113.101", "16 GiB", "2048 MiB", "停止", "m1"];
                assert!(kept.iter().all(|word| text.contains(word)), "{columns}: {text}");
                assert!(text.lines().all(|line| !line.ends_with(' ')), "{columns}: {text}");
            }
        }
        assert_eq!(laid_out(EN, &rows(), &[], None), laid_out(EN, &rows(), &[], Some(500)));
    }

    #[test]
    fn texts_give_way_before_a_row_is_taken_apart() {
        assert!(matches!(layout(EN, &rows(), 500), Layout::Whole));
        let Layout::Narrow(widths) = layout(EN, &rows(), 120) else { panic!("it would fit") };
        assert_eq!((widths[0], widths[3]), (25, 8), "names and numbers stay");
        assert!(widths.iter().sum::<usize>() + 8 <= 120, "{widths:?}");
        assert_eq!(layout(EN, &rows(), 40), Layout::Apart);
    }

    #[test]
    fn a_row_that_is_taken_apart_tells_all_of_it_below_its_name() {
        let text = laid_out(EN, &rows(), &[], Some(40));
        assert!(text.starts_with("mail\n  STATE 稼働中\n  ADDRESSES 203.0.113.100"), "{text}");
        assert!(text.contains("\nweb-server-of-the-library\n  STATE 停止  ADDRESSES 203.0.113.102\n"), "{text}");
        assert!(
            solid(&text).ends_with("FAULTディスクは停止中のノードm1にしかありません。復旧すると起動します。"),
            "{text}"
        );
    }

    #[test]
    fn a_row_without_a_name_goes_on_with_the_one_before() {
        let headings = [("SEVERITY", Align::Left), ("CODE", Align::Left), ("FINDING", Align::Left)];
        let row = |a: &str, b: &str, c: &str| vec![a.to_owned(), b.to_owned(), c.to_owned()];
        let seen = "bridge br-campus of node m1 is down, and no server of it is reached";
        let rows = [row("FAILURE", "bridge.address-on-port", seen), row("", "", "mend: ip link set br-campus up")];
        let text = laid_out(&headings, &rows, &[], Some(40));
        assert!(text.ends_with("\n  mend: ip link set br-campus up"), "{text}");
        assert!(!text.contains("FINDING mend"), "{text}");
    }

    #[test]
    fn what_stands_out_has_its_colour_in_all_of_its_lines_and_nothing_moves() {
        let tones = [Tone::Bad, Tone::Usual, Tone::Unusual];
        for columns in [None, Some(120), Some(40)] {
            let plain = laid_out(EN, &rows(), &[], columns);
            let text = laid_out(EN, &rows(), &tones, columns);
            let bare = text.replace("\x1b[31m", "").replace("\x1b[33m", "").replace("\x1b[39m", "");
            assert_eq!(bare, plain, "{columns:?}");
            let of = |row: &str| text.lines().filter(|line| line.contains(row)).collect::<Vec<_>>();
            assert!(
                of("mail").iter().all(|line| line.starts_with("\x1b[31mmail") && line.ends_with("\x1b[39m")),
                "{text}"
            );
            assert!(of("only disk").iter().all(|line| !line.contains('\x1b')), "{text}");
            assert!(of("mail").len() == 1 && of("db").len() == 1, "{text}");
            let last = text.lines().skip_while(|line| !line.contains("db"));
            assert!(last.into_iter().all(|line| line.starts_with("\x1b[33m")), "{text}");
        }
    }
}
