//! Creating, describing and deleting the table.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ProvisionedThroughput,
    ScalarAttributeType, StreamSpecification, TableDescription, TableStatus, Tag,
};
use bench_aws::{AwsError, SdkConfig};
use bench_core::message::RunId;
use tokio::time::{Instant, sleep};

use super::item::{BUCKET, ROW};
use super::{NOT_FOUND, check_name, client};
use crate::error::TableError;
use crate::info::{MARK, Obstacle, TableInfo};

/// Time limit for creating or deleting a table. The service takes about ten seconds.
const CHANGE_TIMEOUT: Duration = Duration::from_mins(5);

/// Time between polls of its state.
const CHANGE_POLL: Duration = Duration::from_millis(250);

/// How a table's capacity is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// Per request.
    OnDemand,
    /// Per hour for this capacity; requests beyond it are throttled.
    Provisioned {
        /// Read capacity units.
        read_units: u32,
        /// Write capacity units, each 1 KiB per second.
        write_units: u32,
    },
}

/// The states in which rows can be written.
const USABLE: [TableStatus; 2] = [TableStatus::Active, TableStatus::Updating];

fn has_status(table: &TableDescription, any_of: &[TableStatus]) -> bool {
    table.table_status().is_some_and(|status| any_of.contains(status))
}

/// Why a table should not be deleted.
fn obstacle(table: &TableDescription) -> Option<Obstacle> {
    if table.deletion_protection_enabled() == Some(true) {
        return Some(Obstacle::Undeletable("is protected from deletion".to_owned()));
    }
    let replica = table.replicas().iter().find_map(|replica| replica.region_name());
    if let Some(region) = replica {
        return Some(Obstacle::Undeletable(format!(
            "is a global table, with a replica in {region}"
        )));
    }
    let has_stream = table.stream_specification().is_some_and(StreamSpecification::stream_enabled);
    let has_indexes =
        !table.global_secondary_indexes().is_empty() || !table.local_secondary_indexes().is_empty();
    let extra = if has_stream {
        "has a stream of its changes"
    } else if has_indexes {
        "has secondary indexes"
    } else {
        return None;
    };
    Some(Obstacle::Irreplaceable(extra.to_owned()))
}

/// The differences between a table's key and a landing table's.
fn key_differences(table: &TableDescription) -> Vec<String> {
    let kind = |name: &str| {
        let attributes = table.attribute_definitions().iter();
        let mut kinds = attributes.filter(|attribute| attribute.attribute_name() == name);
        kinds.next().map_or("?", |attribute| attribute.attribute_type().as_str())
    };
    let part = |wanted: &KeyType| {
        let mut parts = table.key_schema().iter().filter(|part| part.key_type() == wanted);
        parts.next().map(KeySchemaElement::attribute_name)
    };
    let mut differences = Vec::new();
    for (what, wanted, key) in
        [("partition key", BUCKET, KeyType::Hash), ("sort key", ROW, KeyType::Range)]
    {
        match part(&key) {
            Some(found) if found == wanted && kind(found) == "S" => {}
            Some(found) => differences
                .push(format!("its {what} is '{found}' ({}), not '{wanted}' (S)", kind(found))),
            None => differences.push(format!("it has no {what} '{wanted}' (S)")),
        }
    }
    differences
}

/// Manages tables.
#[derive(Debug)]
pub struct DynamodbAdmin {
    client: Client,
}

impl DynamodbAdmin {
    /// The tables of this configuration's account and region, or of its stand-in.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: client(config) }
    }

    /// Describes a table; `None` if it does not exist.
    pub async fn describe(&self, table: &str) -> Result<Option<TableInfo>, TableError> {
        let Some(found) = self.described(table).await? else { return Ok(None) };
        if has_status(&found, &[TableStatus::Deleting]) {
            return Ok(None);
        }
        let arn = found.table_arn().unwrap_or_default();
        let mut is_marked = false;
        let mut next = None;
        loop {
            let page = self.client.list_tags_of_resource().resource_arn(arn);
            let page = page.set_next_token(next).send().await.map_err(|error| {
                AwsError::new(format!("read the tags of table '{table}'"), &error)
            })?;
            is_marked |= page.tags().iter().any(|tag| tag.key() == MARK);
            next = page.next_token;
            if next.is_none() {
                break;
            }
        }
        Ok(Some(TableInfo {
            name: table.to_owned(),
            rows: found.item_count().and_then(|count| u64::try_from(count).ok()),
            is_marked,
            is_usable: has_status(&found, &USABLE),
            obstacle: obstacle(&found),
        }))
    }

    /// Creates the table unless it exists, and waits until it is usable. If it is being deleted,
    /// waits for that first.
    pub async fn create(&self, table: &str, billing: Billing) -> Result<(), TableError> {
        let is_settled = |found: Option<&TableDescription>| {
            found.is_none_or(|found| !has_status(found, &[TableStatus::Deleting]))
        };
        self.wait(table, "gone", is_settled).await?;
        if self.described(table).await?.is_none() {
            self.request_creation(table, billing).await?;
        }
        let is_usable = |found: Option<&TableDescription>| {
            found.is_some_and(|found| has_status(found, &USABLE))
        };
        self.wait(table, "ready", is_usable).await?;
        self.check_columns(table).await
    }

    /// Checks that the table, if it exists, has the key of a landing table.
    pub async fn check_columns(&self, table: &str) -> Result<(), TableError> {
        let differences = self.described(table).await?.map(|found| key_differences(&found));
        match differences.filter(|differences| !differences.is_empty()) {
            None => Ok(()),
            Some(differences) => {
                Err(TableError::OtherColumns { table: table.to_owned(), differences })
            }
        }
    }

    /// Deletes the table, if it exists, and waits until it is gone. The service refuses to delete a
    /// table that is being created or changed, so waits for that first.
    pub async fn delete(&self, table: &str) -> Result<(), TableError> {
        let is_changing = |found: &TableDescription| {
            has_status(found, &[TableStatus::Creating, TableStatus::Updating])
        };
        self.wait(table, "ready", |found| !found.is_some_and(is_changing)).await?;
        let found = self.described(table).await?;
        if found.is_some_and(|found| has_status(&found, &[TableStatus::Deleting])) {
            return self.wait(table, "gone", |found| found.is_none()).await;
        }
        if let Err(error) = self.client.delete_table().table_name(table).send().await {
            let error = AwsError::new(format!("delete table '{table}'"), &error);
            return if error.is(NOT_FOUND) { Ok(()) } else { Err(error.into()) };
        }
        self.wait(table, "gone", |found| found.is_none()).await
    }

    /// The runs that have rows in the table, or had rows that were then deleted one by one.
    pub async fn runs(&self, table: &str) -> Result<Vec<RunId>, TableError> {
        check_name(table)?;
        super::reader::runs(&self.client, table).await
    }

    async fn described(&self, table: &str) -> Result<Option<TableDescription>, TableError> {
        check_name(table)?;
        match self.client.describe_table().table_name(table).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) => {
                let error = AwsError::new(format!("describe table '{table}'"), &error);
                if error.is(NOT_FOUND) { Ok(None) } else { Err(error.into()) }
            }
        }
    }

    async fn request_creation(&self, table: &str, billing: Billing) -> Result<(), TableError> {
        let failed = |error| AwsError::new(format!("create table '{table}'"), &error);
        let mut request = self.client.create_table().table_name(table);
        for (name, kind) in [(BUCKET, KeyType::Hash), (ROW, KeyType::Range)] {
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build();
            let (key, attribute) = key
                .and_then(|key| Ok((key, attribute?)))
                .map_err(|error| failed(SdkError::construction_failure(error)))?;
            request = request.key_schema(key).attribute_definitions(attribute);
        }
        let mark = Tag::builder().key(MARK).value("landing-table").build();
        let mark = mark.map_err(|error| failed(SdkError::construction_failure(error)))?;
        request = request.tags(mark);
        request = match billing {
            Billing::OnDemand => request.billing_mode(BillingMode::PayPerRequest),
            Billing::Provisioned { read_units, write_units } => {
                let units = ProvisionedThroughput::builder()
                    .read_capacity_units(read_units.into())
                    .write_capacity_units(write_units.into())
                    .build();
                let units = units.map_err(|error| failed(SdkError::construction_failure(error)))?;
                request.billing_mode(BillingMode::Provisioned).provisioned_throughput(units)
            }
        };
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = failed(error);
                // Another client was faster.
                if error.is("ResourceInUseException") { Ok(()) } else { Err(error.into()) }
            }
        }
    }

    async fn wait(
        &self,
        table: &str,
        state: &'static str,
        is_there: impl Fn(Option<&TableDescription>) -> bool,
    ) -> Result<(), TableError> {
        let deadline = Instant::now() + CHANGE_TIMEOUT;
        loop {
            if is_there(self.described(table).await?.as_ref()) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (table, seconds) = (table.to_owned(), CHANGE_TIMEOUT.as_secs());
                return Err(TableError::NotInTime { table, state, seconds });
            }
            sleep(CHANGE_POLL).await;
        }
    }
}
