//! `completions` and `man`: made of the command line itself, so that they cannot differ from it.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{FAILED, print};
use crate::cli::Cli;

const NAME: &str = "secretsyncd";

pub(super) fn completions(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    print(&String::from_utf8_lossy(&text), 0)
}

pub(super) fn man() -> ExitCode {
    match page() {
        Ok(text) => print(&text, 0),
        Err(_) => ExitCode::from(FAILED),
    }
}

/// One page with a section for each subcommand, not a page for each.
fn page() -> io::Result<String> {
    let whole = Man::new(Cli::command()).section("1").manual("secretsyncd");
    let mut text = Vec::new();
    whole.render_title(&mut text)?;
    whole.render_name_section(&mut text)?;
    whole.render_synopsis_section(&mut text)?;
    whole.render_description_section(&mut text)?;
    whole.render_options_section(&mut text)?;
    for command in Cli::command()
        .get_subcommands()
        .filter(|it| !it.is_hide_set())
    {
        let name = command.get_name().to_owned();
        writeln!(text, ".SH \"COMMAND {}\"", name.to_uppercase())?;
        let full = format!("{NAME} {name}");
        let part = Man::new(command.clone().bin_name(full));
        let mut section = Vec::new();
        part.render_synopsis_section(&mut section)?;
        part.render_description_section(&mut section)?;
        part.render_options_section(&mut section)?;
        let section = String::from_utf8_lossy(&section).replace(".SH ", ".SS ");
        text.extend_from_slice(section.as_bytes());
    }
    whole.render_extra_section(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
