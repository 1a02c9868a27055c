//! Who else writes a target, as far as the target itself says, and how to silence them.
//!
//! Pure. Everything here is a text of others: a name is repeated only where it is a plain word.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use crate::decide::kubernetes::{ESO_PREFIX, Wanted};
use crate::failure::{Failure, Reason};
use crate::kube::{FieldKind, LiveSecret, Manager};

const ESO_GROUP: &str = "external-secrets.io";
/// The group of `kubernetes-external-secrets`.
const KES_GROUP: &str = "kubernetes-client.io";
const ESO_MANAGER: &str = "externalsecrets.external-secrets.io";

/// At most so many are named.
const NAMED: usize = 3;

/// One of those who write it, the surest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rival {
    Kes,
    Eso,
    Helm,
    ArgoCd,
    Flux,
    /// `kubectl`, by the name of its command.
    Person(String),
    Named(String),
    /// A client that gives no name.
    Nameless,
    /// To whom the file belongs that was put in the place of ours, and when it was last written.
    Owner {
        id: u32,
        name: Option<String>,
        at: Timestamp,
    },
    /// Our own file was written into, last at this time.
    InPlace {
        at: Timestamp,
    },
}

/// Everybody who is known to write it; nobody where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rivals(BTreeSet<Rival>);

impl Rivals {
    /// From a Secret that differs from what we left there.
    pub fn of(wanted: &Wanted, live: Option<&LiveSecret>) -> Self {
        let Some(live) = live else {
            return Self::default();
        };
        let mut rivals = BTreeSet::new();
        match live.controller.as_ref().map(|it| it.group.as_str()) {
            Some(KES_GROUP) => drop(rivals.insert(Rival::Kes)),
            Some(ESO_GROUP) => drop(rivals.insert(Rival::Eso)),
            Some(_) | None => {}
        }
        let mut marks = live.labels.keys().chain(live.annotations.keys());
        if marks.any(|key| key.starts_with(ESO_PREFIX)) {
            rivals.insert(Rival::Eso);
        }
        let others = live.managers.iter();
        let others = others.filter(|it| {
            !it.is(&wanted.manager) && !it.made_for(&wanted.manager) && !it.is_old_attempt()
        });
        rivals.extend(others.filter(|it| holds(it, wanted)).filter_map(rival));
        Self(rivals)
    }

    /// From a file that belongs to this user, and that is not the one we left there.
    pub fn owner(id: u32, name: Option<String>, at: Timestamp) -> Self {
        let name = name.filter(|name| is_plain(name));
        Self([Rival::Owner { id, name, at }].into())
    }

    /// From the file that we left there.
    pub fn in_place(at: Timestamp) -> Self {
        Self([Rival::InPlace { at }].into())
    }

    /// What is wrong, by whom, and what to do.
    pub fn failure(&self) -> Failure {
        let names: Vec<String> = self.0.iter().take(NAMED).map(Rival::to_string).collect();
        let who = match &names[..] {
            [] => "somebody else keeps changing or deleting it".to_owned(),
            [name] => format!("{name} keeps changing it"),
            [first @ .., last] => format!("{} and {last} keep changing it", first.join(", ")),
        };
        let help = self.0.first().map_or(
            Cow::Borrowed("nothing in it says who: look in the API server's audit log, or on this machine for what writes the file"),
            Rival::help,
        );
        let fact =
            format!("{who}; a new version is still written, and it is put back once an hour");
        Failure::new(Reason::Conflict, fact).with_help(help)
    }

    /// Whether an operator of another kind has made the Secret its own: then nothing of ours is written.
    pub fn took_over(&self) -> Option<Failure> {
        let operator = |rival: &&Rival| matches!(rival, Rival::Kes | Rival::Eso);
        let rival = self.0.iter().find(operator)?;
        let fact = format!("{rival} has made the Secret its own, so nothing is written to it");
        let help = format!("{}; then take the Secret back with `adopt`", rival.help());
        Some(Failure::new(Reason::Conflict, fact).with_help(help))
    }

    /// Their names, for the audit; nothing where nobody is known.
    pub fn names(&self) -> Option<String> {
        let names: Vec<String> = self.0.iter().take(NAMED).map(Rival::to_string).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// Whether it holds anything that is to be ours.
fn holds(manager: &Manager, wanted: &Wanted) -> bool {
    let data = manager.fields(FieldKind::Data);
    let labels = manager.fields(FieldKind::Label);
    let annotations = manager.fields(FieldKind::Annotation);
    wanted.data.keys().any(|key| data.contains(key.as_str()))
        || wanted
            .labels
            .keys()
            .any(|key| labels.contains(key.as_str()))
        || wanted
            .annotations
            .keys()
            .any(|key| annotations.contains(key.as_str()))
}

fn rival(manager: &Manager) -> Option<Rival> {
    let name = manager.name.as_str();
    let is_ours = name == "secretsyncd" || name.starts_with("secretsyncd:");
    Some(match name {
        "" | "unknown" => Rival::Nameless,
        "helm" => Rival::Helm,
        "argocd-controller" | "argocd-application-controller" | "argocd" => Rival::ArgoCd,
        "kustomize-controller" | "helm-controller" => Rival::Flux,
        "external-secrets" => Rival::Eso,
        _ if name.starts_with(ESO_MANAGER) => Rival::Eso,
        _ if name.starts_with("kubectl") && is_plain(name) => Rival::Person(name.to_owned()),
        // Of a merge entry the name says nothing to anybody but us.
        _ if is_ours => Rival::Named("another entry or installation of secretsyncd".to_owned()),
        _ if is_plain(name) => Rival::Named(format!("`{name}`")),
        _ => return None,
    })
}

/// A name that cannot be a value, or only one that is a word.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.len() <= 63
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl Rival {
    fn help(&self) -> Cow<'static, str> {
        let help = match self {
            Self::Kes => {
                "set `spec.controllerId` of its ExternalSecret to another name, or scale kubernetes-external-secrets to 0"
            }
            Self::Eso => {
                "set `deletionPolicy: Retain` and `creationPolicy: Orphan` (`None` where it merges) on its ExternalSecret, or scale \
                 external-secrets to 0"
            }
            Self::Helm => "take the Secret out of the chart",
            Self::ArgoCd => {
                "take the Secret out of the Argo CD application, or let the application ignore its differences"
            }
            Self::Flux => "take the Secret out of what Flux applies",
            Self::Person(_) => "change the value at its source; what is edited here is put back",
            Self::Named(_) => "stop it writing this Secret, or deliver under another name",
            Self::Nameless => {
                "a client without a name writes it, as kubernetes-external-secrets does: set `spec.controllerId` of its \
                 ExternalSecret to another name, or scale it to 0"
            }
            Self::Owner { at, .. } => {
                return Cow::Owned(format!(
                    "the file that was put there belongs to that user and was last written at {at}: stop what puts it \
                     there, or deliver to another path"
                ));
            }
            Self::InPlace { at } => {
                return Cow::Owned(format!(
                    "it was last written at {at}; `fuser -v` with its path, or an audit rule (`auditctl -w PATH -p wa`), \
                     tells by whom: stop that, or deliver to another path"
                ));
            }
        };
        Cow::Borrowed(help)
    }
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kes => f.write_str("kubernetes-external-secrets"),
            Self::Eso => f.write_str("External Secrets"),
            Self::Helm => f.write_str("Helm"),
            Self::ArgoCd => f.write_str("Argo CD"),
            Self::Flux => f.write_str("Flux"),
            Self::Person(name) => write!(f, "`{name}`"),
            Self::Named(name) => f.write_str(name),
            Self::Nameless => f.write_str("a client without a name"),
            Self::Owner {
                name: Some(name), ..
            } => write!(f, "user `{name}`"),
            Self::Owner { id, name: None, .. } => write!(f, "user {id}"),
            Self::InPlace { .. } => f.write_str("whoever writes into the file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CreationPolicy::Owner;
    use crate::decide::kubernetes::tests::{applied, wanted};
    use crate::kube::{Controller, Operation};
    use crate::secret::SecretBytes;

    fn edited_by(name: &str) -> Rivals {
        let wanted = wanted(Owner);
        let mut live = applied(&wanted);
        live.managers[0].data.clear();
        live.managers.push(Manager {
            name: name.into(),
            operation: Operation::Update,
            data: ["a".to_owned()].into(),
            ..Manager::default()
        });
        Rivals::of(&wanted, Some(&live))
    }

    #[test]
    fn each_writer_is_named_with_how_to_silence_it() {
        for (manager, named, advice) in [
            ("kubectl-edit", "`kubectl-edit` keeps", "at its source"),
            ("helm", "Helm keeps", "chart"),
            ("argocd-controller", "Argo CD keeps", "application"),
            ("unknown", "a client without a name", "spec.controllerId"),
            (
                "externalsecrets.external-secrets.io/db",
                "External Secrets",
                "creationPolicy",
            ),
            (
                "secretsyncd:other:db",
                "another entry or installation",
                "another name",
            ),
            ("vault-agent", "`vault-agent` keeps", "stop it"),
            ("p@ss word", "somebody else keeps", "audit log"),
        ] {
            let failure = edited_by(manager).failure();
            assert!(failure.fact.contains(named), "{manager}: {failure}");
            assert!(
                failure.help().contains(advice),
                "{manager}: {}",
                failure.help()
            );
            assert!(!failure.fact.contains("p@ss"));
        }
        assert_eq!(edited_by("p@ss word").names(), None);
    }

    #[test]
    fn we_are_no_rival_of_ourselves_and_neither_is_who_holds_nothing_of_ours() {
        let wanted = wanted(Owner);
        let mut live = applied(&wanted);
        live.managers.push(Manager {
            name: "other".into(),
            data: ["foreign".to_owned()].into(),
            ..Manager::default()
        });
        assert_eq!(Rivals::of(&wanted, Some(&live)), Rivals::default());
        assert_eq!(Rivals::of(&wanted, None), Rivals::default());
    }

    #[test]
    fn operators_are_known_by_their_marks_where_no_value_differs() {
        let wanted = wanted(Owner);
        let mut owned = applied(&wanted);
        owned.controller = Some(Controller {
            kind: "ExternalSecret".into(),
            group: KES_GROUP.into(),
        });
        let failure = Rivals::of(&wanted, Some(&owned)).took_over().unwrap();
        assert!(failure.fact.contains("kubernetes-external-secrets"));
        assert!(
            failure
                .help()
                .contains("scale kubernetes-external-secrets to 0")
        );
        let mut marked = applied(&wanted);
        let mark = format!("{ESO_PREFIX}data-hash");
        marked
            .annotations
            .insert(mark, SecretBytes::new(Vec::new()));
        let rivals = Rivals::of(&wanted, Some(&marked));
        assert!(rivals.took_over().is_some() && rivals.names().unwrap() == "External Secrets");
        assert!(edited_by("kubectl-edit").took_over().is_none());
    }
}
