//! From content to what one target is to hold, before any is written.

use std::borrow::Cow;

use super::{in_turn_soon, part};
use crate::assemble::Content;
use crate::decide::kubernetes::Wanted;
use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::SecretBytes;
use crate::state::{SecretId, State};
use crate::sync::Entry;
use crate::target::Target;
use crate::target::file::{FileTarget, Rendered};
use crate::target::holdings::Holdings;
use crate::target::kubernetes::KubernetesTarget;

/// What a target is to hold, ready to be written.
pub(in crate::sync) enum Staged<'a> {
    Remove(&'a KubernetesTarget, &'a SecretId),
    RemoveFile(&'a FileTarget),
    StayAway,
    Kubernetes(&'a KubernetesTarget, &'a SecretId, Box<Wanted>),
    File(&'a FileTarget, Rendered),
}

pub(super) async fn stage<'a>(
    entry: &Entry,
    target: &'a Target,
    content: &Content,
    state: &State,
) -> Result<Staged<'a>, Failure> {
    if content.kept.is_empty() {
        return render(target, content);
    }
    let resolved = resolved(entry, target, content, state);
    let resolved = in_turn_soon(entry, target, resolved).await?;
    render(target, &resolved)
}

/// The content with the last values of what is kept, as this target has them. To be called in the target's turn.
pub(in crate::sync) async fn resolved<'c>(
    entry: &Entry,
    target: &Target,
    content: &'c Content,
    state: &State,
) -> Result<Cow<'c, Content>, Failure> {
    if content.kept.is_empty() {
        return Ok(Cow::Borrowed(content));
    }
    let held = holdings(entry, target, state).await?;
    let mut content = content.clone();
    for key in std::mem::take(&mut content.kept) {
        if let Some(value) = last_value(&key, &held)? {
            content.data.insert(key, value);
        }
    }
    Ok(Cow::Owned(content))
}

/// The value that a target has of a key whose secret is gone; nothing where it never had one.
fn last_value(key: &SecretKey, held: &Holdings) -> Result<Option<SecretBytes>, Failure> {
    match held {
        Holdings::Something {
            delivered: Some(delivered),
            ..
        } if delivered.get(key).is_some() => Ok(delivered.get(key).cloned()),
        held if !held.may_hold(key) => Ok(None),
        Holdings::Nothing | Holdings::Unknown | Holdings::Something { .. } => Err(Failure::new(
            Reason::Conflict,
            format!("the value of `{key}` that is there cannot be told to be the one we delivered, so it cannot be kept"),
        )
        .with_help("somebody else wrote the target; put the secret back, or take the key out of the entry")),
    }
}

pub(in crate::sync) fn render<'a>(
    target: &'a Target,
    content: &Content,
) -> Result<Staged<'a>, Failure> {
    Ok(match target {
        Target::Kubernetes(target, id) => {
            Staged::Kubernetes(target, id, Box::new(target.render(content)?))
        }
        Target::File(target) => Staged::File(target, target.render(&content.data)?),
    })
}

/// What is in a target.
pub(in crate::sync) async fn holdings(
    entry: &Entry,
    target: &Target,
    state: &State,
) -> Result<Holdings, Failure> {
    match target {
        Target::Kubernetes(target, id) => {
            let delivered = state.secret(&part(id, entry));
            target.holdings(delivered.as_ref()).await
        }
        Target::File(target) => target.holdings().await,
    }
}
