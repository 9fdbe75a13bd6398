//! Reading rows: the buckets of a run by Query, or the whole table by a parallel Scan.

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
use crate::receiver::{Page, Selection};
use crate::stored::StoredRow;
use crate::writing::Backoff;

/// Requests without an answer at a time. Each answer holds up to 1 MiB of items.
const REQUESTS_IN_FLIGHT: usize = 4;

/// Parts into which a scan divides the table.
const SEGMENTS: i32 = 8;

/// Keys that `BatchGetItem` takes: a limit of the service.
const GET_KEYS_MAX: usize = 100;

/// How long a request is sent again.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// How far behind the last row of a bucket a look for new ones begins: several writers, whose
/// requests overlap, write into it.
const OVERLAP_NS: u64 = 200_000_000;

/// The same for a look that also finds the rows of requests which were repeated for long, and of
/// writers whose clocks are behind.
const WIDE_OVERLAP_NS: u64 = 60_000_000_000;

/// How often such a look is taken while nothing new comes, and while it does.
const WIDE_LOOK_IDLE: Duration = Duration::from_secs(2);
const WIDE_LOOK_BUSY: Duration = Duration::from_secs(20);

/// Reads rows of a table.
#[derive(Debug)]
pub(crate) struct DynamodbSource {
    client: Client,
    table: String,
    /// Those that are read next stand first.
    places: Vec<Place>,
    follows: bool,
}

/// A bucket of a run, or a segment of the table, and how far it was read.
#[derive(Debug)]
struct Place {
    part: Part,
    /// Where the next page begins; nothing at the end of the place.
    next_page: Option<Item>,
    has_ended: bool,
    /// Rows from about the last ones on, by the instant at which they were written and a hash.
    seen: BTreeSet<(u64, u64)>,
    /// The highest instant at which a row was written.
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
        let places = parts.into_iter().map(Place::new).collect();
        Ok(Self { client: client(config), table: table.to_owned(), places, follows })
    }

    /// Reads the next pages of several places at once.
    pub(crate) async fn next(&mut self) -> Result<Page, TableError> {
        let mut under_way = JoinSet::new();
        for index in 0..self.places.len() {
            if under_way.len() == REQUESTS_IN_FLIGHT {
                break;
            }
            if self.places[index].has_ended {
                continue;
            }
            let place = &self.places[index];
            let read = Read {
                client: self.client.clone(),
                table: self.table.clone(),
                part: place.part.clone(),
                from: row_from(place.from_ns),
                start: place.next_page.clone(),
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
        // Every place has its turn.
        read.sort_unstable();
        for index in read.into_iter().rev() {
            let place = self.places.remove(index);
            self.places.push(place);
        }
        page.at_end = self.places.iter().all(|place| place.has_ended);
        if page.at_end && self.follows {
            self.places.iter_mut().for_each(Place::look_again);
        }
        Ok(page)
    }

    fn foreign(&self, reason: String) -> TableError {
        TableError::Foreign { table: self.table.clone(), reason }
    }

    /// Takes in a page of a place.
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
            let place = &mut self.places[index];
            if !follows || place.is_new(written_ns, hash) {
                rows.push(row);
            }
        }
        let place = &mut self.places[index];
        place.has_ended = next_page.is_none();
        place.next_page = next_page;
        Ok(())
    }

    /// The confirmations that are there of these batches.
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

    /// The items with these keys that are there.
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
                    return Err(self.foreign("its confirmations are not given out".to_owned()));
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

impl Place {
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

    /// Whether a row was not read before; it is from now on.
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

    /// Begins another look at the end of what was read.
    fn look_again(&mut self) {
        let wide_after = if self.found_nothing { WIDE_LOOK_IDLE } else { WIDE_LOOK_BUSY };
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

/// A page to be read.
struct Read {
    client: Client,
    table: String,
    part: Part,
    /// The first sort key of a bucket's that counts.
    from: String,
    start: Option<Item>,
}

impl Read {
    /// The items of the page, and where the next one begins.
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

/// The runs that a table lists.
pub(super) async fn runs(client: &Client, table: &str) -> Result<Vec<RunId>, TableError> {
    let read = |start| Read {
        client: client.clone(),
        table: table.to_owned(),
        part: Part::Bucket(RUNS_BUCKET.to_owned()),
        // Not later than any name of a run.
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
