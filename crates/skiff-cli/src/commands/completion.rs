//! `skiff completion`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::printer::Printer;

#[derive(Debug, Args)]
#[command(
    after_help = "bash:  source <(skiff completion bash)\nzsh:   skiff completion zsh > ~/.zfunc/_skiff\n\
                        fish:  skiff completion fish > ~/.config/fish/completions/skiff.fish"
)]
pub(crate) struct CompletionArgs {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionArgs, printer: Printer) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "skiff", &mut script);
    printer.data(&String::from_utf8_lossy(&script));
}
