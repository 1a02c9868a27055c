use super::*;

fn sources(count: usize) -> Vec<Source> {
    let source = |number: usize| Source {
        entry: EntryName::new(format!("e{number}")).unwrap(),
        path: format!("/run/secrets/{}{number}", "x".repeat(100)).into(),
    };
    (0..count).map(source).collect()
}

async fn environment(count: usize) -> String {
    let argv = Argv {
        program: "/usr/bin/env".into(),
        arguments: Vec::new(),
    };
    let limits = crate::process::Limits {
        time: Duration::from_secs(10),
        output: 1 << 20,
    };
    let said = command(&argv, &sources(count)).run(limits).await.unwrap();
    String::from_utf8(said.expose().to_vec()).unwrap()
}

#[tokio::test]
async fn what_is_joined_is_named_line_by_line() {
    let said = environment(2).await;
    let long = "x".repeat(100);
    assert!(said.contains("SECRETSYNCD_ENTRY=e0\ne1\n"), "{said}");
    let paths = format!("=/run/secrets/{long}0\n/run/secrets/{long}1\n");
    assert!(said.contains(&format!("SECRETSYNCD_PATH{paths}")), "{said}");
    assert!(
        said.contains(&format!("SECRETSYNCD_TARGET{paths}")),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_too_much_to_name_runs_all_the_same() {
    let said = environment(2000).await;
    assert!(!said.contains("SECRETSYNCD"), "{}", said.len());
}
