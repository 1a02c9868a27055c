//! The Secrets among what is to be taken over.

use std::process::ExitCode;
use std::time::Duration;

use super::words::after;
use super::{failed, words};
use crate::cli::Adopt;
use crate::config::Config;
use crate::daemon::{self, Begun};
use crate::decide::kubernetes::adoption::Content;
use crate::names::EntryName;
use crate::sync::taking::{End, Hand, Hands, Pause, Wish};

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

/// What is to be done with what is left of the old controllers. From then on it is known on whose Secrets they have put
/// their hand again.
pub(super) async fn verify(hands: &mut Hands, window: Duration) -> String {
    let mut ends = hands.all().iter().filter_map(Hand::end);
    let mut said = String::new();
    if ends.any(|end| end.made().is_some()) {
        words::pause(Pause::Verifying, window);
        tokio::time::sleep(window).await;
        let farewells = hands.verify().await;
        let all = farewells.iter();
        said = all
            .map(|(hand, farewell)| after::farewell(hand, farewell))
            .collect();
    }
    said + &after::made(hands) + &after::undo(hands)
}

/// Entries whose Secret was not left to them: what their last run said of it is no longer so.
pub(super) fn lost(hands: &Hands) -> Vec<&EntryName> {
    let all = hands.all().iter();
    let lost = all.filter(|hand| hand.end().is_some_and(|end| end.returned().is_some()));
    lost.map(|hand| &hand.seat.entry).collect()
}
