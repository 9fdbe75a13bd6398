//! A stream with numbers for tests, and consumers of it.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use axum::extract::DefaultBodyLimit;
use bench_aws::{AwsArgs, SdkConfig};
use bench_core::clock::{Clock as _, SystemClock};
use bench_core::counts::Counts;
use bench_core::transport::Receive;
use bench_kinesis::admin::{self, Capacity};
use bench_kinesis::receive::{KinesisReceiver, Polling, StreamStart, Subscription};
use clap::Parser;
use ferrokinesis::store::StoreOptions;
use tokio::runtime::Runtime;

/// Timeout of every wait.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Parser)]
struct Connection {
    #[command(flatten)]
    aws: AwsArgs,
}

/// The configuration of clients of the service at `url`.
pub(crate) fn config(url: &str) -> SdkConfig {
    Connection::parse_from(["test"]).aws.embedded_config(url)
}

/// Options of a service that changes streams at once.
pub(crate) fn quick() -> StoreOptions {
    StoreOptions {
        create_stream_ms: 0,
        delete_stream_ms: 0,
        update_stream_ms: 0,
        shard_limit: 100,
        ..StoreOptions::default()
    }
}

/// Starts a service in a thread that ends with this process, and returns its address.
pub(crate) fn serve(options: StoreOptions) -> String {
    let (sender, urls) = channel();
    std::thread::spawn(move || {
        Runtime::new().expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            sender.send(format!("http://{address}")).expect("the receiver waits");
            let (app, _store) = ferrokinesis::create_app(options);
            axum::serve(listener, app.layer(DefaultBodyLimit::max(16 << 20))).await
        })
    });
    urls.recv().expect("it listens")
}

/// A stream of some shards.
pub(crate) struct Stream {
    pub(crate) config: SdkConfig,
    pub(crate) name: String,
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
}

impl Stream {
    pub(crate) fn create(url: &str, shards: u32) -> Self {
        let config = config(url);
        let client = Client::new(&config);
        let runtime = Runtime::new().expect("a runtime");
        let name = "numbers".to_owned();
        let created = admin::create(&client, &name, Capacity::Shards(shards), TIMEOUT);
        runtime.block_on(created).expect("created");
        Self { config, name, runtime, client }
    }

    /// Puts the numbers into the stream, 100 at a time: number n as `n` under key `n % keys`.
    pub(crate) fn put(&self, numbers: std::ops::Range<u32>, keys: u32) {
        let all: Vec<u32> = numbers.collect();
        for batch in all.chunks(100) {
            let entry = |number: &u32| {
                PutRecordsRequestEntry::builder()
                    .partition_key((number % keys).to_string())
                    .data(Blob::new(number.to_string()))
                    .build()
                    .expect("an entry")
            };
            let entries = batch.iter().map(entry).collect();
            let request = self.client.put_records().stream_name(&self.name);
            let answer = self.runtime.block_on(request.set_records(Some(entries)).send());
            assert_eq!(answer.expect("put").failed_record_count, Some(0));
        }
    }

    /// The ids of the open shards, sorted by hash key.
    pub(crate) fn open_shards(&self) -> Vec<String> {
        let shards = admin::open_shards(&self.client, &self.name);
        let shards = self.runtime.block_on(shards).expect("listed");
        shards.into_iter().map(|shard| shard.id).collect()
    }

    /// Splits the open shard with this index in the middle.
    pub(crate) fn split(&self, index: usize) {
        let shards = admin::open_shards(&self.client, &self.name);
        let shards = self.runtime.block_on(shards).expect("listed");
        let shard = &shards[index];
        let middle = shard.first_hash_key + (shard.last_hash_key - shard.first_hash_key) / 2;
        let done = admin::split(&self.client, &self.name, &shard.id, middle, TIMEOUT);
        self.runtime.block_on(done).expect("split");
    }

    /// Merges the open shard with this index and the next one.
    pub(crate) fn merge(&self, index: usize) {
        let shards = self.open_shards();
        let (first, second) = (&shards[index], &shards[index + 1]);
        let done = admin::merge(&self.client, &self.name, first, second, TIMEOUT);
        self.runtime.block_on(done).expect("merged");
    }

    pub(crate) fn reader(&self) -> Consumers {
        self.connect(&StreamStart::TrimHorizon, &quickly(), 1)
    }

    pub(crate) fn connect(
        &self,
        start: &StreamStart,
        subscription: &Subscription,
        consumers: usize,
    ) -> Consumers {
        let (clock, counts) = (SystemClock::new(), Counts::default());
        let (config, name) = (&self.config, &self.name);
        let receivers =
            KinesisReceiver::connect(config, name, start, subscription, consumers, clock, &counts);
        let receivers = receivers.expect("connected");
        Consumers { receivers, clock, counts, received: Vec::new() }
    }
}

/// Polls as fast as the service answers.
pub(crate) fn quickly() -> Subscription {
    let interval = Duration::from_millis(5);
    Subscription::Polling(Polling { interval, within_limits: false, ..Polling::default() })
}

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) shard: u32,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Consumers that share a stream, and all messages that they have received.
pub(crate) struct Consumers {
    pub(crate) receivers: Vec<KinesisReceiver>,
    clock: SystemClock,
    counts: Counts,
    pub(crate) received: Vec<Received>,
}

impl Consumers {
    /// Receives until `is_over` returns true.
    pub(crate) fn receive_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !is_over(self) {
            assert!(Instant::now() < deadline, "{} received", self.received.len());
            for receiver in &mut self.receivers {
                let until_ns = self.clock.now_ns() + 3_000_000;
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                let received = &mut self.received;
                receiver
                    .receive(until_ns, |message| {
                        received.push(Received {
                            shard: message.partition,
                            key: text(message.key.expect("a key")),
                            value: text(message.value),
                        });
                    })
                    .expect("received");
            }
        }
    }

    /// Receives until at least this many messages have arrived.
    pub(crate) fn receive(&mut self, messages: usize) {
        self.receive_until(|consumers| consumers.received.len() >= messages);
    }

    /// Receives to the current end.
    pub(crate) fn receive_to_the_end(&mut self) {
        self.receive_until(|consumers| consumers.receivers.iter().all(Receive::at_end));
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counts.read()[name]
    }

    /// The numbers in order of arrival.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.received.iter().map(|one| one.value.parse().expect("a number")).collect()
    }

    /// Asserts that the numbers below `count` have arrived, each once, and in order per key.
    pub(crate) fn assert_all(&self, count: u32) {
        let mut last: BTreeMap<&str, u32> = BTreeMap::new();
        for (one, number) in self.received.iter().zip(self.numbers()) {
            let before = last.insert(&one.key, number);
            assert!(before.is_none_or(|before| before < number), "{before:?} before {one:?}");
        }
        let mut numbers = self.numbers();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..count).collect::<Vec<_>>());
    }
}
