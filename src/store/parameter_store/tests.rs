use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ssm::types::builders::ParameterBuilder;
use aws_sdk_ssm::types::{Parameter, ParameterType};

use super::batch::Sorted;
use super::*;
use crate::aws::trouble::Quoted;
use crate::aws::{Aws, Service, Trouble};
use crate::config::{AwsAuth, AwsStore, Find, NamePattern, Rates, Version};
use crate::failure::Reason;
use crate::names::{AccountId, RemoteKey};
use crate::store::Identity;
use crate::store::apart::Why;

const REGION: &str = "eu-west-1";
const ARN: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/db";

fn store_with(fetch: Fetch, account: Option<&str>) -> ParameterStore {
    let spec = AwsStore {
        region: Some(REGION.into()),
        account: account.map(|account| AccountId::new(account).unwrap()),
        fetch,
        requests_per_second: Rates::PARAMETER_STORE,
        endpoint_url: None,
        auth: AwsAuth::DEFAULT,
    };
    let upstream = Aws::default().upstream(Service::ParameterStore, &spec);
    let name = StoreName::new("prod").unwrap();
    let parts = (Arc::clone(&upstream), FingerprintKey::new([7; 32]));
    ParameterStore::new(name, spec, parts, Reporter::new(|_| {}))
}

fn store() -> ParameterStore {
    store_with(Fetch::Auto, None)
}

fn key(text: &str) -> RemoteKey {
    RemoteKey::new(text).unwrap()
}

fn read(key_text: &str, version: Version) -> Read {
    Read::new(
        StoreName::new("prod").unwrap(),
        Source::Value {
            key: key(key_text),
            version,
        },
    )
}

fn parameter() -> ParameterBuilder {
    Parameter::builder()
        .name("/prod/db")
        .arn(ARN)
        .r#type(ParameterType::SecureString)
        .version(3)
        .value("value")
}

fn reason(key_text: &str, version: Version, parameter: ParameterBuilder) -> Option<Reason> {
    let (key, version) = (key(key_text), version);
    let asked = Asked {
        key: &key,
        version: &version,
    };
    let answer = store().checked(REGION, asked, parameter.build());
    answer.err().map(|failure| failure.reason)
}

#[test]
fn the_right_answer_is_taken_by_name_and_arn() {
    let number = |text: &str| Version::Id(text.into());
    let label = || Version::Stage("live".into());
    let taken = |key, version, parameter| assert_eq!(reason(key, version, parameter), None);
    taken("/prod/db", Version::Current, parameter());
    taken(ARN, Version::Current, parameter());
    taken(ARN, Version::Current, parameter().name(ARN));
    taken("/prod/db", number("3"), parameter());
    taken("/prod/db", number("3"), parameter().selector(":3"));
    taken(ARN, number("3"), parameter().selector("3"));
    taken("/prod/db", label(), parameter().selector(":live"));
    let bare = "arn:aws:ssm:eu-west-1:123456789012:parameter/x";
    taken("x", Version::Current, parameter().name("x").arn(bare));
    let list = parameter().r#type(ParameterType::StringList);
    taken("/prod/db", Version::Current, list);
}

#[test]
fn an_answer_that_is_not_what_was_asked_is_malformed() {
    let current = || Version::Current;
    let refused = |key, version, parameter| {
        assert_eq!(reason(key, version, parameter), Some(Reason::Malformed));
    };
    refused("/prod/db", current(), Parameter::builder());
    // Nothing else in an answer says under which label it was found.
    refused("/prod/db", Version::Stage("live".into()), parameter());
    refused("/prod/other", current(), parameter());
    refused("/prod/d", current(), parameter());
    refused("prod/db", current(), parameter());
    refused("/prod/db", current(), parameter().name("/prod/other"));
    let elsewhere = ARN.replace(REGION, "us-east-1");
    refused("/prod/db", current(), parameter().arn(elsewhere));
    let other = ARN.replace("/db", "/dc");
    refused("/prod/db", current(), parameter().arn(other.clone()));
    refused(&other, current(), parameter());
    let secret = ARN.replace(":ssm:", ":secretsmanager:");
    refused("/prod/db", current(), parameter().arn(secret));
    refused("/prod/db", current(), parameter().value(""));
    refused("/prod/db", current(), parameter().set_value(None));
    refused("/prod/db", current(), parameter().version(0));
    refused("/prod/db", current(), parameter().selector(":2"));
    refused("/prod/db", Version::Id("2".into()), parameter());
    let other_label = parameter().selector(":old");
    refused("/prod/db", Version::Stage("live".into()), other_label);
    refused("/prod/db", current(), parameter().set_type(None));
    let strange = parameter().r#type(ParameterType::from("Blob"));
    refused("/prod/db", current(), strange);
}

#[test]
fn an_answer_of_another_account_is_malformed_once_the_account_is_known() {
    let (key, version) = (key("/prod/db"), Version::Current);
    let asked = Asked {
        key: &key,
        version: &version,
    };
    let other = ARN.replace("123456789012", "210987654321");
    let ask = |store: &ParameterStore, arn: &str| {
        let parameter = parameter().arn(arn).build();
        store.checked(REGION, asked, parameter).is_ok()
    };
    let configured = store_with(Fetch::Auto, Some("123456789012"));
    assert!(!ask(&configured, &other) && ask(&configured, ARN));
    let learnt = store();
    assert!(ask(&learnt, ARN) && !ask(&learnt, &other));
}

#[test]
fn what_aws_publishes_is_of_no_account_and_a_reference_has_no_number() {
    let public = parameter()
        .name("/aws/service/x/id")
        .arn("arn:aws:ssm:eu-west-1::parameter/aws/service/x/id");
    assert_eq!(reason("/aws/service/x/id", Version::Current, public), None);
    let nobody = parameter().arn("arn:aws:ssm:eu-west-1::parameter/prod/db");
    let store = store_with(Fetch::Auto, Some("123456789012"));
    let (own, version) = (key("/prod/db"), Version::Current);
    let asked = Asked {
        key: &own,
        version: &version,
    };
    assert!(store.checked(REGION, asked, nobody.build()).is_err());

    let name = "/aws/reference/secretsmanager/db";
    let reference = parameter()
        .name(name)
        .version(0)
        .arn("arn:aws:ssm:eu-west-1:123456789012:parameter/aws/reference/secretsmanager/db");
    let of = key(name);
    let asked = Asked { key: &of, ..asked };
    let answer = store.checked(REGION, asked, reference.build()).unwrap();
    assert!(matches!(answer.identity, Identity::Fingerprint(_)));
}

#[tokio::test(start_paused = true)]
async fn values_travel_in_tens_whatever_their_version() {
    let now = Instant::now();
    let store = store();
    let label = Version::Stage("live".into());
    for version in [Version::Current, Version::Id("3".into()), label] {
        let lane = store.lane(&read("/prod/db", version), now);
        assert_eq!(lane.operation, StoreOperation::GetParameters);
        assert_eq!(lane.size, 10);
    }
    let single = store_with(Fetch::Single, None);
    let lane = single.lane(&read("/prod/db", Version::Current), now);
    assert_eq!(lane.operation, StoreOperation::GetParameter);

    store.caller.upstream.refused_batches(now);
    let lane = store.lane(&read("/prod/db", Version::Current), now);
    assert_eq!(lane.operation, StoreOperation::GetParameter);
}

#[tokio::test(start_paused = true)]
async fn lists_and_tags_have_lanes_of_their_own() {
    let now = Instant::now();
    let lane = |source| {
        let store_name = StoreName::new("prod").unwrap();
        let read = Read::new(store_name, source);
        store().lane(&read, now).operation
    };
    let find = Find::default();
    let tagged = Find {
        tags: [("team".into(), "pay".into())].into(),
        ..Find::default()
    };
    let tags = Source::Metadata { key: key("x") };
    assert_eq!(lane(tags), StoreOperation::ListTagsForResource);
    assert_eq!(
        lane(Source::Find(find.into())),
        StoreOperation::GetParametersByPath
    );
    assert_eq!(
        lane(Source::Find(tagged.into())),
        StoreOperation::DescribeParameters
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_denied_alone_tries_a_batch_by_itself_after_an_hour() {
    let now = Instant::now();
    let store = store();
    let denied = read("/prod/db", Version::Current);
    let name = "/prod/db".to_owned();
    let lane = |store: &ParameterStore, at| {
        let lane = store.lane(&denied, at);
        (lane.operation, lane.size)
    };
    let later = now + Duration::from_hours(1);
    let _ = store.together().apart.set(&name, Why::Unclear, now);
    store.together().apart.failed(&name, Reason::AccessDenied);
    assert_eq!(lane(&store, now), (StoreOperation::GetParameter, 1));
    assert_eq!(lane(&store, later), (StoreOperation::GetParameters, 1));
    store.together().apart.failed(&name, Reason::NotFound);
    assert_eq!(lane(&store, later), (StoreOperation::GetParameter, 1));
    store.together().apart.answered(&name, later);
    assert_eq!(lane(&store, later), (StoreOperation::GetParameters, 10));
}

#[tokio::test(start_paused = true)]
async fn a_batch_gives_every_read_its_own_answer_and_loses_none() {
    let store = store();
    let names = ["/prod/db", "/prod/gone", "/prod/lost", "/prod/twice"];
    let reads = names.map(|name| read(name, Version::Current));
    let twice = || {
        let arn = ARN.replace("/db", "/twice");
        parameter().name("/prod/twice").arn(arn).build()
    };
    let sorted = Sorted {
        values: vec![twice(), parameter().build(), twice()],
        invalid: vec!["/prod/gone".into()],
    };
    let fetched = store.sorted_out(REGION, reads.to_vec(), sorted);
    assert!(matches!(&fetched[0].1, Fetched::Done(Ok(_))));
    assert!(matches!(&fetched[1].1, Fetched::Alone));
    for place in [2, 3] {
        let Fetched::Done(Err(failure)) = &fetched[place].1 else {
            panic!("{:?}", fetched[place]);
        };
        assert_eq!(failure.reason, Reason::Malformed);
    }
    let lane = store.lane(&reads[1], Instant::now());
    assert_eq!(lane.operation, StoreOperation::GetParameter);
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_asked_one_by_one_and_a_refused_name_by_itself_is_not() {
    let store = store();
    let denied = || Trouble::Refused {
        code: "AccessDeniedException".into(),
        message: Quoted::new("hunter2".into()),
    };
    let names = ["/prod/db".to_owned(), "/prod/other".to_owned()];
    let reads = names.clone().map(|name| read(&name, Version::Current));
    let fetched = store.not_together(reads.to_vec(), &names, denied());
    for (read, end) in &fetched {
        assert!(matches!(end, Fetched::Alone));
        let lane = store.lane(read, Instant::now());
        assert_eq!(lane.operation, StoreOperation::GetParameter);
    }
    let why = Reason::AccessDenied;
    store.together().apart.failed(&names[0], why);
    let fetched = store.not_together(reads[..1].to_vec(), &names[..1], denied());
    let Fetched::Done(Err(failure)) = &fetched[0].1 else {
        panic!("{fetched:?}");
    };
    assert_eq!(failure.reason, Reason::AccessDenied);
}

#[tokio::test(start_paused = true)]
async fn one_batch_names_a_parameter_once() {
    let store = store();
    let reads = vec![
        read("/prod/db", Version::Current),
        read("/prod/db", Version::Id("2".into())),
        read(ARN, Version::Current),
        read("/prod/other", Version::Current),
    ];
    let (first, again) = store.one_of_each(reads.clone());
    assert_eq!(first, [reads[0].clone(), reads[3].clone()]);
    assert_eq!(again, [reads[1].clone(), reads[2].clone()]);
    for read in &again {
        let lane = store.lane(read, Instant::now());
        assert_eq!(lane.operation, StoreOperation::GetParameter);
    }
}

#[test]
fn a_find_matches_whole_levels_and_the_full_name() {
    let find = |path: Option<&str>, name: &str| Find {
        path: path.map(Into::into),
        name: NamePattern::new(name),
        ..Find::default()
    };
    let wants = |find: &Find, name| find::wants(find, name);
    let below = find(Some("/prod"), "");
    assert!(wants(&below, "/prod/db") && wants(&below, "/prod/a/b"));
    assert!(!wants(&below, "/production/db") && !wants(&below, "/prod"));
    assert!(wants(&find(Some("/prod/"), "db$"), "/prod/db"));
    assert!(!wants(&find(Some("/prod/"), "^db$"), "/prod/db"));
    assert!(wants(&find(Some("/"), "db"), "db") && wants(&find(None, "db"), "/prod/db"));
}

#[test]
fn a_list_holds_only_what_names_itself() {
    let find = Find {
        path: Some("/prod".into()),
        ..Find::default()
    };
    let named = |name: &str, arn: &str| (Some(name.to_owned()), Some(arn.to_owned()));
    let matched = |names: Vec<_>| store().matched(REGION, &find, names);
    let other = "arn:aws:ssm:eu-west-1:123456789012:parameter/x";
    let found = matched(vec![named("/prod/db", ARN), named("x", other)]).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].arn.as_str(), ARN);
    assert!(matched(vec![named("/prod/db", other)]).is_err());
    assert!(matched(vec![(None, Some(ARN.into()))]).is_err());
}

#[test]
fn every_tag_and_the_path_are_filters() {
    let find = Find {
        path: Some("/prod".into()),
        tags: [("env", "prod"), ("team", "pay")]
            .map(|(key, value)| (key.into(), value.into()))
            .into(),
        ..Find::default()
    };
    let told = find::filters(&find).unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|it| (it.key(), it.option().unwrap(), it.values()[0].as_str()))
        .collect();
    let wanted = [
        ("tag:env", "Equals", "prod"),
        ("tag:team", "Equals", "pay"),
        ("Path", "Recursive", "/prod"),
    ];
    assert_eq!(told, wanted);
    let everywhere = Find {
        path: Some("/".into()),
        ..find.clone()
    };
    assert_eq!(find::filters(&everywhere).unwrap().len(), 2);
}

#[test]
fn tags_of_an_arn_are_those_of_its_own_account_and_region() {
    let ours = store_with(Fetch::Auto, Some("123456789012"));
    ours.account.learn("123456789012");
    let name = |store: &ParameterStore, text: &str| store.name_of(REGION, &key(text)).ok();
    assert_eq!(name(&ours, "x"), Some("x".into()));
    assert_eq!(name(&ours, ARN), Some("/prod/db".into()));
    let flat = "arn:aws:ssm:eu-west-1:123456789012:parameter/x";
    assert_eq!(name(&ours, flat), Some("x".into()));
    assert_eq!(name(&ours, &ARN.replace("1234567", "7654321")), None);
    assert_eq!(name(&ours, &ARN.replace(REGION, "us-east-1")), None);
    assert_eq!(name(&store(), ARN), None);
}

#[test]
fn refusals_are_told_in_our_own_words() {
    let (of, version) = (key("/prod/db"), Version::Stage("live".into()));
    let asked = Asked {
        key: &of,
        version: &version,
    };
    let told = |code: &str, message: &str| {
        let failure = refusal::of_value(asked, code, &Quoted::new(message.to_owned()));
        assert!(message.is_empty() || !failure.fact.contains(message));
        failure.reason
    };
    let kms = "User: x is not authorized to perform: kms:Decrypt on resource: y";
    let ciphertext =
        "The ciphertext refers to a customer master key that does not exist, or is not yours.";
    let named_kms = "User: x is not authorized to perform: ssm:GetParameter on resource: kms-key";
    assert_eq!(told("ParameterNotFound", ""), Reason::NotFound);
    assert_eq!(told("ParameterVersionNotFound", "hunter2"), Reason::NoValue);
    assert_eq!(told("InvalidKeyId", "hunter2"), Reason::Kms);
    assert_eq!(told("AccessDeniedException", kms), Reason::Kms);
    assert_eq!(told("AccessDeniedException", ciphertext), Reason::Kms);
    let denied = told("AccessDeniedException", named_kms);
    assert_eq!(denied, Reason::AccessDenied);
    assert_eq!(told("ValidationException", "hunter2"), Reason::Invalid);
    assert_eq!(told("Whatever", "hunter2"), Reason::Malformed);
    let list = |code| refusal::of_list("ssm:DescribeParameters", code);
    let denied = list("AccessDeniedException");
    assert_eq!(denied.reason, Reason::AccessDenied);
    assert!(denied.fact.contains("ssm:DescribeParameters"));
    for code in [
        "InvalidFilterKey",
        "InvalidFilterValue",
        "ValidationException",
    ] {
        assert_eq!(list(code).reason, Reason::Invalid);
    }
    assert_eq!(list("InvalidNextToken").reason, Reason::Malformed);
}
