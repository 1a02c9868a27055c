use std::time::Duration;

use super::*;
use crate::command::fixture::{
    aws, config, entry, file, find, metadata, secret, secrets_manager, value,
};
use crate::config::{AwsRole, DeletionPolicy, Entry, Fetch, OnMissing, Source, Target};
use crate::names::AccountId;

const HOUR: Duration = Duration::from_hours(1);

/// Of one store with these reads: what is printed.
fn told(store: Store, reads: impl IntoIterator<Item = Source>) -> Told {
    tell(
        &config([("prod", store)], [entry("prod", HOUR, reads)]),
        None,
    )
}

/// Only the resources, one a line, behind their statement's `Sid`.
fn resources(store: Store, reads: impl IntoIterator<Item = Source>) -> String {
    let config = config([("prod", store)], [entry("prod", HOUR, reads)]);
    let statements = policy(&config, &stores(&config, None)).statement;
    let lines = statements.iter().flat_map(|it| {
        let resources = it.resource.iter();
        resources.map(|resource| format!("{} {resource}\n", it.sid))
    });
    lines.collect()
}

fn role(arn: &str, session_tags: &[(&str, &str)]) -> AwsRole {
    let tags = session_tags.iter();
    AwsRole {
        arn: RoleArn::new(arn).unwrap(),
        external_id: None,
        session_name: None,
        session_tags: tags.map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        transitive_tag_keys: Vec::new(),
    }
}

#[test]
fn a_store_of_secrets_has_a_policy_with_reasons() {
    let mut spec = aws();
    spec.account = Some(AccountId::new("123456789012").unwrap());
    let reads = [
        value("prod/db"),
        value("prod/api"),
        metadata("prod/db"),
        find("app/", []),
        find("pay/", [("team", "pay"), ("env", "prod")]),
    ];
    let told = told(Store::SecretsManager(spec), reads);
    insta::assert_snapshot!(told.json, @r#"
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "ReadSecrets",
          "Effect": "Allow",
          "Action": [
            "secretsmanager:GetSecretValue"
          ],
          "Resource": [
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/*",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/api-??????",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-??????"
          ]
        },
        {
          "Sid": "ReadSecretsWithTags1",
          "Effect": "Allow",
          "Action": [
            "secretsmanager:GetSecretValue"
          ],
          "Resource": [
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:pay/*"
          ],
          "Condition": {
            "StringEquals": {
              "secretsmanager:ResourceTag/env": "prod",
              "secretsmanager:ResourceTag/team": "pay"
            }
          }
        },
        {
          "Sid": "BatchReadSecrets",
          "Effect": "Allow",
          "Action": [
            "secretsmanager:BatchGetSecretValue"
          ],
          "Resource": [
            "*"
          ]
        },
        {
          "Sid": "ListSecrets",
          "Effect": "Allow",
          "Action": [
            "secretsmanager:ListSecrets"
          ],
          "Resource": [
            "*"
          ]
        },
        {
          "Sid": "DescribeSecrets",
          "Effect": "Allow",
          "Action": [
            "secretsmanager:DescribeSecret"
          ],
          "Resource": [
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-??????"
          ]
        }
      ]
    }
    "#);
    insta::assert_snapshot!(told.remarks, @r#"
    store prod:
      ReadSecrets: the values of secrets; `-??????` is the random end of an ARN
      ReadSecretsWithTags1: the values of what a `find` with these tags matches
      BatchReadSecrets: 20 values in one call. AWS takes no narrower resource; it opens no secret, for GetSecretValue is checked for each. Without it they are read one by one
      ListSecrets: `find`. AWS takes no narrower resource
      DescribeSecrets: the tags of secrets (`metadata = true`, and to see whether what a `find` lost is gone)
      note: a secret with a customer managed key also needs kms:Decrypt on that key (condition kms:ViaService = secretsmanager.eu-west-1.amazonaws.com)
    "#);
}

#[test]
fn a_store_of_parameters_has_a_policy_with_reasons() {
    let reads = [
        value("/app/db"),
        value("plain"),
        value("/aws/service/ami"),
        value("arn:aws:ssm:eu-west-1:210987654321:parameter/shared"),
        metadata("/app/db"),
        find("/pay/", []),
        find("", [("team", "pay")]),
    ];
    let told = told(Store::ParameterStore(aws()), reads);
    insta::assert_snapshot!(told.json, @r#"
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "ReadParameters",
          "Effect": "Allow",
          "Action": [
            "ssm:GetParameter",
            "ssm:GetParameters"
          ],
          "Resource": [
            "arn:aws:ssm:eu-west-1:*:parameter/app/db",
            "arn:aws:ssm:eu-west-1:*:parameter/pay/*",
            "arn:aws:ssm:eu-west-1:*:parameter/plain",
            "arn:aws:ssm:eu-west-1:210987654321:parameter/shared",
            "arn:aws:ssm:eu-west-1::parameter/aws/service/ami"
          ]
        },
        {
          "Sid": "ReadParametersWithTags1",
          "Effect": "Allow",
          "Action": [
            "ssm:GetParameter",
            "ssm:GetParameters"
          ],
          "Resource": [
            "arn:aws:ssm:eu-west-1:*:parameter/*"
          ],
          "Condition": {
            "StringEquals": {
              "ssm:resourceTag/team": "pay"
            }
          }
        },
        {
          "Sid": "ListParametersByPath",
          "Effect": "Allow",
          "Action": [
            "ssm:GetParametersByPath"
          ],
          "Resource": [
            "arn:aws:ssm:eu-west-1:*:parameter/pay",
            "arn:aws:ssm:eu-west-1:*:parameter/pay/*"
          ]
        },
        {
          "Sid": "DescribeParameters",
          "Effect": "Allow",
          "Action": [
            "ssm:DescribeParameters"
          ],
          "Resource": [
            "*"
          ]
        },
        {
          "Sid": "ListTagsOfParameters",
          "Effect": "Allow",
          "Action": [
            "ssm:ListTagsForResource"
          ],
          "Resource": [
            "arn:aws:ssm:eu-west-1:*:parameter/app/db"
          ]
        }
      ]
    }
    "#);
    insta::assert_snapshot!(told.remarks, @r#"
    store prod:
      ReadParameters: the values of parameters, 10 in one call, and alone what is not answered there
      ReadParametersWithTags1: the values of what a `find` with these tags matches
      ListParametersByPath: `find`. AWS checks the path itself and what is below it
      DescribeParameters: `find` with tags. AWS takes no narrower resource
      ListTagsOfParameters: the tags of parameters (`metadata = true`, and to see whether what a `find` lost is gone)
      note: a SecureString with a customer managed key also needs kms:Decrypt on that key (condition kms:ViaService = ssm.eu-west-1.amazonaws.com)
      note: with `account` in the store's table the policy is narrower: `*` stands in its place
    "#);
}

#[test]
fn keys_become_resources() {
    let arn = "arn:aws:secretsmanager:eu-west-1:210987654321:secret:shared/db";
    let reads = [
        value("name"),
        value(arn),
        value(&format!("{arn}-a1B2c3")),
        value("odd*?${aws:username}"),
    ];
    insta::assert_snapshot!(resources(secrets_manager(), reads), @r#"
    ReadSecrets arn:aws:secretsmanager:eu-west-1:*:secret:name-??????
    ReadSecrets arn:aws:secretsmanager:eu-west-1:*:secret:odd${*}${?}${$}{aws:username}-??????
    ReadSecrets arn:aws:secretsmanager:eu-west-1:210987654321:secret:shared/db-??????
    ReadSecrets arn:aws:secretsmanager:eu-west-1:210987654321:secret:shared/db-a1B2c3
    BatchReadSecrets *
    "#);
}

#[test]
fn what_a_wider_resource_allows_is_left_out() {
    let reads = [
        value("app/db"),
        value("other"),
        find("app/", []),
        find("app/x/", []),
        find("app/", [("team", "pay")]),
        find("pay/", [("team", "pay")]),
        find("", [("team", "ops")]),
    ];
    insta::assert_snapshot!(resources(secrets_manager(), reads), @r#"
    ReadSecrets arn:aws:secretsmanager:eu-west-1:*:secret:app/*
    ReadSecrets arn:aws:secretsmanager:eu-west-1:*:secret:other-??????
    ReadSecretsWithTags1 arn:aws:secretsmanager:eu-west-1:*:secret:*
    ReadSecretsWithTags2 arn:aws:secretsmanager:eu-west-1:*:secret:pay/*
    BatchReadSecrets *
    ListSecrets *
    "#);
    let all = [value("app/db"), find("", [("team", "ops")]), find("", [])];
    insta::assert_snapshot!(resources(secrets_manager(), all), @r#"
    ReadSecrets arn:aws:secretsmanager:eu-west-1:*:secret:*
    BatchReadSecrets *
    ListSecrets *
    "#);
    let parameters = [value("/app/db"), find("/app", []), find("/", [])];
    insta::assert_snapshot!(resources(Store::ParameterStore(aws()), parameters), @r#"
    ReadParameters arn:aws:ssm:eu-west-1:*:parameter/*
    ListParametersByPath arn:aws:ssm:eu-west-1:*:parameter/*
    "#);
}

#[test]
fn without_batches_nothing_is_allowed_for_them() {
    let mut spec = aws();
    spec.fetch = Fetch::Single;
    let one = resources(Store::SecretsManager(spec.clone()), [value("a")]);
    assert!(one.starts_with("ReadSecrets arn:") && one.lines().count() == 1);
    let old = Source::Value {
        key: crate::names::RemoteKey::new("a").unwrap(),
        version: crate::config::Version::Stage("AWSPREVIOUS".into()),
    };
    let old = resources(secrets_manager(), [old]);
    assert!(!old.contains("BatchReadSecrets"), "{old}");
    let one = told(Store::ParameterStore(spec), [value("a")]).json;
    assert!(one.contains("ssm:GetParameter\"") && !one.contains("ssm:GetParameters\""));
}

#[test]
fn partition_region_and_account_are_those_that_are_known() {
    let resource = |region: Option<&str>, of: Option<&str>| {
        let mut spec = aws();
        spec.region = region.map(str::to_owned);
        spec.auth.role = of.map(|arn| role(arn, &[]));
        let store = Store::SecretsManager(spec);
        resources(store, [metadata("a")]).replace("DescribeSecrets ", "")
    };
    let china = "arn:aws-cn:iam::123456789012:role/read";
    let all = [
        resource(None, None),
        resource(Some("us-gov-west-1"), None),
        resource(Some("cn-north-1"), Some(china)),
        resource(None, Some(china)),
    ];
    insta::assert_snapshot!(all.concat(), @r#"
    arn:aws:secretsmanager:*:*:secret:a-??????
    arn:aws-us-gov:secretsmanager:us-gov-west-1:*:secret:a-??????
    arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a-??????
    arn:aws-cn:secretsmanager:*:123456789012:secret:a-??????
    "#);
}

/// Two stores of different identities, one that is not read, and one that is not of AWS.
fn several() -> Config {
    let mut other = aws();
    other.auth.role_chain = vec![RoleArn::new("arn:aws:iam::111111111111:role/hub").unwrap()];
    let read = role("arn:aws:iam::222222222222:role/read", &[("team", "pay")]);
    other.auth.role = Some(read);
    config(
        [
            ("local", file()),
            ("other", Store::SecretsManager(other)),
            ("prod", secrets_manager()),
            ("unused", secrets_manager()),
        ],
        [
            entry("prod", HOUR, [metadata("a")]),
            entry("other", HOUR, [metadata("b")]),
            entry("local", HOUR, [value("c")]),
        ],
    )
}

#[test]
fn several_identities_have_a_policy_each() {
    let all = tell(&several(), None);
    insta::assert_snapshot!(all.json, @r#"
    {
      "other": {
        "Version": "2012-10-17",
        "Statement": [
          {
            "Sid": "DescribeSecrets",
            "Effect": "Allow",
            "Action": [
              "secretsmanager:DescribeSecret"
            ],
            "Resource": [
              "arn:aws:secretsmanager:eu-west-1:222222222222:secret:b-??????"
            ]
          }
        ]
      },
      "prod": {
        "Version": "2012-10-17",
        "Statement": [
          {
            "Sid": "DescribeSecrets",
            "Effect": "Allow",
            "Action": [
              "secretsmanager:DescribeSecret"
            ],
            "Resource": [
              "arn:aws:secretsmanager:eu-west-1:*:secret:a-??????"
            ]
          }
        ]
      }
    }
    "#);
    insta::assert_snapshot!(all.remarks, @r#"
    store other:
      DescribeSecrets: the tags of secrets (`metadata = true`, and to see whether what a `find` lost is gone)
      note: the base credentials must be allowed sts:AssumeRole on arn:aws:iam::111111111111:role/hub, by a policy of its own and by that role's trust policy
      note: arn:aws:iam::111111111111:role/hub must be allowed sts:AssumeRole and sts:TagSession on arn:aws:iam::222222222222:role/read, by a policy of its own and by that role's trust policy
    store prod:
      DescribeSecrets: the tags of secrets (`metadata = true`, and to see whether what a `find` lost is gone)
      note: with `account` in the store's table the policy is narrower: `*` stands in its place
    store unused: nothing is read, no policy is needed
    The stores have different identities: one policy for each, under the store's name.
    "#);
}

#[test]
fn a_store_that_is_named_has_its_policy_alone() {
    let config = several();
    let one = tell(&config, Some(&StoreName::new("prod").unwrap()));
    assert!(one.json.starts_with("{\n  \"Version\": \"2012-10-17\","));
    for (name, remark) in [
        ("local", "store local is not of AWS: it needs no policy"),
        (
            "unused",
            "store unused: nothing is read, no policy is needed\n",
        ),
    ] {
        let none = tell(&config, Some(&StoreName::new(name).unwrap()));
        assert_eq!((none.json.as_str(), none.remarks.as_str()), ("", remark));
    }
}

#[test]
fn stores_of_one_identity_share_a_policy() {
    let config = config(
        [
            ("parameters", Store::ParameterStore(aws())),
            ("secrets", secrets_manager()),
        ],
        [
            entry("parameters", HOUR, [metadata("/a")]),
            entry("secrets", HOUR, [metadata("a")]),
        ],
    );
    let told = tell(&config, None);
    insta::assert_snapshot!(told.json, @r#"
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "DescribeSecrets",
          "Effect": "Allow",
          "Action": [
            "secretsmanager:DescribeSecret"
          ],
          "Resource": [
            "arn:aws:secretsmanager:eu-west-1:*:secret:a-??????"
          ]
        },
        {
          "Sid": "ListTagsOfParameters",
          "Effect": "Allow",
          "Action": [
            "ssm:ListTagsForResource"
          ],
          "Resource": [
            "arn:aws:ssm:eu-west-1:*:parameter/a"
          ]
        }
      ]
    }
    "#);
    assert!(told.remarks.starts_with("stores parameters, secrets:\n"));
}

#[test]
fn a_policy_that_is_too_large_is_said_to_be() {
    let reads = (0..200).map(|n| value(&format!("app/{n}")));
    let told = told(secrets_manager(), reads);
    assert!(told.remarks.contains("larger than a managed policy"));
}

#[test]
fn a_find_that_may_lose_needs_the_tags_of_what_it_lost() {
    let mut entry = entry("s", Duration::from_mins(5), [find("prod/", [])]);
    let stores = || [("s", secrets_manager())];
    let json = |entry: &Entry| tell(&config(stores(), [entry.clone()]), None).json;
    assert!(!json(&entry).contains("DescribeSecret"));
    entry.data_from[0].on_missing = OnMissing::Drop;
    assert!(json(&entry).contains("secretsmanager:DescribeSecret"));
    // So does one whose target goes with all that it is made of.
    entry.data_from[0].on_missing = OnMissing::Fail;
    let mut owned = secret("main/app/db");
    for (policy, asks) in [
        (DeletionPolicy::Retain, false),
        (DeletionPolicy::Delete, true),
    ] {
        owned.deletion_policy = policy;
        entry.targets = vec![Target::Kubernetes(owned.clone().into())];
        assert_eq!(json(&entry).contains("DescribeSecret"), asks, "{policy:?}");
    }
}
