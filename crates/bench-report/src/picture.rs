//! Charts as pictures: the same drawings as on the page, by the same scripts, in an interpreter inside
//! this program.

use rquickjs::{CatchResultExt as _, Context, Ctx, Function, Object, Runtime};
use serde_json::json;

use crate::chart::{Chart, Entry};
use crate::html::{CHARTS, LIBRARY};
use crate::page::{Block, Page};

/// The width of a picture.
const WIDTH_PX: u32 = 960;

/// What the interpreter may use of this thread's stack.
const STACK_BYTES: usize = 1 << 20;

/// What a browser has and an interpreter lacks. Nothing here waits.
const BROWSER: &str = "globalThis.setTimeout = () => 0; globalThis.clearTimeout = () => {};";

/// Draws charts.
pub struct Draftsman {
    context: Context,
    // It owns the memory of the context.
    _runtime: Runtime,
}

/// A chart as SVG.
pub(crate) struct Drawing {
    titled: String,
    pub(crate) untitled: String,
}

/// Why a chart cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("failed to draw {what}: {problem}")]
pub struct DrawError {
    what: String,
    problem: String,
}

impl DrawError {
    pub(crate) fn new(what: String, problem: String) -> Self {
        Self { what, problem }
    }
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its name as a file, without its ending: `03-throughput`.
    pub name: String,
    /// The picture as SVG, with its title.
    pub svg: String,
    /// The same without its title.
    pub(crate) untitled_svg: String,
}

impl Draftsman {
    /// Reads the scripts.
    pub fn new() -> Result<Self, DrawError> {
        let failed = |problem: String| DrawError::new("charts".to_owned(), problem);
        let runtime = Runtime::new().map_err(|error| failed(error.to_string()))?;
        runtime.set_max_stack_size(STACK_BYTES);
        let context = Context::full(&runtime).map_err(|error| failed(error.to_string()))?;
        context.with(|ctx| {
            for script in [BROWSER, LIBRARY, CHARTS] {
                let done = ctx.eval::<(), _>(script).catch(&ctx);
                done.map_err(|error| failed(error.to_string()))?;
            }
            Ok(())
        })?;
        Ok(Self { context, _runtime: runtime })
    }

    /// All charts of a page, numbered in their order.
    pub fn pictures(&self, page: &Page) -> Result<Vec<Picture>, DrawError> {
        let mut charts = Vec::new();
        for section in &page.sections {
            gather(&section.blocks, &section.title, &mut charts);
        }
        let pictures = charts.into_iter().enumerate().map(|(index, (place, chart))| {
            let name =
                format!("{:02}-{}", index + 1, file_name(&format!("{place} {}", chart.title)));
            let Drawing { titled, untitled } = self.draw(chart)?;
            Ok(Picture { name, svg: titled, untitled_svg: untitled })
        });
        pictures.collect()
    }

    pub(crate) fn draw(&self, chart: &Chart) -> Result<Drawing, DrawError> {
        let entries = |entries: &[Entry]| {
            let entry = |entry: &Entry| json!({"name": entry.name, "colour": entry.colour});
            entries.iter().map(entry).collect::<Vec<_>>()
        };
        let told = json!({
            "title": chart.title,
            "option": chart.option,
            "height": chart.height_px,
            "legend": entries(&chart.legend),
            "shaded": entries(&chart.shaded),
        });
        let drawn = |ctx: Ctx<'_>| {
            let call = || -> rquickjs::Result<Drawing> {
                let charts: Object<'_> = ctx.globals().get("reportCharts")?;
                let picture: Function<'_> = charts.get("picture")?;
                let drawn: Object<'_> = picture.call((told.to_string(), WIDTH_PX, "light"))?;
                Ok(Drawing { titled: drawn.get("titled")?, untitled: drawn.get("untitled")? })
            };
            let drawn = call().catch(&ctx).map_err(|error| error.to_string());
            // Charts refer to themselves, so only this frees them.
            ctx.run_gc();
            drawn
        };
        self.context
            .with(drawn)
            .map_err(|problem| DrawError::new(format!("`{}`", chart.title), problem))
    }
}

/// The charts of blocks, each with the headings above it.
fn gather<'a>(blocks: &'a [Block], place: &str, charts: &mut Vec<(String, &'a Chart)>) {
    for block in blocks {
        match block {
            Block::Chart(chart) => charts.push((place.to_owned(), chart)),
            Block::Folded { title, blocks, .. } => {
                gather(blocks, &format!("{place} {title}"), charts);
            }
            Block::Text(_) | Block::List(_) | Block::Code(_) | Block::Table(_) => {}
        }
    }
}

/// Letters, digits and hyphens of a text, which any system takes as the name of a file.
fn file_name(text: &str) -> String {
    const LENGTH_MAX: usize = 80;
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    name.truncate(LENGTH_MAX);
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use quick_xml::events::Event;

    use super::*;
    use crate::chart::{
        Axis, Caption, HeatMap, Interval, Intervals, Level, Line, Lines, Look, Span, Unit,
    };
    use crate::page::{Section, Table};

    fn charts() -> Vec<Chart> {
        let line = |name: &str, colour| Line {
            name: name.to_owned(),
            points: (0..50).map(|x| (f64::from(x), Some(1e6 * f64::from(1 + x % 7)))).collect(),
            band: vec![(0.0, 1e6, 2e6), (49.0, 2e6, 9e6)],
            colour,
            look: Look::Plain,
        };
        let lines = Lines {
            caption: Caption::new("Latency of <a> & b", "", ""),
            x: Axis::time(),
            y: Axis::log("latency", Unit::Nanoseconds),
            lines: vec![line("first", 0), line("second <b>", 1)],
            spans: vec![Span { name: "kill kafka-1".to_owned(), from: 5.0, to: 9.0, colour: 1 }],
            levels: vec![Level { name: "target".to_owned(), value: 3e6 }],
            until: None,
            linked: Some("x".to_owned()),
        };
        let intervals = Intervals {
            caption: Caption::new("p99", "", ""),
            x: Axis::linear("p99", Unit::Nanoseconds),
            rows: vec![Interval {
                label: "cell".to_owned(),
                value: Some(5.0),
                interval: Some((4.0, None)),
                runs: vec![4.5, 5.0],
                colour: 0,
            }],
            reference: Some((5.0, 4.0, 6.0)),
            table: Table::default(),
        };
        let heat = HeatMap {
            caption: Caption::new("Heat", "", ""),
            y: Axis::log("latency", Unit::Nanoseconds),
            columns: vec![0.0, 1.0, 2.0],
            rows: vec![1e6, 2e6, 4e6],
            cells: vec![(0, 0, 5), (1, 1, 900)],
            linked: None,
        };
        vec![lines.into(), intervals.into(), heat.into()]
    }

    fn page(charts: Vec<Chart>) -> Page {
        let blocks = charts.into_iter().map(|chart| Block::Chart(Box::new(chart))).collect();
        let title = "Course: rate=1k/s".to_owned();
        Page { sections: vec![Section { title, blocks }], ..Page::default() }
    }

    /// Fails unless every other program can read it.
    fn well_formed(svg: &str) {
        let mut reader = quick_xml::Reader::from_str(svg);
        loop {
            let event = reader.read_event().unwrap_or_else(|error| panic!("{error}: {svg}"));
            match event {
                Event::Start(tag) | Event::Empty(tag) => {
                    for attribute in tag.attributes() {
                        attribute.unwrap_or_else(|error| panic!("{error} in {tag:?}"));
                    }
                }
                Event::Eof => return,
                _ => {}
            }
        }
    }

    #[test]
    fn all_kinds_of_charts_are_drawn() {
        let draftsman = Draftsman::new().expect("the scripts are readable");
        let pictures = draftsman.pictures(&page(charts())).expect("drawn");
        let names: Vec<&str> = pictures.iter().map(|picture| picture.name.as_str()).collect();
        let place = "course-rate-1k-s";
        let expected = [
            format!("01-{place}-latency-of-a-b"),
            format!("02-{place}-p99"),
            format!("03-{place}-heat"),
        ];
        assert_eq!(names, expected);
        for (picture, part) in pictures.iter().zip(["second &lt;b&gt;", "cell", "#041f3b"]) {
            let svg = &picture.svg;
            assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{svg}");
            assert!(svg.contains(part), "{part} in {svg}");
            well_formed(svg);
            assert!(svg.matches("<path").count() > 3, "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("undefined"), "{svg}");
        }
        assert!(pictures[0].svg.contains("Latency of &lt;a&gt; &amp; b"));
        assert!(pictures[0].svg.contains("kill kafka-1: 5.0 s to 9.0 s"));
    }

    #[test]
    fn pictures_do_not_depend_on_those_before() {
        let draftsman = Draftsman::new().expect("the scripts are readable");
        let forth = draftsman.pictures(&page(charts())).expect("drawn");
        let mut turned = charts();
        turned.reverse();
        let back = draftsman.pictures(&page(turned)).expect("drawn");
        let svgs =
            |pictures: Vec<Picture>| pictures.into_iter().map(|it| it.svg).collect::<Vec<_>>();
        let (forth, mut back) = (svgs(forth), svgs(back));
        back.reverse();
        assert_eq!(forth, back);
    }
}
