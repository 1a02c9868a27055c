//! Making a Secret where there is none, and nowhere else.

use reqwest::Method;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::client::{Answer, Applied, Client, Question, Run, Sent, written};
use super::error::{About, ApplyError};
use super::place::{Asked, Place, Resource};
use super::secret::FieldManager;
use crate::names::{Namespace, ObjectName};
use crate::report::ClusterVerb;

const OBJECT: HeaderValue = HeaderValue::from_static("application/json");

/// A whole Secret in JSON, and in whose name it is made.
pub struct Create {
    pub manager: FieldManager,
    /// Holds values: wiped.
    pub body: Zeroizing<Vec<u8>>,
}

impl Client {
    /// [`ApplyError::Raced`] when somebody was first: then nothing was written. An apply could not promise that.
    pub async fn create_secret(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
        create: Create,
    ) -> Result<Applied, ApplyError> {
        let asked = Asked::secret(namespace, name);
        let (about, answer) = self.post(namespace, create, Run::Real).await?;
        written(&answer, about, asked)
    }

    /// What the API server says to it, and nothing is made. Of the answer only the status counts: what was not made has no
    /// resourceVersion (KEP 576).
    pub async fn rehearse_create(
        &self,
        namespace: &Namespace,
        create: Create,
    ) -> Result<(), ApplyError> {
        let (about, answer) = self.post(namespace, create, Run::Dry).await?;
        match answer.code {
            200 | 201 => Ok(()),
            _ => Err(about.apply_refused(&answer.refusal())),
        }
    }

    async fn post<'a>(
        &'a self,
        namespace: &'a Namespace,
        create: Create,
        run: Run,
    ) -> Result<(About<'a>, Answer), ApplyError> {
        let all = Place::All(Resource::Secret, Some(namespace));
        let about = self.about(ClusterVerb::Create, all);
        let sent = Sent {
            content_type: OBJECT,
            body: create.body,
        };
        let question = Question::write(Method::POST, (&create.manager, run), sent);
        let answer = self.ask(about, question).await;
        Ok((about, answer.map_err(ApplyError::Failed)?))
    }
}
