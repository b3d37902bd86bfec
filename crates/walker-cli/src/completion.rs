//! `walker completion`: scripts with which shells complete the command's words.

use anyhow::Result;
use clap::{Command, CommandFactory as _};

use crate::arguments::{Arguments, CompletionArguments};
use crate::output::Output;

/// `walker completion`.
pub(crate) fn run(arguments: &CompletionArguments) -> Result<()> {
    // In memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut without_hidden(Arguments::command()), "walker", &mut script);
    let mut output = Output::lock();
    output.write_bytes(&script)?;
    Ok(output.finish()?)
}

/// The command as `--help` shows it: the generators do not leave hidden subcommands out, and a command cannot lose one.
fn without_hidden(whole: Command) -> Command {
    let shown = whole.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned();
    // What the flag for the version tells is not in the script, but it is there only with one.
    Command::new("walker")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .disable_help_flag(true)
        .args(whole.get_arguments().cloned())
        .subcommands(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap_complete::Shell;

    #[test]
    fn scripts_know_every_subcommand_but_hidden_ones() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut without_hidden(Arguments::command()), "walker", &mut script);
            let script = String::from_utf8(script).unwrap();
            for subcommand in Arguments::command().get_subcommands() {
                assert_eq!(script.contains(subcommand.get_name()), !subcommand.is_hide_set(), "{subcommand:?} {shell}");
            }
            assert!(script.contains("save-fullpage"), "{shell}");
        }
    }
}
