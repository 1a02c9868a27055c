//! Whether what the daemon remembers is still where it is looked for after a restart.
//!
//! A state that was taken away is not made again under a running daemon: only an open state knows what it is, and a second
//! daemon may have begun in its place.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::state::State;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Lost,
    Unseen,
}

/// Never returns.
pub(super) async fn watch(state: Arc<State>, directory: PathBuf) -> &'static str {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::Nothing;
    loop {
        look.tick().await;
        let state = Arc::clone(&state);
        let looked = tokio::task::spawn_blocking(move || state.is_lost()).await;
        let now = match &looked {
            Ok(Ok(false)) => Told::Nothing,
            Ok(Ok(true)) => Told::Lost,
            Ok(Err(_)) => Told::Unseen,
            // A look that panicked has said so itself.
            Err(_) => told,
        };
        if now == told {
            continue;
        }
        if let Ok(Err(failure)) = &looked {
            tracing::error!(
                help = failure.help(),
                "nobody can tell whether the state is still there: {failure}"
            );
        }
        if now == Told::Lost {
            tracing::error!(
                help = "restart secretsyncd while every entry is fresh: it makes the directory again and knows its targets \
                        by what they hold; one that differs from its source by then is somebody else's until it is adopted",
                "the state directory {} was taken away or replaced: what is delivered from now on is forgotten at the next \
                 restart",
                directory.display()
            );
        }
        told = now;
    }
}
