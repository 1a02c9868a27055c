//! Roles and bindings as YAML.
//!
//! Written by hand, for comments: libraries write none. Every name stands in quotes, because `null` and `1e3` are legal
//! names and other things in YAML.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Subject;
use super::rules::{Role, Rule};
use crate::command::permissions::{Scope, Verb, Why};
use crate::kube::Resource;
use crate::names::{ClusterName, Instance};

/// So many are named in a comment.
const NAMED: usize = 3;

const API: &str = "rbac.authorization.k8s.io";

/// What one cluster needs.
pub(super) fn text(
    (cluster, instance): (&ClusterName, &Instance),
    roles: &[Role],
    subject: &Subject,
) -> String {
    let mut text = head(cluster, roles);
    // `/` may not be in it, and `:` is in no instance's name, so two instances never share a role.
    let name = format!("\"secretsyncd:{}\"", instance.as_str().replace('/', ":"));
    for role in roles {
        text.push_str(&role_text(role, &name));
        text.push_str(&binding_text(role, &name, subject));
    }
    text
}

fn head(cluster: &ClusterName, roles: &[Role]) -> String {
    let mut text = format!("# Cluster {cluster}: ");
    if roles.is_empty() {
        text.push_str("nothing of it is used.\n");
        return text;
    }
    // Writing to a text cannot fail.
    let _ = write!(
        text,
        "what this configuration needs, and no more. To apply it there:\n\
         #   secretsyncd rbac --cluster {cluster} ... | kubectl apply -f -\n"
    );
    let all = || roles.iter().flat_map(|role| &role.rules);
    let secrets = || all().filter(|rule| rule.resource == Resource::Secret);
    if all().any(|rule| rule.resource == Resource::Namespace) {
        text.push_str(
            "# RBAC knows no labels: what a `namespace_selector` may come to select is allowed in every namespace of the\n\
             # cluster, `kube-system` among them. To allow less, name the `namespaces`.\n",
        );
    }
    for (resource, kind) in [(Resource::Secret, "Secret"), (Resource::Lease, "Lease")] {
        let makes = |rule: &Rule| {
            let any = rule.resource == resource && rule.names.is_empty();
            any && rule.verbs.contains_key(&Verb::Create)
        };
        if all().any(makes) {
            let _ = writeln!(
                text,
                "# RBAC cannot limit `create` to names: where it stands, any {kind} of the namespace can be made."
            );
        }
    }
    if secrets().any(|rule| rule.verbs.contains_key(&Verb::List)) {
        text.push_str(
            "# RBAC knows no labels and cannot limit `list` and `watch` to names: where they stand, every Secret of the\n\
             # scope can be read, with its values, although only metadata of our own is asked for.\n",
        );
    }
    text.push_str(
        "# To remove what the configuration no longer names, `delete` on those Secrets is needed too.\n",
    );
    text
}

fn role_text(role: &Role, name: &str) -> String {
    let (kind, place) = match &role.scope {
        Scope::Cluster => ("ClusterRole", String::new()),
        Scope::Namespace(namespace) => ("Role", format!("  namespace: \"{namespace}\"\n")),
    };
    let mut text = format!(
        "---\napiVersion: {API}/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{place}rules:\n"
    );
    for rule in &role.rules {
        text.push_str(&rule_text(rule));
    }
    text
}

fn rule_text(rule: &Rule) -> String {
    let (group, resource) = (rule.resource.group(), rule.resource.plural());
    let mut text = String::from("-");
    if rule.names.is_empty() {
        let _ = write!(text, " # {}\n ", listed(&rule.whose));
    }
    let _ = write!(
        text,
        " apiGroups: [\"{group}\"]\n  resources: [\"{resource}\"]\n"
    );
    if !rule.names.is_empty() {
        text.push_str("  resourceNames:\n");
    }
    for (name, whose) in &rule.names {
        let _ = writeln!(text, "  - \"{name}\"  # {}", listed(whose));
    }
    text.push_str("  verbs:\n");
    for (verb, why) in &rule.verbs {
        let why: Vec<&str> = why.iter().copied().map(Why::sentence).collect();
        let _ = writeln!(text, "  - {}  # {}", verb.as_str(), why.join("; "));
    }
    text
}

fn binding_text(role: &Role, name: &str, subject: &Subject) -> String {
    let (kind, of, place) = match &role.scope {
        Scope::Cluster => ("ClusterRoleBinding", "ClusterRole", String::new()),
        Scope::Namespace(namespace) => (
            "RoleBinding",
            "Role",
            format!("  namespace: \"{namespace}\"\n"),
        ),
    };
    let subject = subject_text(subject);
    format!(
        "---\napiVersion: {API}/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{place}\
         roleRef:\n  apiGroup: {API}\n  kind: {of}\n  name: {name}\nsubjects:\n{subject}"
    )
}

fn subject_text(subject: &Subject) -> String {
    let of_api = |kind: &str, name: &str| {
        let name = quoted(name);
        format!("- apiGroup: {API}\n  kind: {kind}\n  name: {name}\n")
    };
    match subject {
        Subject::User(name) => of_api("User", name),
        Subject::Group(name) => of_api("Group", name),
        Subject::ServiceAccount(account) => format!(
            "- kind: ServiceAccount\n  namespace: \"{}\"\n  name: \"{}\"\n",
            account.namespace, account.name
        ),
        Subject::Unsaid => format!(
            "# Fill in whom the cluster takes us for: --user, --group or --service-account write it here.\n{}",
            of_api("User", "FILL-IN")
        ),
    }
}

/// What the command line let through has no control characters, so that JSON's quotes are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn listed(whose: &BTreeSet<String>) -> String {
    let named: Vec<&str> = whose.iter().take(NAMED).map(String::as_str).collect();
    let named = named.join(", ");
    match whose.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
