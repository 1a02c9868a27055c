//! AWS Secrets Manager: one version of one secret, read by name or ARN.
//!
//! The stage is always sent, also when it is `AWSCURRENT`: IAM conditions on the stage only match what was sent
//! (API reference, `secretsmanager:VersionStage`).

mod answer;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Answer, Read};
use crate::aws::{self, Session, Trouble};
use crate::config::{self, Version};
use crate::failure::{Failure, Reason};
use crate::names::StoreName;
use crate::report::{Fact, Reporter, RequestCode, StoreOperation};

/// A failed opening is not tried again for this long: every waiting read would try it in turn.
const OPEN_AGAIN: Duration = Duration::from_secs(5);

/// After AWS refused our credentials, they are built anew at most this often. The SDK keeps them until they expire.
const RENEW_AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct SecretsManager {
    name: StoreName,
    spec: config::SecretsManager,
    reporter: Reporter,
    /// Opened by the first read, so that finding a region or a role delays nobody else.
    opening: Mutex<Opening>,
}

/// The client, or why there is none.
#[derive(Debug, Default)]
struct Opening {
    opened: Option<Arc<Opened>>,
    failed: Option<(Failure, Instant)>,
    /// When credentials were last thrown away.
    renewed: Option<Instant>,
    /// Found once; new credentials do not look for it again.
    region: Option<String>,
}

#[derive(Debug)]
struct Opened {
    client: Client,
    region: String,
}

impl SecretsManager {
    pub fn new(name: StoreName, spec: config::SecretsManager, reporter: Reporter) -> Self {
        Self {
            name,
            spec,
            reporter,
            opening: Mutex::default(),
        }
    }

    pub async fn read(&self, read: &Read) -> Result<Answer, Failure> {
        let opened = self.opened().await?;
        let started = Instant::now();
        let (code, result) = self.ask(&opened, read).await;
        self.reporter.record(&Fact::StoreRequest {
            store: &self.name,
            operation: StoreOperation::GetSecretValue,
            code,
            took: started.elapsed(),
        });
        // A pair of keys of which one half was replaced is refused like a clock that is off.
        let refused =
            |failure: &Failure| matches!(failure.reason, Reason::Credentials | Reason::Clock);
        if result.as_ref().is_err_and(refused) {
            self.renew(&opened).await;
        }
        result
    }

    async fn ask(&self, opened: &Opened, read: &Read) -> (RequestCode, Result<Answer, Failure>) {
        let request = opened.client.get_secret_value();
        let request = request.secret_id(read.key.as_str());
        let request = match &read.version {
            Version::Current => request.version_stage("AWSCURRENT"),
            Version::Stage(stage) => request.version_stage(stage),
            Version::Id(id) => request.version_id(id),
        };
        match request.send().await {
            Ok(output) => match answer::checked(read, &opened.region, output) {
                Ok(answer) => (RequestCode::Status(200), Ok(answer)),
                Err(failure) => (RequestCode::Malformed, Err(failure)),
            },
            Err(error) => {
                let (code, trouble) = aws::trouble::classify(&error);
                (code, Err(self.failure(read, trouble)))
            }
        }
    }

    async fn opened(&self) -> Result<Arc<Opened>, Failure> {
        let mut opening = self.opening.lock().await;
        if let Some(opened) = &opening.opened {
            return Ok(Arc::clone(opened));
        }
        if let Some((failure, at)) = &opening.failed
            && at.elapsed() < OPEN_AGAIN
        {
            return Err(failure.clone());
        }
        let region = self.spec.region.as_deref().or(opening.region.as_deref());
        match self.open(region).await {
            Ok(opened) => {
                opening.region = Some(opened.region.clone());
                Ok(Arc::clone(opening.opened.insert(Arc::new(opened))))
            }
            Err(failure) => {
                opening.failed = Some((failure.clone(), Instant::now()));
                Err(failure)
            }
        }
    }

    /// Keys that AWS refuses may have been replaced where they come from: the next read looks there again.
    async fn renew(&self, refused: &Arc<Opened>) {
        let mut opening = self.opening.lock().await;
        let current = opening.opened.as_ref();
        let is_current = current.is_some_and(|opened| Arc::ptr_eq(opened, refused));
        let due = opening.renewed.is_none_or(|at| at.elapsed() >= RENEW_AGAIN);
        if is_current && due {
            opening.opened = None;
            opening.renewed = Some(Instant::now());
        }
    }

    async fn open(&self, region: Option<&str>) -> Result<Opened, Failure> {
        let session = Session::open(region, &self.spec.auth).await?;
        let mut config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws::behavior())
            .region(session.region.clone())
            .credentials_provider(session.credentials)
            .http_client(session.http_client)
            .timeout_config(aws::timeouts())
            .retry_config(aws::retries())
            .interceptor(answer::SizeLimit);
        if let Some(url) = &self.spec.endpoint_url {
            tracing::info!(store = %self.name, endpoint = %url, "a configured endpoint is used in place of AWS's own");
            config = config.endpoint_url(url);
        }
        Ok(Opened {
            client: Client::from_conf(config.build()),
            region: session.region.to_string(),
        })
    }

    fn failure(&self, read: &Read, trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Shared(failure) if failure.reason == Reason::Network => {
                let endpoint = self.spec.endpoint_url.as_deref();
                let fact = match endpoint {
                    Some(url) => format!("{} ({url})", failure.fact),
                    None => failure.fact,
                };
                Failure::new(Reason::Network, fact)
            }
            Trouble::Shared(failure) => failure,
            Trouble::Refused { code, message } => refusal::failure(read, &code, &message),
        }
    }
}
