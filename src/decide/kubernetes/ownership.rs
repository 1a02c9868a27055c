//! Whether a whole Secret is ours, or may become it.
//!
//! Three things prove it: our annotations together with an apply of ours, our annotations on what an unfinished attempt
//! of ours made or alone ever wrote, or an owner's record of this very Secret in the ledger. Two installations may go by the
//! same instance, so the annotation of another entry is ours only where this ledger knows that entry as the owner.

use crate::failure::{Failure, Reason};
use crate::kube::{Controller, LiveSecret, Manager};
use crate::names::Instance;

use super::adoption::{Keeper, has_marks};
use super::{DeliveredSecret, INSTANCE_ANNOTATION, Known, Wanted, writer};

/// What External Secrets puts on what it writes.
pub(in crate::decide) const ESO_PREFIX: &str = "reconcile.external-secrets.io/";

pub(super) fn may_own(
    wanted: &Wanted,
    live: &LiveSecret,
    ledger: Known<'_>,
) -> Result<(), Failure> {
    // Having merged into a Secret says nothing about the rest of it.
    let owned_as = ledger.own.and_then(|own| own.whole.as_ref());
    let is = |instance: &Instance, name: &[u8]| instance.as_str().as_bytes() == name;
    let claimed = match live.annotations.get(INSTANCE_ANNOTATION) {
        None => false,
        Some(name) if is(&wanted.instance, name.expose()) => true,
        // The name that we ourselves left there, before this instance was renamed.
        Some(name) if owned_as.is_some_and(|before| is(before, name.expose())) => false,
        Some(name) => return Err(other_instance(name.expose())),
    };
    if let Some(controller) = &live.controller {
        return Err(controlled(controller));
    }
    // The manager's name is the same for every instance: only with the annotation does it speak for this one.
    let mut managers = live.managers.iter();
    let written = managers.any(|m| m.is(&wanted.manager) || m.made_for(&wanted.manager));
    let proven = claimed && (written || only_old_attempts(live));
    if proven && (owned_as.is_some() || written_here(wanted, live, ledger)) {
        return Ok(());
    }
    if has_marks(live) {
        return Err(Failure::new(
            Reason::Conflict,
            "the Secret exists and carries the marks of External Secrets",
        )
        .with_help("`adopt = true` does not take it; it needs the `adopt` command"));
    }
    if owned_as.is_some() || wanted.adopt {
        return Ok(());
    }
    Err(if proven {
        other_entry(live)
    } else {
        not_ours(live, claimed)
    })
}

/// Whether the entry that the Secret names is this one, or one of this installation under whose name it was ours. A
/// record that was left counts too: that is what a renamed entry has. What people wrote since, they own themselves.
fn written_here(wanted: &Wanted, live: &LiveSecret, ledger: Known<'_>) -> bool {
    let owner = |record: &DeliveredSecret| record.whole.is_some() && record.uid == live.uid;
    match writer(live) {
        None => false,
        Some(entry) => entry == wanted.entry || ledger.writer.is_some_and(owner),
    }
}

/// An attempt of an older release was answered, or was to be, with a Secret of its own, and broke off before it was
/// finished. Beside others it may have met somebody else's Secret.
fn only_old_attempts(live: &LiveSecret) -> bool {
    let mut managers = live.managers.iter();
    !live.managers.is_empty() && managers.all(Manager::is_old_attempt)
}

fn not_ours(live: &LiveSecret, claimed: bool) -> Failure {
    let failure = Failure::new(
        Reason::Conflict,
        if claimed {
            "the Secret carries our annotation, but nothing proves that we wrote it"
        } else {
            "the Secret exists and is not ours"
        },
    );
    match live.managers.iter().find(|m| m.is_old_attempt()) {
        None => failure.with_help("choose another name, or set `adopt = true` to take it over"),
        Some(attempt) => failure.with_help(format!(
            "choose another name, or set `adopt = true` to take it over; an attempt to create it broke off: what the \
             field manager `{}` holds alone is from us",
            attempt.name
        )),
    }
}

fn other_entry(live: &LiveSecret) -> Failure {
    let fact = match writer(live) {
        Some(entry) => format!(
            "the Secret belongs to the entry `{entry}`, which this installation never delivered to it"
        ),
        None => "the Secret carries our instance's name, but not that of an entry".into(),
    };
    Failure::new(Reason::Conflict, fact).with_help(
        "two installations may use the same `daemon.instance`: give each its own, and choose another name for one of the \
         Secrets; if the entry was renamed on another machine, or the annotation removed, set `adopt = true` to take it over",
    )
}

fn other_instance(name: &[u8]) -> Failure {
    // Somebody else wrote that text: it is repeated only when it is a legal name.
    let name = std::str::from_utf8(name)
        .ok()
        .and_then(|name| Instance::new(name).ok());
    let fact = match name {
        Some(name) => format!("the Secret belongs to secretsyncd's instance `{name}`"),
        None => "the Secret belongs to another instance of secretsyncd".into(),
    };
    Failure::new(Reason::Conflict, fact).with_help(
        "choose another name; or, if this is that instance under a new name or on a second machine, set \
         `daemon.instance` to that name",
    )
}

fn controlled(controller: &Controller) -> Failure {
    let plain = |text: &str| {
        !text.is_empty()
            && text.len() <= 63
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    };
    let keeper = Keeper::controlling(controller);
    let owner = keeper.map_or_else(|| "a controller".to_owned(), |it| it.to_string());
    let fact = if plain(&controller.kind) {
        format!("{owner} owns the Secret: {}", controller.kind)
    } else {
        format!("{owner} owns the Secret")
    };
    Failure::new(Reason::Conflict, fact).with_help(if keeper.is_some() {
        "`adopt = true` does not take it; it needs the `adopt` command"
    } else {
        "choose another name; what a controller owns is never taken over"
    })
}
