//! `cargo xtask linux`: Debian's riscv64 kernel on our machine, from nothing to a shell.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::initramfs::{self, Extra, Plan};
use crate::inputs::{self, Inputs, Request, Suite};
use crate::process::{self, say};
use crate::scratch::Scratch;

/// The kernel arguments of every boot; the user's come after them.
pub const KERNEL_ARGUMENTS: &str = "console=ttyS0";

/// What runs in M-mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Firmware {
    /// Nestwalk's own SBI
    Builtin,
    /// Debian's OpenSBI (fw_dynamic)
    Opensbi,
}

/// Where inputs come from.
#[derive(Args, Debug)]
pub struct InputArgs {
    /// Debian suite of kernel and busybox
    #[arg(long, value_enum, default_value_t = Suite::Sid)]
    pub suite: Suite,
    /// Use the files in DIR/SUITE/ and fetch nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["mirror", "refresh"])]
    pub inputs: Option<PathBuf>,
    /// Debian mirror to fetch from, instead of the one in this system's apt sources
    #[arg(long, value_name = "URI")]
    pub mirror: Option<String>,
    /// Fetch again, to get newer packages
    #[arg(long)]
    pub refresh: bool,
}

impl InputArgs {
    /// What is asked for.
    pub fn request(&self) -> Request {
        Request {
            suite: self.suite,
            own: self.inputs.clone(),
            mirror: self.mirror.clone(),
            refresh: self.refresh,
        }
    }
}

/// The arguments of `cargo xtask linux`.
#[derive(Args, Debug)]
pub struct LinuxArgs {
    #[command(flatten)]
    inputs: InputArgs,
    /// What runs in M-mode
    #[arg(long, value_enum, default_value_t = Firmware::Builtin)]
    firmware: Firmware,
    /// Number of harts
    #[arg(long, default_value_t = 1, value_name = "N")]
    harts: u32,
    /// RAM, with a unit
    #[arg(long, default_value = "2G", value_name = "SIZE")]
    memory: String,
    /// Shell script to run in the machine, which then powers off; its exit status becomes ours
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// More kernel arguments
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    append: Vec<String>,
    /// More arguments for `nestwalk run`
    #[arg(last = true, value_name = "ARG")]
    extra: Vec<String>,
}

/// A boot of Linux, described; [`Boot::command`] makes it a command line.
#[derive(Clone, Debug)]
pub struct Boot<'a> {
    /// Kernel and firmware.
    pub inputs: &'a Inputs,
    /// The first root file system.
    pub initramfs: &'a Path,
    /// What runs in M-mode.
    pub firmware: Firmware,
    /// Number of harts.
    pub harts: u32,
    /// RAM, with a unit.
    pub memory: &'a str,
    /// Kernel arguments after [`KERNEL_ARGUMENTS`].
    pub append: &'a [String],
    /// Arguments of `nestwalk run` after ours.
    pub extra: &'a [String],
}

impl Boot<'_> {
    /// The command that boots it with this `nestwalk`.
    pub fn command(&self, nestwalk: &Path) -> Result<Command> {
        let mut append = KERNEL_ARGUMENTS.to_owned();
        for more in self.append {
            append.push(' ');
            append.push_str(more);
        }
        let mut command = Command::new(nestwalk);
        command.arg("run").arg("--kernel").arg(self.inputs.image());
        command.arg("--initrd").arg(self.initramfs).arg("--append").arg(append).arg("--bios");
        match self.firmware {
            Firmware::Builtin => command.arg("builtin"),
            Firmware::Opensbi => command.arg(self.inputs.fw_dynamic()?),
        };
        command.arg("--harts").arg(self.harts.to_string()).arg("--memory").arg(self.memory);
        command.args(self.extra);
        Ok(command)
    }
}

/// An initramfs with a script in it, of use to one run only; the file goes when this does.
pub struct ScriptInitramfs(Scratch);

impl ScriptInitramfs {
    /// Writes it beside the inputs; `label` says what it is for.
    pub fn new(inputs: &Inputs, label: &str, script: &str) -> Result<ScriptInitramfs> {
        ScriptInitramfs::with(inputs, label, script, &[])
    }

    /// As `new`, with more files in it.
    pub fn with(
        inputs: &Inputs,
        label: &str,
        script: &str,
        extra: &[Extra],
    ) -> Result<ScriptInitramfs> {
        let initramfs = ScriptInitramfs(Scratch::new(&format!("initramfs-{label}.cpio"))?);
        let plan = Plan { inputs, script: Some(script), extra, with_modules: true };
        fs::write(initramfs.path(), plan.build()?)
            .with_context(|| format!("cannot write {}", initramfs.path().display()))?;
        Ok(initramfs)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// `cargo xtask inputs`: gets everything and says where it is.
pub fn show_inputs(args: &InputArgs) -> Result<ExitCode> {
    let inputs = get(args)?;
    let initramfs = shell_initramfs(&inputs, args.suite)?;
    print!("{}", inputs.contents());
    println!("image     {}", inputs.image().display());
    println!("initramfs {}", initramfs.display());
    if let Ok(firmware) = inputs.fw_dynamic() {
        println!("opensbi   {}", firmware.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask linux`.
pub fn linux(args: &LinuxArgs) -> Result<ExitCode> {
    // What can be wrong is looked at before a long download.
    let script = match &args.script {
        Some(path) => Some(
            fs::read_to_string(path)
                .with_context(|| format!("cannot read the script {}", path.display()))?,
        ),
        None => None,
    };
    let inputs = get(&args.inputs)?;
    say("building nestwalk");
    let nestwalk = build_nestwalk()?;
    // A session follows the wall clock, so that an idle machine waits; a script runs in virtual time, which can be
    // repeated.
    let clock: &[&str] = if script.is_some() { &[] } else { &["--clock", "native"] };
    let extra: Vec<String> =
        clock.iter().map(|&word| word.to_owned()).chain(args.extra.iter().cloned()).collect();
    let boot = |initramfs: &Path| -> Result<Command> {
        let boot = Boot {
            inputs: &inputs,
            initramfs,
            firmware: args.firmware,
            harts: args.harts,
            memory: &args.memory,
            append: &args.append,
            extra: &extra,
        };
        let command = boot.command(&nestwalk)?;
        say(&shown(&command));
        Ok(command)
    };
    match script {
        Some(script) => {
            let initramfs = ScriptInitramfs::new(&inputs, "script", &script)?;
            run_script(boot(initramfs.path())?)
        }
        None => {
            let initramfs = shell_initramfs(&inputs, args.inputs.suite)?;
            let mut command = boot(&initramfs)?;
            let status = command.status().context("cannot start nestwalk")?;
            Ok(exit_code(status))
        }
    }
}

/// Builds the command with optimisation and returns the path of the executable, wherever cargo puts it.
pub fn build_nestwalk() -> Result<PathBuf> {
    let mut command = process::cargo();
    command
        .current_dir(inputs::workspace())
        .args(["build", "--release", "--package", "nestwalk", "--bin", "nestwalk"])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo")?;
    let messages = child.stdout.take().context("cargo has no stdout")?;
    let mut executable = None;
    for line in BufReader::new(messages).lines() {
        let message: serde_json::Value = serde_json::from_str(&line?)?;
        if let Some(path) = message["executable"].as_str() {
            executable = Some(PathBuf::from(path));
        }
    }
    if !child.wait()?.success() {
        bail!("nestwalk does not build");
    }
    executable.context("cargo did not say where it put nestwalk")
}

/// The inputs that the arguments name; fetched when that is needed.
pub fn get(args: &InputArgs) -> Result<Inputs> {
    let inputs = Inputs::get(&args.request())?;
    say(&format!("inputs: {}", inputs.directory().display()));
    Ok(inputs)
}

/// The initramfs that ends in a shell, at the path where it always is.
fn shell_initramfs(inputs: &Inputs, suite: Suite) -> Result<PathBuf> {
    fs::create_dir_all(inputs::root())?;
    let path = inputs::root().join(format!("initramfs-{suite}.cpio"));
    let fresh = Plan { inputs, script: None, extra: &[], with_modules: true }.build()?;
    if fs::read(&path).ok().as_deref() != Some(&fresh) {
        let partial = path.with_extension(format!("{}.partial", std::process::id()));
        fs::write(&partial, fresh)
            .with_context(|| format!("cannot write {}", partial.display()))?;
        fs::rename(&partial, &path)?;
    }
    Ok(path)
}

/// Runs a machine with a script in it: its status, unless the machine itself failed.
fn run_script(mut command: Command) -> Result<ExitCode> {
    let watched = process::watch(&mut command, None, true)?;
    let status = watched.status.context("nestwalk was stopped")?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    let code = initramfs::script_exit(&watched.stdout)
        .context("the machine stopped before the script had ended")?;
    Ok(ExitCode::from(code))
}

/// The exit status of a program as ours.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from((code & 0xff) as u8))
}

/// The command as the user could type it.
pub fn shown(command: &Command) -> String {
    let mut text = command.get_program().display().to_string();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        if argument.contains(' ') || argument.is_empty() {
            text.push_str(&format!(" '{argument}'"));
        } else {
            text.push_str(&format!(" {argument}"));
        }
    }
    text
}
