//! What a [`Path`] gives for a value.

use super::budget::{Budget, Piece, Stop};
use super::modify::modified;
use super::path::{Path, Stage};
use super::{text, walk};

/// What a stage gives.
pub(super) struct Outcome<'a> {
    /// `None`: nothing is there.
    pub(super) value: Option<Piece<'a>>,
    pub(super) next: Next,
}

/// Whether the stages behind it see it. gjson reads a pipe only where the keys before it led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Goes,
    Ends,
}

/// What is at `path`. `json` is valid JSON, or empty where nothing is.
pub(super) fn get<'a>(
    json: &'a str,
    path: &Path,
    budget: &mut Budget,
) -> Result<Option<Piece<'a>>, Stop> {
    let mut current = Some(Piece::Part(json));
    for stage in &path.0 {
        let outcome = match current.unwrap_or(Piece::Part("")) {
            Piece::Part(json) => staged(json, stage, budget)?,
            Piece::Made(json) => {
                let outcome = staged(&json, stage, budget)?;
                Outcome {
                    value: outcome.value.map(Piece::owned),
                    next: outcome.next,
                }
            }
        };
        current = outcome.value;
        if outcome.next == Next::Ends {
            break;
        }
    }
    Ok(current.and_then(bare))
}

/// Without the blanks before a value, nor those behind one that is no array and no object; `None` for nothing.
fn bare(piece: Piece<'_>) -> Option<Piece<'_>> {
    let nested = text::begins_with(&piece, b'{') || text::begins_with(&piece, b'[');
    let trimmed = |text: &str| {
        let start = text.len() - text.trim_start().len();
        let end = if nested {
            text.len()
        } else {
            text.trim_end().len()
        };
        start..end.max(start)
    };
    let range = trimmed(&piece);
    if range.is_empty() {
        return None;
    }
    Some(match piece {
        Piece::Part(text) => Piece::Part(&text[range]),
        Piece::Made(text) if range.len() == text.len() => Piece::Made(text),
        Piece::Made(text) => Piece::made(&text[range]),
    })
}

fn staged<'a>(json: &'a str, stage: &Stage, budget: &mut Budget) -> Result<Outcome<'a>, Stop> {
    let value = match stage {
        Stage::Steps(steps) => return walk::steps(json, steps, budget),
        Stage::Modifier(modifier) => return modified(json, modifier, budget),
        Stage::Literal(json) => Piece::made(json),
        Stage::List(paths) => Piece::Made(list(json, paths, budget)?),
        Stage::Record(members) => Piece::Made(record(json, members, budget)?),
    };
    Ok(Outcome {
        value: Some(value),
        next: Next::Goes,
    })
}

type Made = zeroize::Zeroizing<String>;

fn list(json: &str, paths: &[Path], budget: &mut Budget) -> Result<Made, Stop> {
    let mut found = Vec::new();
    for path in paths {
        found.extend(get(json, path, budget)?);
    }
    budget.joined(["[", "]"], found.iter().map(|piece| &**piece))
}

fn record(json: &str, members: &[(String, Path)], budget: &mut Budget) -> Result<Made, Stop> {
    let mut found = Vec::new();
    for (name, path) in members {
        if let Some(piece) = get(json, path, budget)? {
            let mut member = Made::default();
            budget.push(&mut member, name)?;
            budget.push(&mut member, ":")?;
            budget.push(&mut member, &piece)?;
            found.push(member);
        }
    }
    budget.joined(["{", "}"], found.iter().map(|member| member.as_str()))
}
