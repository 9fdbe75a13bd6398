//! Errors of the operating system in plain words.
//!
//! The system's own texts (`No such file or directory (os error 2)`) do not say what helps nor,
//! often, what is wrong. [`explain`] gives the cause and a remedy, to be appended to what was
//! attempted: `failed to read /x: no such file or folder; check the path`.

use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::io::Errno;

/// How the text of a system error ends.
const MARK: &str = " (os error ";

/// How remedies begin in this project's messages.
const REMEDIES: [&str; 5] = [";", "check ", "choose ", "use another", "name another"];

/// The cause of an error and a remedy, which is empty if nothing general helps.
type CauseAndRemedy = (&'static str, &'static str);

/// The cause of an error and the remedy, as the end of a sentence.
#[must_use]
pub fn explain(error: &io::Error) -> String {
    match remedy(error) {
        "" => cause(error),
        remedy => format!("{}; {remedy}", cause(error)),
    }
}

/// The cause of an error, for sentences with a remedy of their own.
#[must_use]
pub fn cause(error: &io::Error) -> String {
    match words_of(error) {
        Some((cause, _)) => cause.to_owned(),
        None => unmarked(&error.to_string()),
    }
}

/// The remedy for an error; empty if nothing general helps.
#[must_use]
pub fn remedy(error: &io::Error) -> &'static str {
    words_of(error).map_or("", |(_, remedy)| remedy)
}

/// Replaces system errors in a sentence with plain words, and appends the remedy if the sentence
/// has none.
///
/// Library errors contain such texts, and the code that prints errors cannot know where.
#[must_use]
pub fn plain(sentence: &str) -> String {
    let mut text = String::new();
    let mut rest = sentence;
    let mut last_remedy = "";
    while let Some((before, number, after)) = next_marked(rest) {
        let own = io::Error::from_raw_os_error(number).to_string();
        let own = own.split(MARK).next().unwrap_or_default();
        let known = words(Errno::from_raw_os_error(number));
        if let (Some((cause, remedy)), Some(before)) = (known, without_end(before, own)) {
            text.push_str(before);
            text.push_str(cause);
            last_remedy = remedy;
        } else {
            text.push_str(before);
            last_remedy = "";
        }
        rest = after;
    }
    text.push_str(rest);
    // A remedy belongs at the end of a sentence.
    let has_own = REMEDIES.iter().any(|remedy| text.contains(remedy));
    if rest.is_empty() && !last_remedy.is_empty() && !has_own {
        text.push_str("; ");
        text.push_str(last_remedy);
    }
    text
}

/// How a process ended: `exit code 3`, or the signal and its meaning.
#[must_use]
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => ended_by(signal),
        (None, None) => "an unknown status".to_owned(),
    }
}

fn ended_by(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT: it aborted, as programs do that run out of memory",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL: it was killed, possibly by the kernel when memory ran out",
        11 => "SIGSEGV: it crashed",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU: it exceeded the CPU time limit (ulimit -t)",
        25 => "SIGXFSZ: it exceeded the file size limit (ulimit -f)",
        _ => "",
    };
    if name.is_empty() { format!("signal {signal}") } else { format!("signal {signal} ({name})") }
}

/// The text up to the next mark, the error's number, and what follows it.
fn next_marked(text: &str) -> Option<(&str, i32, &str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find(MARK)?;
        let number = &text[at + MARK.len()..];
        let end = number.find(')').unwrap_or(number.len());
        if let Ok(code) = number[..end].parse() {
            let after = number.get(end + 1..).unwrap_or_default();
            return Some((&text[..at], code, after));
        }
        from = at + MARK.len();
    }
}

/// A text without the ending `end`, compared case-insensitively since libraries differ.
fn without_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(text.len().checked_sub(end.len())?)?;
    rest.eq_ignore_ascii_case(end).then_some(start)
}

fn unmarked(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, _, after)) = next_marked(rest) {
        plain.push_str(before);
        rest = after;
    }
    plain + rest
}

fn words_of(error: &io::Error) -> Option<CauseAndRemedy> {
    match Errno::from_io_error(error) {
        Some(errno) => words(errno),
        // Made by a library: its own words, if any, say more than the kind.
        None if error.get_ref().is_some() => None,
        None => words_of_kind(error.kind()),
    }
}

fn words_of_kind(kind: ErrorKind) -> Option<CauseAndRemedy> {
    Some(match kind {
        ErrorKind::NotFound => return words(Errno::NOENT),
        ErrorKind::PermissionDenied => return words(Errno::ACCESS),
        ErrorKind::StorageFull => return words(Errno::NOSPC),
        ErrorKind::FileTooLarge => return words(Errno::FBIG),
        ErrorKind::ConnectionRefused => return words(Errno::CONNREFUSED),
        ErrorKind::ConnectionReset => return words(Errno::CONNRESET),
        ErrorKind::BrokenPipe => return words(Errno::PIPE),
        ErrorKind::TimedOut => return words(Errno::TIMEDOUT),
        ErrorKind::InvalidData => ("it is not UTF-8 text", "check its contents"),
        ErrorKind::UnexpectedEof => ("it ends too early", ""),
        _ => return None,
    })
}

fn words(errno: Errno) -> Option<CauseAndRemedy> {
    words_of_files(errno).or_else(|| words_of_limits(errno)).or_else(|| words_of_network(errno))
}

fn words_of_files(errno: Errno) -> Option<CauseAndRemedy> {
    Some(match errno {
        Errno::NOENT => ("no such file or folder", "check the path"),
        Errno::ACCESS => {
            ("this user has no permission", "change the permissions, or use another path or user")
        }
        Errno::PERM => ("the system does not allow this user to do that", "use another user"),
        Errno::ROFS => ("the file system is read-only", "use a writable folder"),
        Errno::ISDIR => ("it is a folder", "use a file"),
        Errno::NOTDIR => ("a part of the path is not a folder", "check the path"),
        Errno::EXIST => ("it already exists", "remove it, or use another name"),
        Errno::NOTEMPTY => ("the folder is not empty", "use an empty one"),
        Errno::NAMETOOLONG => ("the name is too long", "use a shorter one"),
        Errno::LOOP => ("it is a symbolic link, which is not followed here", "remove the link"),
        Errno::NXIO => ("it is a pipe without a reader, or a missing device", "use a file"),
        Errno::XDEV => ("it is on another file system", "use one file system for both"),
        Errno::BUSY => ("it is in use", "stop whatever uses it"),
        Errno::TXTBSY => ("the program is being written", "try again when that is done"),
        Errno::NOEXEC => ("it is not a program for this system", "install the one for this system"),
        Errno::IO => ("the device failed to read or write", "check the disk"),
        Errno::SPIPE => ("it is a pipe, and pipes cannot seek", "use a file"),
        Errno::STALE => ("the network file system has lost it", "remount the file system"),
        _ => return None,
    })
}

fn words_of_limits(errno: Errno) -> Option<CauseAndRemedy> {
    Some(match errno {
        Errno::NOSPC => ("no space is left on the device", "free some, or use another device"),
        Errno::DQUOT => ("the disk quota is used up", "free some, or use another device"),
        Errno::FBIG => ("the file size limit is reached (ulimit -f)", "raise it, or write less"),
        Errno::MFILE => ("this process has too many open files (ulimit -n)", "raise the limit"),
        Errno::NFILE => ("this machine has too many open files (fs.file-max)", "raise the limit"),
        Errno::AGAIN => (
            "the system refuses it for now, perhaps because of a thread limit (ulimit -u, or \
             pids.max of a container)",
            "raise the limit, or end other processes",
        ),
        Errno::NOMEM => (
            "no memory is left, or the address space limit (ulimit -v) is reached",
            "free some memory, or raise the limit",
        ),
        Errno::TOOBIG => ("the command line and the environment are too long", "shorten them"),
        _ => return None,
    })
}

fn words_of_network(errno: Errno) -> Option<CauseAndRemedy> {
    Some(match errno {
        Errno::ADDRINUSE => {
            ("the address is in use", "stop what listens there, or use another port")
        }
        Errno::ADDRNOTAVAIL => ("this machine does not have the address", "check the address"),
        Errno::CONNREFUSED => (
            "connection refused, since nothing listens there",
            "check the address, and that the server is running",
        ),
        Errno::CONNRESET | Errno::CONNABORTED => {
            ("the other side closed the connection", "check that the server is running")
        }
        Errno::PIPE => ("the other side has closed it", "check that it is still running"),
        Errno::TIMEDOUT => {
            ("timed out", "check the address, the network, and that the server is running")
        }
        Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::NETDOWN | Errno::HOSTDOWN => {
            ("no route to the host", "check the address and the network")
        }
        Errno::NOTCONN => ("not connected", "check that the server is running"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno.raw_os_error())
    }

    #[test]
    fn common_errors_have_cause_and_remedy() {
        let all = [
            Errno::NOENT,
            Errno::ACCESS,
            Errno::PERM,
            Errno::ROFS,
            Errno::ISDIR,
            Errno::NOTDIR,
            Errno::EXIST,
            Errno::NAMETOOLONG,
            Errno::LOOP,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::FBIG,
            Errno::MFILE,
            Errno::NFILE,
            Errno::AGAIN,
            Errno::NOMEM,
            Errno::ADDRINUSE,
            Errno::ADDRNOTAVAIL,
            Errno::CONNREFUSED,
            Errno::TIMEDOUT,
            Errno::HOSTUNREACH,
        ];
        for errno in all {
            let text = explain(&of(errno));
            assert!(!text.contains("os error") && text.contains("; "), "{text}");
        }
    }

    #[test]
    fn uncommon_errors_lose_only_their_number() {
        assert_eq!(explain(&of(Errno::PROTO)), "Protocol error");
        assert_eq!(explain(&io::Error::other("it is odd")), "it is odd");
    }

    #[test]
    fn system_errors_in_a_sentence_are_replaced() {
        let text = format!("failed to read /x: {}", of(Errno::NOENT));
        assert_eq!(plain(&text), "failed to read /x: no such file or folder; check the path");
        let text = format!("failed to write /x; use --dir: {}", of(Errno::NOSPC));
        assert_eq!(plain(&text), "failed to write /x; use --dir: no space is left on the device");
        assert!(plain("x: connection refused (os error 111)").contains("nothing listens there"));
        let text = format!("failed ({}) twice: {}", of(Errno::NOENT), of(Errno::PROTO));
        assert_eq!(plain(&text), "failed (no such file or folder) twice: Protocol error");
    }

    #[test]
    fn other_text_stays_unchanged() {
        for text in ["", "all is well", "a (os error x) b", "ends (os error "] {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn endings_show_exit_code_or_signal() {
        assert_eq!(ending(ExitStatus::from_raw(3 << 8)), "exit code 3");
        assert!(ending(ExitStatus::from_raw(25)).contains("ulimit -f"));
        assert_eq!(ending(ExitStatus::from_raw(40)), "signal 40");
    }
}
