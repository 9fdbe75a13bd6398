//! Whether existing tables have our columns.

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error};

use super::TableName;

/// The values of a column, as far as they matter to writers and readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnType {
    /// At least this many bytes.
    Unsigned(u8),
    Signed(u8),
    /// At least ten characters.
    Text,
    /// At least 16 MiB.
    Bytes,
}

use ColumnType::{Bytes, Signed, Text, Unsigned};

const ROWS: [(&str, ColumnType); 13] = [
    ("id", Unsigned(8)),
    ("run", Text),
    ("producer", Unsigned(2)),
    ("sequence", Unsigned(8)),
    ("key_", Bytes),
    ("message", Bytes),
    ("partition_", Unsigned(4)),
    ("received_ns", Unsigned(8)),
    ("boot", Unsigned(4)),
    ("wall_offset_ns", Signed(8)),
    ("arrived_ms", Signed(8)),
    ("batch", Unsigned(8)),
    ("part", Unsigned(4)),
];

const CONFIRMATIONS: [(&str, ColumnType); 7] = [
    ("run", Text),
    ("batch", Unsigned(8)),
    ("part", Unsigned(4)),
    ("row_count", Unsigned(4)),
    ("landed_ns", Unsigned(8)),
    ("boot", Unsigned(4)),
    ("wall_offset_ns", Signed(8)),
];

/// Columns that may be null.
const NULLABLE: [&str; 2] = ["key_", "arrived_ms"];

/// An existing column.
#[derive(Debug)]
struct FoundColumn {
    name: String,
    /// As in `bigint(20) unsigned`.
    kind: String,
    is_nullable: bool,
    /// Whether it has a default value.
    has_default: bool,
    numbers_itself: bool,
}

/// The differences between our columns and those of the table and its table of confirmations, as
/// far as these exist.
pub(super) async fn differences(
    connection: &mut Conn,
    table: &TableName,
) -> Result<Vec<String>, Error> {
    let mut differences = Vec::new();
    let found = read(connection, table.as_str()).await?;
    if !found.is_empty() {
        differences.extend(of(&ROWS, &found));
        if found.iter().any(|column| column.name == "id" && !column.numbers_itself) {
            differences.push("its column 'id' is not AUTO_INCREMENT".to_owned());
        }
    }
    let confirmed = table.confirmed();
    let found = read(connection, &confirmed).await?;
    if !found.is_empty() {
        let named = |difference| format!("in '{confirmed}', {difference}");
        differences.extend(of(&CONFIRMATIONS, &found).into_iter().map(named));
    }
    Ok(differences)
}

async fn read(connection: &mut Conn, table: &str) -> Result<Vec<FoundColumn>, Error> {
    let sql = "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT IS NOT NULL, EXTRA \
               FROM information_schema.COLUMNS \
               WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
    let lines: Vec<(String, String, String, i64, String)> = connection.exec(sql, (table,)).await?;
    let column = |(name, kind, nullable, default, extra): (_, String, String, _, String)| {
        let extra = extra.to_lowercase();
        let numbers_itself = extra.contains("auto_increment");
        FoundColumn {
            name,
            kind: kind.to_lowercase(),
            is_nullable: nullable.eq_ignore_ascii_case("YES"),
            has_default: default != 0 || numbers_itself || extra.contains("generated"),
            numbers_itself,
        }
    };
    Ok(lines.into_iter().map(column).collect())
}

fn of(expected: &[(&str, ColumnType)], found: &[FoundColumn]) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, kind) in expected {
        // Column names are case-insensitive.
        match found.iter().find(|column| column.name.eq_ignore_ascii_case(name)) {
            None => differences.push(format!("it has no column '{name}'")),
            Some(column) if !kind.takes(&column.kind) => differences.push(format!(
                "its column '{name}' has type {}, not {}",
                column.kind,
                kind.as_created()
            )),
            Some(column) if NULLABLE.contains(name) && !column.is_nullable => {
                differences.push(format!("its column '{name}' is NOT NULL, but must be nullable"));
            }
            Some(_) => {}
        }
    }
    let is_ours = |column: &&FoundColumn| {
        expected.iter().any(|(name, _)| column.name.eq_ignore_ascii_case(name))
    };
    let others = found.iter().filter(|column| !is_ours(column));
    let unset = others.filter(|column| !column.is_nullable && !column.has_default);
    differences.extend(unset.map(|column| {
        format!("it has an additional column '{}' that requires a value", column.name)
    }));
    differences
}

impl ColumnType {
    /// Whether a column of this type holds such values.
    fn takes(self, kind: &str) -> bool {
        let name = kind.split(['(', ' ']).next().unwrap_or_default();
        let is_unsigned = kind.contains("unsigned");
        let bytes = match name {
            "tinyint" => 1,
            "smallint" => 2,
            "mediumint" => 3,
            "int" => 4,
            "bigint" => 8,
            _ => 0,
        };
        match self {
            Unsigned(least) => bytes >= least && (is_unsigned || bytes > least),
            Signed(least) => bytes >= least && !is_unsigned,
            Text => match name {
                "char" | "varchar" => {
                    let length = kind.split(['(', ')']).nth(1).and_then(|n| n.parse::<u32>().ok());
                    length.is_some_and(|length| length >= 10)
                }
                "tinytext" | "text" | "mediumtext" | "longtext" => true,
                _ => false,
            },
            Bytes => matches!(name, "mediumblob" | "longblob"),
        }
    }

    /// The type of the column in tables created here.
    fn as_created(self) -> &'static str {
        match self {
            Unsigned(2) => "smallint unsigned",
            Unsigned(4) => "int unsigned",
            Unsigned(_) => "bigint unsigned",
            Signed(_) => "bigint",
            Text => "char(10)",
            Bytes => "mediumblob",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str, is_nullable: bool, has_default: bool) -> FoundColumn {
        let (name, kind) = (name.to_owned(), kind.to_owned());
        FoundColumn { name, kind, is_nullable, has_default, numbers_itself: false }
    }

    #[test]
    fn column_types_of_all_servers_are_known() {
        for (kind, text) in [
            (Unsigned(8), "bigint(20) unsigned"),
            (Unsigned(8), "bigint unsigned"),
            (Unsigned(2), "smallint(5) unsigned"),
            (Unsigned(2), "int(11)"),
            (Signed(8), "bigint"),
            (Text, "char(10)"),
            (Text, "varchar(64)"),
            (Bytes, "longblob"),
        ] {
            assert!(kind.takes(text), "{kind:?} {text}");
        }
        for (kind, text) in [
            (Unsigned(8), "bigint"),
            (Unsigned(8), "int unsigned"),
            (Signed(8), "bigint unsigned"),
            (Text, "char(5)"),
            (Text, "int"),
            (Bytes, "blob"),
            (Bytes, "text"),
            (Unsigned(2), "varchar(20)"),
        ] {
            assert!(!kind.takes(text), "{kind:?} {text}");
        }
    }

    #[test]
    fn differences_are_listed() {
        let found = [
            column("RUN", "char(10)", false, false),
            column("batch", "varchar(20)", false, false),
            column("part", "int unsigned", false, false),
            column("landed_ns", "bigint(20) unsigned", false, false),
            column("boot", "int unsigned", false, false),
            column("wall_offset_ns", "bigint", false, false),
            column("who", "int", false, false),
            column("note", "text", true, false),
            column("at", "timestamp", false, true),
        ];
        let expected = [
            "its column 'batch' has type varchar(20), not bigint unsigned",
            "it has no column 'row_count'",
            "it has an additional column 'who' that requires a value",
        ];
        assert_eq!(of(&CONFIRMATIONS, &found), expected);
    }
}
