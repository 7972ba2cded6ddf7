//! Compilers of Java: the virtual machine's own, or one found elsewhere.
//!
//! Programs are compiled by the virtual machine's own compiler (the module `jdk.compiler`), so that
//! each one named by `--java` runs what it compiled itself. One without a compiler (a runtime
//! environment, as opposed to a development kit) runs what another one's has compiled: that of an
//! installation named besides, or any `javac` that is found. What it makes is for the older of the
//! two versions (`--release`): the language is the same, and the optimising compiler, which makes
//! the code that is measured, is the virtual machine's own in any case.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{OLDEST, feature};
use crate::peer::installation::{Installation, last_words, on_path, run};

/// Compiles these sources, which are in `directory`, for an installation. `others` are the
/// installations that were chosen besides.
pub(super) fn compile(
    installation: &Installation,
    others: &[Installation],
    sources: &[&str],
    directory: &Path,
) -> Result<(), String> {
    let own = Compiler {
        program: installation.program.clone(),
        is_java: true,
        release: None,
    };
    match own.compile(sources, directory) {
        Err(words) if words.contains("jdk.compiler") => {}
        result => return result,
    }
    // In the order in which users come to think of them.
    let mut reasons = String::new();
    for compiler in Compiler::besides(installation, others) {
        match compiler.compile(sources, directory) {
            Ok(()) => return Ok(()),
            Err(words) => reasons += &format!("; {}: {words}", compiler.program.display()),
        }
    }
    Err(format!(
        "{} has no compiler, and there is no javac that could do without it: install a JDK \
         besides (Debian: openjdk-17-jdk-headless), or name one with a second --java PATH{reasons}",
        installation.program.display()
    ))
}

/// A compiler of Java.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Compiler {
    /// `javac`, or a virtual machine that has the compiler as a module.
    program: PathBuf,
    is_java: bool,
    /// The version to compile for; `None` for its own.
    release: Option<u32>,
}

impl Compiler {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.is_java {
            command.args(["-m", "jdk.compiler/com.sun.tools.javac.Main"]);
        }
        command
    }

    fn compile(&self, sources: &[&str], directory: &Path) -> Result<(), String> {
        let mut command = self.command();
        command.args(["-nowarn", "-d", "."]);
        if let Some(release) = self.release {
            command.arg("--release").arg(release.to_string());
        }
        let output = run(command.args(sources).current_dir(directory));
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        // What says most is its first error.
        let text = String::from_utf8_lossy(&output.stderr);
        let mut lines = text.lines();
        let error = lines.find(|line| line.contains("error:") || line.contains("jdk.compiler"));
        Err(error.map_or_else(|| last_words(&output), str::to_owned))
    }

    /// Those that may compile for a virtual machine that has none: of the installations that were
    /// chosen besides, of `JAVA_HOME`, on `PATH`, and where Linux distributions put theirs. Each
    /// for the older of the two versions; those too old for that are left out.
    fn besides(installation: &Installation, others: &[Installation]) -> Vec<Self> {
        let others = others.iter().map(|other| (other.program.clone(), true));
        let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/javac"));
        let packages = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
        let mut packaged: Vec<PathBuf> = packages
            .map(|package| package.path().join("bin/javac"))
            .collect();
        packaged.sort();
        let commands = home.into_iter().chain([on_path(Path::new("javac"))]);
        others
            .chain(commands.chain(packaged).map(|program| (program, false)))
            .filter(|(program, _)| program.is_file())
            .filter_map(|(program, is_java)| {
                let mut compiler = Self {
                    program,
                    is_java,
                    release: None,
                };
                let output = run(compiler.command().arg("-version")).ok()?;
                // Old versions write it to the other stream.
                let text = [output.stdout, output.stderr].concat();
                let text = String::from_utf8_lossy(&text);
                let version = text.lines().find_map(|line| line.strip_prefix("javac "))?;
                let own = feature(version).filter(|own| *own >= OLDEST)?;
                let target = feature(&installation.short_version)?;
                compiler.release = (own != target).then_some(own.min(target));
                Some(compiler)
            })
            .collect()
    }
}
