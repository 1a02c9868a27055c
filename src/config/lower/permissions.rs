//! Who else may read or write the files that credentials come from.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Lowering;
use crate::config::problems::{At, Place, Problem};
use crate::config::source::check_mode;

/// What is in a file, as far as its permissions matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A credential: nobody else should read it.
    Credential,
    /// Secret values, as a file store has them: the same.
    Values,
    /// Something that is trusted but not secret.
    Trusted,
}

impl Content {
    pub(super) fn credential_if(holds_one: bool) -> Self {
        if holds_one {
            Self::Credential
        } else {
            Self::Trusted
        }
    }
}

impl Lowering<'_> {
    /// Looks at a file that is read later. One that is not there yet may come later, too.
    pub(super) fn check_file(&self, path: &At<PathBuf>, content: Content) {
        self.check_file_of(path, content, "");
    }

    /// The same for a file that has a name of its own, and that `key` names.
    pub(super) fn check_named(&self, path: &At<PathBuf>, content: Content, name: (&str, &str)) {
        let (name, key) = name;
        if fs::metadata(&path.value).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            self.input(path);
            // Without the path: what does not exist may be a value that was typed there.
            let message = format!("there is no such file yet: {name}");
            let warning = Problem::warning(path.at, message);
            self.problems
                .push(warning.help(format!("create it, or correct `{key}`")));
        } else {
            self.check_file_of(path, content, &format!(": {name}"));
        }
    }

    /// The same for a file that is named elsewhere than in the configuration; `whose` ends each sentence.
    pub(super) fn check_file_of(&self, path: &At<PathBuf>, content: Content, whose: &str) {
        self.input(path);
        let metadata = match fs::metadata(&path.value) {
            Ok(metadata) => metadata,
            Err(error) => {
                let sentence = if error.kind() == io::ErrorKind::NotFound {
                    "there is no such file yet"
                } else {
                    "this user cannot examine this file"
                };
                self.problems
                    .push(Problem::warning(path.at, format!("{sentence}{whose}")));
                return;
            }
        };
        if !metadata.is_file() {
            let message = format!("this must be the path of a regular file{whose}");
            self.problems.error(path.at, message);
            return;
        }
        let mode = metadata.permissions().mode();
        check_mode(mode, path.at, whose, self.problems);
        let holds = match content {
            Content::Credential => "a credential",
            Content::Values => "secret values",
            Content::Trusted => return,
        };
        if mode & 0o044 != 0 {
            let shown = path.value.display();
            let message = format!("others may read this file, which holds {holds}{whose}");
            self.problems.push(
                Problem::warning(path.at, message)
                    .help(format!("take the permission away: chmod go-r {shown}")),
            );
        }
    }

    /// Looks at a program that is run later, as its run does. It may be installed later, so nothing here is an error.
    pub(super) fn check_program(&self, program: &Path, at: Place) {
        if !self.surroundings.look_at_programs {
            return;
        }
        let (message, help) = match fs::metadata(program) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (
                "there is no such program yet",
                "install it, or correct the path",
            ),
            // Whether it may be examined later is the run's business.
            Err(_) => return,
            Ok(found) => match (found.is_file(), found.permissions().mode()) {
                (true, mode) if mode & 0o111 != 0 && mode & 0o002 == 0 => return,
                (true, mode) if mode & 0o111 != 0 => (
                    "everybody may change this program, so it is not run",
                    "take the permission away: chmod o-w",
                ),
                _ => (
                    "this is not an executable file, so it cannot be run",
                    "name the program itself, or make it executable: chmod +x",
                ),
            },
        };
        self.problems.push(Problem::warning(at, message).help(help));
    }
}
