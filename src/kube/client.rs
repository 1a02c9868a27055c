//! The requests themselves: bounded in number, time and size, and each reported once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::error::{About, ApplyError, Break, Broken, Refusal};
use super::gate::End;
use super::place::{Asked, Place, Resource};
use super::secret::{FieldManager, LiveMetadata, LiveSecret};
use super::session::{Session, Sessions};
use super::tenure::Tenure;
use super::traffic::{Passage, Traffic};
use super::wire::{self, Malformed};
use crate::aws::EksSigner;
use crate::clock;
use crate::config::Cluster;
use crate::failure::Failure;
use crate::names::{ClusterName, Namespace, ObjectName, ResourceVersion, Uid};
use crate::report::{ClusterVerb, Fact, Reporter, RequestCode};

/// The largest answer that is read: a Secret of 1 MiB in base64, its annotations and its managed fields.
const ANSWER_MAX: usize = 4 << 20;

pub(super) const WHOLE: HeaderValue = HeaderValue::from_static("application/json");
/// Metadata only: no value is sent where none is needed.
pub(super) const PARTIAL: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
/// JSON is YAML.
const APPLY: HeaderValue = HeaderValue::from_static("application/apply-patch+yaml");

const DRY_RUN: &str = "dryRun";

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
    pub run: Run,
    /// Holds values: wiped.
    pub body: Zeroizing<Vec<u8>>,
}

/// Whether what is sent is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    Real,
    /// Judged by the API server as if it were real, admission included, and kept nowhere.
    Dry,
}

/// What a write has made of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    /// When the server said so.
    pub at: Timestamp,
}

/// One cluster's API, for whoever may write to it for so long. Clones share everything.
#[derive(Clone)]
pub struct Client {
    name: ClusterName,
    sessions: Arc<Sessions>,
    reporter: Reporter,
    pub(super) traffic: Arc<Traffic>,
    tenure: Tenure,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A complete answer. The body may hold values.
pub(super) struct Answer {
    pub(super) code: u16,
    retry_after: Option<Duration>,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// When it began.
    pub(super) at: Timestamp,
}

/// All of a request but where it goes.
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) accept: HeaderValue,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) send: Option<Sent>,
}

/// A body, which may hold values, and what it is.
pub(super) struct Sent {
    pub(super) content_type: HeaderValue,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Question {
    pub(super) fn get(accept: HeaderValue) -> Self {
        Self {
            method: Method::GET,
            accept,
            query: Vec::new(),
            send: None,
        }
    }

    pub(super) fn apply(apply: Apply) -> Self {
        let sent = Sent {
            content_type: APPLY,
            body: apply.body,
        };
        let mut question = Self::write(Method::PATCH, (&apply.manager, apply.run), sent);
        if apply.force == Force::Yes {
            question.query.push(("force", "true".to_owned()));
        }
        question
    }

    /// Whether the cluster may be another one after it. Not after what only asks, whatever its method: what is judged as
    /// if it were real is kept nowhere, and nor is a review.
    fn writes(&self, about: About<'_>) -> bool {
        let is_rehearsed = self.query.iter().any(|(key, _)| *key == DRY_RUN);
        let is_review = about.place.resource() == Resource::SelfSubjectAccessReview;
        self.method != Method::GET && !is_rehearsed && !is_review
    }

    /// In that manager's name, answered without values.
    pub(super) fn write(method: Method, (manager, run): (&FieldManager, Run), sent: Sent) -> Self {
        let mut query = vec![("fieldManager", manager.as_str().to_owned())];
        if run == Run::Dry {
            query.push((DRY_RUN, "All".to_owned()));
        }
        Self {
            method,
            accept: PARTIAL,
            query,
            send: Some(sent),
        }
    }
}

impl Client {
    /// Does no I/O and cannot fail: whatever is wrong with the cluster, its first call says so.
    pub fn new(name: ClusterName, cluster: Cluster, reporter: Reporter, tenure: Tenure) -> Self {
        Self {
            traffic: Arc::new(Traffic::new(name.clone(), cluster.requests_per_second)),
            sessions: Arc::new(Sessions::new(name.clone(), cluster.access)),
            name,
            reporter,
            tenure,
        }
    }

    /// The same, for whoever may write for so long.
    #[must_use]
    pub fn under(&self, tenure: &Tenure) -> Self {
        Self {
            tenure: tenure.clone(),
            ..self.clone()
        }
    }

    /// For a cluster whose tokens are signed as a store.
    #[must_use]
    pub fn with_signer(mut self, signer: EksSigner) -> Self {
        self.sessions = Arc::new(self.sessions.signed(signer));
        self
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
        let asked = Asked::secret(namespace, name);
        self.get(asked, WHOLE, wire::secret).await
    }

    /// The Secret without its values.
    pub async fn get_metadata(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<LiveMetadata>, Failure> {
        let asked = Asked::secret(namespace, name);
        self.get(asked, PARTIAL, wire::metadata).await
    }

    pub(super) async fn get<T>(
        &self,
        asked: Asked<'_>,
        accept: HeaderValue,
        read: fn(&[u8], Asked<'_>) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Failure> {
        let about = self.about(ClusterVerb::Get, Place::One(asked));
        let answer = self.ask(about, Question::get(accept)).await?;
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
        let asked = Asked::secret(namespace, name);
        let about = self.about(ClusterVerb::Apply, Place::One(asked));
        let answer = self
            .ask(about, Question::apply(apply))
            .await
            .map_err(ApplyError::Failed)?;
        written(&answer, about, asked)
    }

    pub(super) fn about<'a>(&'a self, verb: ClusterVerb, place: Place<'a>) -> About<'a> {
        About {
            cluster: &self.name,
            verb,
            place,
        }
    }

    /// One request and its whole answer, whatever its status. While the cluster is paused, the pause's failure. A write is
    /// sent, and waited for, under the tenure only.
    pub(super) async fn ask(
        &self,
        about: About<'_>,
        question: Question,
    ) -> Result<Answer, Failure> {
        if question.writes(about) && !self.tenure.is_on() {
            return Err(about.deposed());
        }
        if about.place.resource() == Resource::Lease {
            // Whoever waits with a Lease loses it. Its renewals are even, so they may well do without a pause.
            let passage = self.traffic.at_once();
            return self.send(about, question, passage).await;
        }
        let (passage, _permit) = self.traffic.turn().await?;
        self.send(about, question, passage).await
    }

    async fn send(
        &self,
        about: About<'_>,
        question: Question,
        passage: Passage<'_>,
    ) -> Result<Answer, Failure> {
        let object = about.place.to_string();
        let session = match self.sessions.get().await {
            Ok(session) => session,
            Err(failure) => {
                passage.ended(&object, &End::Refused(&failure));
                return Err(failure);
            }
        };
        let (reads, writes) = (question.method == Method::GET, question.writes(about));
        let started = Instant::now();
        let exchange = async {
            match request(&session, about, question).send().await {
                Ok(response) => whole(about, response).await,
                Err(error) => Err(about.transport(&error)),
            }
        };
        let ended = if writes {
            let Some(ended) = self.tenure.during(exchange).await else {
                // Of the cluster that says nothing.
                drop(passage);
                self.count(about.verb, RequestCode::Timeout, started.elapsed());
                return Err(about.deposed());
            };
            ended
        } else {
            exchange.await
        };
        let took = started.elapsed();
        let code = match &ended {
            Ok(answer) => RequestCode::Status(answer.code),
            Err(broken) => broken.code,
        };
        self.count(about.verb, code, took);
        let refused;
        let end = match &ended {
            Ok(answer) if answer.is_answered() => End::Answered,
            Ok(answer) => {
                refused = about.refused(&answer.refusal());
                match answer.code {
                    401 | 429 | 503 => End::Refused(&refused),
                    _ => End::Own(&refused),
                }
            }
            Err(broken) => broken.end(reads),
        };
        passage.ended(&object, &end);
        ended.map_err(|broken| broken.failure)
    }

    /// When our credentials end, as far as they tell.
    pub fn credentials_end(&self) -> Option<Timestamp> {
        self.sessions.credentials_end()
    }

    /// The way into the cluster, for what is no request with a whole answer.
    pub(super) async fn session(&self) -> Result<Session, Failure> {
        self.sessions.get().await
    }

    /// One more request, and what it says of our credentials.
    pub(super) fn count(&self, verb: ClusterVerb, code: RequestCode, took: Duration) {
        self.reporter.record(&Fact::ClusterRequest {
            cluster: &self.name,
            verb,
            code,
            took,
        });
        if code == RequestCode::Status(401) {
            self.sessions.doubt();
        }
    }
}

/// What a write was answered with.
pub(super) fn written(
    answer: &Answer,
    about: About<'_>,
    asked: Asked<'_>,
) -> Result<Applied, ApplyError> {
    if !matches!(answer.code, 200 | 201) {
        return Err(about.apply_refused(&answer.refusal()));
    }
    let seen = wire::metadata(&answer.body, asked)
        .map_err(|how| ApplyError::Failed(about.malformed(how)))?;
    Ok(Applied {
        uid: seen.uid,
        resource_version: seen.resource_version,
        at: answer.at,
    })
}

fn request(session: &Session, about: About<'_>, question: Question) -> reqwest::RequestBuilder {
    let mut url = about.place.url(&session.server);
    if !question.query.is_empty() {
        url.query_pairs_mut().extend_pairs(question.query);
    }
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(ACCEPT, question.accept);
    if let Some(authorization) = &session.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    let mut request = session.http.request(question.method, url);
    if let Some(Sent {
        content_type,
        mut body,
    }) = question.send
    {
        headers.insert(CONTENT_TYPE, content_type);
        // Moved, not copied: these bytes are freed once, by whoever sent the last of them.
        request = request.body(std::mem::take(&mut *body));
    }
    request.headers(headers)
}

impl Answer {
    /// Whether the API server does its work, be it to refuse.
    fn is_answered(&self) -> bool {
        !matches!(self.code, 401 | 429 | 500..)
    }

    pub(super) fn refusal(&self) -> Refusal {
        Refusal {
            code: self.code,
            status: wire::status(&self.body),
            retry_after: self.retry_after,
        }
    }
}

impl Broken {
    pub(super) fn end(&self, reads: bool) -> End<'_> {
        match (self.how, reads) {
            (Break::NoConnection, _) => End::Unreached(&self.failure),
            (Break::NoAnswer, true) => End::Silent(&self.failure),
            // An admission webhook that hangs is one object's trouble.
            (Break::NoAnswer, false) => End::Own(&self.failure),
            (Break::TooLarge, _) => End::Answered,
        }
    }
}

pub(super) async fn whole(
    about: About<'_>,
    mut response: reqwest::Response,
) -> Result<Answer, Broken> {
    let too_large = || Broken {
        code: RequestCode::Malformed,
        failure: about.malformed(Malformed("answered with more than 4 MiB")),
        how: Break::TooLarge,
    };
    let at = clock::now();
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
        at,
    })
}
