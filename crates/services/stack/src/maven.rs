//! Java, and downloads by Maven.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bench_core::system::cause;

use crate::cache::{Cache, Progress};
use crate::error::StackError;
use crate::process::Launch;
use crate::programs::find;

/// The oldest Java that runs the servers.
const JAVA_MIN: u32 = 17;

/// Maven's own plugins are pinned as well.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
const UNPACK: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack-dependencies";

/// Time for a download over a slow connection.
const FETCH_TIMEOUT: Duration = Duration::from_mins(10);

/// An artifact in Maven's repositories: group, name, version.
pub type Artifact = (&'static str, &'static str, &'static str);

/// A folder with these artifacts and all their dependencies, downloaded if the cache has none.
/// `name` is for people: `server-4.3.1`. Jars that a full disk or a crash has cut off are downloaded
/// again.
pub fn jars(
    cache: &Cache,
    name: &str,
    artifacts: &[Artifact],
    progress: &mut Progress<'_>,
) -> Result<PathBuf, StackError> {
    let pom = pom(artifacts);
    let jars = part(cache, name, &pom, COPY, &[], progress)?;
    if let Some(cut_off) = cut_off(&jars)
        && let Some(part_dir) = jars.parent()
    {
        progress(&format!("{} is cut off and is downloaded again", cut_off.display()));
        fs::remove_dir_all(part_dir).map_err(StackError::file("remove", part_dir))?;
        return part(cache, name, &pom, COPY, &[], progress);
    }
    Ok(jars)
}

/// A jar in the folder that lacks its end.
fn cut_off(jars: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(jars).into_iter().flatten().flatten().map(|entry| entry.path());
    files.find(|file| file.extension().is_some_and(|name| name == "jar") && !is_whole(file))
}

/// Whether a jar has the record that ends every ZIP file (PKWARE's APPNOTE, 4.3.16). Only a comment,
/// which Maven's jars do not have, could follow it.
fn is_whole(jar: &Path) -> bool {
    const END: &[u8] = b"PK\x05\x06";
    let tail = || -> std::io::Result<[u8; 22]> {
        let mut file = File::open(jar)?;
        file.seek(SeekFrom::End(-22))?;
        let mut tail = [0; 22];
        file.read_exact(&mut tail)?;
        Ok(tail)
    };
    tail().is_ok_and(|tail| tail.starts_with(END))
}

/// A folder with the files of one jar whose paths match one of `wanted` (`**/bin/*`).
pub fn files(
    cache: &Cache,
    name: &str,
    artifact: Artifact,
    wanted: &[&str],
    progress: &mut Progress<'_>,
) -> Result<PathBuf, StackError> {
    let pom = pom(&[artifact]);
    let includes = format!("-Dmdep.unpack.includes={}", wanted.join(","));
    let options = ["-DexcludeTransitive=true".to_owned(), includes];
    part(cache, name, &pom, UNPACK, &options, progress)
}

fn part(
    cache: &Cache,
    name: &str,
    pom: &str,
    goal: &str,
    options: &[String],
    progress: &mut Progress<'_>,
) -> Result<PathBuf, StackError> {
    let part = format!("{name}-{:08x}", fingerprint(&[pom, &options.concat()].concat()));
    let part = cache.part(&part, |folder| {
        let mvn = find("mvn").ok_or_else(|| StackError::Missing {
            what: format!("{name} is downloaded by Maven, and there is no 'mvn' in PATH"),
            remedy: "install Maven (Debian: apt-get install maven)".to_owned(),
        })?;
        progress(&format!("downloading {name} with Maven into {}", cache.dir().display()));
        let goal = [goal.to_owned(), format!("-DoutputDirectory={CONTENT}")];
        fetch(&mvn, pom, &[&goal, options].concat(), folder).map_err(StackError::not_fetched(
            name,
            "Maven needs the network or a mirror in its settings.xml",
        ))
    })?;
    Ok(part.join(CONTENT))
}

const CONTENT: &str = "jars";

fn fetch(mvn: &Path, pom: &str, goal: &[String], folder: &Path) -> Result<(), StackError> {
    let file = folder.join("pom.xml");
    fs::write(&file, pom).map_err(StackError::file("write", &file))?;
    // A repository of its own, since a killed process may have left another Maven running; removed
    // below, since of what it holds only the jars are needed.
    let (repository, tmp) = (folder.join("repository"), folder.join("tmp"));
    fs::create_dir(&tmp).map_err(StackError::file("create", &tmp))?;
    let own = std::env::var("MAVEN_OPTS").unwrap_or_default();
    let options = ["-q", "-B", "-f", "pom.xml", "-Dstyle.color=never"].map(String::from);
    let own_repository = "-Dmaven.repo.local=repository".to_owned();
    let launch = Launch {
        program: mvn.to_owned(),
        args: options.iter().chain([&own_repository]).chain(goal).cloned().collect(),
        // Relative, since Maven's script splits the options at spaces.
        env: vec![(
            "MAVEN_OPTS".to_owned(),
            format!("{own} -XX:-UsePerfData -Djava.io.tmpdir=tmp").trim().to_owned(),
        )],
        current_dir: folder.to_owned(),
        log: folder.join("mvn.log"),
    };
    launch.run("download with Maven", folder, FETCH_TIMEOUT)?;
    for left_over in [repository, tmp] {
        fs::remove_dir_all(&left_over).map_err(StackError::file("remove", &left_over))?;
    }
    Ok(())
}

fn pom(artifacts: &[Artifact]) -> String {
    let mut dependencies = String::new();
    for (group, name, version) in artifacts {
        let _ = writeln!(
            dependencies,
            "    <dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
             <version>{version}</version></dependency>"
        );
    }
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  \
         <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>stream-benchmark</groupId><artifactId>parts</artifactId><version>1</version>\n  \
         <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}

/// FNV-1a: equal in every build, unlike the standard library's hashes.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The `java` of `JAVA_HOME` or of `PATH`, if it is recent enough.
pub fn java() -> Result<PathBuf, StackError> {
    let remedy = format!("install Java {JAVA_MIN} or later (Debian: openjdk-17-jre-headless)");
    let missing = |what: String| StackError::Missing { what, remedy: remedy.clone() };
    let home = std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
    let named = home.map(|home| Path::new(&home).join("bin/java")).filter(|java| java.is_file());
    let java = named.or_else(|| find("java"));
    let java = java.ok_or_else(|| missing("found no 'java' in PATH or JAVA_HOME".to_owned()))?;
    let said = Command::new(&java)
        .args(["-XX:-UsePerfData", "-version"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            missing(format!("{} does not start ({})", java.display(), cause(&error)))
        })?;
    match java_version(&String::from_utf8_lossy(&said.stderr)) {
        Some(JAVA_MIN..) => Ok(java),
        Some(old) => Err(missing(format!("{} is Java {old}", java.display()))),
        None => Err(missing(format!("{} does not print its version", java.display()))),
    }
}

/// `openjdk version "17.0.15" 2025-04-15` is 17; `java version "1.8.0_411"` is 8.
fn java_version(said: &str) -> Option<u32> {
    let line = said.lines().find(|line| line.contains(" version \""))?;
    let version = line.split('"').nth(1)?;
    let mut numbers = version.split(['.', '-', '_', '+']).map(|number| number.parse().ok());
    match numbers.next()?? {
        1 => numbers.next()?,
        number => Some(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_java_are_read() {
        let openjdk =
            "Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version \"17.0.15\" 2025-04-15\n";
        assert_eq!(java_version(openjdk), Some(17));
        assert_eq!(java_version("java version \"1.8.0_411\""), Some(8));
        assert_eq!(java_version("openjdk version \"25\" 2025-09-16"), Some(25));
        assert_eq!(java_version("openjdk version \"26-ea\""), Some(26));
        assert_eq!(java_version("Error: could not find libjava.so"), None);
        assert_eq!(java_version("openjdk version \"x\""), None);
    }

    #[test]
    fn jars_that_were_cut_off_are_found() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            fs::write(dir.path().join(name), bytes).expect("written");
        };
        let end = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
        write("a.jar", &[b"PK\x03\x04...".as_slice(), &end].concat());
        write("notes.txt", b"not a jar");
        assert_eq!(cut_off(dir.path()), None);
        for rest in [b"PK\x03\x04...".as_slice(), &end[..21], b""] {
            write("b.jar", rest);
            assert_eq!(cut_off(dir.path()), Some(dir.path().join("b.jar")), "{rest:?}");
        }
    }

    #[test]
    fn fingerprints_depend_on_the_artifacts() {
        let four = fingerprint(&pom(&[("g", "a", "4.3.1")]));
        assert_ne!(four, fingerprint(&pom(&[("g", "a", "4.4.0")])));
        // As published for FNV-1a; folders made by earlier builds must be found again.
        assert_eq!(fingerprint("foobar"), 0xbf9c_f968);
    }
}
