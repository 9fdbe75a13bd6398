//! Programs that Go builds.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::{Cache, Progress};
use crate::error::StackError;
use crate::process::Launch;
use crate::programs;

/// Time to download and compile on a slow machine with a slow connection.
const BUILD_TIMEOUT: Duration = Duration::from_mins(20);

/// A program that Go downloads and builds.
#[derive(Debug, Clone, Copy)]
pub struct GoProgram {
    /// Its name, which `go install` gives it.
    pub program: &'static str,
    /// Its package: `github.com/versity/versitygw/cmd/versitygw`.
    pub package: &'static str,
    /// The version of its module, pinned: `v1.8.0`.
    pub module_version: &'static str,
    /// The same version as results show it.
    pub version: &'static str,
    /// How long the first build takes, in words.
    pub build_time: &'static str,
}

impl GoProgram {
    /// The program in the cache, built if the cache has none. Without Go the error is
    /// [`StackError::Missing`], with `remedy`.
    pub fn program(
        &self,
        cache: &Cache,
        remedy: &str,
        progress: &mut Progress<'_>,
    ) -> Result<PathBuf, StackError> {
        let Self { program, version, build_time, .. } = self;
        let part = cache.part(&format!("{program}-{version}"), |folder| {
            let go = programs::find("go").ok_or_else(|| StackError::Missing {
                what: format!("neither {program} nor Go to build it with is installed"),
                remedy: remedy.to_owned(),
            })?;
            progress(&format!(
                "building {program} {version} with Go, which takes {build_time} the first time"
            ));
            self.install(&go, folder)
        })?;
        Ok(part.join(program))
    }

    /// Builds the program into `folder`, and leaves nothing else.
    fn install(&self, go: &Path, folder: &Path) -> Result<(), StackError> {
        let work = folder.join("go");
        let tmp = work.join("tmp");
        fs::create_dir_all(&tmp).map_err(StackError::file("create", &tmp))?;
        let within = |name: &str| work.join(name).to_string_lossy().into_owned();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut env = vec![
            ("GOPATH", within("path")),
            ("GOMODCACHE", within("modules")),
            ("GOCACHE", within("cache")),
            ("GOTMPDIR", text(&tmp)),
            ("GOBIN", text(folder)),
            ("GO111MODULE", "on".to_owned()),
            // No C compiler is needed, and the program runs with any C library.
            ("CGO_ENABLED", "0".to_owned()),
            // Go writes its telemetry into the user's folder for settings.
            ("XDG_CONFIG_HOME", within("settings")),
        ];
        if let Some(settings) = settings() {
            env.push(("GOENV", text(&settings)));
        }
        let package = format!("{}@{}", self.package, self.module_version);
        let launch = Launch {
            program: go.to_owned(),
            // The folder of modules is removed below; by default it is not writable.
            args: ["install", "-modcacherw", &package].map(str::to_owned).to_vec(),
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            current_dir: folder.to_owned(),
            log: work.join("log"),
        };
        let unreachable =
            StackError::not_fetched(self.program, "Go needs the network or a mirror in GOPROXY");
        let attempt = format!("build {}", self.program);
        launch.run(&attempt, folder, BUILD_TIMEOUT).map_err(unreachable)?;
        fs::remove_dir_all(&work).map_err(StackError::file("remove", &work))
    }
}

/// The file of settings that Go would read, with proxies and mirrors.
fn settings() -> Option<PathBuf> {
    if env::var_os("GOENV").is_some() {
        return None;
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".config"));
    Some(set("XDG_CONFIG_HOME").or_else(home)?.join("go").join("env"))
}
