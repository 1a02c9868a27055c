//! The Secrets among what is to be taken over.

use std::process::ExitCode;
use std::time::Duration;

use super::{failed, words};
use crate::cli::Adopt;
use crate::config::Config;
use crate::daemon::{self, Begun};
use crate::decide::kubernetes::adoption::Content;
use crate::names::EntryName;
use crate::sync::taking::{End, Hands, Pause, Wish};

/// A first look at them.
pub(super) async fn begin(config: Config, wish: &Adopt) -> Result<Begun, ExitCode> {
    let begun = Box::pin(daemon::taking(config, &wish.names, how(wish))).await;
    begun.map_err(|stopped| failed(&stopped.to_string()))
}

pub(super) fn how(wish: &Adopt) -> Wish {
    Wish {
        content: if wish.content.accept_changes {
            Content::MayChange
        } else {
            Content::AsItIs
        },
        create: wish.content.create,
        quiesce: wish.quiet.quiesce,
        window: wish.quiet.watch,
    }
}

/// Entries that have something to deliver now.
pub(super) fn to_deliver(hands: &Hands) -> impl Iterator<Item = EntryName> {
    let all = hands.all().iter();
    let due = all.filter(|hand| matches!(hand.end(), Some(End::Taken(_) | End::Absent(_))));
    due.map(|hand| hand.seat.entry.clone())
}

/// What is to be done with what is left of the old controllers, and on whose Secrets they have put their hand again.
pub(super) async fn verify(hands: &mut Hands, window: Duration) -> (String, String) {
    let taken = |end: Option<&End>| matches!(end, Some(End::Taken(_)));
    if !hands.all().iter().any(|hand| taken(hand.end())) {
        return (words::made(hands) + &words::undo(hands), String::new());
    }
    words::pause(Pause::Verifying, window);
    tokio::time::sleep(window).await;
    let farewells = hands.verify().await;
    let said: String = farewells
        .iter()
        .map(|(hand, farewell)| words::farewell(hand, farewell))
        .collect();
    (
        said + &words::made(hands) + &words::undo(hands),
        words::returned(hands),
    )
}
