//! The store that an object needs: KES has none, but each object says where it reads.

use sha2::{Digest as _, Sha256};

use super::super::context::{Chosen, Context, Known};
use super::super::draft::{Auth, Service, Store};
use super::super::object::Object;
use super::super::scope::own_store_name;
use super::super::tree::Map;
use super::unused;

/// Trust policies may ask for it.
const SESSION: &str = "k8s-external-secrets";

pub(super) fn chosen(spec: Map<'_>, object: &Object<'_>, cx: &Context) -> Option<Chosen> {
    let service = service(spec, object);
    let own = spec
        .text("region")
        .filter(|it| !it.is_empty())
        .map(str::to_owned);
    let role = spec
        .text("roleArn")
        .filter(|it| !it.is_empty())
        .map(str::to_owned);
    let service = service?;
    let region = own
        .or_else(|| cx.kes.region.clone())
        .or_else(|| cx.options.region.clone());
    let Some(region) = region else {
        object.refuse("neither the object nor the settings of KES in the input say the region; `--region` supplies it");
        return None;
    };
    let mut store = store(service, region, role, cx);
    if let Some(ours) = cx.mapped_made(&store.name) {
        return Some(Chosen {
            name: ours.to_owned(),
            service,
            prefix: false,
        });
    }
    store.name = own_store_name(cx, &store.name);
    let taken = |known: &Known| matches!(known, Known::Converted { store: other, .. } if other.name == store.name);
    if cx.stores.values().any(taken) {
        object.refuse("another store of the input has the name that its store would get");
        return None;
    }
    let name = store.name.clone();
    cx.made.borrow_mut().insert(name.clone(), store);
    Some(Chosen {
        name,
        service,
        prefix: false,
    })
}

fn service(spec: Map<'_>, object: &Object<'_>) -> Option<Service> {
    let Some(field) = spec.get("backendType") else {
        object.lacks("backendType");
        return None;
    };
    match field.text()? {
        "secretsManager" | "secretManager" => Some(Service::SecretsManager),
        "systemManager" => Some(Service::ParameterStore),
        _ => {
            field.refuse("only secretsManager and systemManager are converted");
            None
        }
    }
}

/// What other backends have.
pub(super) fn ignored(spec: Map<'_>) {
    let keys = [
        "vaultRole",
        "vaultMountPoint",
        "kvVersion",
        "keyVaultName",
        "projectId",
        "keyByName",
    ];
    unused(spec, &keys);
}

fn store(service: Service, region: String, role: Option<String>, cx: &Context) -> Store {
    let settings = &cx.kes;
    let chain: Vec<String> = settings
        .hop
        .iter()
        .filter(|_| role.is_some())
        .cloned()
        .collect();
    let mut comments = Vec::new();
    if settings.keys.is_none() {
        const OWN: &str = "KES's pod had an identity of its own; here it is that of this machine, which must be allowed the same";
        cx.note(OWN);
        comments.push(format!("{OWN}."));
    }
    let auth = Auth {
        keys: settings.keys.clone(),
        session_name: role.is_some().then(|| SESSION.to_owned()),
        sts_endpoint: settings.sts_endpoint.clone(),
        chain,
        role,
        ..Auth::default()
    };
    let endpoint = match service {
        Service::SecretsManager => settings.manager_endpoint.clone(),
        Service::ParameterStore => settings.parameter_endpoint.clone(),
    };
    Store {
        name: name(service, &region, &auth),
        service,
        region: Some(region),
        prefix: None,
        endpoint,
        auth,
        comments,
    }
}

/// Of what the store is, so that it is the same in every run.
fn name(service: Service, region: &str, auth: &Auth) -> String {
    let kind = match service {
        Service::SecretsManager => "kes",
        Service::ParameterStore => "kes-ssm",
    };
    let Some(role) = &auth.role else {
        return format!("{kind}/{region}");
    };
    let account = role.split(':').nth(4).unwrap_or_default();
    let last = role.rsplit('/').next().unwrap_or_default();
    // Roles may differ in their path, or only in capitals.
    let digest = Sha256::digest(format!("{role}\n{}", auth.chain.join("\n")));
    let mark = super::super::scope::mark(&digest);
    let last: String = last
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '-'
            }
        })
        .take(20)
        .collect();
    format!("{kind}/{region}/{account}-{last}-{mark}")
}
