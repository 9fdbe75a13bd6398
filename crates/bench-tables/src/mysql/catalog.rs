//! The server's description of a table and its table of confirmations, which come and go together.

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error};

use super::{CONFIRMATIONS_COMMENT, TableName};
use crate::info::{MARK, Obstacle};

/// What exists under the name of a table, or of its table of confirmations.
#[derive(Debug)]
pub(super) struct CatalogEntry {
    /// The server's spelling.
    pub(super) name: String,
    kind: String,
    engine: String,
    comment: String,
    options: String,
}

impl CatalogEntry {
    pub(super) fn is_marked(&self) -> bool {
        self.comment.starts_with(MARK)
    }

    /// What it is, if it is not a table.
    pub(super) fn not_a_table(&self) -> Option<String> {
        let kind = match self.kind.as_str() {
            "BASE TABLE" | "SYSTEM VERSIONED" => return None,
            kind => kind.to_lowercase(),
        };
        Some(format!("is a {kind}"))
    }

    /// A feature that a recreated table would not have.
    fn extra(&self) -> Option<&'static str> {
        if self.kind == "SYSTEM VERSIONED" {
            Some("keeps the history of its rows")
        } else if self.options.contains("partitioned") {
            Some("is partitioned")
        } else if !self.engine.eq_ignore_ascii_case("InnoDB") {
            Some("uses an engine other than InnoDB")
        } else {
            None
        }
    }
}

/// The table and its table of confirmations, as far as they exist.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) rows: Option<CatalogEntry>,
    pub(super) confirmations: Option<CatalogEntry>,
}

/// A row of `information_schema.TABLES`, and the setting of `lower_case_table_names`.
type InfoRow = (String, String, Option<String>, Option<String>, Option<String>, i64);

impl Catalog {
    pub(super) async fn read(connection: &mut Conn, table: &TableName) -> Result<Self, Error> {
        let sql = "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COMMENT, CREATE_OPTIONS, \
                   CAST(@@lower_case_table_names AS SIGNED) FROM information_schema.TABLES \
                   WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN (?, ?)";
        let confirmed = table.confirmed();
        let lines: Vec<InfoRow> = connection.exec(sql, (table.as_str(), &confirmed)).await?;
        let mut catalog = Self::default();
        for (name, kind, engine, comment, options, ignores_case) in lines {
            let is = |wanted: &str| match ignores_case {
                0 => name == wanted,
                _ => name.eq_ignore_ascii_case(wanted),
            };
            let place = if is(table.as_str()) {
                &mut catalog.rows
            } else if is(&confirmed) {
                &mut catalog.confirmations
            } else {
                continue;
            };
            let [engine, comment, options] =
                [engine, comment, options].map(Option::unwrap_or_default);
            *place = Some(CatalogEntry { name, kind, engine, comment, options });
        }
        Ok(catalog)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.rows.iter().chain(&self.confirmations)
    }

    /// The entry that is not a landing table or not its table of confirmations, and what it is.
    pub(super) fn not_a_table(&self) -> Option<(&CatalogEntry, String)> {
        let is_confirmations = |rows: &&CatalogEntry| rows.comment == CONFIRMATIONS_COMMENT;
        let of_another = self.rows.as_ref().filter(is_confirmations);
        let of_another =
            of_another.map(|rows| (rows, "holds another table's confirmations".to_owned()));
        of_another.or_else(|| self.entries().find_map(|entry| Some((entry, entry.not_a_table()?))))
    }

    /// Why these should not be deleted.
    pub(super) async fn obstacle(&self, connection: &mut Conn) -> Result<Option<Obstacle>, Error> {
        // If one is missing, the other is used for both.
        let names: Vec<&str> = self.entries().map(|entry| entry.name.as_str()).collect();
        let (Some(&first), Some(&last)) = (names.first(), names.last()) else { return Ok(None) };
        let of_both = |entry: &CatalogEntry, text: &str| match self.rows.as_ref() {
            Some(rows) if rows.name == entry.name => text.to_owned(),
            _ => format!("has confirmations in '{}', which {text}", entry.name),
        };
        if let Some((entry, text)) = self.not_a_table() {
            return Ok(Some(Obstacle::NotATable(of_both(entry, &text))));
        }
        let sql = "SELECT CONSTRAINT_SCHEMA, TABLE_NAME \
                   FROM information_schema.REFERENTIAL_CONSTRAINTS \
                   WHERE UNIQUE_CONSTRAINT_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME IN (?, ?) \
                   AND NOT (CONSTRAINT_SCHEMA = DATABASE() AND TABLE_NAME IN (?, ?))";
        let referring: Option<(String, String)> =
            connection.exec_first(sql, (first, last, first, last)).await?;
        if let Some((database, other)) = referring {
            let text = format!("is referenced by a foreign key of {database}.{other}");
            return Ok(Some(Obstacle::Undeletable(text)));
        }
        if let Some((entry, text)) = self.entries().find_map(|e| Some((e, e.extra()?))) {
            return Ok(Some(Obstacle::Irreplaceable(of_both(entry, text))));
        }
        let sql = "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS \
                   WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE IN (?, ?)";
        let trigger: Option<String> = connection.exec_first(sql, (first, last)).await?;
        Ok(trigger.map(|trigger| Obstacle::Irreplaceable(format!("has the trigger '{trigger}'"))))
    }
}
