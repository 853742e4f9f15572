//! `switchback completions` and `switchback man`: made from the commands themselves, so
//! that they are never behind.

use std::io::Write;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Failure};

/// For which shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  switchback completions bash > /etc/bash_completion.d/switchback
  switchback completions zsh  > ~/.zfunc/_switchback
  switchback completions fish > ~/.config/fish/completions/switchback.fish")]
pub struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints what that shell reads.
pub(super) fn completions(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "switchback", &mut script);
    Ok(out.write_all(&script)?)
}

/// Prints the manual: one page, then one for each command.
pub(super) fn man(out: &mut dyn Write) -> Result<(), Failure> {
    let mut command = Cli::command();
    // Gives the commands their full names.
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        clap_mangen::Man::new(sub.clone()).render(&mut page)?;
    }
    Ok(out.write_all(&page)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            completions(&Args { shell }, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            for command in Cli::command().get_subcommands() {
                assert!(
                    script.contains(command.get_name()),
                    "{shell}: {}",
                    command.get_name()
                );
            }
        }
    }

    #[test]
    fn the_presets_are_offered_by_their_names() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            completions(&Args { shell }, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            for preset in crate::demo::preset::Preset::all() {
                assert!(script.contains(preset.name()), "{shell}: {}", preset.name());
            }
        }
    }

    #[test]
    fn the_manual_has_a_page_for_each_command() {
        let mut page = Vec::new();
        man(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for command in ["status", "advance", "rollback", "run"] {
            assert!(
                page.contains(&format!("switchback\\-{command}")),
                "{command}"
            );
        }
    }
}
