//! The shipped dashboard: its panels, and its queries as Grafana would send them.

use serde_json::Value;

const SHIPPED: &str = include_str!("../../../config/grafana/dashboard.json");

/// As it is imported.
pub struct Dashboard(pub Value);

/// One query, and where it is.
pub struct Query {
    /// The panel's title and the query's letter, or the variable's name.
    pub place: String,
    pub expression: String,
}

impl Dashboard {
    pub fn shipped() -> Self {
        Self(serde_json::from_str(SHIPPED).expect("the dashboard is JSON"))
    }

    /// Rows and panels in their order, those inside folded rows too.
    pub fn panels(&self) -> Vec<&Value> {
        let outer = array(&self.0["panels"]);
        outer
            .iter()
            .flat_map(|panel| std::iter::once(panel).chain(array(&panel["panels"])))
            .collect()
    }

    pub fn variables(&self) -> &[Value] {
        array(&self.0["templating"]["list"])
    }

    /// Of all panels and variables.
    pub fn queries(&self) -> Vec<Query> {
        let of_panel = |panel: &Value| {
            let title = text(&panel["title"]).to_owned();
            let query = move |target: &Value| Query {
                place: format!("{title} {}", text(&target["refId"])),
                expression: text(&target["expr"]).to_owned(),
            };
            array(&panel["targets"])
                .iter()
                .map(query)
                .collect::<Vec<_>>()
        };
        let panels = self.panels().into_iter().flat_map(of_panel);
        let variables = self.variables().iter().filter_map(|variable| {
            let wanted = variable["query"]["query"].as_str()?;
            let inner = wanted.strip_prefix("label_values(")?.strip_suffix(')')?;
            let (metric, label) = inner.rsplit_once(", ")?;
            Some(Query {
                place: format!("variable {}", text(&variable["name"])),
                expression: format!("count by ({label}) ({metric})"),
            })
        });
        panels.chain(variables).collect()
    }
}

impl Query {
    /// With everything that Grafana fills in: these instances, and of all else everything.
    pub fn filled(&self, instances: &[String]) -> String {
        let instances: Vec<String> = instances.iter().map(|it| regex::escape(it)).collect();
        let instances = format!("({})", instances.join("|")).replace('\\', r"\\");
        let filled = self
            .expression
            .replace("$__rate_interval", "10s")
            .replace("$__range", "1h")
            .replace("$instance", &instances);
        let filled = ["$store", "$cluster", "$secret"]
            .iter()
            .fold(filled, |text, variable| text.replace(variable, ".*"));
        assert!(!filled.contains('$'), "{}: {filled}", self.place);
        filled
    }
}

pub fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
