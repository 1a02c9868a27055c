//! A refusal of the API server: a `Status` object and its HTTP status.

use axum::body::Bytes;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    Expired,
    InternalError,
}

#[derive(Debug)]
pub struct Refusal {
    pub why: Why,
    message: String,
    /// The kind (plural) and name that a refusal is about.
    about: Option<(String, String)>,
    causes: Vec<Value>,
    retry_after: Option<u32>,
}

impl Refusal {
    pub fn new(why: Why, message: impl Into<String>) -> Self {
        Self {
            why,
            message: message.into(),
            about: None,
            causes: Vec::new(),
            retry_after: None,
        }
    }

    pub fn not_found(what: &str, name: &str) -> Self {
        Self {
            about: Some((what.to_owned(), name.to_owned())),
            ..Self::new(Why::NotFound, format!("{what} \"{name}\" not found"))
        }
    }

    pub fn with_causes(mut self, causes: Vec<Value>) -> Self {
        self.causes = causes;
        self
    }

    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn code(&self) -> (u16, &'static str) {
        match self.why {
            Why::BadRequest => (400, "BadRequest"),
            Why::Unauthorized => (401, "Unauthorized"),
            Why::Forbidden => (403, "Forbidden"),
            Why::NotFound => (404, "NotFound"),
            Why::AlreadyExists => (409, "AlreadyExists"),
            Why::Conflict => (409, "Conflict"),
            Why::UnsupportedMediaType => (415, "UnsupportedMediaType"),
            Why::Invalid => (422, "Invalid"),
            Why::TooManyRequests => (429, "TooManyRequests"),
            Why::Expired => (410, "Expired"),
            Why::InternalError => (500, "InternalError"),
        }
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let (code, reason) = self.code();
        let mut details = json!({ "causes": self.causes });
        if let Some((kind, name)) = &self.about {
            details["kind"] = json!(kind);
            details["name"] = json!(name);
        }
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": reason,
            "details": details,
            "code": code,
        })
    }

    pub fn response(&self) -> Response<Bytes> {
        let mut response = Response::builder()
            .status(self.code().0)
            .header(CONTENT_TYPE, "application/json");
        if let Some(seconds) = self.retry_after {
            response = response.header(RETRY_AFTER, seconds);
        }
        response.body(self.status().to_string().into()).unwrap()
    }
}
