//! Making, describing and deleting the table.

use std::time::Duration;

use bench_core::message::RunId;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::{MysqlUrl, TableName, server_error, table_error};
use crate::admin::{MARK, TableInfo};
use crate::error::TableError;

/// Administers tables of one database.
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

    /// What is known of a table; nothing if there is none.
    pub async fn describe(&mut self, table: &str) -> Result<Option<TableInfo>, TableError> {
        let table = TableName::new(table)?;
        let sql = "SELECT TABLE_COMMENT FROM information_schema.TABLES \
                   WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?";
        let failed = |error| server_error(format!("look into {}", self.database), &error);
        let comment: Option<String> =
            self.connection.exec_first(sql, (table.as_str(),)).await.map_err(failed)?;
        let Some(comment) = comment else { return Ok(None) };
        let count = format!("SELECT COUNT(*) FROM {}", table.quoted());
        let rows: Option<u64> = self
            .connection
            .query_first(count)
            .await
            .map_err(|error| table_error("count the rows of", &table, &error))?;
        Ok(Some(TableInfo {
            name: table.as_str().to_owned(),
            rows,
            is_marked: comment.starts_with(MARK),
            is_usable: true,
        }))
    }

    /// The runs whose rows the table holds.
    pub async fn runs(&mut self, table: &str) -> Result<Vec<RunId>, TableError> {
        let table = TableName::new(table)?;
        let sql = format!("SELECT DISTINCT run FROM {}", table.quoted());
        let names: Result<Vec<String>, _> = self.connection.query(sql).await;
        let names = names.map_err(|error| table_error("list the runs of", &table, &error))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Creates the table and that of its confirmations, unless they are there.
    pub async fn create(&mut self, table: &str) -> Result<(), TableError> {
        let table = TableName::new(table)?;
        for sql in [rows_sql(&table), confirmations_sql(&table)] {
            let created = self.connection.query_drop(sql).await;
            created.map_err(|error| table_error("create", &table, &error))?;
        }
        Ok(())
    }

    /// Deletes the table and that of its confirmations, if they are there.
    pub async fn delete(&mut self, table: &str) -> Result<(), TableError> {
        let table = TableName::new(table)?;
        let sql = format!("DROP TABLE IF EXISTS {}, {}", table.quoted(), table.quoted_confirmed());
        let dropped = self.connection.query_drop(sql).await;
        dropped.map_err(|error| table_error("delete", &table, &error))
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
         ) ENGINE=InnoDB COMMENT='{MARK}: when batches of rows were confirmed'",
        table.quoted_confirmed()
    )
}
