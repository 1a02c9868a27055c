//! A real Prometheus, as the distribution ships it: started on a loopback port with a configuration and rules, asked
//! over its HTTP API, killed at the end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::daemon::free_port;
use super::http;
use super::wait::wait_until;

const PROGRAM: &str = "/usr/bin/prometheus";

/// A running Prometheus; killed when dropped, with all that it has stored.
pub struct Prometheus {
    child: Child,
    port: u16,
    place: tempfile::TempDir,
}

/// One series of an answer and its value. A range is told by its last value that is a number.
#[derive(Debug)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Prometheus {
    /// Whether there is one on this machine.
    pub fn is_installed() -> bool {
        Path::new(PROGRAM).exists()
    }

    /// `files`: names and texts; the first is the configuration. A series that nobody scrapes counts as gone after
    /// `lookback`.
    pub fn start(files: &[(&str, String)], lookback: &str) -> Self {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for (name, text) in files {
            fs::write(place.path().join(name), text).unwrap();
        }
        let port = free_port();
        let said = File::create(place.path().join("said")).unwrap();
        let child = Command::new(PROGRAM)
            .arg(format!("--config.file={}", files[0].0))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--query.lookback-delta={lookback}"))
            .args(["--storage.tsdb.path=data", "--log.level=warn"])
            .env_clear()
            .current_dir(place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut prometheus = Self { child, port, place };
        wait_until(Duration::from_mins(1), "Prometheus to be ready", || {
            let ended = prometheus.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", prometheus.said());
            http::get(&prometheus.url("/-/ready", &[])).is_some_and(|page| page.status == 200)
        });
        prometheus
    }

    /// What an expression is now.
    pub fn query(&self, expression: &str) -> Vec<Sample> {
        let answer = self.ask("/api/v1/query", &[("query", expression)]);
        let answer = answer.unwrap_or_else(|error| panic!("{expression}: {error}"));
        samples(&answer)
    }

    /// What an expression was in each second of a time that ends now; the series that had a number at all.
    pub fn range(&self, expression: &str, span: Duration) -> Result<Vec<Sample>, String> {
        let end = self.query("time()")[0].value;
        let start = end - span.as_secs_f64();
        let answer = self.ask(
            "/api/v1/query_range",
            &[
                ("query", expression),
                ("start", &start.to_string()),
                ("end", &end.to_string()),
                ("step", "1"),
            ],
        )?;
        Ok(samples(&answer))
    }

    /// Makes this the text of one of its files, and has it read anew.
    pub fn reload(&self, name: &str, text: &str) {
        fs::write(self.place.path().join(name), text).unwrap();
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    /// The error is Prometheus's own text.
    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let page = http::get(&self.url(path, parameters)).expect("Prometheus answers");
        let answer: Value = serde_json::from_str(&page.body).expect("its API speaks JSON");
        if answer["status"] == "success" {
            return Ok(answer["data"].clone());
        }
        Err(answer["error"].to_string())
    }

    fn url(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        let base = format!("http://127.0.0.1:{}{path}", self.port);
        let url = reqwest::Url::parse_with_params(&base, parameters);
        url.unwrap().to_string()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.place.path().join("said")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("Prometheus said:\n{}", self.said());
        }
    }
}

fn samples(answer: &Value) -> Vec<Sample> {
    if answer["resultType"] == "scalar" {
        let value = number(&answer["result"]).unwrap_or(f64::NAN);
        let labels = BTreeMap::new();
        return vec![Sample { labels, value }];
    }
    let series = answer["result"].as_array().into_iter().flatten();
    series
        .filter_map(|one| {
            let single = number(&one["value"]);
            let many = one["values"].as_array().into_iter().flatten();
            let value = many.filter_map(number).chain(single).next_back()?;
            let labels = serde_json::from_value(one["metric"].clone()).unwrap();
            Some(Sample { labels, value })
        })
        .collect()
}

/// The value of a pair of time and value, where it is a number.
fn number(pair: &Value) -> Option<f64> {
    let value: f64 = pair[1].as_str()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}
