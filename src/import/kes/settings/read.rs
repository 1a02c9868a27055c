//! Where an environment is written: in a Deployment, or in the values of KES's chart.

use super::{Environment, Of, Variable, Whose, finish, take};
use crate::import::context::Context;
use crate::import::draft::KeySource;
use crate::import::object::{CHART, Object};
use crate::import::tree::{Field, Map, Node};

const ELSE: &str = "only the settings in the environment are read";

/// Whether anything of the Deployment counts.
pub(in crate::import) fn of_deployment(object: &Object<'_>, cx: &mut Context) -> bool {
    let Some(containers) = containers(object.map) else {
        return false;
    };
    let mut any = false;
    for container in containers
        .list()
        .unwrap_or_default()
        .iter()
        .filter_map(Node::as_map)
    {
        let whose = whose(container);
        if whose == Whose::Others {
            continue;
        }
        any = true;
        let namespace = object.namespace.unwrap_or("default");
        let env = container.get("env");
        let maps = env.map(|env| (env, env.maps()));
        let variables = maps.into_iter().flat_map(|(env, maps)| {
            let maps = maps.into_iter();
            maps.filter_map(move |map| listed(map, env, namespace))
        });
        let variables: Vec<Variable<'_>> = variables.collect();
        if whose == Whose::Kes && is_another(&variables, cx) {
            object.refuse(TORN);
        }
        for variable in &variables {
            take(variable, whose, cx);
        }
        if let Some(field) = container.get("envFrom") {
            field.warn_whole("what these variables are is not in the Deployment; give their values by the command line");
        }
        container.leave_rest(ELSE);
    }
    if any {
        object.metadata().leave();
        leave_around(object.map);
        finish(cx);
    }
    any
}

pub(in crate::import::kes) const TORN: &str =
    "the input has settings of more than one KES; convert what belongs to each by itself";

/// Whether a Deployment before this one had other settings.
fn is_another(variables: &[Variable<'_>], cx: &mut Context) -> bool {
    let own = variables.iter().map(|it| {
        let value = it.value.map(str::to_owned);
        (it.name.to_owned(), value, it.secret.is_some())
    });
    let mut own: Environment = own.collect();
    own.sort();
    let before = cx.kes.environment.get_or_insert_with(|| own.clone());
    let another = *before != own;
    if another {
        cx.kes.of = Of::Several;
    }
    another
}

fn containers(map: Map<'_>) -> Option<&Field> {
    let pod = map.map("spec")?.map("template")?.map("spec")?;
    pod.get("containers")
}

fn leave_around(map: Map<'_>) {
    let spec = map.map("spec");
    let template = spec.and_then(|spec| spec.map("template"));
    let pod = template.and_then(|template| template.map("spec"));
    for map in [Some(map), spec, template, pod].into_iter().flatten() {
        map.leave_rest(ELSE);
    }
}

fn whose(container: Map<'_>) -> Whose {
    let image = container
        .get("image")
        .and_then(|field| field.node.as_text())
        .unwrap_or_default();
    if image.contains("kubernetes-external-secrets") {
        Whose::Kes
    } else if image.contains("external-secrets/external-secrets") {
        Whose::Eso
    } else {
        Whose::Others
    }
}

/// A variable as a container lists it.
fn listed<'t>(map: Map<'t>, list: &'t Field, namespace: &str) -> Option<Variable<'t>> {
    let Some(name) = map.text("name") else {
        list.refuse("a variable has no `name`");
        return None;
    };
    let at = map
        .get("valueFrom")
        .or_else(|| map.get("value"))
        .unwrap_or(list);
    let from = map.map("valueFrom");
    let secret = from.and_then(|from| from.map("secretKeyRef"));
    let secret = secret.and_then(|secret| {
        Some(KeySource::Secret {
            namespace: namespace.to_owned(),
            name: secret.text("name")?.to_owned(),
            key: secret.text("key")?.to_owned(),
        })
    });
    if let Some(from) = from {
        from.leave_rest("not a Secret's key");
    }
    Some(Variable {
        name,
        at,
        value: map.text("value"),
        secret,
    })
}

/// Whether the values say anything of KES.
pub(in crate::import) fn of_values(object: &Object<'_>, cx: &mut Context) -> bool {
    let chart = object.map.get(CHART).and_then(Field::map);
    if chart.is_some() {
        object.map.leave_rest("of other charts");
    }
    let map = chart.unwrap_or(object.map);
    values_env(map, cx);
    for key in ["envVarsFromConfigMap", "envFrom"] {
        if let Some(field) = map.get(key) {
            field.warn_whole("what these variables are is not in the values; give their values by the command line");
        }
    }
    map.leave_rest(ELSE);
    finish(cx);
    true
}

fn values_env(map: Map<'_>, cx: &mut Context) {
    if let Some(env) = map.map("env") {
        for field in env.fields() {
            // Helm makes texts of numbers here.
            let value = field.node.as_written();
            field.exact();
            take(
                &Variable {
                    name: &field.key,
                    at: field,
                    value,
                    secret: None,
                },
                Whose::Kes,
                cx,
            );
        }
    }
    if let Some(from) = map.map("envVarsFromSecret") {
        for field in from.fields() {
            let secret = field.map();
            let text = |key: &str| {
                secret
                    .and_then(|it| it.text(key))
                    .unwrap_or_default()
                    .to_owned()
            };
            let source = KeySource::Secret {
                namespace: cx
                    .options
                    .namespace
                    .clone()
                    .unwrap_or_else(|| "default".to_owned()),
                name: text("secretKeyRef"),
                key: text("key"),
            };
            take(
                &Variable {
                    name: &field.key,
                    at: field,
                    value: None,
                    secret: Some(source),
                },
                Whose::Kes,
                cx,
            );
        }
    }
}
