//! `[[secrets.NAME.file]]` and `[defaults.file]`.

use std::os::unix::ffi::OsStrExt;
use std::path::Component;

use super::keys::Keys;
use super::{Lowering, action};
use crate::config::problems::{At, Place, Problem};
use crate::config::tree::{Table, Value, did_you_mean};
use crate::config::{FileFormat, FileTarget};
use crate::names::{NoVariable, SecretKey};

/// How temporary files begin, beside their targets.
const TEMPORARY: &str = ".secretsyncd-";

/// The keys that may have a default, as far as they are written and right.
#[derive(Debug, Default)]
pub(super) struct FileKeys {
    format: Option<Format>,
    mode: Option<u32>,
    dir_mode: Option<u32>,
    adopt: Option<bool>,
    /// Where it is written; there is only one so far.
    dialect: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Raw,
    Dotenv,
    Json,
    /// Written, and wrong or not supported yet.
    Unknown,
}

pub(super) fn keys(cx: &Lowering<'_>, table: &mut Table<'_>) -> FileKeys {
    let has_format = table.has("format");
    let format = table.choice(
        "format",
        &[
            ("raw", Format::Raw),
            ("dotenv", Format::Dotenv),
            ("json", Format::Json),
        ],
        &["directory", "yaml", "properties"],
    );
    let mode = table.take("mode").and_then(|v| cx.mode(v));
    if let Some(mode) = mode.filter(|mode| mode.value & 0o400 == 0) {
        cx.problems.push(
            Problem::error(mode.at, "`mode` must let the file's owner read it")
                .help("the owner is secretsyncd's own user, which compares what is there"),
        );
    }
    if let Some(mode) = mode.filter(|mode| mode.value & 0o007 != 0) {
        cx.problems.push(
            Problem::warning(mode.at, "with this mode everyone may access the file")
                .help("give it a group instead: \"0640\""),
        );
    }
    let dir_mode = table.take("dir_mode").and_then(|v| cx.mode(v));
    if let Some(mode) = dir_mode {
        dir_mode_fits(cx, mode);
    }
    table.later("owner", Value::string);
    table.later("group", Value::string);
    let dialect = table.choice("dialect", &[("shell", ())], &["docker"]);
    let _ = table.choice("deletion_policy", &[("retain", ())], &["delete"]);
    table.later("check", action::command);
    table.later("on_change", |v| action::on_change(cx, v));
    FileKeys {
        format: format
            .map(|format| format.value)
            .or(has_format.then_some(Format::Unknown)),
        mode: mode.map(|mode| mode.value),
        dir_mode: dir_mode.map(|mode| mode.value),
        adopt: table.boolean("adopt").map(|adopt| adopt.value),
        dialect: dialect.map(|dialect| dialect.at),
    }
}

pub(super) fn lower(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    delivered: &Keys,
    defaults: &FileKeys,
) -> Option<At<FileTarget>> {
    let own = keys(cx, &mut table);
    let path = path(cx, &mut table);
    let format = own.format.or(defaults.format).unwrap_or(Format::Raw);
    if let Some(at) = own.dialect
        && matches!(format, Format::Raw | Format::Json)
    {
        cx.problems.error(
            at,
            "`dialect` has a meaning only with `format = \"dotenv\"`",
        );
    }
    let format = match format {
        Format::Raw => raw(cx, &mut table, delivered),
        Format::Dotenv | Format::Json | Format::Unknown => {
            if let Some(value) = table.take("key")
                && format != Format::Unknown
            {
                cx.problems.error(
                    value.key_at,
                    "`key` has a meaning only with `format = \"raw\"`",
                );
            }
            match format {
                Format::Dotenv => dotenv(cx, &table, delivered),
                Format::Json => Some(FileFormat::Json),
                Format::Raw | Format::Unknown => None,
            }
        }
    };
    table.finish();
    let path = path?;
    Some(At {
        at: path.at,
        value: FileTarget {
            path: path.value,
            format: format?,
            mode: own.mode.or(defaults.mode).unwrap_or(0o600),
            dir_mode: own.dir_mode.or(defaults.dir_mode).unwrap_or(0o700),
            adopt: own.adopt.or(defaults.adopt).unwrap_or(false),
        },
    })
}

/// A directory of secrets is its owner's, who must be able to work in it; a run refuses one that others may write.
fn dir_mode_fits(cx: &Lowering<'_>, mode: At<u32>) {
    if mode.value & 0o022 != 0 {
        cx.problems.push(
            Problem::error(mode.at, "`dir_mode` must not let group or others write")
                .help("whoever may write a directory may replace the files in it: \"0750\""),
        );
    } else if mode.value & 0o700 != 0o700 {
        cx.problems.push(
            Problem::error(
                mode.at,
                "`dir_mode` must let the owner read, write and enter",
            )
            .help("such as \"0700\" or \"0750\""),
        );
    }
}

/// The path, which must name a file and mean the same whatever is a symlink.
fn path(cx: &Lowering<'_>, table: &mut Table<'_>) -> Option<At<std::path::PathBuf>> {
    let value = table.need("path")?;
    let is_directory = value.ends_with_slash();
    let path = cx.path(value)?;
    if is_directory || path.value.file_name().is_none() {
        cx.problems.error(
            path.at,
            "`path` must be the path of a file, not of a directory",
        );
        return None;
    }
    if path.value.components().any(|c| c == Component::ParentDir) {
        cx.problems.error(
            path.at,
            "`..` may stand only at the beginning of a target's `path`",
        );
        return None;
    }
    let name = path.value.file_name().map(std::ffi::OsStr::as_bytes);
    if name.is_some_and(|name| name.starts_with(TEMPORARY.as_bytes())) {
        cx.problems.error(
            path.at,
            format!("files that begin with `{TEMPORARY}` are secretsyncd's own"),
        );
        return None;
    }
    Some(path)
}

fn raw(cx: &Lowering<'_>, table: &mut Table<'_>, keys: &Keys) -> Option<FileFormat> {
    let Some(value) = table.take("key") else {
        cx.problems.push(
            Problem::absence(table.at, "`key` is missing")
                .help("a raw file holds the value of one key; `dotenv` and `json` hold all"),
        );
        return None;
    };
    let text = value.string()?;
    let key = cx.name("`key`", text, SecretKey::new)?;
    if keys.complete && !keys.has(text.value) {
        cx.problems.push(
            Problem::error(text.at, "the entry has no such key")
                .maybe_help(did_you_mean(text.value, keys.names())),
        );
        return None;
    }
    Some(FileFormat::Raw { key: key.value })
}

/// Every key must be the name of a variable.
fn dotenv(cx: &Lowering<'_>, table: &Table<'_>, keys: &Keys) -> Option<FileFormat> {
    let refused = keys
        .all
        .iter()
        .find_map(|key| Some((key, key.value.as_variable().err()?)));
    let Some((key, why)) = refused else {
        return Some(FileFormat::Dotenv);
    };
    let problem = match why {
        NoVariable::Illegal => Problem::error(
            key.at,
            "a `dotenv` file needs keys that are names of variables",
        )
        .help("letters, digits and `_`, not beginning with a digit"),
        NoVariable::Shells => Problem::error(
            key.at,
            "a `dotenv` file cannot have this key: shells keep the variable for themselves",
        )
        .help("use another key, or another format"),
    };
    cx.problems
        .push(problem.other(table.at, "it is written to a `dotenv` file here"));
    None
}
