//! moto, an independent implementation of Secrets Manager, installed by the harness itself and started on loopback.
//!
//! A pinned version goes into a directory of its own below `target`, once, under a lock. Where that is impossible
//! the suite says so in its count; under `CI=true` that is a failure. moto's own mistakes are not worked around
//! here: scenarios must not touch them.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_secretsmanager::{Client, Config};

use super::daemon::{PATIENCE, free_port};
use super::http::block_on;
use super::wait::wait_until;

const PACKAGE: &str = "moto[server]==5.2.1";
/// What moto needs, pinned too.
const CONSTRAINTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/data/moto-constraints.txt"
);
pub const REGION: &str = "eu-central-1";

/// A running moto; killed when dropped.
pub struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    /// The error says why there is none.
    pub fn start() -> Result<Self, String> {
        let python = installed()?;
        let port = free_port();
        let mut child = Command::new(python)
            .args([
                "-m",
                "moto.server",
                "-H",
                "127.0.0.1",
                "-p",
                &port.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("moto does not start: {error}"))?;
        wait_until(Duration::from_mins(1), "moto to listen", || {
            assert!(child.try_wait().unwrap().is_none(), "moto ended at once");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Ok(Self { child, port })
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The configuration of a store that reads from here with the credentials of the environment.
    pub fn store(&self, name: &str) -> String {
        format!(
            "[stores.{name}.aws_secrets_manager]\nregion = \"{REGION}\"\nendpoint_url = \"{}\"\n\n",
            self.endpoint()
        )
    }

    pub fn create(&self, name: &str, value: &str) -> String {
        let request = self
            .client()
            .create_secret()
            .name(name)
            .secret_string(value);
        let answer = block_on(request.send()).unwrap();
        answer.version_id().unwrap().to_owned()
    }

    pub fn put(&self, name: &str, value: &str) -> String {
        let request = self
            .client()
            .put_secret_value()
            .secret_id(name)
            .secret_string(value);
        let answer = block_on(request.send()).unwrap();
        answer.version_id().unwrap().to_owned()
    }

    /// Waits until a version made now is younger than all before: moto's creation times are whole seconds.
    #[expect(clippy::disallowed_methods, reason = "moto lives by wall time")]
    pub fn later() {
        let second = || jiff::Timestamp::now().as_second();
        let before = second();
        wait_until(PATIENCE, "the next second", || second() > before);
    }

    /// Moves `AWSCURRENT` from one version to another.
    pub fn move_current(&self, name: &str, from: &str, to: &str) {
        let request = self
            .client()
            .update_secret_version_stage()
            .secret_id(name)
            .version_stage("AWSCURRENT")
            .remove_from_version_id(from)
            .move_to_version_id(to);
        block_on(request.send()).unwrap();
    }

    pub fn client(&self) -> Client {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(self.endpoint())
            .credentials_provider(Credentials::new("AKIATEST", "secret", None, None, "test"))
            .http_client(http)
            .build();
        Client::from_conf(config)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The interpreter that has moto, installing it first where it is not there yet.
fn installed() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto-5.2.1");
    fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let lock = File::create(place.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let python = place.join("venv/bin/python");
    let done = place.join("installed");
    // A new list of pins installs anew.
    let pins = fs::read_to_string(CONSTRAINTS).map_err(|error| error.to_string())?;
    if fs::read_to_string(&done).is_ok_and(|have| have == pins) {
        return Ok(python);
    }
    let venv = place.join("venv");
    let _ = fs::remove_dir_all(&venv);
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let install = |more: &[&str]| {
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(more)
            .arg(PACKAGE))
    };
    // Another Python may not have every one of the pinned versions; moto's own stays as it is.
    install(&["--constraint", CONSTRAINTS]).or_else(|_| install(&[]))?;
    fs::write(done, pins).map_err(|error| error.to_string())?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default();
    Err(format!("{program} failed: {last}"))
}
