//! What watches every call: how large its answer is, and whether AWS found the calls too many.
//!
//! The SDK tries a throttled call again by itself, and a call that succeeds in the end would hide that it was throttled;
//! so each attempt is looked at.

use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::Limited;
use tokio::time::Instant;

use super::Upstream;
use super::trouble::is_throttle;
use crate::report::StoreOperation;

/// A value is at most 64 KiB (API reference); with every byte escaped in JSON its answer stays below this.
const ONE_VALUE: usize = 1 << 20;

/// Twenty such values, or a page of a hundred secrets with fifty tags each.
const MANY_VALUES: usize = 16 << 20;

/// For one call.
#[derive(Debug)]
pub struct Guard {
    upstream: Arc<Upstream>,
    operation: StoreOperation,
}

impl Guard {
    pub fn new(upstream: Arc<Upstream>, operation: StoreOperation) -> Self {
        Self {
            upstream,
            operation,
        }
    }
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "Guard"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let most = match self.operation {
            StoreOperation::GetSecretValue | StoreOperation::GetParameter => ONE_VALUE,
            StoreOperation::BatchGetSecretValue
            | StoreOperation::DescribeSecret
            | StoreOperation::ListSecrets
            | StoreOperation::GetParameters
            | StoreOperation::GetParametersByPath
            | StoreOperation::DescribeParameters
            | StoreOperation::ListTagsForResource
            | StoreOperation::ReadFile => MANY_VALUES,
        };
        limit(context, most);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().is_some_and(is_throttle) {
            self.upstream.throttled(self.operation, Instant::now());
        }
        Ok(())
    }
}

/// For calls that are no store's: how large their answer may be.
#[derive(Debug)]
pub(super) struct AtMost(pub(super) usize);

impl Intercept for AtMost {
    fn name(&self) -> &'static str {
        "AtMost"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        limit(context, self.0);
        Ok(())
    }
}

fn limit(context: &mut BeforeDeserializationInterceptorContextMut<'_>, most: usize) {
    let body = context.response_mut().take_body();
    *context.response_mut().body_mut() = SdkBody::from_body_1_x(Limited::new(body, most));
}
