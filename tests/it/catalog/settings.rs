//! Errors of `egress-atlas.toml` and `reviews.toml` as users read them, and what reviews answer.

use egress_atlas::catalog::{CATALOG_CLASSES, Catalog, Date, ReviewState, Reviewed, Reviews, Settings};
use insta::assert_snapshot;

fn settings_error(text: &str) -> String {
    Settings::parse(text, "egress-atlas.toml").unwrap_err().to_string()
}

#[test]
fn every_mistake_is_named_with_its_line_and_remedy() {
    let errors: Vec<String> = [
        "[join]\nskew = \"5s\"\nwidnow = \"24h\"",
        "[jion]\nskew = \"5s\"",
        "colour = 1",
        "[join]\nwindow = 24",
        "[join]\nwindow = \"1 day\"",
        "[join]\nwindow = ",
        "join = 3",
        "[[category]]\nmatch = \"a.example\"",
        "[[category]]\ncategory = \"vendors\"\nmatch = \"a.example\"",
        "[[category]]\ncategory = \"vendor\"\nmatch = [\n  \"a.example\",\n  \"a*.example\",\n]",
        "[[category]]\ncategory = \"vendor\"\nmatch = []",
        "[[category]]\ncategory = \"vendor\"\nmatch = \"10.1.0.0/8\"",
        "[[category]]\ncategory = \"vendor\"\nmatch = 10",
        "[[category]]\ncategory = \"vendor\"\nmatch = \"a.example\"\nports = [80, 70000]",
        "[[category]]\ncategory = \"vendor\"\nmatch = \"a.example\"\nport = 80",
        "[category]\ncategory = \"vendor\"",
        "[[suspect]]\nmatch = \"a.example\"\nclass = \"x\"\nseverity = \"critical\"\nwhy = \"w\"",
        "[[suspect]]\nmatch = \"a.example\"\nclass = \"My class\"\nseverity = \"low\"\nwhy = \"w\"",
        "[[suspect]]\nmatch = \"a.example\"\nclass = \"x\"\nseverity = \"low\"\nwhy = \" \"",
        "[[exempt]]\nmatch = \"a.example\"\nclass = \"tunel\"\nowner = \"o\"\nreason = \"r\"\nexpires = 2027-01-01",
        "[[exempt]]\nmatch = \"a.example\"\nclass = \"tunnel\"\nowner = \"o\"\nreason = \"r\"\nexpires = \"2027-02-30\"",
        "[[exempt]]\nmatch = \"a.example\"\nclass = \"tunnel\"\nowner = \"o\"\nreason = \"r\"\nexpires = 7",
        "[[exempt]]\nmatch = \"a.example\"\nclass = \"tunnel\"\nowner = \"o\"\nexpires = 2027-01-01",
        "[networks]\npods = [\"10.0.0.0/8\", \"10.0.0.1/8\"]",
        "[networks]\npods = [\"pods.example\"]",
        "[clusters.east.network]\npods = [\"10.0.0.0/8\"]",
        "[clusters]\neast = 1",
    ]
    .into_iter()
    .map(settings_error)
    .collect();
    assert_snapshot!(errors.join("\n"), @r#"
egress-atlas.toml line 3: unknown key `widnow` in `[join]`; did you mean `window`?
egress-atlas.toml line 1: unknown key `jion` in the file; did you mean `join`?
egress-atlas.toml line 1: unknown key `colour` in the file; known are `join`, `category`, `suspect`, `exempt`, `detect`, `networks`, `clusters`, `draft`, `plan`
egress-atlas.toml line 2: `window` must be a text in quotes, found a whole number
egress-atlas.toml line 2: `window` cannot be `1 day`: write a duration as `90s`, `10m`, `24h` or `7d`
egress-atlas.toml line 2: string values must be quoted, expected literal string
egress-atlas.toml line 1: `join` must be a table, found a whole number
egress-atlas.toml line 1: `[[category]]` needs the key `category`
egress-atlas.toml line 2: `category` cannot be `vendors`: did you mean `vendor`?
egress-atlas.toml line 5: `match` cannot be `a*.example`: `*` may only stand first, as in `*.example.com`
egress-atlas.toml line 3: `match` cannot be `[]`: the list is empty; leave the key out instead
egress-atlas.toml line 3: `match` cannot be `10.1.0.0/8`: host bits are set; the range is `10.0.0.0/8`
egress-atlas.toml line 3: `match` must be a text in quotes, found a whole number
egress-atlas.toml line 4: `ports` cannot be `70000`: write a port as `443`, or `"8000-8100"`
egress-atlas.toml line 4: unknown key `port` in `[[category]]`; did you mean `ports`?
egress-atlas.toml line 1: `category` must be a list of tables, written `[[...]]`, found a table
egress-atlas.toml line 4: `severity` cannot be `critical`: known are `low`, `medium`, `high`
egress-atlas.toml line 3: `class` cannot be `My class`: a class is a word of lower-case letters, digits and `_`, and not `all`
egress-atlas.toml line 5: `why` cannot be ` `: it is empty
egress-atlas.toml line 3: `class` cannot be `tunel`: did you mean `tunnel`?
egress-atlas.toml line 6: `expires` cannot be `2027-02-30`: write a day as `YYYY-MM-DD`
egress-atlas.toml line 6: `expires` must be a day, `YYYY-MM-DD`, found a whole number
egress-atlas.toml line 1: `[[exempt]]` needs the key `reason`
egress-atlas.toml line 2: `pods` cannot be `10.0.0.1/8`: host bits are set; the range is `10.0.0.0/8`
egress-atlas.toml line 2: `pods` cannot be `pods.example`: it is no address range in CIDR notation
egress-atlas.toml line 1: unknown key `network` in `[clusters.east]`; did you mean `networks`?
egress-atlas.toml line 2: `east` must be a table, found a whole number
"#);
}

#[test]
fn reviews_are_checked_like_settings() {
    let whole = "[[review]]\ndestination = \"a.example\"\nnamespace = \"shop\"\nowner = \"o\"\nreason = \"r\"\n";
    let errors: Vec<String> = [
        format!("{whole}decision = \"aproved\""),
        format!("{whole}decision = \"approved\"\nexpire = 2027-01-01"),
        whole.to_owned(),
        "[[reviews]]\n".to_owned(),
    ]
    .iter()
    .map(|text| Reviews::parse(text, "reviews.toml").unwrap_err().to_string())
    .collect();
    assert_snapshot!(errors.join("\n"), @r"
    reviews.toml line 6: `decision` cannot be `aproved`: did you mean `approved`?
    reviews.toml line 7: unknown key `expire` in `[[review]]`; did you mean `expires`?
    reviews.toml line 1: `[[review]]` needs the key `decision`
    reviews.toml line 1: unknown key `reviews` in the file; did you mean `review`?
    ");
}

/// One `[[review]]` from `destination namespace decision [expires]`; the owner is the whole line.
fn review(line: &str) -> String {
    let mut words = line.split(' ');
    let mut next = || words.next().unwrap_or_default();
    let (destination, namespace, decision, expires) = (next(), next(), next(), next());
    let expires = if expires.is_empty() { String::new() } else { format!("expires = {expires}\n") };
    format!(
        "[[review]]\ndestination = \"{destination}\"\nnamespace = \"{namespace}\"\ndecision = \"{decision}\"\nowner = \"{line}\"\nreason = \"r\"\n{expires}"
    )
}

#[test]
fn the_narrowest_review_decides_and_a_rejection_beats_an_approval() {
    let check = |lines: &[&str], name: &str, expected: &str| {
        let check_order = |lines: &mut dyn Iterator<Item = &&str>| {
            let text: String = lines.map(|line| review(line)).collect();
            let reviews = Reviews::parse(&text, "reviews.toml").unwrap();
            let target = name.parse().map_or(Reviewed::Name(name), Reviewed::Address);
            let state = reviews.state("prod", "shop", target, Date::parse("2026-11-21").unwrap());
            let found = match state {
                ReviewState::Pending => "pending".to_owned(),
                ReviewState::Approved(by) => format!("approved by {}", by.owner),
                ReviewState::Rejected(by) => format!("rejected by {}", by.owner),
                ReviewState::Expired(by) => format!("expired {}", by.owner),
            };
            assert_eq!(found, expected, "{name} {text}");
            assert_eq!(state.is_open(), expected.starts_with("approved"));
        };
        check_order(&mut lines.iter());
        check_order(&mut lines.iter().rev());
    };
    check(&[], "a.ngrok.io", "pending");
    check(&["*.ngrok.io shop approved"], "a.ngrok.io", "approved by *.ngrok.io shop approved");
    check(&["*.ngrok.io shop approved"], "ngrok.io", "pending");
    check(&["*.ngrok.io other approved"], "a.ngrok.io", "pending");
    check(&["a.ngrok.io * rejected", "*.ngrok.io shop approved"], "a.ngrok.io", "rejected by a.ngrok.io * rejected");
    check(&["a.ngrok.io shop approved", "a.ngrok.io * rejected"], "a.ngrok.io", "approved by a.ngrok.io shop approved");
    check(
        &["a.ngrok.io shop approved", "a.ngrok.io shop rejected"],
        "a.ngrok.io",
        "rejected by a.ngrok.io shop rejected",
    );
    check(
        &["a.b.ngrok.io * approved", "*.b.ngrok.io * rejected"],
        "a.b.ngrok.io",
        "approved by a.b.ngrok.io * approved",
    );
    check(&["*.b.ngrok.io * rejected", "*.ngrok.io * approved"], "a.b.ngrok.io", "rejected by *.b.ngrok.io * rejected");
    check(&["a.ngrok.io * approved 2026-11-21"], "a.ngrok.io", "approved by a.ngrok.io * approved 2026-11-21");
    check(&["a.ngrok.io * approved 2026-11-20"], "a.ngrok.io", "expired a.ngrok.io * approved 2026-11-20");
    check(
        &["a.ngrok.io * rejected 2026-11-20", "a.ngrok.io * approved 2027-01-01"],
        "a.ngrok.io",
        "approved by a.ngrok.io * approved 2027-01-01",
    );
    check(&["9.9.0.0/16 * approved", "9.9.9.0/24 * rejected"], "9.9.9.9", "rejected by 9.9.9.0/24 * rejected");
    check(&["9.9.9.9 * approved", "9.9.9.0/24 * rejected"], "9.9.9.9", "approved by 9.9.9.9 * approved");
    check(&["9.9.9.9 * approved"], "::ffff:9.9.9.9", "approved by 9.9.9.9 * approved");
}

#[test]
fn the_classes_that_exemptions_may_name_are_those_of_the_catalog() {
    let catalog = Catalog::embedded().unwrap();
    let classes: Vec<&str> = catalog.suspect_classes().into_iter().collect();
    assert_eq!(classes, CATALOG_CLASSES);
}
