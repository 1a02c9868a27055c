//! `include`: which files belong to a configuration.
//!
//! A glob may match nothing (a directory that is still empty), a plain name may not (a typing mistake would silently
//! remove every entry of that file).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::problems::{At, Place, Problem, Problems};
use super::source::{FileId, Sources};
use super::tree::{self, Table};

/// One pattern or name of `include`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// As it is written.
    pub pattern: String,
    /// Where what it matches lies, or would lie: absolute.
    pub directory: PathBuf,
    /// How many files it matches.
    pub files: usize,
}

/// Reads everything that the main file includes, in the order of the files' paths.
pub(super) fn read_included(sources: &mut Sources, problems: &Problems) -> Vec<Included> {
    let mut included = Vec::new();
    let mut wanted = BTreeMap::new();
    {
        let main = sources.get(FileId::MAIN);
        let mut sound = tree::sound(main);
        // Problems of the text are found again, and then reported, when all files are parsed.
        let (document, _) = tree::parse(&mut sound, FileId::MAIN);
        for pattern in patterns(&mut document.table(problems)) {
            let matched = matches(&pattern, &main.dir, problems);
            included.push(Included {
                directory: directory(&pattern.value, &main.dir),
                files: matched.len(),
                pattern: pattern.value.clone(),
            });
            for path in matched {
                if path != main.path {
                    wanted.entry(path).or_insert(pattern.at);
                }
            }
        }
    }
    for (path, at) in wanted {
        if !sources.include(&path, at, problems) {
            break;
        }
    }
    included
}

/// What comes before the first wildcard.
fn directory(pattern: &str, dir: &Path) -> PathBuf {
    let fixed = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let fixed = pattern[..fixed].rfind('/').map_or("", |at| &pattern[..=at]);
    super::lower::absolute(dir, fixed)
}

fn patterns(main: &mut Table<'_>) -> Vec<At<String>> {
    main.strings("include")
        .unwrap_or_default()
        .into_iter()
        .map(|pattern| pattern.map(str::to_owned))
        .collect()
}

fn matches(pattern: &At<String>, dir: &Path, problems: &Problems) -> Vec<PathBuf> {
    let text = &pattern.value;
    if text.is_empty() || text.contains('\0') {
        problems.error(pattern.at, "an included path must not be empty");
        return Vec::new();
    }
    if !text.contains(['*', '?', '[']) {
        return vec![super::lower::absolute(dir, text)];
    }
    let full = if text.starts_with('/') {
        text.clone()
    } else {
        format!("{}/{text}", glob::Pattern::escape(&dir.to_string_lossy()))
    };
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        // Editors leave their locks and backups as hidden files.
        require_literal_leading_dot: true,
    };
    let Ok(found) = glob::glob_with(&full, options) else {
        problems.error(pattern.at, "this is not a pattern: `*`, `?`, `[abc]`, `**`");
        return Vec::new();
    };
    found
        .filter_map(|path| readable(path, pattern.at, problems))
        .collect()
}

fn readable(found: glob::GlobResult, at: Place, problems: &Problems) -> Option<PathBuf> {
    match found {
        Ok(path) if path.is_dir() => None,
        Ok(path) => Some(path),
        Err(_) => {
            problems.push(
                Problem::error(
                    at,
                    "a directory that this pattern goes through cannot be read",
                )
                .help("let the user that runs secretsyncd read and enter it"),
            );
            None
        }
    }
}
