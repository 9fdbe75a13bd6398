//! Generates books.

use std::path::Path;

use anyhow::{Context, Result};
use bench_cli::{Exit, UsageError, output};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::options::{MakeArgs, Style};

/// Every Nth book has no price.
const WITHOUT_PRICE_EVERY: u64 = 20;

/// Every Nth book has the price NaN.
const NAN_PRICE_EVERY: u64 = 25;

/// Every Nth book has no title.
const WITHOUT_TITLE_EVERY: u64 = 50;

/// Maximum books per file: the numbers in titles have seven digits.
const BOOKS_MAX: u64 = 9_999_999;

const ADJECTIVES: [&str; 12] = [
    "Silent",
    "Crimson",
    "Forgotten",
    "Última",
    "Broken",
    "Élégante",
    "Winter's",
    "Hidden",
    "Last",
    "Größte",
    "Burning",
    "Paper",
];
const NOUNS: [&str; 12] = [
    "Garden",
    "Café",
    "River",
    "Señor",
    "Library",
    "Mountain",
    "Clockmaker",
    "Straße",
    "Letter",
    "北京",
    "Harbour",
    "Orchard",
];
const NAMES: [&str; 12] = [
    "Ana García",
    "Jürgen Müller",
    "Zoë O'Neill",
    "Łukasz Nowak",
    "Mary Ann Smith",
    "李伟",
    "Søren Holm",
    "Renée Dubois",
    "John Brown",
    "Nguyễn An",
    "Paul \"Ace\" Jones",
    "Ida Berg",
];
const PHRASES: [&str; 8] = [
    "A story of love, loss and long trains",
    "\"Unputdownable\", says nobody in particular",
    "Three sisters, one house; no keys",
    "The truth about Größenwahn",
    "First line\nsecond line",
    "An essay on tea",
    "What happened in 1912, and after",
    "Ένα ταξίδι",
];

/// The contents of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    with_price: u64,
    without_price: u64,
    nan_price: u64,
    without_title: u64,
    /// Sum of all prices.
    total_cents: u64,
}

pub(super) fn run(args: &MakeArgs) -> Result<Exit> {
    if !(1..=BOOKS_MAX).contains(&args.messages) {
        let remedy = format!("use a number from 1 to {BOOKS_MAX}");
        return Err(UsageError::new("--messages", "out of range", remedy).into());
    }
    let tally = write(&args.file, args)
        .with_context(|| format!("failed to write {}; use another file", args.file.display()))?;
    let text = format!(
        "{} books in {}: {} with a price, {}.{:02} in total, {} without one, {} with NaN; {} without \
         a title\n",
        args.messages,
        args.file.display(),
        tally.with_price,
        tally.total_cents / 100,
        tally.total_cents % 100,
        tally.without_price,
        tally.nan_price,
        tally.without_title,
    );
    output::print_text(&text).context("failed to print the summary")?;
    Ok(Exit::Good)
}

fn write(path: &Path, args: &MakeArgs) -> Result<Tally> {
    let mut out = csv::Writer::from_path(path)?;
    out.write_record(match args.style {
        Style::A => ["Title", "Author(s)", "Price", "Description"],
        Style::B => ["title", "author", "price", "description"],
    })?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(args.seed);
    let mut tally = Tally::default();
    for number in 1..=args.messages {
        out.write_record(book(number, &mut rng, &mut tally))?;
    }
    out.flush()?;
    Ok(tally)
}

fn book(number: u64, rng: &mut Xoshiro256PlusPlus, tally: &mut Tally) -> [String; 4] {
    let mut pick = |words: &[&'static str]| words.choose(rng).copied().unwrap_or_default();
    let title = format!("{} {}, vol. {number}", pick(&ADJECTIVES), pick(&NOUNS));
    let (first, second) = (pick(&NAMES), pick(&NAMES));
    let author =
        if number.is_multiple_of(3) { format!("{first}, {second}") } else { first.to_owned() };
    let description = format!("{}. {}.", pick(&PHRASES), pick(&PHRASES));
    let cents = rng.random_range(199..=9_999_u64);
    let title = if number.is_multiple_of(WITHOUT_TITLE_EVERY) {
        tally.without_title += 1;
        String::new()
    } else {
        title
    };
    let price = if number.is_multiple_of(WITHOUT_PRICE_EVERY) {
        tally.without_price += 1;
        String::new()
    } else if number.is_multiple_of(NAN_PRICE_EVERY) {
        tally.nan_price += 1;
        "NaN".to_owned()
    } else {
        tally.with_price += 1;
        tally.total_cents += cents;
        format!("{}.{:02}", cents / 100, cents % 100)
    };
    [title, author, price, description]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(
        folder: &Path,
        messages: u64,
        seed: u64,
        style: Style,
    ) -> (Vec<csv::StringRecord>, Tally) {
        let args = MakeArgs { messages, seed, style, file: folder.join("books.csv") };
        let tally = write(&args.file, &args).expect("written");
        let mut rows = csv::Reader::from_path(&args.file).expect("readable");
        (rows.records().collect::<Result<_, _>>().expect("well-formed"), tally)
    }

    #[test]
    fn files_match_their_tally() {
        let folder = tempfile::tempdir().expect("a folder");
        let (rows, tally) = make(folder.path(), 212, 1, Style::A);
        assert_eq!(rows.len(), 212);
        let prices: Vec<&str> = rows.iter().map(|row| &row[2]).collect();
        let of = |text: &str| prices.iter().filter(|price| **price == text).count() as u64;
        // 20, 40 ... 200; and 25, 50 ... 200 without those.
        assert_eq!((of(""), of("NaN")), (10, 6));
        assert_eq!((tally.without_price, tally.nan_price, tally.with_price), (10, 6, 196));
        let cents: u64 = prices
            .iter()
            .filter_map(|price| price.parse::<f64>().ok().filter(|price| price.is_finite()))
            .map(|price| format!("{:.0}", price * 100.0).parse::<u64>().expect("a number"))
            .sum();
        assert_eq!(cents, tally.total_cents);
        assert_eq!(rows.iter().filter(|row| row[0].is_empty()).count() as u64, tally.without_title);
        let text: String = rows.iter().flat_map(|row| row.iter()).collect();
        for special in ['"', ',', '\n', 'é', '北'] {
            assert!(text.contains(special), "{special:?}");
        }
    }

    #[test]
    fn seeds_decide_books_and_styles_only_headings() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, _) = make(folder.path(), 50, 1, Style::A);
        assert_eq!(make(folder.path(), 50, 1, Style::B).0, first);
        assert_ne!(make(folder.path(), 50, 2, Style::A).0, first);
        make(folder.path(), 1, 1, Style::B);
        let text = std::fs::read_to_string(folder.path().join("books.csv")).expect("readable");
        assert!(text.starts_with("title,author,price,description\n"), "{text}");
    }
}
