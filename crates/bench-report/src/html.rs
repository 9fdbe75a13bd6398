//! A page as HTML.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::chart::{Chart, Entry};
use crate::page::{Block, Cell, DataFile, Page, Section, Table, Tone};
use crate::picture::{Draftsman, Picture};
use crate::policy::policy;

const STYLE: &str = include_str!("../assets/report.css");
pub(crate) const LIBRARY: &str = include_str!("../vendor/echarts/echarts.min.js");
pub(crate) const CHARTS: &str = include_str!("../assets/charts.js");
const CONTROLS: &str = include_str!("../assets/controls.js");

/// Licences of what is inside, which must go with it.
const NOTICE: &str = "Charts by Apache ECharts 6.1.0 (Apache License 2.0, includes zrender, BSD 3-Clause, \
                      tslib, 0BSD, and parts of d3, BSD 3-Clause).";

/// How a keyboard zooms.
const KEYS: &str = "Keys: plus and minus zoom, left and right move, 0 shows all.";

/// Without scripts, pictures stand in place of the charts and of all that belongs to them.
const STILL: &str = ".plot, .legend, .shaded, .numbers, #theme, #data button { display: none; }";

/// The most that all pictures may add to a page, bytes; the charts after that have none.
const PICTURES_BYTES_MAX: usize = 1_500_000;

/// A page that is being written: its charts are numbered in their order.
struct Writer<'a> {
    out: String,
    options: Vec<Value>,
    /// A chart as SVG, for readers without JavaScript; called for each in their order.
    svg: &'a mut dyn FnMut(&Chart) -> Option<String>,
    /// What these may still add, bytes.
    pictures_bytes: usize,
}

impl Page {
    /// The page as one HTML file.
    #[must_use]
    pub fn html(&self) -> String {
        let mut draftsman = None;
        self.write(&mut |chart| {
            if draftsman.is_none() {
                draftsman = Draftsman::new().ok();
            }
            Some(draftsman.as_ref()?.draw(chart).ok()?.untitled)
        })
    }

    /// The page as one HTML file, with all its [`Draftsman::pictures`].
    #[must_use]
    pub fn html_with(&self, pictures: &[Picture]) -> String {
        let mut pictures = pictures.iter();
        self.write(&mut |_| pictures.next().map(|picture| picture.untitled_svg.clone()))
    }

    fn write(&self, svg: &mut dyn FnMut(&Chart) -> Option<String>) -> String {
        let pictures_bytes = PICTURES_BYTES_MAX;
        let mut writer = Writer { out: String::new(), options: Vec::new(), svg, pictures_bytes };
        for (index, section) in self.sections.iter().enumerate() {
            writer.section(index, section);
        }
        writer.data(&self.data);
        let scripts: &[&str] = if writer.options.is_empty() { &[CONTROLS] } else { &SCRIPTS };
        let policy = policy(scripts, &[STYLE, STILL]);
        let mut page = String::with_capacity(writer.out.len() + LIBRARY.len());
        let title = escaped(&self.title);
        let _ = write!(
            page,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <noscript><style>{STILL}</style></noscript>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
             <header>\n<div class=\"bar\"><h1>{title}</h1>\
             <button type=\"button\" id=\"theme\">Colours: system</button></div>\n"
        );
        for answer in &self.answers {
            let _ = writeln!(page, "<p class=\"answer\">{}</p>", escaped(answer));
        }
        page.push_str("</header>\n");
        self.contents(&mut page);
        let _ = write!(
            page,
            "<main id=\"main\">\n<noscript><p>Without JavaScript, charts are still pictures.</p>\
             </noscript>\n{}</main>\n<footer><p>{NOTICE}</p></footer>\n",
            writer.out
        );
        let _ = writeln!(
            page,
            "<script type=\"application/json\" id=\"charts\">{}</script>",
            in_script(&json!(writer.options))
        );
        for script in scripts {
            let _ = writeln!(page, "<script>{script}</script>");
        }
        page.push_str("</body>\n</html>\n");
        page
    }

    fn contents(&self, page: &mut String) {
        page.push_str("<nav aria-label=\"Contents\"><ul>\n");
        for (index, section) in self.sections.iter().enumerate() {
            let title = escaped(&section.title);
            let _ = writeln!(page, "<li><a href=\"#section-{index}\">{title}</a></li>");
        }
        if !self.data.is_empty() {
            page.push_str("<li><a href=\"#data\">Data</a></li>\n");
        }
        page.push_str("</ul></nav>\n");
    }
}

/// The scripts of a page with charts, in their order.
const SCRIPTS: [&str; 3] = [LIBRARY, CHARTS, CONTROLS];

impl Writer<'_> {
    fn section(&mut self, index: usize, section: &Section) {
        let title = escaped(&section.title);
        let _ = writeln!(
            self.out,
            "<section id=\"section-{index}\" aria-labelledby=\"heading-{index}\">\n\
             <h2 id=\"heading-{index}\">{title}</h2>"
        );
        self.blocks(&section.blocks);
        self.out.push_str("</section>\n");
    }

    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            match block {
                Block::Text(text) => {
                    let _ = writeln!(self.out, "<p>{}</p>", escaped(text));
                }
                Block::List(items) => {
                    self.out.push_str("<ul>\n");
                    for item in items {
                        let _ = writeln!(self.out, "<li>{}</li>", escaped(item));
                    }
                    self.out.push_str("</ul>\n");
                }
                Block::Code(text) => {
                    let _ = writeln!(self.out, "<pre tabindex=\"0\">{}</pre>", escaped(text));
                }
                Block::Table(table) => self.table(table),
                Block::Chart(chart) => self.chart(chart),
                Block::Folded { title, blocks, is_open } => {
                    let open = if *is_open { " open" } else { "" };
                    let title = escaped(title);
                    let _ = writeln!(
                        self.out,
                        "<details class=\"folded\"{open}><summary>{title}</summary>"
                    );
                    self.blocks(blocks);
                    self.out.push_str("</details>\n");
                }
            }
        }
    }

    fn table(&mut self, table: &Table) {
        let caption = escaped(&table.caption);
        let _ = writeln!(
            self.out,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table>\n\
             <caption>{caption}</caption>\n<thead><tr>"
        );
        for (column, title) in table.head.iter().enumerate() {
            // A column of numbers has its heading on the right.
            let class = if table.has_numbers(column) { class(Tone::Number) } else { String::new() };
            let _ = write!(self.out, "<th scope=\"col\"{class}>{}</th>", escaped(title));
        }
        self.out.push_str("</tr></thead>\n<tbody>\n");
        for row in &table.rows {
            self.out.push_str("<tr>");
            for (column, Cell { text, tone }) in row.iter().enumerate() {
                let (tag, scope) = if column == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
                let class = class(*tone);
                let _ = write!(self.out, "<{tag}{scope}{class}>{}</{tag}>", escaped(text));
            }
            self.out.push_str("</tr>\n");
        }
        self.out.push_str("</tbody></table></div>\n");
    }

    fn chart(&mut self, chart: &Chart) {
        let index = self.options.len();
        let keys = if chart.linked.is_some() { KEYS } else { "" };
        let description = format!("{}. {}. {keys}", chart.title, chart.description);
        let mut option = chart.option.clone();
        // The library sets the label of the drawing to this.
        option["aria"]["label"]["description"] = json!(description.trim_end());
        self.options
            .push(json!({"option": option, "height": chart.height_px, "linked": chart.linked}));
        let (title, description) = (escaped(&chart.title), escaped(description.trim_end()));
        let _ = writeln!(
            self.out,
            "<figure class=\"chart\"><figcaption><h3>{title}</h3>{}</figcaption>",
            paragraph(&chart.note)
        );
        if !chart.legend.is_empty() {
            self.out.push_str("<div class=\"legend\" role=\"group\" aria-label=\"Lines\">");
            for entry in &chart.legend {
                let name = escaped(&entry.name);
                let _ = write!(
                    self.out,
                    "<button type=\"button\" aria-pressed=\"true\" data-chart=\"{index}\" \
                     data-series=\"{name}\"><svg width=\"26\" height=\"10\" aria-hidden=\"true\" \
                     data-colour=\"{}\"><path d=\"M0 5H26\"/></svg>{name}</button>",
                    entry.colour
                );
            }
            self.out.push_str("</div>");
        }
        let _ = writeln!(
            self.out,
            "\n<div class=\"plot\" data-chart=\"{index}\" tabindex=\"0\" role=\"img\" \
             aria-label=\"{description}\"></div>\n<p class=\"readout\"></p>"
        );
        self.picture(chart);
        if !chart.shaded.is_empty() {
            self.out.push_str("<ul class=\"shaded\">");
            for Entry { name, colour } in &chart.shaded {
                let name = escaped(name);
                let _ = write!(
                    self.out,
                    "<li><svg width=\"14\" height=\"14\" aria-hidden=\"true\" \
                     data-colour=\"{colour}\"><rect width=\"14\" height=\"14\"/></svg>{name}</li>"
                );
            }
            self.out.push_str("</ul>\n");
        }
        self.out.push_str("<details class=\"numbers\"><summary>Table</summary>");
        match &chart.table {
            Some(table) => self.table(table),
            None => {
                let _ = write!(self.out, "<div data-table=\"{index}\"></div>");
            }
        }
        self.out.push_str("</details></figure>\n");
    }

    /// The chart as a picture, for readers without JavaScript.
    fn picture(&mut self, chart: &Chart) {
        let svg = if self.pictures_bytes > 0 { (self.svg)(chart) } else { None };
        let bytes = svg.map(|svg| STANDARD.encode(svg));
        let title = escaped(&chart.title);
        let still = if let Some(bytes) = bytes.filter(|bytes| bytes.len() <= self.pictures_bytes) {
            self.pictures_bytes -= bytes.len();
            format!("<img alt=\"{title}\" src=\"data:image/svg+xml;base64,{bytes}\">")
        } else {
            // Drawing takes time: those after it would hardly fit either.
            self.pictures_bytes = 0;
            "<p>This chart needs JavaScript.</p>".to_owned()
        };
        let _ = writeln!(self.out, "<noscript>{still}</noscript>");
    }

    fn data(&mut self, data: &[DataFile]) {
        if data.is_empty() {
            return;
        }
        self.out.push_str(
            "<section id=\"data\" aria-labelledby=\"heading-data\"><h2 id=\"heading-data\">Data</h2>\n",
        );
        for (index, file) in data.iter().enumerate() {
            let (name, about) = (escaped(&file.name), escaped(&file.about));
            let _ = writeln!(
                self.out,
                "<p>{about} <button type=\"button\" data-file=\"file-{index}\" data-name=\"{name}\">\
                 Save {name}</button></p>\n<details><summary>{name}</summary>\
                 <pre id=\"file-{index}\" tabindex=\"0\">{}</pre></details>",
                escaped(&file.text)
            );
        }
        self.out.push_str("</section>\n");
    }
}

fn paragraph(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p>{}</p>", escaped(text)) }
}

fn class(tone: Tone) -> String {
    let name = match tone {
        Tone::Words => return String::new(),
        Tone::Number => "number".to_owned(),
        Tone::Good => "good".to_owned(),
        Tone::Bad => "bad".to_owned(),
        Tone::BadNumber => "number bad".to_owned(),
        Tone::Open => "open".to_owned(),
        Tone::Shade(shade) => format!("number shade-{}", shade.min(Tone::SHADES - 1)),
    };
    format!(" class=\"{name}\"")
}

/// Text without what HTML would interpret.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || turns_text(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Whether a character turns the direction of the text after it, which makes it read as another one.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON that cannot end the script that it stands in.
fn in_script(json: &Value) -> String {
    json.to_string().replace('<', "\\u003c").replace(turns_text, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{Axis, Caption, Line, Lines, Look, Unit};

    const HOSTILE: &str =
        "</script><script>alert('1')</script><img src=x onerror=\"alert(2)\">\u{202e}";

    fn page() -> Page {
        let line = Line {
            name: HOSTILE.to_owned(),
            points: vec![(0.0, Some(1.0))],
            band: Vec::new(),
            colour: 0,
            look: Look::Plain,
        };
        let chart: Chart = Lines {
            caption: Caption::new(HOSTILE, HOSTILE, HOSTILE),
            x: Axis::time(),
            y: Axis::linear(HOSTILE, Unit::Rate),
            lines: vec![line.clone(), Line { name: "other".to_owned(), ..line }],
            spans: Vec::new(),
            levels: Vec::new(),
            until: None,
            linked: Some(HOSTILE.to_owned()),
        }
        .into();
        let mut table = Table::new(HOSTILE, &[HOSTILE]);
        table.rows = vec![vec![Cell::toned(HOSTILE, Tone::Bad)]];
        let blocks = vec![
            Block::Text(HOSTILE.to_owned()),
            Block::List(vec![HOSTILE.to_owned()]),
            Block::Code(HOSTILE.to_owned()),
            Block::Table(table),
            Block::Folded {
                title: HOSTILE.to_owned(),
                blocks: vec![Block::Chart(Box::new(chart))],
                is_open: true,
            },
        ];
        Page {
            title: HOSTILE.to_owned(),
            answers: vec![HOSTILE.to_owned()],
            sections: vec![Section { title: HOSTILE.to_owned(), blocks }],
            data: vec![DataFile {
                name: HOSTILE.to_owned(),
                about: HOSTILE.to_owned(),
                text: HOSTILE.to_owned(),
            }],
        }
    }

    #[test]
    fn foreign_text_is_only_text() {
        let html = page().html();
        // The library, the two scripts of ours, and the data of the charts.
        assert_eq!(html.matches("<script").count(), 4);
        assert_eq!(html.matches("</script").count(), 4);
        assert!(!html.contains("<img src=x"), "nothing of it is an element");
        assert!(!html.contains('\u{202e}'));
        assert!(html.matches("&lt;/script&gt;").count() >= 10);
    }

    #[test]
    fn pages_are_the_same_bytes_each_time() {
        assert_eq!(page().html(), page().html());
    }

    #[test]
    fn pictures_that_are_there_are_not_drawn_again() {
        let pictures = Draftsman::new().expect("scripts").pictures(&page()).expect("drawn");
        assert_eq!(page().html_with(&pictures), page().html(), "the same, in the same order");
        assert!(page().html_with(&[]).contains("This chart needs JavaScript"), "none was drawn");
    }

    #[test]
    fn readers_without_scripts_get_pictures() {
        let html = page().html();
        let (_, picture) = html.split_once("base64,").expect("a picture");
        let (picture, _) = picture.split_once('"').expect("an end");
        let picture = STANDARD.decode(picture).expect("base64");
        let svg = String::from_utf8(picture).expect("text");
        assert!(svg.starts_with("<svg") && !svg.contains("<script"), "{svg}");
        assert!(!svg.contains("font-weight=\"bold\""), "the heading above has the title: {svg}");
        assert!(html.contains("img-src data:;"), "the policy lets it be shown");
    }

    #[test]
    fn pictures_stop_where_a_page_would_become_large() {
        let Block::Folded { blocks, .. } = &page().sections[0].blocks[4] else { panic!("a chart") };
        let blocks = std::iter::repeat_n(blocks[0].clone(), 500).collect();
        let sections = vec![Section { title: "many".to_owned(), blocks }];
        let html = Page { sections, ..Page::default() }.html();
        assert!(html.contains("<noscript><img") && html.contains("This chart needs JavaScript"));
        assert!(html.len() < 5_000_000, "{}", html.len());
    }

    #[test]
    fn pages_without_charts_are_small() {
        let page = Page { title: "t".to_owned(), ..Page::default() };
        assert!(page.html().len() < 50_000, "they need no library");
    }
}
