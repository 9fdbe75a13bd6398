//! What is wrong with a text as JSON, and where.

use serde::de::IgnoredAny;

/// What is wrong with `record` as JSON.
pub(super) fn check_json(record: &[u8]) -> Result<(), String> {
    let text = str::from_utf8(record).map_err(|error| error.to_string())?;
    let Err(error) = serde_json::from_str::<IgnoredAny>(text) else { return Ok(()) };
    if error.is_eof() && matches!(record.trim_ascii_start().first(), Some(b'{' | b'[')) {
        let reason = "it ends within a value; write each value on a line of its own, as jq -c does, \
                      or use --input-format json for one array over several lines";
        return Err(reason.to_owned());
    }
    let reason = json_reason(record, place_of(record, &error), &error);
    Err(format!("{reason} at column {}", error.column()))
}

/// Numbers that some programs write but JSON lacks.
const NO_NUMBERS: [&str; 3] = ["nan", "infinity", "inf"];

/// What is wrong at this position of a text.
pub(super) fn json_reason(text: &[u8], place: usize, error: &serde_json::Error) -> String {
    // The position is that of the first letter, or of the one after it.
    let from = text[..place.min(text.len())].iter().rposition(|byte| !is_of_word(*byte));
    let word: Vec<u8> = text[from.map_or(0, |from| from + 1)..]
        .iter()
        .copied()
        .skip_while(|byte| matches!(byte, b'-' | b'+'))
        .take_while(u8::is_ascii_alphabetic)
        .collect();
    let word = String::from_utf8_lossy(&word);
    if NO_NUMBERS.iter().any(|number| word.eq_ignore_ascii_case(number)) {
        return format!("JSON has no number {word}, write null or a string such as \"{word}\"");
    }
    without_position(error)
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'+')
}

/// The position of an error in a text, from 0.
pub(super) fn place_of(text: &[u8], error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    (before + error.column().saturating_sub(1)).min(text.len())
}

/// The line of a position, from 1.
pub(super) fn line_at(text: &[u8], place: usize) -> usize {
    text[..place.min(text.len())].split(|byte| *byte == b'\n').count()
}

/// The error message without the trailing position.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(&*message, |(what, _)| what).to_owned()
}
