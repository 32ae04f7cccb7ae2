//! The report as one HTML file: the table, and a bar chart for each line that differs, as inline SVG.

use std::fmt::Write;

use super::measure::Measured;
use super::report::{Row, question, rows};
use crate::cli::DirtyLogArgs;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#1b1b1b;background:#fff}\
table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}\
td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:1em 2em 1em 0}\
figcaption{font-weight:600}svg text{font:12px system-ui,sans-serif;fill:#1b1b1b}rect{fill:#3465a4}";

/// The page.
pub(super) fn page(args: &DirtyLogArgs, runs: &[Measured]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Dirty logging, policy by policy</title>\
         <style>{STYLE}</style>\n<h1>Dirty logging, policy by policy</h1>\n<p>{}</p>\n<table><tr><th></th>",
        escaped(&question(args))
    );
    for run in runs {
        let _ = write!(html, "<th>{}</th>", escaped(&run.policy));
    }
    html.push_str("</tr>\n");
    for Row { name, value, digits } in rows(args) {
        let _ = write!(html, "<tr><td>{}</td>", escaped(name));
        for run in runs {
            let _ = write!(html, "<td>{:.digits$}</td>", value(run));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n<h2>Pages by round</h2>\n");
    for run in runs {
        let bars: Vec<(String, f64)> = run
            .rounds
            .iter()
            .enumerate()
            .map(|(round, pages)| (format!("{}", round + 1), *pages as f64))
            .collect();
        chart(&mut html, &run.policy, &bars, 0);
    }
    html.push_str("<h2>Line by line</h2>\n");
    for row in rows(args) {
        let values: Vec<f64> = runs.iter().map(row.value).collect();
        if values.windows(2).all(|pair| pair[0] == pair[1]) {
            continue;
        }
        let names = runs.iter().map(|run| run.policy.clone());
        chart(&mut html, row.name, &names.zip(values).collect::<Vec<_>>(), row.digits);
    }
    html.push_str("</html>\n");
    html
}

/// Bars from left to right, one a line.
fn chart(html: &mut String, caption: &str, bars: &[(String, f64)], digits: usize) {
    const LINE: usize = 20;
    const LABEL: usize = 190;
    const BAR: f64 = 220.0;
    let largest = bars.iter().map(|bar| bar.1).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let (width, height) = (LABEL + BAR as usize + 90, bars.len() * LINE);
    let _ = write!(
        html,
        "<figure><figcaption>{}</figcaption><svg width=\"{width}\" height=\"{height}\" role=\"img\">",
        escaped(caption)
    );
    for (index, (label, value)) in bars.iter().enumerate() {
        let (top, base) = (index * LINE + 3, index * LINE + 15);
        let length = value / largest * BAR;
        let _ = write!(
            html,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL}\" y=\"{top}\" width=\"{length:.1}\" height=\"14\"/>\
             <text x=\"{:.1}\" y=\"{base}\">{value:.digits$}</text>",
            LABEL - 6,
            escaped(label),
            LABEL as f64 + length + 5.0
        );
    }
    html.push_str("</svg></figure>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
