//! The requests themselves: bounded in number, time and size, and each reported once.

use std::fmt;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::error::{About, ApplyError, Refusal};
use super::secret::{FieldManager, LiveMetadata, LiveSecret};
use super::session::Sessions;
use super::wire::{self, Asked, Malformed};
use crate::config::Cluster;
use crate::failure::{Failure, Reason};
use crate::names::{ClusterName, Namespace, ObjectName, ResourceVersion, Uid};
use crate::report::{ClusterVerb, Fact, Reporter, RequestCode};

/// Requests to one cluster at a time.
const CONCURRENT_REQUESTS: usize = 32;
/// The largest answer that is read: a Secret of 1 MiB in base64, its annotations and its managed fields.
const ANSWER_MAX: usize = 4 << 20;

const WHOLE: HeaderValue = HeaderValue::from_static("application/json");
/// Metadata only: no value is sent where none is needed.
const PARTIAL: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
/// JSON is YAML.
const APPLY: HeaderValue = HeaderValue::from_static("application/apply-patch+yaml");

/// Whether an apply takes fields from other managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// A Secret in JSON, or the part of it that is ours, and in whose name it is applied.
pub struct Apply {
    pub manager: FieldManager,
    pub force: Force,
    /// Holds values: wiped.
    pub body: Zeroizing<Vec<u8>>,
}

/// What an apply has made of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// There was none before.
    pub created: bool,
    pub uid: Uid,
    pub resource_version: ResourceVersion,
}

/// One cluster's API, as far as Secrets go.
pub struct Client {
    name: ClusterName,
    sessions: Sessions,
    reporter: Reporter,
    slots: Semaphore,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A complete answer. The body may hold values.
struct Answer {
    code: u16,
    retry_after: Option<Duration>,
    body: Zeroizing<Vec<u8>>,
}

struct Question {
    method: Method,
    accept: HeaderValue,
    apply: Option<Apply>,
}

impl Client {
    /// Does no I/O and cannot fail: whatever is wrong with the cluster, its first call says so.
    pub fn new(name: ClusterName, cluster: Cluster, reporter: Reporter) -> Self {
        Self {
            sessions: Sessions::new(name.clone(), cluster.access),
            name,
            reporter,
            slots: Semaphore::new(CONCURRENT_REQUESTS),
        }
    }

    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// The Secret with its values; `None` when the API server says that there is none.
    pub async fn get_secret(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<LiveSecret>, Failure> {
        let asked = Asked { namespace, name };
        self.get(asked, WHOLE, wire::secret).await
    }

    /// The Secret without its values.
    pub async fn get_metadata(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<LiveMetadata>, Failure> {
        let asked = Asked { namespace, name };
        self.get(asked, PARTIAL, wire::metadata).await
    }

    async fn get<T>(
        &self,
        asked: Asked<'_>,
        accept: HeaderValue,
        read: fn(&[u8], Asked<'_>) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Failure> {
        let about = self.about(ClusterVerb::Get, asked);
        let question = Question {
            method: Method::GET,
            accept,
            apply: None,
        };
        let answer = self.ask(about, question).await?;
        if answer.code == 200 {
            let read = read(&answer.body, asked).map_err(|how| about.malformed(how))?;
            return Ok(Some(read));
        }
        let refusal = answer.refusal();
        let absent = refusal.code == 404
            && refusal
                .status
                .as_ref()
                .is_some_and(|s| s.says_absent(asked));
        if absent {
            Ok(None)
        } else {
            Err(about.refused(&refusal))
        }
    }

    /// Server-side apply.
    pub async fn apply_secret(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
        apply: Apply,
    ) -> Result<Applied, ApplyError> {
        let asked = Asked { namespace, name };
        let about = self.about(ClusterVerb::Apply, asked);
        let question = Question {
            method: Method::PATCH,
            accept: PARTIAL,
            apply: Some(apply),
        };
        let answer = self
            .ask(about, question)
            .await
            .map_err(ApplyError::Failed)?;
        if !matches!(answer.code, 200 | 201) {
            return Err(about.apply_refused(&answer.refusal()));
        }
        let seen = wire::metadata(&answer.body, asked)
            .map_err(|how| ApplyError::Failed(about.malformed(how)))?;
        Ok(Applied {
            created: answer.code == 201,
            uid: seen.uid,
            resource_version: seen.resource_version,
        })
    }

    fn about<'a>(&'a self, verb: ClusterVerb, asked: Asked<'a>) -> About<'a> {
        About {
            cluster: &self.name,
            verb,
            asked,
        }
    }

    /// One request and its whole answer, whatever its status.
    async fn ask(&self, about: About<'_>, question: Question) -> Result<Answer, Failure> {
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|_| Failure::new(Reason::Network, "the cluster's client is closed"))?;
        let session = self.sessions.get().await?;
        let url = address(&session.server, about.asked, &question);
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(ACCEPT, question.accept);
        if let Some(authorization) = session.authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        let mut request = session.http.request(question.method, url);
        if let Some(Apply { mut body, .. }) = question.apply {
            headers.insert(CONTENT_TYPE, APPLY);
            // Moved, not copied: these bytes are freed once, by whoever sent the last of them.
            request = request.body(std::mem::take(&mut *body));
        }
        let started = Instant::now();
        let answer = match request.headers(headers).send().await {
            Ok(response) => whole(about, response).await,
            Err(error) => Err(about.transport(&error)),
        };
        let (code, answer) = match answer {
            Ok(answer) => (RequestCode::Status(answer.code), Ok(answer)),
            Err((code, failure)) => (code, Err(failure)),
        };
        self.reporter.record(&Fact::ClusterRequest {
            cluster: &self.name,
            verb: about.verb,
            code,
            took: started.elapsed(),
        });
        if code == RequestCode::Status(401) {
            self.sessions.doubt();
        }
        answer
    }
}

impl Answer {
    fn refusal(&self) -> Refusal {
        Refusal {
            code: self.code,
            status: wire::status(&self.body),
            retry_after: self.retry_after,
        }
    }
}

/// The path below whatever path `server` has of its own: some clusters are reached through one.
fn address(server: &Url, asked: Asked<'_>, question: &Question) -> Url {
    let mut url = server.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend([
            "api",
            "v1",
            "namespaces",
            asked.namespace.as_str(),
            "secrets",
            asked.name.as_str(),
        ]);
    }
    if let Some(Apply { manager, force, .. }) = &question.apply {
        let mut query = url.query_pairs_mut();
        query.append_pair("fieldManager", manager.as_str());
        if *force == Force::Yes {
            query.append_pair("force", "true");
        }
    }
    url
}

async fn whole(
    about: About<'_>,
    mut response: reqwest::Response,
) -> Result<Answer, (RequestCode, Failure)> {
    let too_large = || {
        let failure = about.malformed(Malformed("answered with more than 4 MiB"));
        (RequestCode::Malformed, failure)
    };
    let code = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    // With room for all of it, nothing is moved and left behind while it grows.
    let announced = response.content_length().unwrap_or(0);
    let announced = usize::try_from(announced).map_err(|_| too_large())?;
    if announced > ANSWER_MAX {
        return Err(too_large());
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced));
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| about.transport(&error))?
    {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        code,
        retry_after,
        body,
    })
}
