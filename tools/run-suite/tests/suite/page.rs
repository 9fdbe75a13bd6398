//! Reports as pages: what they tell, and how they behave in a browser.

use std::fs;
use std::path::{Path, PathBuf};

use bench_testing::{Browser, Misdeeds};
use serde_json::{Value, json};

use crate::fake_tool::{FakeTool, edit_document, read_json, stderr, stdout};
use crate::real_tool::are_built;

/// The variable that names a folder for screenshots, which people look at.
const SCREENSHOTS_VARIABLE: &str = "BENCH_TEST_SCREENSHOTS";

/// The variable that names the axe-core library, which finds what keeps people from reading a page.
const AXE_VARIABLE: &str = "BENCH_TEST_AXE";

const HOSTILE: &str = "</script><img src=x onerror=\"document.title='broken into'\"> <b>topic</b>";

/// A finished experiment of two cells.
fn finished(more: &str) -> FakeTool {
    let tool = FakeTool::new();
    tool.experiment(&format!("repeats = 3\n[matrix]\nload = [\"a\", \"b\"]\n{more}"));
    let output = tool.run(&["run", "try.toml"]);
    let told = stdout(&output);
    assert!(told.contains("\nreport:\n  ") && told.ends_with("/report.html\n"), "{told}");
    tool
}

fn page_of(tool: &FakeTool) -> String {
    fs::read_to_string(tool.result("report.html")).expect("a page")
}

#[test]
fn runs_end_with_a_page() {
    let page = page_of(&finished("[gate]\nrequire = [\"end_to_end.p99 < 4ms\"]"));
    for part in [
        "All 6 runs are valid, 0 messages lost.",
        "Of 2 gates, 2 failed and 0 are undecided.",
        "Embedded services: the figures are the client&#39;s ceiling on loopback",
        "load=a</th>",
        "4.20 ms",
        "run-suite run",
        "--load=b",
        "fake-bench --run-dir",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[test]
fn pages_are_the_same_bytes_from_the_same_folder() {
    let tool = finished("");
    let first = page_of(&tool);
    let output = tool.run(&["report", "results", "--format", "html"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).ends_with("report.html\n"), "{}", stdout(&output));
    assert_eq!(page_of(&tool), first);
}

#[test]
fn the_answer_comes_first() {
    let tool = finished("");
    for repeat in 1..=3 {
        tool.edit(&format!("02-load-b/repeat-{repeat}"), |document| {
            let p99_ns = 8_000_000 + repeat * 10_000;
            document["summary"]["end_to_end_latency"]["p99_ns"] = json!(p99_ns);
        });
    }
    let output = tool.run(&["report", "results", "--format", "markdown"]);
    let text = stdout(&output);
    let answers: Vec<&str> = text.lines().filter(|line| line.starts_with("**")).collect();
    assert!(answers[1].starts_with("**Load=b is slower than load=a: "), "{text}");
    assert!(answers[1].contains("end-to-end p99 +91.0 %"), "{text}");
    assert!(text.contains("| load=b | 3 valid |"), "{text}");
}

#[test]
fn broken_and_unfinished_experiments_have_pages_too() {
    let tool = FakeTool::new();
    tool.behave("a", "invalid");
    tool.behave("b", "fail");
    tool.experiment("[matrix]\nload = [\"a\", \"b\"]");
    tool.run(&["run", "try.toml"]);
    let page = page_of(&tool);
    assert!(page.contains("No answer: 0 of 2 runs are valid"), "{page}");
    assert!(page.contains("3 acknowledged messages were lost"), "{page}");
    assert!(page.contains("the broker is gone"), "{page}");
}

#[test]
fn pages_hold_the_data_of_cells_and_of_runs() {
    let tool = finished("");
    fs::write(tool.result("02-load-b/repeat-3/intervals.csv"), "start_s\n".repeat(200_000))
        .expect("written");
    assert_eq!(tool.run(&["report", "results"]).status.code(), Some(0));
    let page = page_of(&tool);
    let (_, runs) = page.split_once("experiment,cell,repeat,valid,tool,").expect("a table of runs");
    let (runs, _) = runs.split_once("</pre>").expect("its end");
    assert_eq!(runs.lines().count(), 7, "a line each, after the header: {runs}");
    assert!(runs.contains("\ntry,load=b,3,true,fake-bench,"), "{runs}");
    let kept = page.matches("-intervals.csv</summary>").count();
    assert_eq!(kept, 5, "the last one would make the page too large");
    assert!(page.contains("data-name=\"try-01-load-a-repeat-1-intervals.csv\""), "{page}");
}

#[test]
fn several_experiments_make_one_page() {
    let tool = finished("");
    fs::rename(tool.path(&tool.results_argument()), tool.path("first")).expect("renamed");
    assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
    let output = tool.run(&["report", "first", "results", "--html", "both.html"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = fs::read_to_string(tool.path("both.html")).expect("a page");
    assert!(page.contains("Side by side"), "the rate is the same");
    assert!(page.contains("(embedded)"), "where the services came from");
}

#[test]
fn charts_are_written_as_the_same_pictures_each_time() {
    let tool = finished("");
    let pictures = |folder: &str| {
        let output = tool.run(&["report", "results", "--format", "html", "--plots", folder]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let entries = fs::read_dir(tool.path(folder)).expect("a folder");
        let mut read: Vec<(String, String)> = entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                let name = entry.file_name().into_string().expect("text");
                (name, fs::read_to_string(entry.path()).expect("text"))
            })
            .collect();
        read.sort();
        read
    };
    let first = pictures("plots");
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"01-figures-throughput.svg"), "{names:?}");
    assert!(names.len() >= 4, "{names:?}");
    assert!(first.iter().all(|(_, svg)| svg.starts_with("<svg") && svg.contains("load=")));
    assert_eq!(pictures("again"), first);
}

#[test]
fn only_a_page_that_nobody_asked_for_may_be_missing() {
    let tool = finished("");
    let page = tool.result("report.html");
    fs::remove_file(&page).expect("removed");
    fs::create_dir(&page).expect("created");
    let report = |arguments: &[&str]| tool.run(&[&["report", "results"], arguments].concat());

    let output = report(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("use another --html"), "{}", stderr(&output));
    let output = report(&["--format", "html"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));

    let output = report(&["--plots", "plots"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(tool.path("plots/01-figures-throughput.svg").exists());
    let output = report(&["--plots", "try.toml/plots"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("use another --plots"), "{}", stderr(&output));
}

#[test]
fn what_is_asked_for_is_written_beside_any_format() {
    let tool = finished("");
    for format in ["text", "json", "csv", "markdown", "html"] {
        let (html, plots) = (format!("{format}.html"), format!("plots-{format}"));
        let output = tool
            .run(&["report", "results", "--format", format, "--html", &html, "--plots", &plots]);
        assert_eq!(output.status.code(), Some(0), "{format}: {}", stderr(&output));
        assert!(tool.path(&html).exists(), "{format}");
        assert!(tool.path(&plots).join("01-figures-throughput.svg").exists(), "{format}");
    }
}

#[test]
fn places_that_cannot_be_written_are_found_before_anything_runs() {
    let tool = finished("");
    for (option, place, remedy) in [
        ("--html", "missing/page.html", "create it first"),
        ("--html", "results", "name a file"),
        ("--junit", "missing/junit.xml", "create it first"),
        ("--junit", "results", "name a file"),
        ("--plots", "try.toml", "name a folder"),
    ] {
        for command in [&["run", "try.toml", "--results-dir", "none"][..], &["report", "results"]] {
            let output = tool.run(&[command, &[option, place]].concat());
            assert_eq!(output.status.code(), Some(2), "{option} {place}: {}", stderr(&output));
            let stderr = stderr(&output);
            assert!(stderr.contains(option) && stderr.contains(remedy), "{stderr}");
        }
    }
    assert!(!tool.path("none").exists(), "nothing was run");
    for arguments in [
        &["run", "try.toml", "--results-dir", "try.toml"][..],
        &["quick", "--results-dir", "try.toml"],
        &["delta-sweep", "--output-dir", "try.toml"],
        &["sweep", "fake-bench", "--latencies-dir", "try.toml"],
    ] {
        let output = tool.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("it is a file; name a folder"), "{}", stderr(&output));
    }
}

#[test]
fn runs_that_a_tool_made_by_itself_have_pages_too() {
    let tool = finished("");
    fs::create_dir(tool.path("alone")).expect("created");
    for (repeat, name) in [(1, "first"), (2, "second")] {
        let run = tool.result(&format!("01-load-a/repeat-{repeat}"));
        let alone = tool.path(&format!("alone/{name}"));
        fs::rename(run, &alone).expect("renamed");
        edit_document(&alone, |document| document["options"] = json!({}));
    }
    let output = tool.run(&["report", "alone/first"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("fake-bench (1 valid)"), "{}", stdout(&output));
    let page = fs::read_to_string(tool.path("alone/first/report.html")).expect("a page");
    assert!(page.contains("The run is valid, 0 messages lost."), "{page}");
    assert!(!page.contains("Repeat it"), "nothing knows its command line");
    let output = tool.run(&["compare", "alone/first", "alone/second"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("unknown: needs two valid repeats"), "{}", stdout(&output));
    let output = tool.run(&["resume", "alone/first"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("it is one run of fake-bench"), "{}", stderr(&output));
    assert!(!tool.path("alone/first/run-suite.lock").exists());
}

#[test]
fn published_figures_are_kept_apart() {
    let tool = finished("");
    let text = |arguments: &[&str]| {
        stdout(&tool.run(&[&["report", "results", "--format", "markdown"], arguments].concat()))
    };
    let with = text(&["--references"]);
    assert!(with.contains("Published elsewhere, not measured here"), "{with}");
    assert!(with.contains("| Kinesis Data Streams |"), "{with}");
    assert!(!text(&[]).contains("Published elsewhere"));
}

#[test]
fn bad_arguments_are_refused() {
    let tool = finished("");
    for (arguments, part) in [
        (&["report", "nowhere"][..], "nowhere"),
        (&["report", "results", "--format", "pdf"], "pdf"),
        (&["report"], "<DIR>"),
    ] {
        let output = tool.run(arguments);
        assert_ne!(output.status.code(), Some(0));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

/// An experiment through the real tool: that of docs/tutorial.md.
fn measured() -> FakeTool {
    let folder = FakeTool::new();
    folder.write(
        "rate.toml",
        "name = \"rate\"\nquestion = \"What does the rate cost in latency?\"
         tool = \"kafka-prodcon\"\nservices = \"embedded\"\ntime_limit = \"30s\"\nrepeats = 2
         [options]\nduration = \"3s\"\nwarm-up = \"500ms\"\ninterval = \"100ms\"
         [matrix]\nrate = [\"1k/s\", \"5k/s\", \"20k/s\"]",
    );
    let output = folder.run(&["run", "rate.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    folder
}

/// Gives a run a fault and texts that try to break into the page.
fn attack(folder: &FakeTool) {
    edit_document(&folder.result("01-rate-1k-s/repeat-1"), |document| {
        document["warnings"] = json!([HOSTILE]);
        document["options"]["topic"] = json!(HOSTILE);
        document["faults"] = json!([{
            "action": "kill", "target": HOSTILE, "setting": null, "begin_s": 1.0, "end_s": 1.5,
            "recovery_s": 1.2, "unrecovered": null, "disturbed_again": 0, "band": null
        }]);
    });
    let path = folder.result("experiment.json");
    let mut state = read_json(&path);
    state["plan"]["question"] = json!(format!("Which is faster {HOSTILE}?"));
    fs::write(path, state.to_string()).expect("written");
}

#[test]
fn pages_work_in_a_browser_without_a_network() {
    const TEST: &str = "pages_work_in_a_browser_without_a_network";
    if !are_built(&["kafka-prodcon"]) {
        return;
    }
    let Some(mut browser) = Browser::start(TEST) else { return };
    let tool = measured();
    let page = tool.result("report.html");
    browser.show_as(1100, 900, false);
    browser.open(&page);
    take_pictures(&mut browser);
    attack(&tool);
    let output = tool.run(&["report", "results", "--format", "html"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    browser.show_as(1280, 900, false);
    browser.open(&page);
    let charts = open_all(&mut browser);
    assert!(charts >= 24, "{charts} charts: of three cells, and over them");
    assert_eq!(drawn(&mut browser), charts, "all of them are drawn");
    assert_eq!(browser.misdeeds(), Misdeeds::default());
    assert_eq!(browser.evaluate("document.title"), json!("rate"), "nothing was broken into");
    let html = fs::read_to_string(&page).expect("a page");
    for chart in ["<h3>Processor time, repeat", "<h3>Memory, repeat"] {
        assert_eq!(html.matches(chart).count(), 3, "{chart} of each cell");
    }
    assert_eq!(browser.evaluate("document.querySelectorAll('img, b').length"), json!(0));
    looks_good(&mut browser, &page);
    keyboard_reaches_everything(&mut browser);
    finds_no_barrier(&mut browser, TEST);
    keep(&mut browser, &page);
}

/// Keeps the pictures of docs/tutorial.md, if somebody wants them.
fn take_pictures(browser: &mut Browser) {
    let Some(folder) = std::env::var_os(SCREENSHOTS_VARIABLE).map(PathBuf::from) else { return };
    fs::create_dir_all(&folder).expect("created");
    open_all(browser);
    let heat_map = "document.querySelectorAll('figure').forEach((it) => {
        if (it.textContent.includes('Where the')) it.id ||= 'heat'; })";
    browser.evaluate(heat_map);
    for (name, selector) in [
        ("report-answer", "header"),
        ("report-figures", "#section-0"),
        ("report-percentiles", "#section-3"),
        ("report-heat-map", "#heat"),
    ] {
        fs::write(folder.join(format!("{name}.png")), browser.picture_of(selector))
            .expect("written");
    }
}

/// Opens everything that is folded, and returns the number of charts.
fn open_all(browser: &mut Browser) -> u64 {
    browser.evaluate(
        "document.querySelectorAll('details.folded').forEach((it) => { it.open = true; })",
    );
    settle(browser);
    // Those far below are drawn when they come near.
    let charts = browser.evaluate(
        "(async () => {
           for (const plot of document.querySelectorAll('.plot')) {
             plot.scrollIntoView();
             await new Promise((done) => setTimeout(done, 60));
           }
           scrollTo(0, 0);
           return document.querySelectorAll('.plot').length;
         })()",
    );
    settle(browser);
    charts.as_u64().expect("a number")
}

/// The charts with at least one mark.
fn drawn(browser: &mut Browser) -> u64 {
    let marks = "[...document.querySelectorAll('.plot')].filter(
        (plot) => plot.querySelectorAll('svg path, svg polyline, svg polygon').length > 4).length";
    browser.evaluate(marks).as_u64().expect("a number")
}

fn settle(browser: &mut Browser) {
    browser.evaluate("new Promise((done) => setTimeout(done, 300))");
}

/// Nothing is wider than the window, and every chart names its axes, in every width and colour.
fn looks_good(browser: &mut Browser, page: &Path) {
    for (width, is_dark) in [(1280, false), (1280, true), (360, false)] {
        browser.show_as(width, 900, is_dark);
        settle(browser);
        open_all(browser);
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(u64::from(width)), "{wide} at {width}");
        let unnamed = browser.evaluate(
            "[...document.querySelectorAll('.plot')].filter(
                (plot) => plot.querySelectorAll('svg text').length < 4).length",
        );
        assert_eq!(unnamed, json!(0), "charts without text at {width}");
        if let Some(file) = screenshot_place(page, &format!("{width}-{is_dark}.png")) {
            fs::write(file, browser.screenshot()).expect("written");
        }
    }
    browser.show_as(1280, 900, false);
    settle(browser);
}

/// Every control can be reached by the tabulator key, and does what it should by the keyboard.
fn keyboard_reaches_everything(browser: &mut Browser) {
    let unreachable = browser.evaluate(
        "[...document.querySelectorAll('button, summary, a, .plot')].filter((it) => it.tabIndex < 0)
            .length",
    );
    assert_eq!(unreachable, json!(0));
    browser.evaluate("document.querySelector('.plot[aria-label*=\"Keys\"]').focus()");
    let zoom = "(() => { const plot = document.activeElement;
        const { start, end } = echarts.getInstanceByDom(plot).getOption().dataZoom[0];
        return Math.round(end - start); })()";
    assert_eq!(browser.evaluate(zoom), json!(100));
    browser.press("+");
    assert_eq!(browser.evaluate(zoom), json!(50));
    let others = browser.evaluate(
        "[...document.querySelectorAll('.plot')].map((plot) => echarts.getInstanceByDom(plot))
            .filter((chart) => chart && chart.group === echarts.getInstanceByDom(document.activeElement).group)
            .map((chart) => Math.round(chart.getOption().dataZoom[0].end
                - chart.getOption().dataZoom[0].start))",
    );
    let others = others.as_array().expect("charts").clone();
    assert!(others.len() > 3 && others.iter().all(|it| *it == json!(50)), "linked: {others:?}");
    browser.press("0");
    assert_eq!(browser.evaluate(zoom), json!(100));
    browser.evaluate("document.querySelector('.legend button').focus()");
    let pressed = "document.activeElement.getAttribute('aria-pressed')";
    assert_eq!(browser.evaluate(pressed), json!("true"));
    browser.press(" ");
    settle(browser);
    assert_eq!(browser.evaluate(pressed), json!("false"), "a line is switched off");
    let rows =
        "(() => { const details = document.querySelector('details.numbers:has([data-table])');
        details.open = true; return new Promise((done) => setTimeout(
            () => done(details.querySelectorAll('tbody tr').length), 200)); })()";
    assert!(browser.evaluate(rows).as_u64() > Some(5), "a chart as a table");
}

/// What keeps people from reading it, as far as axe-core can tell.
fn finds_no_barrier(browser: &mut Browser, test: &str) {
    let Ok(library) = std::env::var(AXE_VARIABLE) else {
        bench_testing::skip(
            test,
            &format!("axe-core is not there ({AXE_VARIABLE} names its file)"),
        );
        return;
    };
    browser.evaluate(&fs::read_to_string(library).expect("axe-core"));
    for is_dark in [false, true] {
        browser.show_as(1280, 900, is_dark);
        settle(browser);
        let found = browser.evaluate(
            "axe.run().then((found) => found.violations
                .filter((it) => it.impact === 'serious' || it.impact === 'critical')
                .map((it) => `${it.id}: ${it.nodes[0].html.slice(0, 200)} ${it.nodes[0].failureSummary}`))",
        );
        assert_eq!(found, json!([]), "dark: {is_dark}");
    }
    browser.show_as(1280, 900, false);
}

/// Keeps what people look at: the page on paper.
fn keep(browser: &mut Browser, page: &Path) {
    let printed = browser.printed();
    assert!(printed.starts_with(b"%PDF"));
    if let Some(file) = screenshot_place(page, "print.pdf") {
        fs::write(file, printed).expect("written");
    }
    let undrawn: Value = browser.evaluate(
        "[...document.querySelectorAll('.plot')].filter((it) => !it.querySelector('svg')).length",
    );
    assert_eq!(undrawn, json!(0));
}

/// Where a picture goes, if somebody wants it.
fn screenshot_place(page: &Path, name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(SCREENSHOTS_VARIABLE)?);
    fs::create_dir_all(&folder).expect("created");
    let _ = fs::copy(page, folder.join("report.html"));
    Some(folder.join(name))
}
