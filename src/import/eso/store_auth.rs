//! How a store of ESO logs in at AWS.

use super::super::context::Context;
use super::super::draft::{Auth, KeySource, Keys};
use super::super::texts;
use super::super::tree::{Field, Map};
use super::store::pairs;

const OWN_IDENTITY: &str = "ESO's pod had an identity of its own; here it is that of this machine, which must be allowed the same";
const TRUST: &str = "the identity of this machine assumes the service account's role here: its trust policy must allow that";

type Around<'a> = (Option<&'a str>, &'a Context);

pub(super) fn read(aws: Map<'_>, around: Around<'_>, comments: &mut Vec<String>) -> Auth {
    let (_, cx) = around;
    let mut auth = Auth {
        sts_endpoint: cx.kes.eso_sts_endpoint(),
        ..Auth::default()
    };
    if let Some(field) = aws.get("auth") {
        base(field, around, (&mut auth, comments));
    } else {
        cx.note(OWN_IDENTITY);
        comments.push(format!("{OWN_IDENTITY}."));
    }
    if let Some(field) = aws.get("additionalRoles") {
        auth.chain.extend(texts(field));
    }
    let role = aws.text("role").filter(|role| !role.is_empty());
    auth.role = role.map(str::to_owned);
    last_role(aws, &mut auth);
    if auth.role.is_none() {
        // A chain ends with the role that is used.
        auth.role = auth.chain.pop();
    }
    auth
}

fn base(
    field: &Field,
    (namespace, cx): Around<'_>,
    (auth, comments): (&mut Auth, &mut Vec<String>),
) {
    let Some(map) = field.map() else {
        return;
    };
    let (jwt, keys) = (map.get("jwt"), map.get("secretRef"));
    if let Some(jwt) = jwt {
        service_account(jwt, (namespace, cx), auth);
        comments.push(format!("{TRUST}."));
        if let Some(keys) = keys {
            keys.warn_whole("left out: beside `jwt` ESO does not use it");
        }
        return;
    }
    if let Some(keys) = keys {
        auth.keys = secret_ref(keys, namespace);
    } else {
        cx.note(OWN_IDENTITY);
    }
}

/// Its role is known where the account is in the input.
fn service_account(jwt: &Field, (namespace, cx): Around<'_>, auth: &mut Auth) {
    let account = jwt.map().and_then(|jwt| jwt.get("serviceAccountRef"));
    let Some(account) = account.and_then(Field::map) else {
        jwt.refuse("`serviceAccountRef` is missing");
        return;
    };
    if let Some(field) = account.get("audiences") {
        field.warn_whole("left out: no token of a service account is used here");
    }
    let name = account.text("name").unwrap_or_default();
    let own = account.text("namespace").or(namespace);
    let Some(namespace) = own else {
        jwt.refuse("the service account is another one in each namespace; write a store for each, and name it with `--store NAME=OURS`");
        return;
    };
    match cx.roles.get(&(namespace.to_owned(), name.to_owned())) {
        Some(role) => {
            jwt.warn(TRUST);
            auth.chain.push(role.clone());
        }
        None => jwt.refuse(
            "the role is at the service account, which is not in the input; add that, or name a store of yours with `--store NAME=OURS`",
        ),
    }
}

fn secret_ref(field: &Field, namespace: Option<&str>) -> Option<Keys> {
    let map = field.map()?;
    let one = |key: &str| source(map.get(key)?, namespace);
    let (id, secret) = (one("accessKeyIDSecretRef"), one("secretAccessKeySecretRef"));
    let token = one("sessionTokenSecretRef");
    field.warn("read from the Secret by the identity of the kubeconfig, which must be allowed to");
    if id.is_none() || secret.is_none() {
        field.refuse("it needs `accessKeyIDSecretRef` and `secretAccessKeySecretRef`");
    }
    Some(Keys {
        id: id?,
        secret: secret?,
        token,
    })
}

fn source(field: &Field, namespace: Option<&str>) -> Option<KeySource> {
    let map = field.map()?;
    let (name, key) = (map.text("name"), map.text("key"));
    let Some(namespace) = map.text("namespace").or(namespace) else {
        field.refuse("without `namespace` it is another Secret in each namespace; write a store for each, and name it with `--store NAME=OURS`");
        return None;
    };
    if name.is_none() || key.is_none() {
        field.refuse("it needs `name` and `key`");
    }
    Some(KeySource::Secret {
        namespace: namespace.to_owned(),
        name: name?.to_owned(),
        key: key?.to_owned(),
    })
}

/// What the last role gets, which without a role has no effect.
fn last_role(aws: Map<'_>, auth: &mut Auth) {
    let external_id = aws.text("externalID").filter(|id| !id.is_empty());
    let tags = aws.get("sessionTags").map(pairs).unwrap_or_default();
    let transitive = aws.get("transitiveTagKeys").map(texts).unwrap_or_default();
    if let Some(field) = aws.get("sessionTagsPolicy")
        && field.text().is_some_and(|policy| policy != "None")
    {
        field.refuse("ESO's own session tags are not set here; write the tags that the trust policy asks for as `sessionTags`");
    }
    if let Some(field) = aws.get("customSessionTags") {
        field.refuse("write the tags that the trust policy asks for as `sessionTags`");
    }
    if auth.role.is_some() {
        auth.external_id = external_id.map(str::to_owned);
        auth.session_tags = tags;
        auth.transitive_tag_keys = transitive;
        return;
    }
    for key in ["externalID", "sessionTags", "transitiveTagKeys"] {
        if let Some(field) = aws.get(key) {
            field.warn_whole("left out: without `role` it has no effect");
        }
    }
}
