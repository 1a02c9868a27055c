//! No request that changes something goes past the tenure.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Server, apply, look, partial, place, status};
use crate::failure::{Failure, Reason};
use crate::kube::{
    Access, ApplyError, Client, Create, FieldManager, LeaseError, LeaseRecord, Ownership, Resource,
    Run, Tenure, Term,
};
use crate::names::{ResourceVersion, Uid};

#[tokio::test]
async fn nothing_is_written_when_the_tenure_is_over_and_everything_is_read() {
    let server = Server::start().await;
    let client = server.client();
    let now = crate::clock::since_boot();
    let (over, lasting) = (Term::begin(now), Term::begin(now + Duration::from_mins(1)));
    for tenure in [Tenure::never(), over.tenure()] {
        let client = client.under(&tenure);
        server.reply(200, partial("u-1", "7"));
        assert!(look(&client).await.unwrap().is_some());
        let Err(ApplyError::Failed(failure)) = apply(&client).await else {
            panic!("it was written");
        };
        assert_eq!(failure.reason, Reason::Timeout);
        assert!(failure.fact.contains("does not lead"), "{failure}");
    }
    assert_eq!(server.requests().len(), 2, "only the reads were sent");
    server.reply(200, partial("u-1", "8"));
    let client = client.under(&lasting.tenure());
    assert!(apply(&client).await.is_ok());
    drop(lasting);
    assert!(apply(&client).await.is_err());
    assert_eq!(server.requests().len(), 3);
}

async fn create(client: &Client, run: Run) -> Result<(), ApplyError> {
    let (namespace, name) = place();
    let create = Create {
        manager: FieldManager::new(&[]),
        body: Zeroizing::new(b"{}".to_vec()),
    };
    match run {
        Run::Dry => client.rehearse_create(&namespace, create).await,
        Run::Real => client
            .create_secret(&namespace, &name, create)
            .await
            .map(drop),
    }
}

async fn own(client: &Client) -> Result<(), ApplyError> {
    let (namespace, name) = place();
    let ownership = Ownership {
        uid: Uid::new("u").unwrap(),
        resource_version: ResourceVersion::new("7").unwrap(),
        managers: Vec::new(),
    };
    let manager = (&FieldManager::new(&[]), Run::Real);
    let owned = client.own_fields((&namespace, &name), &ownership, manager);
    owned.await.map(drop)
}

async fn delete(client: &Client) -> Result<(), Failure> {
    let (namespace, name) = place();
    let (uid, version) = (Uid::new("u").unwrap(), ResourceVersion::new("7").unwrap());
    let deleted = client.delete_secret(&namespace, &name, (&uid, &version));
    deleted.await.map(drop)
}

async fn take_lease(client: &Client) -> Result<(), LeaseError> {
    let (namespace, name) = place();
    let record = LeaseRecord {
        holder: "a".to_owned(),
        seconds: Some(2),
        acquired: None,
        renewed: None,
        transitions: 0,
        released_by: None,
    };
    let taken = client.create_lease((&namespace, &name), "default", &record);
    taken.await.map(drop)
}

#[tokio::test]
async fn no_way_to_write_goes_past_it() {
    let server = Server::start().await;
    let client = server.client().under(&Tenure::never());
    let failed = |error| match error {
        ApplyError::Failed(failure) => failure,
        ApplyError::Raced | ApplyError::Fields(..) => panic!("it was sent"),
    };
    let Err(LeaseError::Failed(of_lease)) = take_lease(&client).await else {
        panic!("it was sent");
    };
    let refused = [
        failed(apply(&client).await.unwrap_err()),
        failed(create(&client, Run::Real).await.unwrap_err()),
        failed(own(&client).await.unwrap_err()),
        delete(&client).await.unwrap_err(),
        of_lease,
    ];
    for failure in refused {
        assert!(failure.fact.contains("does not lead"), "{failure}");
    }
    assert!(server.requests().is_empty());
    assert!(server.facts.lock().unwrap().is_empty());
}

/// What is kept nowhere: rehearsals, and questions about permissions.
#[tokio::test]
async fn what_only_asks_needs_none() {
    let server = Server::start().await;
    let client = server.client().under(&Tenure::never());
    let (namespace, name) = place();
    server
        .reply(201, partial("u-1", "7"))
        .reply(201, partial("u-1", "7"))
        .reply(403, status("Forbidden", "{}"));
    assert!(create(&client, Run::Dry).await.is_ok());
    assert!(client.rehearse_empty(&namespace, &name).await.is_ok());
    let access = Access {
        verb: "get",
        resource: Resource::Secret,
        namespace: Some(&namespace),
        name: None,
    };
    assert!(client.may(access).await.is_err());
    assert_eq!(server.requests().len(), 3);
}
