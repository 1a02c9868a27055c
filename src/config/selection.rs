//! A Secret in every namespace whose labels match.

use crate::names::{ClusterName, Namespace};
use crate::selector::Selector;

use super::KubernetesTarget;

/// What there is of it, only the cluster can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub selector: Selector,
    /// Its namespace means nothing.
    like: KubernetesTarget,
}

impl Selection {
    /// The namespace of `like` does not count.
    pub fn new(selector: Selector, like: KubernetesTarget) -> Self {
        let namespace = Self::anywhere();
        let like = KubernetesTarget { namespace, ..like };
        Self { selector, like }
    }

    /// What stands for a namespace where there is none yet.
    pub(super) fn anywhere() -> Namespace {
        Namespace::new("default").expect("`default` is a legal name of a namespace")
    }

    pub fn cluster(&self) -> &ClusterName {
        &self.like.cluster
    }

    /// Everything but the namespace of what it writes.
    pub fn like(&self) -> &KubernetesTarget {
        &self.like
    }

    /// What it writes in one namespace.
    pub fn target(&self, namespace: Namespace) -> KubernetesTarget {
        KubernetesTarget {
            namespace,
            ..self.like.clone()
        }
    }
}
