//! What the calls of every AWS store have in common: how a client is set up, and how one call is made and told.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::time::Instant;

use crate::aws::{self, Guard, Trouble, Upstream};
use crate::failure::{Failure, Reason};
use crate::names::StoreName;
use crate::report::{Fact, Reporter, RequestCode, StoreOperation};

#[derive(Debug)]
pub(super) struct Caller {
    pub(super) name: StoreName,
    pub(super) upstream: Arc<Upstream>,
    pub(super) reporter: Reporter,
    pub(super) endpoint_url: Option<String>,
}

impl Caller {
    /// What a service client is built from: this session alone, nothing of the environment.
    pub(super) async fn sdk_config(&self) -> Result<SdkConfig, Failure> {
        let session = self.upstream.session().await?;
        let mut config = SdkConfig::builder()
            .behavior_version(aws::behavior())
            .region(session.region)
            .credentials_provider(session.credentials)
            .identity_cache(aws::no_identity_cache())
            .http_client(session.http_client)
            .timeout_config(aws::timeouts())
            .retry_config(aws::retries());
        if let Some(url) = &self.endpoint_url {
            tracing::info!(store = %self.name, endpoint = %url, "a configured endpoint is used in place of AWS's own");
            config = config.endpoint_url(url);
        }
        Ok(config.build())
    }

    /// Makes one call, and once more where AWS refused the credentials and there are new ones.
    pub(super) async fn call<T, E, F>(
        &self,
        operation: StoreOperation,
        send: impl Fn(Guard) -> F,
    ) -> Result<T, Trouble>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let (code, result) = self.call_once(operation, &send).await;
        // A pair of keys of which one half was replaced is refused like a clock that is off.
        let refused = matches!((code, &result), (RequestCode::Status(_), Err(Trouble::Shared(failure)))
            if matches!(failure.reason, Reason::Credentials | Reason::Clock));
        if refused && self.upstream.login().rejected().await {
            return self.call_once(operation, &send).await.1;
        }
        result
    }

    async fn call_once<T, E, F>(
        &self,
        operation: StoreOperation,
        send: &impl Fn(Guard) -> F,
    ) -> (RequestCode, Result<T, Trouble>)
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let started = Instant::now();
        let guard = Guard::new(Arc::clone(&self.upstream), operation);
        let ended = match send(guard).await {
            Ok(output) => (RequestCode::Status(200), Ok(output)),
            Err(error) => {
                let (code, trouble) = aws::trouble::classify(&error);
                (code, Err(self.placed(code, trouble)))
            }
        };
        self.reporter.record(&Fact::StoreRequest {
            store: &self.name,
            operation,
            code: ended.0,
            took: started.elapsed(),
        });
        ended
    }

    /// Names the endpoint where it is not AWS's own and cannot be reached. What failed before a request was made did not
    /// go there.
    fn placed(&self, code: RequestCode, trouble: Trouble) -> Trouble {
        let went_there = !matches!(code, RequestCode::Failed(_));
        match (trouble, &self.endpoint_url) {
            (Trouble::Shared(failure), Some(url))
                if went_there && failure.reason == Reason::Network =>
            {
                let fact = format!("{} ({url})", failure.fact);
                Trouble::Shared(Failure::new(Reason::Network, fact))
            }
            (trouble, _) => trouble,
        }
    }
}
