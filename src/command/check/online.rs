//! `check --online`: whether every read is answered and everything needed of a cluster is allowed, and if not, what is
//! missing.
//!
//! Each store is asked as the daemon asks it, every distinct read once, and no value is kept. Each cluster is asked what
//! we may do there. Nothing of the daemon's state is opened or written, and nothing is written anywhere else.

mod cluster;
mod report;
mod walk;

use std::io::{self, IsTerminal as _, Write as _};

use self::report::Verified;
use self::walk::Walk;
use crate::aws::{Aws, Service, identity};
use crate::command::permissions::{self, Watching};
use crate::command::{FAILED, reads};
use crate::config::{AwsStore, Config, Fetch, Store as Spec};
use crate::daemon;
use crate::failure::Failure;
use crate::names::StoreName;
use crate::report::Reporter;
use crate::secret::FingerprintKey;
use crate::store::{Read, Store};

/// Asks every store and prints what came of it, store by store. Returns the exit code.
pub(super) async fn run(config: &Config) -> u8 {
    let mut out = io::stdout();
    let mut say = |text: &str| {
        // Whoever closed the other end of a pipe has seen what he wanted; the exit code is the same.
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    };
    let Some(key) = random_key() else {
        say("this machine gives no random bytes\n");
        return FAILED;
    };
    let aws = daemon::aws(config, &Reporter::new(|_| {}));
    let mut code = super::OK;
    say("\n");
    for (name, spec) in &config.stores {
        let verified = verify((name, spec), (&aws, &key), config).await;
        if !verified.in_order() {
            code = FAILED;
        }
        say(&verified.to_string());
    }
    for (name, needs) in permissions::of(config, Watching::EachNamespace) {
        let Some(spec) = config.clusters.get(&name) else {
            continue;
        };
        let says = (Reporter::new(|_| {}), crate::kube::Tenure::never());
        let client = daemon::client((&name, spec), &aws, says);
        let progress = Progress::of(name.as_str());
        let reviewed = cluster::review(&client, needs, config, |now| progress.show(now)).await;
        progress.erase();
        if !reviewed.in_order() {
            code = FAILED;
        }
        say(&reviewed.to_string());
    }
    code
}

/// It only has to be one that nobody else has.
fn random_key() -> Option<FingerprintKey> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(FingerprintKey::new(bytes))
}

async fn verify(
    (name, spec): (&StoreName, &Spec),
    (aws, key): (&Aws, &FingerprintKey),
    config: &Config,
) -> Verified {
    let reads = reads::of(config).into_keys();
    let reads: Vec<Read> = reads.filter(|read| read.store == *name).collect();
    let store = Store::new(name, spec, (aws, key), Reporter::new(|_| {}));
    let of_aws = match spec {
        Spec::SecretsManager(spec) => Some((Service::SecretsManager, spec)),
        Spec::ParameterStore(spec) => Some((Service::ParameterStore, spec)),
        Spec::File(_) => None,
    };
    let progress = Progress::of(name.as_str());
    let walk = Walk::new(&store, reads, of_aws.is_some());
    let walk = Box::pin(walk.run(|now| progress.show(now)));
    let batches = of_aws.is_some_and(|(_, spec)| spec.fetch == Fetch::Auto);
    let (walked, identity) = tokio::join!(walk, Box::pin(whose(aws, of_aws)));
    progress.erase();
    Verified {
        store: name.clone(),
        account: of_aws.and_then(|(_, spec)| spec.account.clone()),
        identity,
        without_batches: batches && walked.without_batches,
        walked,
    }
}

/// Whose credentials a store uses; `None` where it uses none.
async fn whose(
    aws: &Aws,
    of_aws: Option<(Service, &AwsStore)>,
) -> Option<Result<identity::Identity, Failure>> {
    let (service, spec) = of_aws?;
    let endpoint_url = spec.auth.sts_endpoint_url.as_deref();
    Some(match aws.upstream(service, spec).session().await {
        Ok(session) => identity::ask(session, endpoint_url).await,
        Err(failure) => Err(failure),
    })
}

/// One line on a terminal that says how far it is; elsewhere nothing.
struct Progress<'a> {
    what: &'a str,
    shown: bool,
}

impl<'a> Progress<'a> {
    fn of(what: &'a str) -> Self {
        let shown = io::stderr().is_terminal();
        Self { what, shown }
    }

    fn show(&self, (done, all): (usize, usize)) {
        if self.shown {
            let line = format!("\r\x1b[Kchecking {}: {done} of {all}", self.what);
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }

    fn erase(&self) {
        if self.shown {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}
