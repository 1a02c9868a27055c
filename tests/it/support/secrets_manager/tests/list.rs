//! Listings: tags, filters, pages, and what a list does not show.

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::list_secrets::builders::ListSecretsFluentBuilder;
use aws_sdk_secretsmanager::operation::list_secrets::{ListSecretsError, ListSecretsOutput};
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType as Key};

use super::super::super::http::block_on;
use super::super::{Operation, SecretsManager};
use super::client;

type Listing = Result<ListSecretsOutput, Box<SdkError<ListSecretsError>>>;

fn send(request: ListSecretsFluentBuilder) -> Listing {
    block_on(request.send()).map_err(Box::new)
}

fn filter(key: Key, values: &[&str]) -> Filter {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Filter::builder().key(key).set_values(Some(values)).build()
}

fn names(answer: &ListSecretsOutput) -> Vec<&str> {
    let list = answer.secret_list().iter();
    list.map(|secret| secret.name().unwrap()).collect()
}

fn found(aws: &SecretsManager, filters: Vec<Filter>) -> Vec<String> {
    let answer = send(client(aws).list_secrets().set_filters(Some(filters))).unwrap();
    names(&answer).into_iter().map(str::to_owned).collect()
}

#[test]
fn an_item_says_all_but_the_value() {
    let aws = SecretsManager::start();
    let first = aws.put("prod/db", "one");
    let second = aws.put("prod/db", "two");
    aws.tag("prod/db", "team", "payments");
    let answer = send(client(&aws).list_secrets()).unwrap();
    let [secret] = answer.secret_list() else {
        panic!("one secret");
    };
    assert_eq!(secret.arn(), Some(aws.arn("prod/db").as_str()));
    let stages = secret.secret_versions_to_stages().unwrap();
    assert_eq!(stages[&second], ["AWSCURRENT"]);
    assert_eq!(stages[&first], ["AWSPREVIOUS"]);
    let tag = &secret.tags()[0];
    assert_eq!((tag.key(), tag.value()), (Some("team"), Some("payments")));
    assert!(secret.last_changed_date() >= secret.created_date());
    let described = client(&aws).describe_secret().secret_id("prod/db");
    let described = block_on(described.send()).unwrap();
    assert_eq!(described.tags(), secret.tags());
    assert_eq!(aws.log().calls(Operation::ListSecrets), 1);
}

#[test]
fn filters_are_prefixes_and_know_nothing_of_each_other() {
    let aws = SecretsManager::start();
    for name in ["prod/a", "prod/b", "Prod/c", "test/d"] {
        aws.put(name, "x");
    }
    aws.tag("prod/a", "team", "payments");
    aws.tag("prod/b", "team", "search");
    aws.tag("prod/b", "former-team", "payments");
    let name = |values: &[&str]| filter(Key::Name, values);
    let (key, value) = (Key::TagKey, Key::TagValue);
    assert_eq!(found(&aws, vec![name(&["prod/"])]), ["prod/a", "prod/b"]);
    assert_eq!(found(&aws, vec![name(&["Pr", "te"])]), ["Prod/c", "test/d"]);
    assert_eq!(found(&aws, vec![name(&["!prod"])]), ["Prod/c", "test/d"]);
    let both = vec![
        filter(key.clone(), &["te"]),
        filter(value.clone(), &["pay"]),
    ];
    assert_eq!(found(&aws, both), ["prod/a", "prod/b"]);
    let search = vec![filter(key, &["team"]), filter(value, &["search"])];
    assert_eq!(found(&aws, search), ["prod/b"]);
    for refused in [name(&["a*"]), name(&["x"; 11]), filter(Key::All, &["x"])] {
        assert!(send(client(&aws).list_secrets().filters(refused)).is_err());
    }
}

#[test]
fn a_token_goes_on_with_its_own_question_only() {
    let aws = SecretsManager::start();
    for i in 0..5 {
        aws.put(&format!("s{i}"), "x");
    }
    let page = |size: i32, token: Option<&str>| {
        let request = client(&aws).list_secrets().max_results(size);
        request.set_next_token(token.map(str::to_owned))
    };
    let first = send(page(2, None)).unwrap();
    assert_eq!(names(&first), ["s0", "s1"]);
    let second = send(page(3, first.next_token())).unwrap();
    assert_eq!(names(&second), ["s2", "s3", "s4"]);
    assert_eq!(second.next_token(), None);
    let other = page(2, first.next_token()).filters(filter(Key::Name, &["s"]));
    for request in [page(2, Some("s1")), other] {
        let refused = send(request).unwrap_err();
        assert_eq!(refused.code(), Some("InvalidNextTokenException"));
    }
    assert!(send(page(101, None)).is_err());
    assert!(send(page(0, None)).is_err());
}

#[test]
fn empty_pages_come_before_each_page() {
    let aws = SecretsManager::start();
    for name in ["a", "b", "c"] {
        aws.put(name, "x");
    }
    aws.empty_pages();
    let (mut sizes, mut token) = (Vec::new(), None);
    loop {
        let request = client(&aws).list_secrets().max_results(2);
        let page = send(request.set_next_token(token)).unwrap();
        sizes.push(page.secret_list().len());
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [0, 2, 0, 1]);
}

#[test]
fn what_a_list_does_not_show() {
    let aws = SecretsManager::start();
    for name in ["there", "late", "pending"] {
        aws.put(name, "x");
    }
    aws.put_foreign("210987654321", "theirs", "x");
    aws.schedule_deletion("pending");
    aws.list_hides("late");
    assert_eq!(found(&aws, vec![]), ["there"]);
    aws.list_shows("late");
    assert_eq!(found(&aws, vec![]), ["late", "there"]);
    aws.deny_list();
    let refused = send(client(&aws).list_secrets()).unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    aws.allow_list();
    assert!(send(client(&aws).list_secrets()).is_ok());
}
