use super::*;

fn compared(part: Part, name: &str, standing: Standing) -> Compared {
    Compared {
        part,
        name: name.to_owned(),
        standing,
    }
}

#[test]
fn a_line_says_what_is_how_and_the_last_counts_the_keys() {
    let comparison = Comparison {
        compared: vec![
            compared(Part::Key, "a", Standing::Equal),
            compared(Part::Key, "b", Standing::Different),
            compared(Part::Key, "c", Standing::SameJson),
            compared(Part::Key, "d", Standing::OnlyHere),
            compared(Part::Key, "e", Standing::OnlyThere),
            compared(Part::Type, "Opaque", Standing::Different),
            compared(Part::Label, "team", Standing::OnlyHere),
            compared(Part::Annotation, "note\n\u{1b}", Standing::OnlyThere),
        ],
        live_type: "x\u{1b}[0m".to_owned(),
        notes: Vec::new(),
    };
    assert_eq!(
        text(&comparison, ("main/app/db", "app/old"), Paint::Plain),
        "\
equal       key         a
different   key         b
different   key         c  the same JSON, written differently: see `json_format`
only here   key         d
only there  key         e
different   type        Opaque, there x\\u{1b}[0m
only here   label       team
only there  annotation  note\\n\\u{1b}
main/app/db against app/old: keys: 1 equal, 2 different, 1 only here, 1 only there
"
    );
}
