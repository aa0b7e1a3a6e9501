//! The report as one page of HTML: nothing is loaded for it, it needs no script, and it prints on A4.

use super::{
    chart,
    facts::Evidence,
    markup::Markup,
    sections::{Grid, Section, head, sections},
};
use crate::{
    lang::Lang,
    out::Align,
    texts::evidence::{Words, words},
};

const STYLE: &str = "\
@page { size: A4; margin: 14mm }
* { box-sizing: border-box }
body { font: 10pt/1.45 'Noto Sans', 'Noto Sans JP', 'Noto Sans CJK JP', 'Hiragino Sans', 'Yu Gothic', sans-serif; color: #1a1a1a; max-width: 190mm; margin: 0 auto; padding: 4mm }
h1 { font-size: 17pt; margin: 0 0 4mm }
h2 { font-size: 12pt; margin: 7mm 0 2mm; border-bottom: 1px solid #888; break-after: avoid }
table { border-collapse: collapse; width: 100%; font-size: 8.5pt }
thead { display: table-header-group }
tr, figure { break-inside: avoid }
th, td { text-align: left; vertical-align: top; padding: 1mm 2mm 1mm 0; border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
th { font-weight: 600; color: #555 }
.n { text-align: right; white-space: nowrap }
th.n { white-space: normal; overflow-wrap: normal }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.5mm 5mm; margin: 0 }
dt { color: #555 }
dd { margin: 0; overflow-wrap: anywhere }
p, li { margin: 1mm 0; font-size: 9pt; overflow-wrap: anywhere; white-space: pre-line }
ul { padding-left: 5mm; margin: 1mm 0 }
figure { margin: 3mm 0 }
figcaption { font-size: 9pt; color: #555 }
svg { width: 100%; height: auto; display: block; print-color-adjust: exact; -webkit-print-color-adjust: exact }
svg text { font-size: 11px; fill: #1a1a1a }
svg text.tick { font-size: 9px; fill: #777 }
svg line.tick { stroke: #e2e2e2; stroke-width: 1 }
.wait { fill: #d9d9d9; background: #d9d9d9 }
.copy { fill: #4a86c5; background: #4a86c5 }
.still { fill: #12253a; background: #12253a }
.lost { fill: #e8a33d; background: #e8a33d }
.gap { fill: #c8321f; background: #c8321f }
.asked { fill: #b0a0c8; background: #b0a0c8 }
.legend span { margin-right: 5mm; white-space: nowrap }
.legend i { display: inline-block; width: 8mm; height: 3mm; print-color-adjust: exact; -webkit-print-color-adjust: exact }
";

/// The whole page.
pub(super) fn page(evidence: &Evidence, lang: Lang) -> String {
    let words = words(lang);
    let mut page = Markup::default();
    page.raw("<!doctype html>\n<html lang=\"").text(words.language).raw("\">\n<head>\n<meta charset=\"utf-8\">\n");
    // Were anything in it a script after all, it would not run.
    page.raw(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
    );
    page.raw("<meta name=\"viewport\" content=\"width=device-width\">\n<title>").text(&evidence.id).raw(": ");
    page.text(words.title).raw("</title>\n<style>\n").raw(STYLE).raw("</style>\n</head>\n<body>\n");
    top(&mut page, evidence, lang, words);
    for (n, section) in sections(evidence, lang).iter().enumerate() {
        part(&mut page, section);
        if n == 0 {
            chart::charts(&mut page, evidence, lang);
        }
    }
    page.raw("</body>\n</html>\n");
    page.into_text()
}

fn top(page: &mut Markup, evidence: &Evidence, lang: Lang, words: &Words) {
    page.raw("<h1>").text(words.title).raw("</h1>\n<dl>\n");
    for (name, value) in head(evidence, lang) {
        page.raw("<dt>").text(name).raw("</dt><dd>").text(value).raw("</dd>\n");
    }
    page.raw("</dl>\n");
}

fn part(page: &mut Markup, section: &Section) {
    page.raw("<h2>").text(section.title).raw("</h2>\n");
    if let Some(grid) = &section.table {
        table(page, grid);
    }
    match section.lines.as_slice() {
        [] => {}
        [line] => {
            page.raw("<p>").text(line).raw("</p>\n");
        }
        lines => {
            page.raw("<ul>\n");
            for line in lines {
                page.raw("<li>").text(line).raw("</li>\n");
            }
            page.raw("</ul>\n");
        }
    }
}

fn table(page: &mut Markup, grid: &Grid) {
    let class = |align: Align| if align == Align::Right { " class=\"n\">" } else { ">" };
    page.raw("<table>\n<thead><tr>");
    for (heading, align) in &grid.headings {
        page.raw("<th").raw(class(*align)).text(heading).raw("</th>");
    }
    page.raw("</tr></thead>\n<tbody>\n");
    for row in &grid.rows {
        page.raw("<tr>");
        for (cell, (_, align)) in row.iter().zip(&grid.headings) {
            page.raw("<td").raw(class(*align)).text(cell).raw("</td>");
        }
        page.raw("</tr>\n");
    }
    page.raw("</tbody>\n</table>\n");
}
