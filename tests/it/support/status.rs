//! Reading `/status`: the contract between the page and everybody who parses it.

use serde_json::Value;

/// One `/status` page.
pub struct Status(pub Value);

/// One entry of it.
pub struct Entry<'a>(&'a Value);

/// An error as `/status` shows it: a word of the closed set, the fact, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    pub reason: String,
    pub message: String,
    pub help: String,
}

impl Status {
    pub fn parse(body: &str) -> Self {
        let page: Value = serde_json::from_str(body).expect("/status is JSON");
        assert_eq!(page["version"], 1, "the version of the page");
        assert!(page["instance"].is_string() && page["entries"].is_array());
        Self(page)
    }

    pub fn find(&self, name: &str) -> Option<Entry<'_>> {
        let entries = self.0["entries"].as_array()?;
        entries
            .iter()
            .find(|entry| entry["name"] == name)
            .map(Entry)
    }

    pub fn entry(&self, name: &str) -> Entry<'_> {
        self.find(name)
            .unwrap_or_else(|| panic!("/status does not list {name}"))
    }

    pub fn states(&self) -> Vec<&str> {
        self.0["entries"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| entry["state"].as_str().expect("an entry has a state"))
            .collect()
    }
}

impl Entry<'_> {
    pub fn state(&self) -> &str {
        self.0["state"].as_str().expect("an entry has a state")
    }

    pub fn last_success(&self) -> Option<&str> {
        self.0["last_success"].as_str()
    }

    /// The state of the target of that name.
    pub fn target_state(&self, name: &str) -> &str {
        let targets = self.0["targets"].as_array().into_iter().flatten();
        let mut found = targets.filter(|target| target["target"] == name);
        let target = found.next().unwrap_or_else(|| panic!("no target {name}"));
        target["state"].as_str().expect("a target has a state")
    }

    /// What has to run for the last change of its first target; null where nothing has.
    pub fn action(&self) -> &Value {
        &self.0["targets"][0]["action"]
    }

    pub fn next_sync(&self) -> Option<&str> {
        self.0["next_sync"].as_str()
    }

    /// What is wrong with the entry: its own error, else that of its first target that has one.
    pub fn trouble(&self) -> Option<Trouble> {
        let targets = self.0["targets"].as_array().into_iter().flatten();
        std::iter::once(self.0)
            .chain(targets)
            .find_map(|place| Trouble::read(&place["error"]))
    }

    pub fn reason(&self) -> Option<String> {
        Some(self.trouble()?.reason)
    }
}

impl Trouble {
    fn read(error: &Value) -> Option<Self> {
        let text = |key: &str| {
            error[key]
                .as_str()
                .expect("an error has three texts")
                .to_owned()
        };
        error.is_object().then(|| Self {
            reason: text("reason"),
            message: text("message"),
            help: text("help"),
        })
    }
}
