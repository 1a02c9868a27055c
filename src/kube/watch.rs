//! Following a collection: listed once, then every change as it happens.
//!
//! A watch goes on from the last version it heard of, whatever ended its stream. Only when the server no longer knows
//! that version is the collection listed anew, and so is it when the caller begins again after a failure: a failure is
//! the caller's to wait for. Metadata only: no value is asked for. An annotation may hold some all the same, so a line
//! that was read is wiped.

mod lanes;
mod lines;
mod parse;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

pub(super) use self::lanes::Lanes;
use self::lanes::{Opened, Taken};
use self::lines::Lines;
use self::parse::{Page, Told};
use super::client::{Client, Question, whole};
use super::error::{About, Break, Broken};
use super::gate;
use super::place::{Place, Resource};
use super::wire::Malformed;
use crate::failure::{Failure, Reason};
use crate::names::{Namespace, ObjectName, ResourceVersion, Uid};
use crate::report::{ClusterVerb, RequestCode};
use crate::selector::Selector;

/// What everything is labelled with that we write.
const OURS: &str = "secretsyncd/managed=true";

/// Objects of one page. An answer is bounded, so where they are large they are asked for few at a time.
const PAGE: usize = 200;
const SMALL_PAGE: usize = 10;
/// A list that goes on beyond this is not one.
const PAGES_MAX: usize = 10_000;
/// How often a list is begun again because its pages were forgotten on the way.
const LISTS_MAX: usize = 3;

/// How long the head of an answer may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A stream that told nothing and ended sooner was none.
const BRIEF: Duration = Duration::from_secs(1);
/// So many of those in a row are a failure.
const BRIEF_MAX: u32 = 4;

const PARTIAL_LIST: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
const PARTIAL: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// The Secrets that carry our label, of one namespace or of the cluster.
    Secrets {
        namespace: Option<Namespace>,
    },
    Namespaces {
        selector: Selector,
    },
}

/// What is told of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Complete: what is not in it is gone.
    Listed(Vec<Object>),
    Changed(Object),
    Gone(Object),
}

/// What is known of an object of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Of a namespace there is none.
    pub namespace: Option<Namespace>,
    pub name: ObjectName,
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    /// Those of a namespace. Of Secrets, which may be many, they are not kept.
    pub labels: BTreeMap<String, String>,
    /// Marked for deletion; something holds it yet.
    pub deleting: bool,
}

/// How long one stream is asked for, and how much later its end may come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) lasts: Duration,
    pub(super) slack: Duration,
}

/// Why a stream is over, where that is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It goes on from the last version.
    Ended { told: bool },
    /// That version is no longer known.
    TooOld,
}

impl Patience {
    /// Not the same for all: watches that began together do not end together.
    fn usual() -> Self {
        Self {
            lasts: Duration::from_secs(240 + fastrand::u64(0..=60)),
            slack: Duration::from_secs(30),
        }
    }
}

impl Collection {
    fn resource(&self) -> Resource {
        match self {
            Self::Secrets { .. } => Resource::Secret,
            Self::Namespaces { .. } => Resource::Namespace,
        }
    }

    fn place(&self) -> Place<'_> {
        match self {
            Self::Secrets { namespace } => Place::All(self.resource(), namespace.as_ref()),
            Self::Namespaces { .. } => Place::All(self.resource(), None),
        }
    }

    fn selector(&self) -> String {
        match self {
            Self::Secrets { .. } => OURS.to_owned(),
            Self::Namespaces { selector } => selector.to_string(),
        }
    }
}

impl Client {
    /// Tells everything about a collection, and returns only when it cannot go on. The caller waits, and calls again.
    pub async fn watch(&self, collection: &Collection, events: &mpsc::Sender<Event>) -> Failure {
        self.follow(collection, events, Patience::usual()).await
    }

    pub(super) async fn follow(
        &self,
        collection: &Collection,
        events: &mpsc::Sender<Event>,
        patience: Patience,
    ) -> Failure {
        let mut brief = 0;
        loop {
            let (objects, mut version) = match self.list(collection).await {
                Ok(listed) => listed,
                Err(failure) => return failure,
            };
            if events.send(Event::Listed(objects)).await.is_err() {
                return unheard();
            }
            loop {
                let began = Instant::now();
                let end = self.stream(collection, &mut version, (events, patience));
                let end = match end.await {
                    Ok(end) => end,
                    Err(failure) => return failure,
                };
                let real = end == End::Ended { told: true } || began.elapsed() >= BRIEF;
                brief = if real { 0 } else { brief + 1 };
                if brief >= BRIEF_MAX {
                    return self.ends_at_once(collection);
                }
                if end == End::TooOld {
                    break;
                }
            }
        }
    }

    /// All of it, at one version.
    async fn list(
        &self,
        collection: &Collection,
    ) -> Result<(Vec<Object>, ResourceVersion), Failure> {
        let (mut objects, mut token) = (Vec::new(), None);
        let mut begun = 1;
        for _ in 0..PAGES_MAX {
            match self.page(collection, token.as_deref()).await? {
                None if begun < LISTS_MAX => {
                    begun += 1;
                    objects.clear();
                    token = None;
                }
                None => break,
                Some(page) => {
                    objects.extend(page.objects);
                    match page.next {
                        None => return Ok((objects, page.version)),
                        next => token = next,
                    }
                }
            }
        }
        let about = self.about(ClusterVerb::List, collection.place());
        Err(about.malformed(Malformed("lists without coming to an end")))
    }

    /// `None` where the pages before it are forgotten.
    async fn page(
        &self,
        collection: &Collection,
        token: Option<&str>,
    ) -> Result<Option<Page>, Failure> {
        match self.page_of(collection, token, PAGE).await {
            Err(failure) if failure.reason == Reason::Malformed => {
                self.page_of(collection, token, SMALL_PAGE).await
            }
            page => page,
        }
    }

    async fn page_of(
        &self,
        collection: &Collection,
        token: Option<&str>,
        limit: usize,
    ) -> Result<Option<Page>, Failure> {
        let about = self.about(ClusterVerb::List, collection.place());
        let mut question = Question::get(PARTIAL_LIST);
        question.query = vec![
            ("labelSelector", collection.selector()),
            ("limit", limit.to_string()),
        ];
        if let Some(token) = token {
            question.query.push(("continue", token.to_owned()));
        }
        let answer = self.ask(about, question).await?;
        match answer.code {
            200 => parse::page(&answer.body, collection)
                .map(Some)
                .map_err(|how| about.malformed(how)),
            410 if token.is_some() => Ok(None),
            _ => Err(about.refused(&answer.refusal())),
        }
    }

    /// One stream, from that version on to its end; `version` is the last one it told of.
    async fn stream(
        &self,
        collection: &Collection,
        version: &mut ResourceVersion,
        (events, patience): (&mpsc::Sender<Event>, Patience),
    ) -> Result<End, Failure> {
        let about = self.about(ClusterVerb::Watch, collection.place());
        let Some(mut opened) = self.open(about, (collection, version, patience)).await? else {
            return Ok(End::TooOld);
        };
        let until = Instant::now() + patience.lasts + patience.slack;
        let (mut lines, mut told) = (Lines::default(), false);
        loop {
            // A stream that broke, and one that fell silent, are over like one that ended.
            let chunk = timeout_at(until, opened.response.chunk()).await;
            let Ok(Ok(Some(chunk))) = chunk else {
                return Ok(End::Ended { told });
            };
            lines.extend(&chunk).map_err(|how| about.malformed(how))?;
            while let Some(line) = lines.next() {
                let heard = parse::line(&line, collection).map_err(|how| about.malformed(how))?;
                match heard {
                    Told::Event(next, event) => {
                        events.send(event).await.map_err(|_| unheard())?;
                        *version = next;
                        told = true;
                    }
                    Told::Bookmark(next) => {
                        *version = next;
                        told = true;
                    }
                    Told::Refused(refusal) if refusal.code == 410 => return Ok(End::TooOld),
                    Told::Refused(refusal) => return Err(about.refused(&refusal)),
                }
            }
        }
    }

    /// Begins a stream; `None` where that version is no longer known.
    async fn open(
        &self,
        about: About<'_>,
        (collection, version, patience): (&Collection, &ResourceVersion, Patience),
    ) -> Result<Option<Opened>, Failure> {
        let passage = self.traffic.passage().await?;
        let session = self.session().await?;
        let mut url = about.place.url(&session.server);
        url.query_pairs_mut().extend_pairs([
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("labelSelector", &collection.selector()),
            ("resourceVersion", version.as_str()),
            ("timeoutSeconds", &patience.lasts.as_secs().to_string()),
        ]);
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(ACCEPT, PARTIAL);
        if let Some(authorization) = session.authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        let lane = session.lanes.take().await?;
        let request = lane.http.get(url).headers(headers);
        let object = about.place.to_string();
        let response = match self.head(about, &lane, request).await {
            Ok(response) => response,
            Err(broken) => {
                passage.ended(&object, &broken.end(true));
                return Err(broken.failure);
            }
        };
        if response.status().as_u16() == 200 {
            passage.ended(&object, &gate::End::Answered);
            return Ok(Some(lane.opened(response)));
        }
        let refused = timeout(HEAD_TIMEOUT, whole(about, response)).await;
        let refused = refused.map_err(|_| about.late())?;
        let refused = refused.map_err(|broken| broken.failure)?;
        let failure = about.refused(&refused.refusal());
        let end = match refused.code {
            401 | 429 | 503 => gate::End::Refused(&failure),
            500.. => gate::End::Own(&failure),
            _ => gate::End::Answered,
        };
        passage.ended(&object, &end);
        match refused.code {
            410 => Ok(None),
            _ => Err(failure),
        }
    }

    /// The answer as far as its status.
    async fn head(
        &self,
        about: About<'_>,
        lane: &Taken,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Broken> {
        let started = Instant::now();
        let answer = {
            let _turn = lane.turn().await;
            timeout(HEAD_TIMEOUT, request.send()).await
        };
        let answer = match answer {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(about.transport(&error)),
            Err(_) => Err(Broken {
                code: RequestCode::Timeout,
                failure: about.late(),
                how: Break::NoAnswer,
            }),
        };
        let code = match &answer {
            Ok(response) => RequestCode::Status(response.status().as_u16()),
            Err(broken) => broken.code,
        };
        self.count(about.verb, code, started.elapsed());
        answer
    }

    fn ends_at_once(&self, collection: &Collection) -> Failure {
        Failure::new(
            Reason::Network,
            format!(
                "cluster `{}` ends every watch of {} at once",
                self.name(),
                collection.resource().plural()
            ),
        )
        .with_help("look for a proxy between us and the API server that does not let answers flow")
    }
}

/// Nobody waits for an answer any more.
fn unheard() -> Failure {
    Failure::new(Reason::Network, "nobody listens to this watch any more")
}

#[cfg(test)]
mod tests;
