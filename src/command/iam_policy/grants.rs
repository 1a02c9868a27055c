//! From reads to statements: one per purpose, with every resource it needs and none twice.

use std::collections::{BTreeMap, BTreeSet};

use super::resource::{Scope, covers, literal};
use super::{AwsOne, Condition, Statement};
use crate::aws::Service;
use crate::config::{Fetch, Find, Source, Version};

type Tags = BTreeMap<String, String>;

/// What a statement is for; statements stand in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    ReadSecrets,
    ReadSecretsInBatches,
    ListSecrets,
    DescribeSecrets,
    ReadParameters,
    ReadParametersAlone,
    ListParametersByPath,
    DescribeParameters,
    ListTagsOfParameters,
}

/// For each purpose, and the tags that a resource must have for it, the resources.
#[derive(Default)]
pub(super) struct Grants(BTreeMap<(Purpose, Tags), BTreeSet<String>>);

impl Grants {
    pub(super) fn add(&mut self, store: &AwsOne<'_>, source: &Source) {
        let scope = Scope::new(store.service, store.spec);
        let fetch = store.spec.fetch;
        match store.service {
            Service::SecretsManager => self.add_secret(&scope, fetch, source),
            Service::ParameterStore => self.add_parameter(&scope, fetch, source),
        }
    }

    /// Whether what a `find` lost is gone is seen by its tags, which it may no longer have.
    pub(super) fn add_lost(&mut self, store: &AwsOne<'_>, find: &Find) {
        let scope = Scope::new(store.service, store.spec);
        let path = find.path.as_deref();
        match store.service {
            Service::SecretsManager => {
                self.allow(Purpose::DescribeSecrets, [scope.secrets(path)]);
            }
            Service::ParameterStore => {
                self.allow(Purpose::ListTagsOfParameters, [scope.parameters(path)]);
            }
        }
    }

    fn add_secret(&mut self, scope: &Scope, fetch: Fetch, source: &Source) {
        let batched = match source {
            Source::Value { key, version } => {
                self.allow(Purpose::ReadSecrets, [scope.secret(key)]);
                *version == Version::Current
            }
            Source::Metadata { key } => {
                self.allow(Purpose::DescribeSecrets, [scope.secret(key)]);
                false
            }
            Source::Find(find) => {
                let Find { path, tags, .. } = &**find;
                let found = [scope.secrets(path.as_deref())];
                self.allow_tagged(Purpose::ReadSecrets, tags, found);
                self.allow(Purpose::ListSecrets, everything());
                true
            }
        };
        if batched && fetch == Fetch::Auto {
            self.allow(Purpose::ReadSecretsInBatches, everything());
        }
    }

    fn add_parameter(&mut self, scope: &Scope, fetch: Fetch, source: &Source) {
        let read = match fetch {
            Fetch::Auto => Purpose::ReadParameters,
            Fetch::Single => Purpose::ReadParametersAlone,
        };
        match source {
            Source::Value { key, .. } => self.allow(read, [scope.parameter(key)]),
            Source::Metadata { key } => {
                self.allow(Purpose::ListTagsOfParameters, [scope.parameter(key)]);
            }
            Source::Find(find) => {
                let Find { path, tags, .. } = &**find;
                let path = path.as_deref();
                self.allow_tagged(read, tags, [scope.parameters(path)]);
                if tags.is_empty() {
                    self.allow(Purpose::ListParametersByPath, scope.levels(path));
                } else {
                    self.allow(Purpose::DescribeParameters, everything());
                }
            }
        }
    }

    fn allow(&mut self, purpose: Purpose, resources: impl IntoIterator<Item = String>) {
        self.allow_tagged(purpose, &Tags::new(), resources);
    }

    fn allow_tagged(
        &mut self,
        purpose: Purpose,
        tags: &Tags,
        resources: impl IntoIterator<Item = String>,
    ) {
        let allowed = self.0.entry((purpose, tags.clone())).or_default();
        allowed.extend(resources);
    }

    pub(super) fn into_statements(self) -> Vec<Statement> {
        let mut statements: Vec<Statement> = Vec::new();
        for ((purpose, tags), resources) in &self.0 {
            let resources: Vec<String> = resources
                .iter()
                .filter(|resource| !self.allows_otherwise((*purpose, tags), resource))
                .cloned()
                .collect();
            if resources.is_empty() {
                continue;
            }
            let sid = purpose.sid();
            let alike = statements.iter().filter(|it| it.sid.starts_with(sid));
            let nth = alike.filter(|it| it.condition.is_some()).count() + 1;
            statements.push(purpose.statement((nth, tags), resources));
        }
        statements
    }

    /// Whether a resource is allowed by a wider one of its statement, or without its tags.
    fn allows_otherwise(&self, (purpose, tags): (Purpose, &Tags), resource: &str) -> bool {
        let covered = |tags: &Tags| {
            let mut all = self.0.get(&(purpose, tags.clone())).into_iter().flatten();
            all.any(|other| covers(other, resource))
        };
        let open = Tags::new();
        let same = |it: &BTreeSet<String>| it.contains(resource);
        covered(tags)
            || covered(&open)
            || (!tags.is_empty() && self.0.get(&(purpose, open)).is_some_and(same))
    }
}

/// For what AWS takes no narrower resource.
fn everything() -> [String; 1] {
    ["*".to_owned()]
}

impl Purpose {
    fn statement(self, (nth, tags): (usize, &Tags), resource: Vec<String>) -> Statement {
        let (actions, reason) = self.need();
        let with_tags = !tags.is_empty();
        let equal = tags.iter();
        let equal = equal.map(|(tag, value)| (format!("{}/{tag}", self.tag()), literal(value)));
        Statement {
            sid: if with_tags {
                format!("{}WithTags{nth}", self.sid())
            } else {
                self.sid().to_owned()
            },
            effect: "Allow",
            action: actions.to_vec(),
            resource,
            condition: with_tags.then(|| Condition {
                string_equals: equal.collect(),
            }),
            reason: if with_tags {
                "the values of what a `find` with these tags matches"
            } else {
                reason
            },
        }
    }

    fn sid(self) -> &'static str {
        match self {
            Self::ReadSecrets => "ReadSecrets",
            Self::ReadSecretsInBatches => "BatchReadSecrets",
            Self::ListSecrets => "ListSecrets",
            Self::DescribeSecrets => "DescribeSecrets",
            Self::ReadParameters => "ReadParameters",
            Self::ReadParametersAlone => "ReadSingleParameters",
            Self::ListParametersByPath => "ListParametersByPath",
            Self::DescribeParameters => "DescribeParameters",
            Self::ListTagsOfParameters => "ListTagsOfParameters",
        }
    }

    /// The condition key for a tag of a resource.
    fn tag(self) -> &'static str {
        match self {
            Self::ReadSecrets
            | Self::ReadSecretsInBatches
            | Self::ListSecrets
            | Self::DescribeSecrets => "secretsmanager:ResourceTag",
            Self::ReadParameters
            | Self::ReadParametersAlone
            | Self::ListParametersByPath
            | Self::DescribeParameters
            | Self::ListTagsOfParameters => "ssm:resourceTag",
        }
    }

    /// The actions, and why.
    fn need(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::ReadSecrets => (
                &["secretsmanager:GetSecretValue"],
                "the values of secrets; `-??????` is the random end of an ARN",
            ),
            Self::ReadSecretsInBatches => (
                &["secretsmanager:BatchGetSecretValue"],
                "20 values in one call. AWS takes no narrower resource; it opens no secret, for GetSecretValue is checked for each. Without it they are read one by one",
            ),
            Self::ListSecrets => (
                &["secretsmanager:ListSecrets"],
                "`find`. AWS takes no narrower resource",
            ),
            Self::DescribeSecrets => (
                &["secretsmanager:DescribeSecret"],
                "the tags of secrets (`metadata = true`, and to see whether what a `find` lost is gone)",
            ),
            Self::ReadParameters => (
                &["ssm:GetParameter", "ssm:GetParameters"],
                "the values of parameters, 10 in one call, and alone what is not answered there",
            ),
            Self::ReadParametersAlone => (&["ssm:GetParameter"], "the values of parameters"),
            Self::ListParametersByPath => (
                &["ssm:GetParametersByPath"],
                "`find`. AWS checks the path itself and what is below it",
            ),
            Self::DescribeParameters => (
                &["ssm:DescribeParameters"],
                "`find` with tags. AWS takes no narrower resource",
            ),
            Self::ListTagsOfParameters => (
                &["ssm:ListTagsForResource"],
                "the tags of parameters (`metadata = true`, and to see whether what a `find` lost is gone)",
            ),
        }
    }
}
