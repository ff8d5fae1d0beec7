//! `completions`: a script that teaches a shell this command line.
//!
//! Owns: the choice of the shell. Does not own: the command line (`cli`).

use clap_complete::Shell;

use crate::output;

/// Write a completion script for a shell to standard output.
///
/// Bash loads it with the line: source <(siltstone completions bash)
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone completions zsh > ~/.zfunc/_siltstone")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes the script for `command_line`, which has all commands and their arguments.
pub(crate) fn run(args: &Args, mut command_line: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line, "siltstone", &mut script);
    output::print_bytes(&script)
}
