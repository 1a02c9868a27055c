use proptest::prelude::*;

use super::*;

fn regexp(source: &str, target: &str) -> Step {
    Step::Regexp(Regexp::new(source, target).unwrap())
}

fn members(names: &[&str]) -> Vec<Member> {
    names
        .iter()
        .map(|name| Member::new(*name, SecretBytes::new(name.as_bytes().to_vec())))
        .collect()
}

fn names(members: Vec<Member>) -> Vec<String> {
    members.into_iter().map(|member| member.name).collect()
}

#[test]
fn each_step_sees_what_the_one_before_it_left() {
    let steps = [regexp("^prod/", ""), regexp("/", "_"), regexp("^", "APP_")];
    let rewritten = rewrite(&steps, members(&["prod/b/c", "prod/a"]), JsonFormat::Raw).unwrap();
    assert_eq!(rewritten[0].origin(), "`prod/a`");
    assert_eq!(names(rewritten), ["APP_a", "APP_b_c"]);
    assert_eq!(rename(&steps, "prod/b/c").unwrap(), "APP_b_c");
}

#[test]
fn two_members_on_one_name_are_an_error_even_where_a_later_step_would_part_them() {
    let steps = [regexp("^x/", ""), regexp("[0-9]", ""), regexp("^", "y")];
    let refused = rewrite(&steps, members(&["x/b1", "b2", "c"]), JsonFormat::Raw).unwrap_err();
    assert_eq!(
        refused.fact,
        "`rewrite` step 2: `b2` and `x/b1` both get the name `b`"
    );
    assert_eq!(refused.reason, Reason::Invalid);
}

#[test]
fn names_may_pass_each_other() {
    let steps = [regexp("^(.)(.)$", "$2$1")];
    let rewritten = rewrite(&steps, members(&["ab", "ba"]), JsonFormat::Raw).unwrap();
    assert_eq!(rewritten[0].value.expose(), b"ba");
    assert_eq!(names(rewritten), ["ab", "ba"]);
}

#[test]
fn names_that_grow_without_end_are_refused() {
    let steps = vec![regexp("a", "aa"); 20];
    let refused = rewrite(&steps, members(&["a"]), JsonFormat::Raw).unwrap_err();
    assert_eq!(refused.reason, Reason::TooLarge);
    assert_eq!(
        refused.fact,
        format!(
            "`rewrite` step 12: `{}...` (from `a`): it makes a name longer than 2048 bytes",
            "a".repeat(64)
        )
    );
}

proptest! {
    #[test]
    fn rewriting_by_itself_changes_nothing(
        names in prop::collection::btree_map(".{0,16}", any::<Vec<u8>>(), 0..6),
    ) {
        let members: Vec<_> = names
            .into_iter()
            .map(|(name, value)| Member::new(name, SecretBytes::new(value)))
            .collect();
        prop_assert_eq!(&rewrite(&[], members.clone(), JsonFormat::Raw).unwrap(), &members);
        prop_assert_eq!(&rewrite(&[regexp("(.*)", "$1")], members.clone(), JsonFormat::Raw).unwrap(), &members);
    }
}
