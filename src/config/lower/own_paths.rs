//! What the daemon reads or keeps, which no target may be, be below, or be above.
//!
//! Paths are compared by where they lead: a link to a file is that file. What does not exist yet is taken as written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::Lowering;
use crate::config::problems::{At, Place, Problem};
use crate::config::{Daemon, FileTarget};

/// No path that exists is longer (`PATH_MAX`).
const LONGEST: usize = 4096;
/// How many links that lead nowhere yet are followed, one behind the other.
const MAX_LINKS: usize = 8;

#[derive(Clone, Copy)]
enum Own {
    Configuration,
    Input(Place),
    State,
}

#[derive(Default)]
pub(super) struct OwnPaths {
    own: BTreeMap<PathBuf, Own>,
    /// Every directory that one of them is below.
    above: BTreeMap<PathBuf, Own>,
}

impl OwnPaths {
    pub(super) fn collect(cx: &Lowering<'_>, daemon: Option<&Daemon>) -> Self {
        let mut paths = Self::default();
        for (_, source) in cx.sources.iter() {
            paths.add(&source.path, Own::Configuration);
        }
        for input in cx.inputs.borrow().iter() {
            paths.add(&input.value, Own::Input(input.at));
        }
        if let Some(daemon) = daemon {
            paths.add(&daemon.state_dir, Own::State);
            paths.add(&daemon.control_socket, Own::State);
        }
        paths
    }

    /// The path as it is written counts, too: the link is needed as much as what it leads to.
    fn add(&mut self, path: &Path, what: Own) {
        if path.as_os_str().is_empty() {
            return;
        }
        for path in [resolved(path), path.to_owned()] {
            for above in path.ancestors().skip(1) {
                self.above.entry(above.to_owned()).or_insert(what);
            }
            self.own.entry(path).or_insert(what);
        }
    }

    pub(super) fn judge(&self, cx: &Lowering<'_>, file: &At<FileTarget>) {
        let path = resolved(&file.value.path);
        let met = path.ancestors().find_map(|path| self.own.get(path));
        let problem = match (met, self.above.get(&path)) {
            (Some(Own::Configuration), _) => {
                Problem::error(file.at, "this target would overwrite the configuration")
            }
            (Some(Own::Input(at)), _) => {
                Problem::error(file.at, "this target would overwrite what is read")
                    .other(*at, "it is read here")
            }
            (Some(Own::State), _) => {
                Problem::error(file.at, "this path belongs to the daemon's own state")
            }
            (None, Some(below)) => {
                let problem = Problem::error(
                    file.at,
                    "this path is a directory that the daemon itself needs",
                );
                match below {
                    Own::Input(at) => problem.other(*at, "what is read here is in it"),
                    Own::Configuration | Own::State => problem,
                }
            }
            (None, None) => return,
        };
        cx.problems.push(problem);
    }
}

/// Where a path leads: without links as far as it exists, and behind that as written.
fn resolved(path: &Path) -> PathBuf {
    if path.as_os_str().len() > LONGEST {
        return path.to_owned();
    }
    follow(path, MAX_LINKS)
}

fn follow(path: &Path, links: usize) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let Some(parent) = path.parent() else {
        return path.to_owned();
    };
    let mut here = follow(parent, links);
    match path.components().next_back() {
        Some(Component::ParentDir) => {
            here.pop();
            return here;
        }
        Some(last) => here.push(last),
        None => return path.to_owned(),
    }
    // Here because it leads nowhere, or not yet.
    match fs::read_link(&here) {
        Ok(link) if links > 0 => {
            here.pop();
            follow(&here.join(link), links - 1)
        }
        Ok(_) | Err(_) => here,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_even_to_what_is_not_there_yet() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let at = |name: &str| real.join(name);
        fs::create_dir(at("d")).unwrap();
        symlink(at("d"), at("link")).unwrap();
        symlink("d/later", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        assert_eq!(resolved(&at("link/x/y")), at("d/x/y"));
        assert_eq!(resolved(&at("dangling")), at("d/later"));
        assert_eq!(resolved(&at("d/no/../x")), at("d/x"));
        assert_eq!(resolved(&at("loop")), at("loop"));
        let long = at(&"a/".repeat(100_000));
        assert_eq!(resolved(&long), long);
        assert_eq!(resolved(Path::new("")), Path::new(""));
    }
}
