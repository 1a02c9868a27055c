//! What happened to every object, in order, and who watches.
//!
//! The server's one clock is here too: every change has a version of its own, whatever it is about.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::log::Shape;
use super::presence::Watched;
use super::selector::Selector;

/// Changes that are remembered; a watch from before them is told that it is too old.
const REMEMBERED: usize = 20_000;

/// What ends a body that is streamed: an error breaks the stream off.
pub type Lines = mpsc::UnboundedSender<Result<Bytes, io::ErrorKind>>;

/// How a watch hears that the version it begins at is no longer known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gone {
    /// HTTP status 410.
    #[default]
    Status,
    /// Status 200, and an event of type `ERROR`.
    Event,
}

/// Cheap to clone: all clones are the same history.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Past>>);

pub struct Past {
    version: u64,
    changes: VecDeque<Change>,
    /// Nothing before this version is known.
    compacted: u64,
    pub gone: Gone,
    streams: Vec<Stream>,
    pub watched: Vec<Watched>,
    /// What is left of lists that were asked for in pages, each at its first page's version.
    pub pages: BTreeMap<u64, (u64, Vec<Value>)>,
}

struct Change {
    version: u64,
    resource: &'static str,
    before: Option<Value>,
    after: Option<Value>,
}

/// Which objects a list or a watch is about, and what is to be seen of them.
pub struct Scope {
    pub resource: &'static str,
    /// Of the cluster where it is empty.
    pub namespace: String,
    pub selector: Selector,
    pub shape: Shape,
}

/// One open watch.
pub struct Stream {
    pub scope: Scope,
    pub bookmarks: bool,
    pub silent: bool,
    pub lines: Lines,
}

impl Default for Past {
    fn default() -> Self {
        Self {
            version: 1000,
            changes: VecDeque::new(),
            compacted: 0,
            gone: Gone::default(),
            streams: Vec::new(),
            watched: Vec::new(),
            pages: BTreeMap::new(),
        }
    }
}

impl History {
    /// The version of a change that is about to be made.
    pub fn next_version(&self) -> u64 {
        let mut past = self.lock();
        past.version += 1;
        past.version
    }

    /// The change of that version; whoever watches hears of it at once.
    pub fn record(
        &self,
        version: u64,
        resource: &'static str,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        let mut past = self.lock();
        let change = Change {
            version,
            resource,
            before,
            after,
        };
        past.streams.retain(|stream| !stream.lines.is_closed());
        for stream in &past.streams {
            stream.tell(&change);
        }
        past.watch(&change);
        past.changes.push_back(change);
        if past.changes.len() > REMEMBERED {
            let dropped = past.changes.pop_front();
            past.compacted = dropped.map_or(0, |change| change.version);
        }
    }

    /// Something else has changed that nobody can watch; at the version that it returns.
    pub fn elapse(&self) -> u64 {
        let version = self.next_version();
        let change = Change {
            version,
            resource: "",
            before: None,
            after: None,
        };
        self.lock().watch(&change);
        version
    }

    pub fn lock(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap()
    }
}

impl Past {
    fn watch(&mut self, change: &Change) {
        let about = change.resource == "secrets";
        let before = change.before.as_ref().filter(|_| about);
        let after = change.after.as_ref().filter(|_| about);
        for watched in &mut self.watched {
            watched.note(change.version, before, after);
        }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn knows(&self, version: u64) -> bool {
        version >= self.compacted
    }

    /// Forgets everything up to now; something else has happened in the cluster since anybody looked.
    pub fn compact(&mut self, gone: Gone) {
        self.version += 1;
        self.compacted = self.version;
        self.changes.clear();
        self.pages.clear();
        self.gone = gone;
    }

    /// Begins a watch with everything that happened after that version.
    pub fn open(&mut self, stream: Stream, after: u64) {
        self.streams.retain(|stream| !stream.lines.is_closed());
        for change in self.changes.iter().filter(|it| it.version > after) {
            stream.tell(change);
        }
        self.streams.push(stream);
    }

    pub fn open_streams(&mut self) -> usize {
        self.streams.retain(|stream| !stream.lines.is_closed());
        self.streams.len()
    }

    pub fn bookmark(&self) {
        for stream in self.streams.iter().filter(|stream| stream.bookmarks) {
            let object = json!({
                "kind": stream.scope.kind(),
                "apiVersion": stream.scope.api_version(),
                "metadata": {"resourceVersion": self.version.to_string(), "creationTimestamp": null},
            });
            stream.send("BOOKMARK", &object);
        }
    }

    /// Breaks every watch off, without an end.
    pub fn cut(&mut self) {
        for stream in self.streams.drain(..) {
            let _ = stream.lines.send(Err(io::ErrorKind::ConnectionReset));
        }
    }

    /// Ends every watch as its time does.
    pub fn end(&mut self) {
        self.streams.clear();
    }

    /// Every watch that is open stays so and says nothing any more.
    pub fn silence(&mut self) {
        for stream in &mut self.streams {
            stream.silent = true;
        }
    }

    /// Sends these bytes to every watch.
    pub fn babble(&self, bytes: &Bytes) {
        for stream in &self.streams {
            let _ = stream.lines.send(Ok(bytes.clone()));
        }
    }
}

impl Scope {
    pub fn covers(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let here = self.namespace.is_empty() || metadata["namespace"] == self.namespace.as_str();
        here && self.selector.matches(&metadata["labels"])
    }

    /// The object as it was asked for.
    pub fn show(&self, object: &Value) -> Value {
        match self.shape {
            Shape::Whole => object.clone(),
            Shape::Metadata => json!({
                "kind": self.kind(),
                "apiVersion": self.api_version(),
                "metadata": object["metadata"],
            }),
        }
    }

    pub fn kind(&self) -> &'static str {
        match (self.shape, self.resource) {
            (Shape::Metadata, _) => "PartialObjectMetadata",
            (Shape::Whole, "secrets") => "Secret",
            (Shape::Whole, _) => "Namespace",
        }
    }

    pub fn api_version(&self) -> &'static str {
        match self.shape {
            Shape::Metadata => "meta.k8s.io/v1",
            Shape::Whole => "v1",
        }
    }
}

impl Stream {
    /// What begins or ends to match has come or gone, as far as this watch can tell.
    fn tell(&self, change: &Change) {
        if change.resource != self.scope.resource {
            return;
        }
        let seen = |object: &Option<Value>| {
            let object = object.as_ref().filter(|object| self.scope.covers(object));
            object.map(|object| self.scope.show(object))
        };
        match (seen(&change.before), seen(&change.after)) {
            (None, None) => {}
            (None, Some(object)) => self.send("ADDED", &object),
            (Some(_), Some(object)) => self.send("MODIFIED", &object),
            (Some(mut object), None) => {
                object["metadata"]["resourceVersion"] = json!(change.version.to_string());
                self.send("DELETED", &object);
            }
        }
    }

    pub fn send(&self, kind: &str, object: &Value) {
        if !self.silent {
            let line = json!({"type": kind, "object": object}).to_string() + "\n";
            let _ = self.lines.send(Ok(line.into()));
        }
    }
}
