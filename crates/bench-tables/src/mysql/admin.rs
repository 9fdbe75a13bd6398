//! Creating, describing and deleting the table.

use std::time::Duration;

use bench_core::message::RunId;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error};

use super::catalog::{Catalog, CatalogEntry};
use super::{CONFIRMATIONS_COMMENT, MysqlUrl, TableName, columns, server_error, table_error};
use crate::error::TableError;
use crate::info::{MARK, Obstacle, TableInfo};

/// Manages the tables of one database.
#[derive(Debug)]
pub struct MysqlAdmin {
    connection: Conn,
    database: String,
}

impl MysqlAdmin {
    /// Connects to the database.
    pub async fn connect(url: &MysqlUrl, timeout: Duration) -> Result<Self, TableError> {
        let connection = url.connect(timeout).await?;
        Ok(Self { connection, database: url.address() })
    }

    /// Describes a table; `None` if it does not exist.
    pub async fn describe(&mut self, table: &str) -> Result<Option<TableInfo>, TableError> {
        let table = TableName::new(table)?;
        let found = self.look(&table).await?;
        if found.entries().next().is_none() {
            return Ok(None);
        }
        let obstacle = found.obstacle(&mut self.connection).await;
        let obstacle = obstacle.map_err(|error| self.looking_failed(&error))?;
        let rows = match &found.rows {
            Some(_) if matches!(obstacle, Some(Obstacle::NotATable(_))) => None,
            Some(_) => Some(self.count(&table).await?),
            None => Some(0),
        };
        // The server may spell the name differently.
        let name = found.rows.as_ref().map_or(table.as_str(), |rows| &rows.name).to_owned();
        Ok(Some(TableInfo {
            name,
            rows,
            is_marked: found.entries().all(CatalogEntry::is_marked),
            is_usable: found.rows.is_some() && found.confirmations.is_some(),
            obstacle,
        }))
    }

    async fn look(&mut self, table: &TableName) -> Result<Catalog, TableError> {
        let found = Catalog::read(&mut self.connection, table).await;
        found.map_err(|error| self.looking_failed(&error))
    }

    fn looking_failed(&self, error: &Error) -> TableError {
        server_error(format!("inspect {}", self.database), error)
    }

    async fn count(&mut self, table: &TableName) -> Result<u64, TableError> {
        let count = format!("SELECT COUNT(*) FROM {}", table.quoted());
        let rows: Result<Option<u64>, _> = self.connection.query_first(count).await;
        let rows = rows.map_err(|error| table_error("count the rows of", table, &error))?;
        Ok(rows.unwrap_or_default())
    }

    /// The runs that have rows in the table.
    pub async fn runs(&mut self, table: &str) -> Result<Vec<RunId>, TableError> {
        let table = TableName::new(table)?;
        let sql = format!("SELECT DISTINCT run FROM {}", table.quoted());
        let names: Result<Vec<String>, _> = self.connection.query(sql).await;
        let names = names.map_err(|error| table_error("list the runs of", &table, &error))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Creates the table and its table of confirmations, unless they exist. Fails if something else
    /// has one of their names, which the server would ignore.
    pub async fn create(&mut self, table: &str) -> Result<(), TableError> {
        let table = TableName::new(table)?;
        self.check_kind(&table).await?;
        self.check_columns(table.as_str()).await?;
        for sql in [rows_sql(&table), confirmations_sql(&table)] {
            let created = self.connection.query_drop(sql).await;
            created.map_err(|error| table_error("create", &table, &error))?;
        }
        self.check_kind(&table).await
    }

    /// Checks that the table and its table of confirmations, as far as they exist, have the right
    /// columns.
    pub async fn check_columns(&mut self, table: &str) -> Result<(), TableError> {
        let table = TableName::new(table)?;
        let differences = columns::differences(&mut self.connection, &table).await;
        let differences = differences.map_err(|error| self.looking_failed(&error))?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(TableError::OtherColumns { table: table.as_str().to_owned(), differences })
    }

    async fn check_kind(&mut self, table: &TableName) -> Result<(), TableError> {
        let found = self.look(table).await?;
        match found.not_a_table() {
            Some((entry, reason)) => Err(TableError::NoTable { table: entry.name.clone(), reason }),
            None => Ok(()),
        }
    }

    /// Deletes the table and its table of confirmations, if they exist. Fails if one of them still
    /// exists.
    pub async fn delete(&mut self, table: &str) -> Result<(), TableError> {
        let table = TableName::new(table)?;
        let sql = format!("DROP TABLE IF EXISTS {}, {}", table.quoted(), table.quoted_confirmed());
        let dropped = self.connection.query_drop(sql).await;
        dropped.map_err(|error| table_error("delete", &table, &error))?;
        match self.look(&table).await?.entries().next() {
            Some(left) => Err(TableError::NotDeleted { table: left.name.clone() }),
            None => Ok(()),
        }
    }
}

fn rows_sql(table: &TableName) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (
           id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
           run CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
           producer SMALLINT UNSIGNED NOT NULL,
           sequence BIGINT UNSIGNED NOT NULL,
           key_ MEDIUMBLOB NULL,
           message MEDIUMBLOB NOT NULL,
           partition_ INT UNSIGNED NOT NULL,
           received_ns BIGINT UNSIGNED NOT NULL,
           boot INT UNSIGNED NOT NULL,
           wall_offset_ns BIGINT NOT NULL,
           arrived_ms BIGINT NULL,
           batch BIGINT UNSIGNED NOT NULL,
           part INT UNSIGNED NOT NULL,
           KEY run (run, id)
         ) ENGINE=InnoDB COMMENT='{MARK}: landed messages'",
        table.quoted()
    )
}

fn confirmations_sql(table: &TableName) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (
           run CHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
           batch BIGINT UNSIGNED NOT NULL,
           part INT UNSIGNED NOT NULL,
           row_count INT UNSIGNED NOT NULL,
           landed_ns BIGINT UNSIGNED NOT NULL,
           boot INT UNSIGNED NOT NULL,
           wall_offset_ns BIGINT NOT NULL,
           PRIMARY KEY (run, batch, part)
         ) ENGINE=InnoDB COMMENT='{CONFIRMATIONS_COMMENT}'",
        table.quoted_confirmed()
    )
}
