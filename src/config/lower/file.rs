//! `[[secrets.NAME.file]]` and `[defaults.file]`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, PathBuf};

use super::keys::Keys;
use super::{Lowering, action};
use crate::account::Account;
use crate::config::problems::{At, Place, Problem};
use crate::config::tree::{Table, did_you_mean};
use crate::config::{Argv, Check, DeletionPolicy, Dialect, FileFormat, FileTarget, OnChange};
use crate::names::{NoVariable, SecretKey};

/// How temporary files begin, beside their targets.
const TEMPORARY: &str = ".secretsyncd-";

/// The keys that may have a default, as far as they are written and right.
#[derive(Debug, Default)]
pub(super) struct FileKeys {
    format: Option<Format>,
    mode: Option<u32>,
    dir_mode: Option<u32>,
    owner: Option<Account>,
    group: Option<Account>,
    adopt: Option<bool>,
    deletion_policy: Option<DeletionPolicy>,
    check: Option<Argv>,
    check_log_output: Option<bool>,
    on_change: Option<OnChange>,
    dialect: Option<At<Dialect>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Raw,
    Dotenv,
    Json,
    Yaml,
    Properties,
    Directory,
    /// Written, and wrong.
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
            ("yaml", Format::Yaml),
            ("properties", Format::Properties),
            ("directory", Format::Directory),
        ],
    );
    let mode = table.take("mode").and_then(|v| cx.mode(v));
    if let Some(mode) = mode.filter(|mode| mode.value & 0o400 == 0) {
        cx.problems.push(
            Problem::error(mode.at, "`mode` must let the file's owner read it")
                .help("whoever owns it is to read it, and where that is secretsyncd, it compares what is there"),
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
    let owner = account(cx, table, "owner");
    let group = account(cx, table, "group");
    let dialect = table.choice(
        "dialect",
        &[("shell", Dialect::Shell), ("docker", Dialect::Docker)],
    );
    let deletion_policy = table.choice(
        "deletion_policy",
        &[
            ("retain", DeletionPolicy::Retain),
            ("delete", DeletionPolicy::Delete),
        ],
    );
    let check = table.take("check").and_then(|v| action::check(cx, v));
    let on_change = table.take("on_change");
    let on_change = on_change.and_then(|v| action::on_change(cx, v));
    FileKeys {
        format: format
            .map(|format| format.value)
            .or(has_format.then_some(Format::Unknown)),
        mode: mode.map(|mode| mode.value),
        dir_mode: dir_mode.map(|mode| mode.value),
        owner,
        group,
        adopt: table.boolean("adopt").map(|adopt| adopt.value),
        deletion_policy: deletion_policy.map(|policy| policy.value),
        check,
        check_log_output: table.boolean("check_log_output").map(|it| it.value),
        on_change,
        dialect,
    }
}

pub(super) fn lower(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    delivered: &Keys,
    defaults: &FileKeys,
) -> Option<At<FileTarget>> {
    let own = keys(cx, &mut table);
    let format = own.format.or(defaults.format).unwrap_or(Format::Raw);
    let path = path(cx, &mut table, format);
    let meant = what(cx, (&mut table, delivered), format, (&own, defaults));
    table.finish();
    let path = path?;
    let format = meant?;
    let mode = own.mode.or(defaults.mode).unwrap_or(0o600);
    let dir_mode = own.dir_mode.or(defaults.dir_mode).unwrap_or(0o700);
    let owner = own.owner.or_else(|| defaults.owner.clone());
    if format == FileFormat::Directory {
        can_be_entered(cx, path.at, (mode, owner.as_ref()), dir_mode);
    }
    let check = own.check.or_else(|| defaults.check.clone());
    let log_output = own.check_log_output.or(defaults.check_log_output);
    let log_output = log_output.unwrap_or(false);
    Some(At {
        at: path.at,
        value: FileTarget {
            path: path.value,
            format,
            mode,
            dir_mode,
            owner,
            group: own.group.or_else(|| defaults.group.clone()),
            adopt: own.adopt.or(defaults.adopt).unwrap_or(false),
            deletion_policy: own
                .deletion_policy
                .or(defaults.deletion_policy)
                .unwrap_or_default(),
            check: check.map(|argv| Check { argv, log_output }),
            on_change: own.on_change.or_else(|| defaults.on_change.clone()),
        },
    })
}

/// A user or group. Whether this machine knows it is found out when something is written.
fn account(cx: &Lowering<'_>, table: &mut Table<'_>, key: &'static str) -> Option<Account> {
    let text = table.take(key)?.string()?;
    let account = cx.name(&format!("`{key}`"), text, |text| Account::new(&text))?;
    Some(account.value)
}

/// What the format makes of the keys; nothing where that is wrong, which is said.
fn what(
    cx: &Lowering<'_>,
    (table, delivered): (&mut Table<'_>, &Keys),
    format: Format,
    (own, defaults): (&FileKeys, &FileKeys),
) -> Option<FileFormat> {
    if let Some(dialect) = own.dialect
        && !matches!(format, Format::Dotenv | Format::Unknown)
    {
        cx.problems.error(
            dialect.at,
            "`dialect` has a meaning only with `format = \"dotenv\"`",
        );
    }
    if format != Format::Raw
        && let Some(value) = table.take("key")
        && format != Format::Unknown
    {
        cx.problems.error(
            value.key_at,
            "`key` has a meaning only with `format = \"raw\"`",
        );
    }
    let dialect = own.dialect.or(defaults.dialect);
    match format {
        Format::Raw => raw(cx, table, delivered),
        Format::Dotenv => match dialect.map_or(Dialect::Shell, |dialect| dialect.value) {
            Dialect::Shell => dotenv(cx, table, delivered),
            Dialect::Docker => Some(FileFormat::Dotenv(Dialect::Docker)),
        },
        Format::Json => Some(FileFormat::Json),
        Format::Yaml => Some(FileFormat::Yaml),
        Format::Properties => Some(FileFormat::Properties),
        Format::Directory => Some(FileFormat::Directory),
        Format::Unknown => None,
    }
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

/// Whoever may read the files of a directory has to get to them. The directory is never the files' owner's.
fn can_be_entered(
    cx: &Lowering<'_>,
    at: Place,
    (mode, owner): (u32, Option<&Account>),
    dir_mode: u32,
) {
    if let Some(owner) = owner
        && dir_mode & 0o011 == 0
    {
        cx.problems.push(
            Problem::warning(
                at,
                format!(
                    "the directory stays secretsyncd's, and by `dir_mode` its files' owner {owner} cannot enter it"
                ),
            )
            .help("such as `dir_mode = \"0710\"` with a `group` of the owner's, or \"0711\""),
        );
    }
    let shut_out = [(0o040, 0o010, "the group"), (0o004, 0o001, "everyone")];
    let shut_out = shut_out
        .into_iter()
        .find(|(read, enter, _)| mode & read != 0 && dir_mode & enter == 0);
    if let Some((.., who)) = shut_out {
        cx.problems.push(
            Problem::warning(
                at,
                format!(
                    "{who} may read the files by `mode`, but not enter the directory by `dir_mode`"
                ),
            )
            .help("such as `dir_mode = \"0750\"` with `mode = \"0640\"`"),
        );
    }
}

/// The path, which must name a file, or the directory of a whole set, and mean the same whatever is a symlink.
fn path(cx: &Lowering<'_>, table: &mut Table<'_>, format: Format) -> Option<At<PathBuf>> {
    let value = table.need("path")?;
    let is_directory = value.ends_with_slash() && format != Format::Directory;
    let mut path = cx.path(value)?;
    // One way to write it, with or without a final slash.
    path.value = path.value.components().collect();
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
                .help("a raw file holds the value of one key; the other formats hold all"),
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

/// For a shell: every key must be the name of a variable.
fn dotenv(cx: &Lowering<'_>, table: &Table<'_>, keys: &Keys) -> Option<FileFormat> {
    let refused = keys
        .all
        .iter()
        .find_map(|key| Some((key, key.value.as_variable().err()?)));
    let Some((key, why)) = refused else {
        return Some(FileFormat::Dotenv(Dialect::Shell));
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
