//! `schema`: the JSON Schema of the configuration, for editors.

use std::process::ExitCode;

use super::print;

/// Held to what is accepted by `config`'s own tests.
const TEXT: &str = include_str!("../../config/schema.json");

pub(super) fn run() -> ExitCode {
    print(TEXT, 0)
}
