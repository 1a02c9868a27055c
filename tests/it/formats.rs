//! What is delivered in each format, as other people's readers read it: bash, Python, Java, docker and systemd, each where
//! it is installed. The rules of all of them are held to in the unit tests, whatever is installed.

mod hostile;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{Method, Response};
use serde_json::{Value, json};

use self::hostile::{HOSTILE, LINES, UNFIT};
use crate::support::daemon::Home;
use crate::support::secrets_manager::SecretsManager;
use crate::support::serve::{Reply, Server};
use crate::support::suite::{self, Scenario};

type Values = BTreeMap<String, String>;

/// A judge, the programs it needs, and how it reads.
type Judge = (&'static str, &'static [&'static str], fn(&Delivered));

const JUDGES: [Judge; 7] = [
    ("sh", &["sh", "env"], |it| shell(it, "sh")),
    ("bash", &["bash", "env"], |it| shell(it, "bash")),
    ("Python's json", &["python3"], python_json),
    ("PyYAML", &["python3"], python_yaml),
    ("java.util.Properties", &["javac", "java"], java),
    ("docker", &["docker"], docker),
    (
        "systemd's environment.d generator",
        &[GENERATOR],
        environment_d,
    ),
];

const GENERATOR: &str =
    "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator";

/// The files of one entry for each set of readers, and what is in them.
struct Delivered {
    home: Home,
    texts: Values,
    variables: Values,
    plain: Values,
    lines: Values,
}

impl Delivered {
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        let lines = named(
            HOSTILE.iter().filter(|it| !it.ends_with('\r')),
            &mut random,
            "",
        );
        let variables = named(HOSTILE.iter().chain(LINES), &mut random, "\n\r");
        let mut plain = variables.clone();
        plain.retain(|_, value| !value.is_empty() && !value.contains('$'));
        let texts = named(
            HOSTILE.iter().chain(LINES).chain(UNFIT),
            &mut random,
            "\n\r\0\u{feff}",
        );
        let (aws, home) = (SecretsManager::start(), Home::new());
        let mut config = aws.store("prod");
        for (name, values, files) in [
            ("texts", &texts, &["json", "yaml", "properties"][..]),
            ("variables", &variables, &["dotenv"]),
            ("plain", &plain, &["dotenv"]),
            ("lines", &lines, &["dotenv\"\ndialect = \"docker"]),
        ] {
            aws.put(name, &serde_json::to_string(values).unwrap());
            let mut entry = format!(
                "[secrets.{name}]\nstore = \"prod\"\ndata_from = [{{ extract = {{ key = \"{name}\" }} }}]\n"
            );
            for format in files {
                let word = &format[..format.find('"').unwrap_or(format.len())];
                let path = home.quoted(&format!("targets/{name}.{word}"));
                let file = [
                    "[[secrets.",
                    name,
                    ".file]]\npath = ",
                    &path,
                    "\nformat = \"",
                    format,
                    "\"\n",
                ];
                entry += &file.concat();
            }
            config += &entry;
        }
        home.configure(&config);
        let done = home.once(&[]);
        assert_eq!(done.code, Some(0), "{done:?}");
        Self {
            home,
            texts,
            variables,
            plain,
            lines,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path(&format!("targets/{name}"))
    }

    /// A program that reads a file, and nothing of the environment but where programs are.
    fn ask(&self, program: &str, arguments: &[&str], name: &str) -> String {
        let mut command = clean(program);
        command.args(arguments).arg(self.file(name));
        text(command.output().unwrap())
    }
}

/// Each under a name, and as many again of characters that quoting is about with some of these.
fn named<'a>(
    values: impl Iterator<Item = &'a &'static str>,
    random: &mut fastrand::Rng,
    more: &str,
) -> Values {
    let nasty: Vec<char> = "'\"\\$`!#;=: \tnuaé\u{2028}🔑"
        .chars()
        .chain(more.chars())
        .collect();
    let mut all: Vec<String> = values.map(|value| (*value).to_owned()).collect();
    for _ in 0..all.len() {
        let length = random.usize(..12);
        all.push(
            (0..length)
                .map(|_| nasty[random.usize(..nasty.len())])
                .collect(),
        );
    }
    let named = all.into_iter().enumerate();
    named.map(|(n, value)| (format!("X{n}"), value)).collect()
}

fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    command
}

fn text(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// `key=value` texts, each ended by a NUL.
fn pairs(text: &str) -> Values {
    let pairs = text
        .split_terminator('\0')
        .filter_map(|pair| pair.split_once('='));
    let ours = pairs.filter(|(key, _)| key.starts_with('X'));
    ours.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn same(read: &Values, delivered: &Values) {
    for (key, value) in delivered {
        assert_eq!(read.get(key), Some(value), "{key}");
    }
    assert_eq!(read.len(), delivered.len());
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(program).exists())
}

#[test]
fn every_reader_reads_what_was_delivered() {
    let delivered = Delivered::new();
    for (name, programs, judge) in JUDGES {
        let suite = format!("formats as {name} reads them");
        if let Some(absent) = programs.iter().find(|program| !is_installed(program)) {
            suite::not_run(&suite, 1, &format!("there is no {absent}"));
            continue;
        }
        let scenario: Scenario<Delivered> = (name, judge);
        suite::run(&suite, &[scenario], &delivered);
    }
}

fn shell(delivered: &Delivered, shell: &str) {
    let script = "set -a; . \"$1\" && exec env -0";
    let read = delivered.ask(shell, &["-c", script, shell], "variables.dotenv");
    same(&pairs(&read), &delivered.variables);
}

fn python_json(delivered: &Delivered) {
    let script =
        "import json,sys; print(json.dumps(json.load(open(sys.argv[1], encoding='utf-8'))))";
    let read = delivered.ask("python3", &["-c", script], "texts.json");
    same(&serde_json::from_str(&read).unwrap(), &delivered.texts);
}

/// By both of its readers, and as if the file were in another encoding than it is.
fn python_yaml(delivered: &Delivered) {
    if !clean("python3")
        .args(["-c", "import yaml"])
        .output()
        .unwrap()
        .status
        .success()
    {
        return suite::not_run(
            "formats as PyYAML reads them: the module",
            1,
            "there is no PyYAML",
        );
    }
    let script = "import json,sys,yaml
for loader in [yaml.SafeLoader, getattr(yaml, 'CSafeLoader', yaml.SafeLoader)]:
    print(json.dumps(yaml.load(open(sys.argv[1], encoding='latin-1'), Loader=loader)))";
    let read = delivered.ask("python3", &["-c", script], "texts.yaml");
    assert_eq!(read.lines().count(), 2);
    for line in read.lines() {
        same(&serde_json::from_str(line).unwrap(), &delivered.texts);
    }
}

fn java(delivered: &Delivered) {
    const PROGRAM: &str =
        "public class Judge { public static void main(String[] a) throws Exception {
        var p = new java.util.Properties();
        try (var in = new java.io.FileInputStream(a[0])) { p.load(in); }
        for (var key : p.stringPropertyNames()) {
            System.out.print(key);
            for (char unit : p.getProperty(key).toCharArray()) System.out.print(\" \" + (int) unit);
            System.out.println();
        } } }";
    let program = delivered.home.write("Judge.java", PROGRAM);
    let read = delivered.ask("java", &[program.to_str().unwrap()], "texts.properties");
    let of_line = |line: &str| {
        let mut words = line.split(' ');
        let key = words.next().unwrap().to_owned();
        let units: Vec<u16> = words.map(|unit| unit.parse().unwrap()).collect();
        (key, String::from_utf16(&units).unwrap())
    };
    same(&read.lines().map(of_line).collect(), &delivered.texts);
}

/// The client alone, which reads the file: it says to a stand-in for its daemon which container it wants.
fn docker(delivered: &Delivered) {
    let asked: Arc<Mutex<Option<Value>>> = Arc::default();
    let heard = Arc::clone(&asked);
    let server = Server::plain(move |call| {
        let answer = Response::builder().header("Api-Version", "1.44");
        if call.request.method() == Method::POST {
            *heard.lock().unwrap() = serde_json::from_slice(call.request.body()).ok();
            let no = json!({ "message": "no" }).to_string();
            return Reply::Answer(answer.status(400).body(Bytes::from(no)).unwrap());
        }
        Reply::Answer(answer.body(Bytes::new()).unwrap())
    });
    let output = clean("docker")
        .env("DOCKER_HOST", format!("tcp://{}", server.address()))
        .env("HOME", delivered.home.path("nowhere"))
        .args(["create", "--env-file"])
        .arg(delivered.file("lines.dotenv"))
        .arg("image")
        .output()
        .unwrap();
    let asked = asked.lock().unwrap().take();
    let asked = asked.unwrap_or_else(|| panic!("no container was asked for: {output:?}"));
    let variables: Vec<String> = serde_json::from_value(asked["Env"].clone()).unwrap();
    same(&pairs(&variables.join("\0")), &delivered.lines);
}

/// systemd's own parser of such files, in a program that can be asked. What is empty it drops, and `$` it expands: both
/// are its own, so neither is in the file.
fn environment_d(delivered: &Delivered) {
    let place = delivered.home.path("environment.d");
    std::fs::create_dir(&place).unwrap();
    std::fs::copy(delivered.file("plain.dotenv"), place.join("judge.conf")).unwrap();
    let output = clean(GENERATOR)
        .env("XDG_CONFIG_HOME", delivered.home.path("."))
        .env("HOME", delivered.home.path("nowhere"))
        .output()
        .unwrap();
    let lines = text(output);
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    let ours = pairs.filter(|(key, _)| key.starts_with('X'));
    let read = ours.map(|(key, value)| (key.to_owned(), unescaped(value)));
    same(&read.collect(), &delivered.plain);
}

/// A value as the generator prints it: between double quotes where it must be, and with the escapes of C there.
fn unescaped(printed: &str) -> String {
    let Some(inner) = printed
        .strip_prefix('"')
        .and_then(|it| it.strip_suffix('"'))
    else {
        return printed.to_owned();
    };
    let (mut value, mut rest) = (Vec::new(), inner.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        let escape = rest.next().unwrap();
        let mut number = |first: Option<u8>, digits: usize, radix| {
            let digits = first.into_iter().chain(rest.by_ref().take(digits));
            let digits: String = digits.map(char::from).collect();
            u8::from_str_radix(&digits, radix).unwrap()
        };
        value.push(match escape {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'x' => number(None, 2, 16),
            b'0'..=b'3' => number(Some(escape), 2, 8),
            other => other,
        });
    }
    String::from_utf8(value).unwrap()
}

const FORMATS: [&str; 5] = ["dotenv", "docker", "json", "yaml", "properties"];

/// What each format makes of an object with these names; nothing where it was refused.
fn under(names: &[&str]) -> [Option<String>; 5] {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let object: Values = names
        .iter()
        .map(|name| ((*name).to_owned(), "value".to_owned()))
        .collect();
    aws.put("names", &serde_json::to_string(&object).unwrap());
    let entry = |name: &str| {
        let format = name.replace("docker", "dotenv\"\ndialect = \"docker");
        let path = home.quoted(&format!("targets/{name}"));
        format!(
            "[secrets.{name}]\nstore = \"prod\"\ndata_from = [{{ extract = {{ key = \"names\" }} }}]\n[[secrets.{name}.file]]\npath = {path}\nformat = \"{format}\"\n"
        )
    };
    home.configure(&(aws.store("prod") + &FORMATS.map(entry).concat()));
    home.once(&[]);
    FORMATS.map(|name| home.read_text(&format!("targets/{name}")))
}

/// What people put into names: it is refused, or it is a name and nothing else.
#[test]
fn hostile_names_are_data_or_refused() {
    for name in ["../x", ".."] {
        assert_eq!(under(&[name]), [const { None }; 5], "{name}");
    }
    for name in ["LD_PRELOAD", "BASH_ENV", "PATH"] {
        let [shell, docker, rest @ ..] = under(&[name]);
        assert_eq!((shell, docker), (None, None), "{name}");
        for file in rest {
            assert!(file.unwrap().contains(name));
        }
    }
    // What cannot be in a key is replaced, or refused: no line, quote or program comes of it.
    for name in [
        "a\nb",
        "a=b",
        "a b",
        "'",
        "$(id)",
        "`id`",
        "a\0b",
        "\u{2028}",
        "\u{feff}a",
        "IFS",
    ] {
        let files = under(&[name, "X"]);
        assert!(files.iter().any(Option::is_some), "{name:?}");
        for file in files.into_iter().flatten() {
            let legal = |c: char| c.is_ascii_alphanumeric() || "_-.=:{},'\" \n".contains(c);
            assert!(file.chars().all(legal), "{name:?}: {file}");
            assert_eq!(file.matches("value").count(), 2, "{name:?}: {file}");
        }
    }
}

/// The README's recipe.
#[test]
fn a_template_makes_one_pem_file_of_two_keys() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let block =
        |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----");
    let (leaf, chain) = (block("TEVBRg=="), block("Q0hBSU4=") + "\n");
    aws.put(
        "prod/web",
        &json!({ "certificate": leaf, "chain": chain }).to_string(),
    );
    let readme = include_str!("../../README.md");
    let recipe = readme.split_once("[secrets.web]\n").unwrap().1;
    let recipe = recipe.split_once("```").unwrap().0;
    let path = home.quoted("targets/fullchain.pem");
    let recipe = recipe.replace("\"/run/web/fullchain.pem\"", &path);
    home.configure(&format!("{}[secrets.web]\n{recipe}", aws.store("prod")));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let file = home.read_text("targets/fullchain.pem").unwrap();
    assert_eq!(file, format!("{leaf}\n{chain}"));
}
