//! Reading rows: the buckets of a run with Query, or the whole table with a parallel Scan.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use bench_aws::SdkConfig;
use bench_core::clock::Stamp;
use bench_core::message::RunId;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::item::{
    BUCKET, Item, ROW, RUNS_BUCKET, RowKey, bucket_names, confirmation_key, confirmations, is_row,
    key_item, row_from, row_of, stored_row,
};
use super::{Failure, check_name, client};
use crate::error::TableError;
use crate::pending::RunBatch;
use crate::selection::Selection;
use crate::stored::{Page, StoredRow};
use crate::writing::Backoff;

/// Requests in flight. Each response holds up to 1 MiB of items.
const REQUESTS_IN_FLIGHT: usize = 4;

/// Segments of a scan.
const SEGMENTS: i32 = 8;

/// Limit on keys per `BatchGetItem`, set by the service.
const GET_KEYS_MAX: usize = 100;

/// How long a request is retried.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// How far before the last row of a bucket a poll for new rows starts: several writers with
/// overlapping requests write to it.
const OVERLAP_NS: u64 = 200_000_000;

/// The same for a wide poll, which also finds rows of requests that were retried for long, and of
/// writers whose clocks are behind.
const WIDE_OVERLAP_NS: u64 = 60_000_000_000;

/// Time between wide polls while nothing new arrives, and while it does.
const WIDE_POLL_IDLE: Duration = Duration::from_secs(2);
const WIDE_POLL_BUSY: Duration = Duration::from_secs(20);

/// Reads the rows of a table.
#[derive(Debug)]
pub(crate) struct DynamodbSource {
    client: Client,
    table: String,
    /// Those to read next come first.
    cursors: Vec<Cursor>,
    follows: bool,
}

/// A bucket of a run or a segment of the table, and how far it was read.
#[derive(Debug)]
struct Cursor {
    part: Part,
    /// The start of the next page; `None` at the end.
    next_page: Option<Item>,
    has_ended: bool,
    /// Recent rows, by the instant at which they were written and a hash.
    seen: BTreeSet<(u64, u64)>,
    /// The latest instant at which a row was written.
    last_ns: u64,
    from_ns: u64,
    looked_wide: Instant,
    found_nothing: bool,
}

#[derive(Debug, Clone)]
enum Part {
    Bucket(String),
    Segment(i32),
}

impl DynamodbSource {
    pub(crate) fn new(
        config: &SdkConfig,
        table: &str,
        selection: Selection,
        follows: bool,
    ) -> Result<Self, TableError> {
        check_name(table)?;
        let parts: Vec<Part> = match selection {
            Selection::Run(run) => bucket_names(Some(run)).map(Part::Bucket).collect(),
            Selection::All => (0..SEGMENTS).map(Part::Segment).collect(),
        };
        let cursors = parts.into_iter().map(Cursor::new).collect();
        Ok(Self { client: client(config), table: table.to_owned(), cursors, follows })
    }

    /// Reads the next pages of several cursors at once.
    pub(crate) async fn next(&mut self) -> Result<Page, TableError> {
        let mut under_way = JoinSet::new();
        for index in 0..self.cursors.len() {
            if under_way.len() == REQUESTS_IN_FLIGHT {
                break;
            }
            if self.cursors[index].has_ended {
                continue;
            }
            let cursor = &self.cursors[index];
            let read = PageRequest {
                client: self.client.clone(),
                table: self.table.clone(),
                part: cursor.part.clone(),
                from: row_from(cursor.from_ns),
                start: cursor.next_page.clone(),
            };
            under_way.spawn(async move { (index, read.send().await) });
        }
        let mut page = Page::default();
        let mut read = Vec::new();
        while let Some(answer) = under_way.join_next().await {
            let (index, answer) = answer.map_err(|error| self.foreign(error.to_string()))?;
            let (items, next_page) = answer?;
            read.push(index);
            self.take(index, items, next_page, &mut page.rows)?;
        }
        // Every cursor gets its turn.
        read.sort_unstable();
        for index in read.into_iter().rev() {
            let cursor = self.cursors.remove(index);
            self.cursors.push(cursor);
        }
        page.at_end = self.cursors.iter().all(|cursor| cursor.has_ended);
        if page.at_end && self.follows {
            self.cursors.iter_mut().for_each(Cursor::poll_again);
        }
        Ok(page)
    }

    fn foreign(&self, reason: String) -> TableError {
        TableError::Foreign { table: self.table.clone(), reason }
    }

    /// Adds a page of a cursor.
    fn take(
        &mut self,
        index: usize,
        items: Vec<Item>,
        next_page: Option<Item>,
        rows: &mut Vec<StoredRow>,
    ) -> Result<(), TableError> {
        let follows = self.follows;
        for item in items.into_iter().filter(is_row) {
            let hash = BuildHasherDefault::<DefaultHasher>::default()
                .hash_one(row_of(&item).unwrap_or_default());
            let (row, written_ns) = stored_row(item).map_err(|reason| self.foreign(reason))?;
            let cursor = &mut self.cursors[index];
            if !follows || cursor.is_new(written_ns, hash) {
                rows.push(row);
            }
        }
        let cursor = &mut self.cursors[index];
        cursor.has_ended = next_page.is_none();
        cursor.next_page = next_page;
        Ok(())
    }

    /// The existing confirmations of these batches.
    pub(crate) async fn confirmations(
        &mut self,
        wanted: &[RunBatch],
    ) -> Result<Vec<(RunBatch, Stamp)>, TableError> {
        let mut runs: HashMap<(String, String), Option<RunId>> = HashMap::new();
        for (run, id) in wanted {
            let RowKey { bucket, row } = confirmation_key(*run, *id);
            runs.insert((bucket, row), *run);
        }
        let keys: Vec<_> = runs.into_iter().collect();
        let mut found = Vec::new();
        for keys in keys.chunks(GET_KEYS_MAX) {
            let run_of: HashMap<&str, Option<RunId>> =
                keys.iter().map(|((_, row), run)| (row.as_str(), *run)).collect();
            let items = keys.iter().map(|((bucket, row), _)| key_item(bucket, row)).collect();
            for item in self.get_all(items).await? {
                let of_item = confirmations(&item).map_err(|reason| self.foreign(reason))?;
                let run = row_of(&item).ok().and_then(|row| run_of.get(row)).copied();
                let Some(run) = run else { continue };
                found.extend(of_item.into_iter().map(|(id, at)| ((run, id), at)));
            }
        }
        Ok(found)
    }

    /// The existing items with these keys.
    async fn get_all(&self, keys: Vec<Item>) -> Result<Vec<Item>, TableError> {
        let mut found = Vec::new();
        let mut keys = keys;
        let mut backoff = Backoff::new(RETRY_FOR);
        while !keys.is_empty() {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(keys.clone()))
                .consistent_read(true)
                .build()
                .map_err(|error| self.foreign(error.to_string()))?;
            let call = self.client.batch_get_item().request_items(&self.table, wanted);
            match call.send().await {
                Ok(answer) => {
                    let items = answer.responses.unwrap_or_default();
                    found.extend(items.into_values().flatten());
                    let left = answer.unprocessed_keys.unwrap_or_default();
                    keys = left.into_values().flat_map(|left| left.keys).collect();
                    if keys.is_empty() || backoff.wait().await {
                        continue;
                    }
                    return Err(self.foreign("its confirmations cannot be read".to_owned()));
                }
                Err(error) => match Failure::of("read confirmations from", &self.table, &error) {
                    Failure::Passing(_) if backoff.wait().await => {}
                    failure => return Err(failure.into_error()),
                },
            }
        }
        Ok(found)
    }
}

impl Cursor {
    fn new(part: Part) -> Self {
        Self {
            part,
            next_page: None,
            has_ended: false,
            seen: BTreeSet::new(),
            last_ns: 0,
            from_ns: 0,
            looked_wide: Instant::now(),
            found_nothing: true,
        }
    }

    /// Whether a row is new; it is known from now on.
    fn is_new(&mut self, written_ns: u64, hash: u64) -> bool {
        if !self.seen.insert((written_ns, hash)) {
            return false;
        }
        self.found_nothing = false;
        if written_ns > self.last_ns {
            self.last_ns = written_ns;
            let forgotten = (written_ns.saturating_sub(WIDE_OVERLAP_NS), 0);
            while self.seen.first().is_some_and(|first| *first < forgotten) {
                self.seen.pop_first();
            }
        }
        true
    }

    /// Starts another poll at the end of what was read.
    fn poll_again(&mut self) {
        let wide_after = if self.found_nothing { WIDE_POLL_IDLE } else { WIDE_POLL_BUSY };
        let overlap_ns = if self.looked_wide.elapsed() >= wide_after {
            self.looked_wide = Instant::now();
            WIDE_OVERLAP_NS
        } else {
            OVERLAP_NS
        };
        self.from_ns = self.last_ns.saturating_sub(overlap_ns);
        (self.has_ended, self.found_nothing) = (false, true);
    }
}

/// A page to read.
struct PageRequest {
    client: Client,
    table: String,
    part: Part,
    /// The lowest sort key to read in a bucket.
    from: String,
    start: Option<Item>,
}

impl PageRequest {
    /// The items of the page, and the start of the next one.
    async fn send(self) -> Result<(Vec<Item>, Option<Item>), TableError> {
        let mut backoff = Backoff::new(RETRY_FOR);
        loop {
            let answer = match &self.part {
                Part::Bucket(bucket) => self.query(bucket).await,
                Part::Segment(segment) => self.scan(*segment).await,
            };
            match answer {
                Ok((items, next)) => return Ok((items, next.filter(|next| !next.is_empty()))),
                Err(Failure::Passing(_)) if backoff.wait().await => {}
                Err(failure) => return Err(failure.into_error()),
            }
        }
    }

    async fn query(&self, bucket: &str) -> Result<(Vec<Item>, Option<Item>), Failure> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#bucket = :bucket AND #row >= :from")
            .expression_attribute_names("#bucket", BUCKET)
            .expression_attribute_names("#row", ROW)
            .expression_attribute_values(":bucket", AttributeValue::S(bucket.to_owned()))
            .expression_attribute_values(":from", AttributeValue::S(self.from.clone()))
            .consistent_read(true)
            .set_exclusive_start_key(self.start.clone());
        match query.send().await {
            Ok(answer) => Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key)),
            Err(error) => Err(Failure::of("read rows from", &self.table, &error)),
        }
    }

    async fn scan(&self, segment: i32) -> Result<(Vec<Item>, Option<Item>), Failure> {
        let scan = self
            .client
            .scan()
            .table_name(&self.table)
            .segment(segment)
            .total_segments(SEGMENTS)
            .consistent_read(true)
            .set_exclusive_start_key(self.start.clone());
        match scan.send().await {
            Ok(answer) => Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key)),
            Err(error) => Err(Failure::of("scan", &self.table, &error)),
        }
    }
}

/// The runs listed in a table.
pub(super) async fn runs(client: &Client, table: &str) -> Result<Vec<RunId>, TableError> {
    let read = |start| PageRequest {
        client: client.clone(),
        table: table.to_owned(),
        part: Part::Bucket(RUNS_BUCKET.to_owned()),
        // Not above any run's name.
        from: "0".to_owned(),
        start,
    };
    let mut runs = Vec::new();
    let mut start = None;
    loop {
        let (items, next) = read(start).send().await?;
        runs.extend(items.iter().filter_map(|item| row_of(item).ok()?.parse::<RunId>().ok()));
        start = next;
        if start.is_none() {
            return Ok(runs);
        }
    }
}
