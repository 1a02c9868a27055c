//! From needs to rules: what is allowed alike on several names is one rule.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::permissions::{Needs, Scope, Verb, Why};
use crate::kube::Resource;
use crate::names::ObjectName;

#[derive(Debug)]
pub(super) struct Role {
    pub(super) scope: Scope,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) resource: Resource,
    /// Each with those who need it; empty: every name.
    pub(super) names: BTreeMap<ObjectName, BTreeSet<String>>,
    pub(super) verbs: BTreeMap<Verb, BTreeSet<Why>>,
    /// Where it is for every name, those who need it.
    pub(super) whose: BTreeSet<String>,
}

/// What one name is needed for.
#[derive(Default)]
struct Named {
    verbs: BTreeMap<Verb, BTreeSet<Why>>,
    whose: BTreeSet<String>,
}

/// One for each scope, the cluster's first.
pub(super) fn roles(needs: &Needs) -> Vec<Role> {
    let mut scopes: BTreeMap<&Scope, BTreeMap<(Resource, Option<&ObjectName>), Named>> =
        BTreeMap::new();
    for (permission, reasons) in needs {
        let of_scope = scopes.entry(&permission.scope).or_default();
        let named = of_scope
            .entry((permission.resource, permission.name.as_ref()))
            .or_default();
        let verb = named.verbs.entry(permission.verb).or_default();
        for (why, whose) in reasons {
            verb.insert(*why);
            named.whose.extend(whose.iter().cloned());
        }
    }
    let roles = scopes.into_iter().map(|(scope, named)| Role {
        scope: scope.clone(),
        rules: rules(named),
    });
    roles.collect()
}

fn rules(of_scope: BTreeMap<(Resource, Option<&ObjectName>), Named>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for ((resource, name), Named { verbs, whose }) in of_scope {
        let Some(name) = name else {
            rules.push(Rule {
                resource,
                names: BTreeMap::new(),
                verbs,
                whose,
            });
            continue;
        };
        let alike = |rule: &&mut Rule| {
            rule.resource == resource && rule.verbs == verbs && !rule.names.is_empty()
        };
        match rules.iter_mut().find(alike) {
            Some(rule) => drop(rule.names.insert(name.clone(), whose)),
            None => rules.push(Rule {
                resource,
                names: [(name.clone(), whose)].into(),
                verbs,
                whose: BTreeSet::new(),
            }),
        }
    }
    // What is narrow stands before what is wide.
    rules.sort_by_key(|rule| (rule.resource, rule.names.is_empty()));
    rules
}
