//! Where in the API an object or a collection is.

use std::fmt;

use reqwest::Url;

use crate::names::{Namespace, ObjectName};

/// The kinds of objects that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    Secret,
    Namespace,
    Deployment,
    StatefulSet,
    DaemonSet,
    Lease,
    Pod,
    SelfSubjectAccessReview,
    /// What kinds there are at all.
    ApiGroup,
    /// What kinds that version has.
    ApiResources(ExternalSecretApi),
    ExternalSecret(ExternalSecretApi),
}

/// The APIs that have, or had, an `ExternalSecret`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExternalSecretApi {
    /// Of Kubernetes External Secrets.
    KesV1,
    /// Of External Secrets Operator, from release 0.16 on.
    EsoV1,
    EsoV1Beta1,
    EsoV1Alpha1,
}

impl ExternalSecretApi {
    pub fn group(self) -> &'static str {
        match self {
            Self::KesV1 => "kubernetes-client.io",
            Self::EsoV1 | Self::EsoV1Beta1 | Self::EsoV1Alpha1 => "external-secrets.io",
        }
    }

    pub fn version(self) -> &'static str {
        match self {
            Self::KesV1 | Self::EsoV1 => "v1",
            Self::EsoV1Beta1 => "v1beta1",
            Self::EsoV1Alpha1 => "v1alpha1",
        }
    }
}

impl Resource {
    pub fn kind(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::Namespace => "Namespace",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Lease => "Lease",
            Self::Pod => "Pod",
            Self::ApiGroup => "APIGroup",
            Self::ApiResources(_) => "APIResourceList",
            Self::ExternalSecret(_) => "ExternalSecret",
            Self::SelfSubjectAccessReview => "SelfSubjectAccessReview",
        }
    }

    /// The resource as paths and RBAC rules call it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Namespace => "namespaces",
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
            Self::Lease => "leases",
            Self::Pod => "pods",
            Self::ApiGroup => "apis",
            Self::ApiResources(_) => "",
            Self::ExternalSecret(_) => "externalsecrets",
            Self::SelfSubjectAccessReview => "selfsubjectaccessreviews",
        }
    }

    /// The API group; empty for the core group.
    pub fn group(self) -> &'static str {
        match self {
            Self::Secret | Self::Namespace | Self::Pod | Self::ApiGroup => "",
            Self::ExternalSecret(api) | Self::ApiResources(api) => api.group(),
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => "apps",
            Self::Lease => "coordination.k8s.io",
            Self::SelfSubjectAccessReview => "authorization.k8s.io",
        }
    }

    pub fn version(self) -> &'static str {
        match self {
            Self::ExternalSecret(api) | Self::ApiResources(api) => api.version(),
            Self::Secret
            | Self::Namespace
            | Self::Deployment
            | Self::StatefulSet
            | Self::DaemonSet
            | Self::Lease
            | Self::Pod
            | Self::ApiGroup
            | Self::SelfSubjectAccessReview => "v1",
        }
    }

    /// `apiVersion` of its objects.
    pub fn api_version(self) -> String {
        let version = self.version();
        match self.group() {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        }
    }
}

/// The object that a request names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) resource: Resource,
    pub(super) namespace: &'a Namespace,
    pub(super) name: &'a ObjectName,
}

/// What a request is sent to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    One(Asked<'a>),
    /// Of one namespace, or of the cluster.
    All(Resource, Option<&'a Namespace>),
}

impl<'a> Place<'a> {
    pub(super) fn secret(namespace: &'a Namespace, name: &'a ObjectName) -> Self {
        Self::One(Asked::secret(namespace, name))
    }

    pub(super) fn resource(self) -> Resource {
        match self {
            Self::One(asked) => asked.resource,
            Self::All(resource, _) => resource,
        }
    }

    pub(super) fn namespace(self) -> Option<&'a Namespace> {
        match self {
            Self::One(asked) => Some(asked.namespace),
            Self::All(_, namespace) => namespace,
        }
    }

    pub(super) fn name(self) -> Option<&'a ObjectName> {
        match self {
            Self::One(asked) => Some(asked.name),
            Self::All(..) => None,
        }
    }

    /// Below whatever path `server` has of its own: some clusters are reached through one.
    pub(super) fn url(self, server: &Url) -> Url {
        let mut url = server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            let version = self.resource().version();
            match self.resource().group() {
                // The list of groups is in no group.
                _ if self.resource() == Resource::ApiGroup => &mut path,
                "" => path.extend(["api", version]),
                group => path.extend(["apis", group, version]),
            };
            if let Some(namespace) = self.namespace() {
                path.extend(["namespaces", namespace.as_str()]);
            }
            if !self.resource().plural().is_empty() {
                path.push(self.resource().plural());
            }
            if let Some(name) = self.name() {
                path.push(name.as_str());
            }
        }
        url
    }
}

/// As a log would name it.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource().plural())?;
        if let Some(namespace) = self.namespace() {
            write!(f, "/{namespace}")?;
        }
        match self.name() {
            Some(name) => write!(f, "/{name}"),
            None => Ok(()),
        }
    }
}

impl<'a> Asked<'a> {
    pub(super) fn secret(namespace: &'a Namespace, name: &'a ObjectName) -> Self {
        Self {
            resource: Resource::Secret,
            namespace,
            name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_path() {
        let namespace = Namespace::new("app").unwrap();
        let name = ObjectName::new("db").unwrap();
        let server = Url::parse("https://h:6443/k8s/clusters/c/").unwrap();
        let path = |place: Place<'_>| place.url(&server).path().to_owned();
        for (place, expected) in [
            (
                Place::secret(&namespace, &name),
                "/api/v1/namespaces/app/secrets/db",
            ),
            (
                Place::One(Asked {
                    resource: Resource::Deployment,
                    namespace: &namespace,
                    name: &name,
                }),
                "/apis/apps/v1/namespaces/app/deployments/db",
            ),
            (Place::All(Resource::Secret, None), "/api/v1/secrets"),
            (
                Place::All(Resource::Lease, Some(&namespace)),
                "/apis/coordination.k8s.io/v1/namespaces/app/leases",
            ),
            (Place::All(Resource::Namespace, None), "/api/v1/namespaces"),
            (Place::All(Resource::ApiGroup, None), "/apis"),
            (
                Place::All(Resource::ApiResources(ExternalSecretApi::KesV1), None),
                "/apis/kubernetes-client.io/v1",
            ),
            (
                Place::All(
                    Resource::ExternalSecret(ExternalSecretApi::EsoV1Beta1),
                    Some(&namespace),
                ),
                "/apis/external-secrets.io/v1beta1/namespaces/app/externalsecrets",
            ),
            (
                Place::All(Resource::SelfSubjectAccessReview, None),
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            ),
        ] {
            assert_eq!(path(place), format!("/k8s/clusters/c{expected}"));
        }
    }
}
