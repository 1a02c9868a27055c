//! The files among what is to be taken over.

use super::{failed, refusal};
use crate::command::plan::list;
use crate::command::progress::ProgressLine;
use crate::command::show;
use crate::config::{Config, Target};
use crate::control::{self, NotAsked};
use crate::daemon;
use crate::names::EntryName;
use crate::status::{AdoptEnd, AdoptedTarget, Adoption};
use crate::sync::plan::View;
use std::process::ExitCode;

/// What a look is at.
pub(super) struct Chosen {
    /// With the files that can be taken over, and nothing else.
    config: Config,
    names: Vec<String>,
    /// Names of no entry and no file.
    pub(super) unknown: Vec<String>,
}

/// What was done, for stdout; what was not, for stderr; and whose files were taken over.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) said: String,
    pub(super) errors: String,
    pub(super) taken: Vec<EntryName>,
}

impl Chosen {
    pub(super) fn of(config: Config, names: &[String]) -> Self {
        let mut config = config;
        let mut unknown = names.to_vec();
        let mut its = Vec::new();
        for (entry, spec) in &mut config.entries {
            let is_named = names.iter().any(|name| name == entry.as_str());
            unknown.retain(|name| name != entry.as_str());
            spec.selections = Box::default();
            spec.targets.retain(|target| {
                let Target::File(file) = target else {
                    return false;
                };
                let shown = file.path.display().to_string();
                let chosen = is_named || names.contains(&shown);
                unknown.retain(|name| *name != shown);
                if chosen {
                    its.push(shown);
                }
                chosen || names.is_empty()
            });
        }
        config.entries.retain(|_, spec| !spec.targets.is_empty());
        Self {
            config,
            names: its,
            unknown,
        }
    }
}

pub(super) async fn look(chosen: Chosen) -> Result<Vec<list::Row>, ExitCode> {
    if chosen.config.entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut line = ProgressLine::new();
    let view = (&[][..], View::Adoption);
    let planned = Box::pin(daemon::plan(chosen.config, view, |now| line.show(now))).await;
    drop(line);
    let plan = planned.map_err(|stopped| failed(&stopped.to_string()))?;
    if let Some(unknown) = &plan.unknown {
        show(&format!("warning: {unknown}\n  help: {}", unknown.help()));
    }
    Ok(list::rows(&plan.entries))
}

/// What is wrong with it is said like what is refused: Secrets go on.
pub(super) async fn apply(config: &Config, chosen: Chosen) -> Done {
    if chosen.config.entries.is_empty() {
        return Done::default();
    }
    match asked(config, chosen.names).await {
        Ok(adoption) => told(&adoption),
        Err(why) => Done {
            errors: format!("error: no file was taken over: {why}\n"),
            ..Done::default()
        },
    }
}

async fn asked(config: &Config, names: Vec<String>) -> Result<Adoption, String> {
    let asked = control::adopt(&config.daemon.control_socket, names.clone()).await;
    let adoption = match asked {
        Err(NotAsked::NoDaemon(_)) => daemon::adopt(config, names)
            .await
            .map_err(|stopped| stopped.to_string())?,
        asked => asked.map_err(|why| why.to_string())?,
    };
    match adoption.unknown.first() {
        None => Ok(adoption),
        Some(name) => Err(format!(
            "the daemon has no target `{name}`: it runs with another configuration than this one"
        )),
    }
}

fn told(adoption: &Adoption) -> Done {
    let (mut said, mut errors, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for AdoptedTarget { target, entry, end } in &adoption.targets {
        match end {
            AdoptEnd::Taken => {
                said.push(format!("taken over: {target}, for {entry}\n"));
                taken.extend(EntryName::new(entry.as_str()));
            }
            AdoptEnd::Ours | AdoptEnd::Absent => {}
            AdoptEnd::Refused(trouble) => {
                let why = (&*trouble.message, &*trouble.help);
                errors.push(refusal((target, entry), why));
            }
        }
    }
    taken.dedup();
    Done {
        said: said.concat(),
        errors: errors.concat(),
        taken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, Reason};
    use crate::status::Trouble;

    #[test]
    fn what_is_taken_over_is_told_apart_from_what_is_refused_and_what_is_ours() {
        let target = |target: &str, end| AdoptedTarget {
            target: target.to_owned(),
            entry: "db".to_owned(),
            end,
        };
        let failure = Failure::new(Reason::Conflict, "it is a link");
        let refused = AdoptEnd::Refused(Trouble::from(&failure));
        let adoption = Adoption {
            targets: vec![
                target("/a", AdoptEnd::Taken),
                target("/b", AdoptEnd::Ours),
                target("/c", AdoptEnd::Taken),
                target("/d", refused),
            ],
            unknown: Vec::new(),
        };
        let done = told(&adoption);
        assert_eq!(
            done.said,
            "taken over: /a, for db\ntaken over: /c, for db\n"
        );
        assert!(
            done.errors.starts_with("error: /d, for db: it is a link"),
            "{done:?}"
        );
        assert_eq!(done.taken, [EntryName::new("db").unwrap()]);
    }
}
