//! Experiments as a report: an HTML page with charts, or Markdown. From result folders alone.

mod answers;
mod audit;
mod course;
mod data;
mod differences;
mod distribution;
mod environment;
mod figures;
mod references;
mod sweep;
mod systems;
mod told;

use anyhow::Result;
use bench_report::{Block, Page, Section};

use self::told::Told;
use super::summary::SuiteSummary;

/// Points of all lines of a page: more make it slow, and larger than five megabytes.
const POINTS_MAX: usize = 150_000;

/// Points of one line: more than a wide screen shows.
const POINTS_PER_LINE_MAX: usize = 2_000;

/// The report on experiments, if asked with what others have published.
pub(crate) fn page(suite: &SuiteSummary, with_references: bool) -> Result<Page> {
    let runs = suite.runs().count().max(1);
    let points_max = (POINTS_MAX / (runs * course::LINES_PER_RUN)).min(POINTS_PER_LINE_MAX);
    let told = suite.experiments.iter().map(|experiment| Told::open(experiment, points_max));
    let told = told.collect::<Result<Vec<_>>>()?;
    let mut page = Page { title: title(suite), data: data::files(suite), ..Page::default() };
    match told.as_slice() {
        [one] => {
            page.answers = std::iter::once(one.summary.question.clone())
                .filter(|question| !question.is_empty())
                .chain(answers::of(one))
                .collect();
            page.sections = one.sections();
        }
        several => {
            page.answers = several.iter().map(answers::in_short).collect();
            page.sections.extend(systems::section(several));
            page.sections.extend(several.iter().map(Told::as_one_section));
        }
    }
    if with_references {
        page.sections.push(references::section()?);
    }
    let unreadable = suite.unreadable.iter();
    page.answers.extend(unreadable.map(|it| format!("{}: {}", it.folder.display(), it.problem)));
    Ok(page)
}

fn title(suite: &SuiteSummary) -> String {
    match suite.experiments.as_slice() {
        [one] => one.name.clone(),
        several => {
            let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
            names.join(", ")
        }
    }
}

impl Told<'_> {
    fn sections(&self) -> Vec<Section> {
        let section = |title: &str, blocks: Vec<Block>| Section { title: title.to_owned(), blocks };
        let sections = [
            section("Figures", figures::blocks(self)),
            section("Differences", differences::blocks(self)),
            section("Sweep", sweep::blocks(self)),
            section("Percentiles", distribution::blocks(self)),
            section("Course", course::blocks(self)),
            section("Audit and resources", audit::blocks(self)),
            section("Environment", environment::blocks(self)),
            section("Repeat it", environment::commands(self)),
        ];
        sections.into_iter().filter(|section| !section.blocks.is_empty()).collect()
    }

    /// The same for a page of several experiments.
    fn as_one_section(&self) -> Section {
        let mut blocks = vec![Block::Text(self.summary.question.clone())];
        blocks.extend(answers::of(self).into_iter().map(Block::Text));
        for (index, Section { title, blocks: inner }) in self.sections().into_iter().enumerate() {
            if index == 0 {
                blocks.extend(inner);
            } else {
                blocks.push(Block::Folded { title, blocks: inner, is_open: false });
            }
        }
        Section { title: self.summary.name.clone(), blocks }
    }
}
