//! The result of a query, for people and for programs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use bench_cli::{Align, OutputFormat, ToolId, output, quantity, table};
use serde_json::{Map, Value, json};

use crate::figures::{Figures, GROUPS_MAX, Group, ROUNDING_ERROR, Stat};
use crate::number::Number;
use crate::query::Subject;
use crate::records::Reading;

/// Version of the JSON format.
const SCHEMA_VERSION: u32 = 1;

/// Limit on groups shown to people; programs get all.
const SHOWN_GROUPS: usize = 50;

pub(crate) struct QueryReport<'a> {
    pub(crate) tool: ToolId,
    pub(crate) subject: Subject<'a>,
    pub(crate) reading: &'a Reading,
    pub(crate) stats: &'a [Stat],
    pub(crate) figures: &'a Figures,
    /// Whether reading reached the requested end.
    pub(crate) is_complete: bool,
    pub(crate) elapsed_ns: u64,
}

/// A row of the table.
struct Row<'a> {
    scope: &'static str,
    group: Option<&'a str>,
    values: Vec<Option<Number>>,
}

impl<'a> QueryReport<'a> {
    /// The result in this format.
    pub(crate) fn text(&self, format: OutputFormat) -> Result<String> {
        match format {
            OutputFormat::Human => Ok(self.human()),
            OutputFormat::Csv => Ok(self.csv()),
            OutputFormat::Json => {
                let text = serde_json::to_string_pretty(&self.json());
                Ok(text.context("failed to print the result")? + "\n")
            }
        }
    }

    /// The problem if records arrived but none had a number.
    pub(crate) fn problem(&self) -> Option<String> {
        let figures = self.figures;
        if figures.records == 0 || figures.all.count > 0 {
            return None;
        }
        let hint = self.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        Some(format!(
            "none of {} records has a number in field '{}'{hint}",
            quantity::count(figures.records),
            self.reading.field
        ))
    }

    /// The probable intention, if the field is missing and another one has a similar name.
    fn hint(&self) -> Option<String> {
        let (name, count) = self.figures.similar.iter().max_by_key(|(_, count)| **count)?;
        let count = quantity::count(*count);
        Some(format!(
            "{count} records without it have a field '{name}': names are case-sensitive, so use \
             --query {name} if that is the one"
        ))
    }

    fn rows(&self) -> Vec<Row<'a>> {
        let row = |scope, group, figures: &Group| Row {
            scope,
            group,
            values: figures.values(self.stats),
        };
        let mut rows = vec![row("all", None, &self.figures.all)];
        if self.reading.group_by.is_some() {
            let groups = self.figures.groups.iter();
            rows.extend(groups.map(|(name, group)| row("group", name.as_deref(), group)));
            if self.figures.others.count > 0 {
                rows.push(row("others", None, &self.figures.others));
            }
        }
        rows
    }

    /// The relative error of percentiles, if there are any.
    fn percentile_error(&self) -> Option<f64> {
        let figures = self.figures;
        self.stats.iter().any(Stat::needs_values).then(|| {
            let groups = figures.groups.values().chain([&figures.all, &figures.others]);
            groups.map(Group::percentile_error).fold(0.0, f64::max)
        })
    }

    /// The statistics in these values that should have all digits but do not.
    fn inexact(&self, values: &[Option<Number>]) -> Vec<&'a str> {
        let is_inexact = |(stat, value): &(&Stat, &Option<Number>)| {
            stat.is_exact() && value.is_some_and(|value| value.exact.is_none() && value.is_rounded)
        };
        let inexact = self.stats.iter().zip(values).filter(is_inexact);
        inexact.map(|(stat, _)| stat.name()).collect()
    }

    fn human(&self) -> String {
        let figures = self.figures;
        let state = if self.is_complete { "complete" } else { "INCOMPLETE" };
        let mut text = format!(
            "{} '{}': {} records in {}, {state}\n",
            self.subject.kind,
            self.subject.name,
            quantity::count(figures.records),
            quantity::duration_ns(self.elapsed_ns)
        );
        let skipped = figures.skipped;
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "field '{}': {} numbers; {} records skipped: {} missing, {} NaN or infinite, {} not \
             numeric, {} not JSON objects",
            self.reading.field,
            quantity::count(figures.all.count),
            quantity::count(skipped.total()),
            quantity::count(skipped.missing),
            quantity::count(skipped.not_finite),
            quantity::count(skipped.not_numeric),
            quantity::count(skipped.not_an_object)
        );
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "hint: {hint}");
        }
        text.push('\n');
        text.push_str(&self.table());
        match self.percentile_error() {
            Some(error) if error > ROUNDING_ERROR => {
                let _ = writeln!(text, "\npercentiles are within {:.1} %", error * 100.0);
            }
            Some(error) if error > 0.0 => {
                text.push_str("\npercentiles are rounded to about 16 digits\n");
            }
            _ => {}
        }
        let rows = self.rows();
        let inexact: BTreeSet<&str> =
            rows.iter().flat_map(|row| self.inexact(&row.values)).collect();
        if !inexact.is_empty() {
            let names: Vec<&str> = inexact.into_iter().collect();
            let _ = writeln!(
                text,
                "\nrounded to about 16 digits, since not all fit: {}; --output csv and json show where",
                names.join(", ")
            );
        }
        text
    }

    fn table(&self) -> String {
        let rows = self.rows();
        let mut lines: Vec<Vec<String>> = Vec::new();
        let mut header = vec![self.reading.group_by.clone().unwrap_or_default()];
        header.extend(self.stats.iter().map(|stat| stat.name().to_owned()));
        lines.push(header);
        for row in rows.iter().take(SHOWN_GROUPS + 1) {
            let mut line = vec![match row.scope {
                "group" => row.group.map_or("(none)".to_owned(), str::to_owned),
                "others" => "(other groups)".to_owned(),
                _ => "all".to_owned(),
            }];
            let shown = |value: &Option<Number>| value.as_ref().map_or("-".to_owned(), short);
            line.extend(row.values.iter().map(shown));
            lines.push(line);
        }
        let mut text = aligned(&lines);
        if let Some(left) = rows.len().checked_sub(SHOWN_GROUPS + 1).filter(|left| *left > 0) {
            let _ = writeln!(text, "... and {left} more; --output csv or json shows all");
        }
        text
    }

    fn csv(&self) -> String {
        let skipped = self.figures.skipped;
        let counts = [
            ("records", self.figures.records),
            ("missing", skipped.missing),
            ("not_finite", skipped.not_finite),
            ("not_numeric", skipped.not_numeric),
            ("not_an_object", skipped.not_an_object),
        ];
        let names = self.stats.iter().map(Stat::name).chain(counts.map(|(name, _)| name));
        let header = ["scope", "group"].into_iter().chain(names).chain(["inexact"]);
        let row = |row: Row<'_>| {
            let mut cells = vec![row.scope.to_owned(), row.group.unwrap_or_default().to_owned()];
            let in_full = |value: &Option<Number>| value.as_ref().map(in_full).unwrap_or_default();
            cells.extend(row.values.iter().map(in_full));
            let count =
                |count: u64| if row.scope == "all" { count.to_string() } else { String::new() };
            cells.extend(counts.map(|(_, number)| count(number)));
            cells.push(self.inexact(&row.values).join(" "));
            cells
        };
        output::csv_table(header, self.rows().into_iter().map(row))
    }

    fn json(&self) -> Value {
        let figures = self.figures;
        let skipped = figures.skipped;
        let mut answer = json!({
            "schema_version": SCHEMA_VERSION,
            "tool": { "name": self.tool.name, "version": self.tool.version },
            "status": if self.is_complete { "complete" } else { "incomplete" },
            (self.subject.kind): self.subject.name,
            "field": self.reading.field,
            "group_by": self.reading.group_by,
            "elapsed_s": self.elapsed_ns as f64 / 1e9,
            "records": figures.records,
            "skipped": {
                "missing": skipped.missing,
                "not_finite": skipped.not_finite,
                "not_numeric": skipped.not_numeric,
                "not_an_object": skipped.not_an_object,
            },
            "percentile_error": self.percentile_error(),
            "groups_max": GROUPS_MAX,
            "similar_fields": figures.similar,
        });
        let (mut groups, rows) = (Vec::new(), self.rows());
        for row in rows {
            let mut object = self.named(&row.values);
            match row.scope {
                "group" => {
                    object.insert("group".to_owned(), json!(row.group));
                    groups.push(Value::Object(object));
                }
                scope => answer[scope] = Value::Object(object),
            }
        }
        if self.reading.group_by.is_some() {
            answer["groups"] = Value::Array(groups);
        }
        answer
    }

    /// The statistics by name, `exact` with the digits of those that a double would round, and
    /// `inexact` with the names of those with unknown digits.
    fn named(&self, values: &[Option<Number>]) -> Map<String, Value> {
        let (mut named, mut exact) = (Map::new(), Map::new());
        for (stat, value) in self.stats.iter().zip(values) {
            let whole = value.and_then(|value| value.exact?.to_json());
            let json = match (stat, value) {
                (_, None) => Value::Null,
                (Stat::Count, Some(_)) => json!(whole),
                (_, Some(value)) if value.is_rounded => {
                    whole.map_or_else(|| json!(value.nearest), Value::Number)
                }
                (_, Some(value)) => json!(value.nearest),
            };
            named.insert(stat.name().to_owned(), json);
            let digits = value.filter(|value| value.is_rounded).and_then(|value| value.exact);
            if let Some(digits) = digits {
                exact.insert(stat.name().to_owned(), json!(digits.to_string()));
            }
        }
        if !exact.is_empty() {
            named.insert("exact".to_owned(), Value::Object(exact));
        }
        let inexact = self.inexact(values);
        if !inexact.is_empty() {
            named.insert("inexact".to_owned(), json!(inexact));
        }
        named
    }
}

/// With all digits, for programs.
fn in_full(number: &Number) -> String {
    number.exact.map_or_else(|| number.nearest.to_string(), |exact| exact.to_string())
}

/// For people: all digits before the point, and at most six decimals.
fn short(number: &Number) -> String {
    const DECIMALS_MAX: u32 = 6;
    if let Some(exact) = number.exact.filter(|exact| exact.places <= DECIMALS_MAX) {
        return exact.to_string();
    }
    let number = number.nearest;
    if number != 0.0 && !(1e-4..1e15).contains(&number.abs()) {
        return format!("{number:.6e}");
    }
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Aligns the first column left and the others right.
fn aligned(lines: &[Vec<String>]) -> String {
    table(lines, |column| if column == 0 { Align::Left } else { Align::Right })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_for_people() {
        for (number, text) in [
            ("0", "0"),
            ("-0.00000001", "-1.000000e-8"),
            ("35", "35"),
            ("35.125", "35.125"),
            ("0.3333333333333", "0.333333"),
            ("-12.5", "-12.5"),
            ("1e20", "100000000000000000000"),
            ("-9007199254740993.25", "-9007199254740993.25"),
            ("1e300", "1.000000e300"),
        ] {
            assert_eq!(short(&Number::parse(number).expect(number)), text);
        }
        assert_eq!(short(&Number::computed(1.0 / 3.0, false)), "0.333333");
        assert_eq!(short(&Number::computed(f64::INFINITY, true)), "inf");
    }

    fn answer(stats: &str, numbers: &[&str]) -> (Vec<Stat>, Figures) {
        let stats: Vec<Stat> = stats.split(',').map(|stat| stat.parse().expect(stat)).collect();
        let mut figures = Figures::new(&stats, false, None);
        let reading = Reading { field: "n".to_owned(), group_by: None };
        for number in numbers {
            figures.add(reading.observe(format!("{{\"n\": {number}}}").as_bytes()));
        }
        (stats, figures)
    }

    fn told(stats: &str, numbers: &[&str], format: OutputFormat) -> String {
        let (stats, figures) = answer(stats, numbers);
        let reading = Reading { field: "n".to_owned(), group_by: None };
        let answer = QueryReport {
            tool: ToolId { name: "t", version: "0" },
            subject: Subject { kind: "stream", name: "s" },
            reading: &reading,
            stats: &stats,
            figures: &figures,
            is_complete: true,
            elapsed_ns: 1,
        };
        answer.text(format).expect("printed")
    }

    #[test]
    fn whole_numbers_are_shown_in_full() {
        let (stats, numbers) = ("count,sum,min,max,p50", ["9007199254740993", "9007199254740993"]);
        let json = told(stats, &numbers, OutputFormat::Json);
        for line in [
            "\"sum\": 18014398509481986",
            "\"max\": 9007199254740993",
            "\"min\": \"9007199254740993\"",
            "\"percentile_error\": 1.1102230246251565e-16",
        ] {
            assert!(json.contains(line), "{line}: {json}");
        }
        assert!(!json.contains("inexact"), "{json}");
        let csv = told("sum,max", &numbers, OutputFormat::Csv);
        assert!(csv.contains("\nall,,18014398509481986,9007199254740993,2,"), "{csv}");
        let human = told(stats, &numbers, OutputFormat::Human);
        assert!(human.contains("18014398509481986  9007199254740993"), "{human}");
        assert!(human.contains("percentiles are rounded"), "{human}");
    }

    #[test]
    fn long_numbers_are_json_text_beside_doubles() {
        let json = told("sum,max", &["12345678901234567890.25"], OutputFormat::Json);
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["all"]["max"], json!(12_345_678_901_234_567_000_f64));
        assert_eq!(json["all"]["exact"]["sum"], "12345678901234567890.25");
        assert_eq!(json["all"]["inexact"], Value::Null);
    }

    #[test]
    fn figures_missing_digits_are_named() {
        let numbers = ["170141183460469231731687303715884105727", "1"];
        let json = told("sum,max", &numbers, OutputFormat::Json);
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["all"]["inexact"], json!(["sum"]));
        let csv = told("sum,max", &numbers, OutputFormat::Csv);
        assert!(csv.trim_end().ends_with(",2,0,0,0,0,sum"), "{csv}");
        let human = told("sum,max", &numbers, OutputFormat::Human);
        assert!(human.contains("since not all fit: sum;"), "{human}");
        assert!(told("sum", &["1e308", "1e308", "1e308"], OutputFormat::Csv).contains(",inf,"));
        let infinite = told("count,sum", &["1e400", "-1e400", "2"], OutputFormat::Csv);
        assert!(infinite.contains("\nall,,1,2,3,0,2,0,0,"), "{infinite}");
    }

    #[test]
    fn tables_align() {
        let lines = [vec!["é".to_owned(), "n".to_owned()], vec!["abc".to_owned(), "12".to_owned()]];
        assert_eq!(aligned(&lines), "é     n\nabc  12\n");
    }
}
