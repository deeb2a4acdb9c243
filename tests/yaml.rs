//! YAML in and out. Each expectation was taken from kustomize 5.8.1.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use overlay::yaml::{self, Step};
use overlay::{ErrorKind, Limits, Value, json};

fn file() -> Arc<str> {
    Arc::from("r.yaml")
}

fn read(text: &str) -> Vec<Value> {
    yaml::read(text.as_bytes(), &file(), &Limits::PERSON).unwrap()
}

fn printed(text: &str) -> String {
    let mut out = String::new();
    for value in read(text) {
        yaml::write(&value, &mut out).unwrap();
    }
    out
}

/// Reads and prints `text`, the value of the key `a`, and gives what is behind `a: `.
fn scalar(text: &str) -> String {
    let printed = printed(&format!("a: {text}\n"));
    printed.strip_prefix("a: ").unwrap().trim_end_matches('\n').to_owned()
}

fn refusal(text: &str) -> String {
    let error = match yaml::read(text.as_bytes(), &file(), &Limits::PERSON) {
        Err(error) => error,
        Ok(values) => {
            let print = |value: &Value| yaml::write(value, &mut String::new());
            values.iter().map(print).find_map(Result::err).unwrap()
        }
    };
    error.to_string()
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(scalar(text), *expected, "for {text:?}");
    }
}

#[test]
fn numbers_are_printed_as_go_prints_them() {
    check(&[
        ("1", "1"),
        ("-0", "0"),
        ("+1", "1"),
        ("1_000", "1000"),
        ("0x1F", "31"),
        ("0b101", "5"),
        ("0b-1", "-1"),
        ("0o17", "15"),
        ("-0o7", "-7"),
        ("010", "8"),
        ("08", "8"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("100000000.0", "100000000"),
        ("12345678.9", "1.23456789e+07"),
        ("123456.7", "123456.7"),
        ("1e20", "1e+20"),
        ("1e22", "1e+22"),
        ("0.0000001", "1e-07"),
        ("0.0001", "0.0001"),
        (".5", "0.5"),
        (".1_0", "0.1"),
        ("5.", "5"),
        ("-0.0", "0"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        ("-9223372036854775809", "-9.223372036854776e+18"),
        ("2e-324", "0"),
        ("1e400", "1e400"),
        ("0x", "0x"),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        ("infinity", "infinity"),
    ]);
}

#[test]
fn times_become_rfc_3339() {
    check(&[
        ("2001-12-14", "\"2001-12-14T00:00:00Z\""),
        ("2001-1-2 3:4:5.60", "\"2001-01-02T03:04:05.6Z\""),
        ("2001-12-14t21:59:43.10-05:00", "\"2001-12-14T21:59:43.1-05:00\""),
        ("2001-12-14T1:2:3,5+00:00", "\"2001-12-14T01:02:03.5Z\""),
        ("2001-12-14T1:2:3+05:60", "\"2001-12-14T01:02:03+06:00\""),
        ("2001-02-29", "2001-02-29"),
        ("'2001-12-14'", "\"2001-12-14\""),
        ("2001-12-14T23:59:60Z", "2001-12-14T23:59:60Z"),
    ]);
    assert!(refusal("a: 2001-12-14T1:2:3+24:00").contains("zone"));
}

#[test]
fn a_time_in_brackets_stays_as_it_is() {
    assert_eq!(printed("a: {b: 2001-12-14T1:2:3Z}\n"), "a:\n  b: \"2001-12-14T1:2:3Z\"\n");
    assert_eq!(printed("a: {b: 2001-12-14}\n"), "a:\n  b: \"2001-12-14T00:00:00Z\"\n");
}

#[test]
fn nothing_in_brackets_is_the_empty_text() {
    assert_eq!(printed("a: {b: , c: ~}\nd:\n"), "a:\n  b: \"\"\n  c: null\nd: null\n");
}

#[test]
fn words_of_yaml_1_1_are_quoted() {
    check(&[
        ("yes", "\"yes\""),
        ("y", "\"y\""),
        ("OFF", "\"OFF\""),
        ("tRue", "tRue"),
        ("True", "true"),
        ("NULL", "null"),
        ("~", "null"),
        ("'null'", "\"null\""),
        ("''", "\"\""),
        ("'1:20'", "\"1:20\""),
        ("1:60", "1:60"),
        ("'12:30:45'", "\"12:30:45\""),
        ("'-1:20.5'", "\"-1:20.5\""),
        ("'<<'", "<<"),
        ("'='", "="),
    ]);
}

#[test]
fn tags_decide_on_the_type() {
    check(&[
        ("!!str 123", "\"123\""),
        ("!!int '3'", "3"),
        ("!!float 1", "1"),
        ("!!float '1.5'", "1.5"),
        ("!!null ''", "null"),
        ("!!binary aGVsbG8=", "hello"),
        ("!!binary /////w==", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ("!!timestamp '2001-12-14'", "\"2001-12-14T00:00:00Z\""),
        ("!custom 1", "\"1\""),
        ("! 1", "1"),
        ("!<tag:yaml.org,2002:int> 5", "5"),
    ]);
    for text in ["!!int x", "!!int 1.0", "!!bool yes", "!!null x", "!!binary x", "!!timestamp x"] {
        refusal(&format!("a: {text}\n"));
    }
}

#[test]
fn text_is_quoted_where_it_has_to_be() {
    check(&[
        ("'@a'", "'@a'"),
        ("'a: b'", "'a: b'"),
        ("'a:'", "'a:'"),
        ("'a:b'", "a:b"),
        ("'a #b'", "'a #b'"),
        ("'a#b'", "a#b"),
        ("'-'", "'-'"),
        ("'- a'", "'- a'"),
        ("'-a'", "-a"),
        ("'---'", "'---'"),
        ("' a'", "' a'"),
        ("'it''s'", "it's"),
        ("'''a'", "'''a'"),
        ("'{{ .x }}'", "'{{ .x }}'"),
        ("'* * *'", "'* * *'"),
        ("'a, b'", "a, b"),
        ("\"a\\tb\"", "\"a\\tb\""),
        ("\"a\\\"\\\\\\tb\"", "\"a\\\"\\\\\\tb\""),
        ("\"\\u00e9\"", "é"),
        ("\"\\u00a0\"", "\u{a0}"),
        ("\"\\ufeff\"", "\"\\uFEFF\""),
        ("\"\\ufeffa\"", "\"\\uFEFF\\x61\""),
        ("\"\\U0001F600\"", "\"\\U0001F600\""),
        ("\"a\\0\"", "\"a\\0\""),
        ("\"a\\u2028b\"", "'a\u{2028}  b'"),
        ("\"a \\u0085 b\"", "a b"),
        ("\"a\\u0085\\u0085b\"", "|-\n  a\n  b"),
    ]);
}

#[test]
fn lines_become_a_literal_block() {
    check(&[
        ("\"a\\nb\"", "|-\n  a\n  b"),
        ("\"a\\n\\n\"", "|+\n  a"),
        ("\"\\na\"", "|2-\n\n  a"),
        ("\" a\\nb\"", "|2-\n   a\n  b"),
        ("\"a \\nb\"", "\"a \\nb\""),
        ("\"a\\tb\\n\"", "\"a\\tb\\n\""),
        ("\"a\\nb \"", "\"a\\nb \""),
    ]);
    assert_eq!(printed("a: \"x\\n\"\nb: 1\n"), "a: |\n  x\nb: 1\n");
    assert_eq!(printed("a: \"x\\n\\n\"\nb: 1\n"), "a: |+\n  x\n\nb: 1\n");
}

#[test]
fn long_text_is_folded_after_column_80() {
    let words = "wordwordwordwordword ".repeat(5);
    assert_eq!(
        scalar(words.trim_end()),
        "wordwordwordwordword wordwordwordwordword wordwordwordwordword wordwordwordwordword\n  wordwordwordwordword"
    );
    let spaces = format!("\"{}\"", "word  ".repeat(30));
    assert!(!scalar(&spaces).contains("\n"));
}

#[test]
fn folded_lines_that_are_indented_deeper_gain_a_line_break() {
    assert_eq!(printed("a: >\n  b\n   c\n"), "a: |\n  b\n\n   c\n");
    assert_eq!(printed("a: >\n  b\n  c\n"), "a: |\n  b c\n");
    assert_eq!(printed("a: >+\n  b\n\n"), "a: |+\n  b\n\n\n");
}

#[test]
fn keys_are_sorted_as_go_yaml_sorts_them() {
    let keys = ["a10", "a2", "a1", "a01", "aB", "ab", "a-b", "_x", "'10'", "'2'", "é", "B", "b"];
    let text: String = keys.iter().map(|key| format!("{key}: 1\n")).collect();
    let order: Vec<String> =
        printed(&text).lines().map(|line| line.trim_end_matches(": 1").to_owned()).collect();
    let expected =
        ["_x", "\"2\"", "\"10\"", "B", "a-b", "a1", "a01", "a2", "a10", "aB", "ab", "b", "é"];
    assert_eq!(order, expected);
}

#[test]
fn long_and_broken_keys_stand_on_lines_of_their_own() {
    let key = "k".repeat(129);
    assert_eq!(printed(&format!("a:\n  ? {key}\n  : [b]\n")), format!("a:\n  ? {key}\n  : - b\n"));
    assert_eq!(printed("a: {\"x\\ny\": {b: c}}\n"), "a:\n  ? |-\n    x\n    y\n  : b: c\n");
    refusal(&format!("a:\n  ? {}\n  : b\n", "k".repeat(1023)));
    refusal("a: {\"x\\u0085\": 1}\n");
}

#[test]
fn collections_are_printed_in_blocks() {
    assert_eq!(
        printed("a: [[1, [2, {b: c, d: [e]}]], {}, []]\nf: {}\n"),
        "a:\n- - 1\n  - - 2\n    - b: c\n      d:\n      - e\n- {}\n- []\nf: {}\n"
    );
}

#[test]
fn a_file_is_split_as_text() {
    assert_eq!(read("a: 1\n--- # c\n---\n# nothing\n---\nb: 2\n...\nc: 3\n").len(), 2);
    assert_eq!(read("\u{feff}a: 1\r\n---\r\n\u{feff}b: |\r\n  x\r\n  y\r\n").len(), 2);
    assert_eq!(printed("a: |\n  x\n---\nb: 1\n"), "a: |\n  x\nb: 1\n");
    assert_eq!(read("").len() + read("# c\n").len() + read("---\n").len() + read("~").len(), 0);
    assert_eq!(read("{}").len(), 1);
    assert_eq!(printed("a: 1\n%YAML 1.1\n"), "a: 1\n");
    assert!(refusal("a: 1\n--- b\nc: 1\n").starts_with("r.yaml:2:1: invalid document separator"));
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    assert_eq!(
        printed("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\nc: [*x]\n"),
        "a:\n  p: 1\n  q: 2\nb:\n  p: 1\n  q: 3\nc:\n- p: 1\n  q: 2\n"
    );
    assert_eq!(printed("a:\n  <<: [{p: 1}, {p: 2, q: 3}]\n"), "a:\n  p: 1\n  q: 3\n");
    assert_eq!(printed("a: {\"<<\": 1, b: 2}\n"), "a:\n  b: 2\n");
    for text in [
        "a: *x",
        "a: &x [*x]",
        "a: {<<: 1}",
        "a: {<<: {b: 1}, <<: {c: 1}}",
        "a: &x 1\n---\nb: *x\n",
    ] {
        refusal(text);
    }
}

#[test]
fn keys_that_are_no_strings_fail_when_printed() {
    assert_eq!(printed("1: a\ntrue: b\n"), "\"1\": a\n\"true\": b\n");
    assert!(refusal("a: {1: b}").contains("a: key 1 is no string"));
    assert!(
        refusal("spec: {list: [1, {a.b: {c: .inf}}]}")
            .contains("spec.list[1][\"a.b\"].c: infinities")
    );
    refusal("~: a\n");
    refusal("a: {b: 1, b: 2}\n");
    refusal("a: .inf\n");
    refusal("a: .nan\n");
    refusal("a: \"\\x7f\"\n");
}

#[test]
fn a_kustomization_is_read_by_older_rules() {
    let read = |text: &str| {
        let value = yaml::read_first(text.as_bytes(), &file(), &Limits::PERSON).unwrap();
        let mut out = String::new();
        json::write(&value, &mut out).unwrap();
        out
    };
    assert_eq!(read("a: 1\n---\nb: 1\n"), r#"{"a":1}"#);
    let keys = yaml::read_first(b"y: 1\n'y': 2\n2: 3\nz: 5", &file(), &Limits::PERSON).unwrap();
    let keys: Vec<_> =
        keys.as_map().unwrap().iter().map(|(key, _)| (&*key.text, key.typed)).collect();
    assert_eq!(keys, [("y", true), ("y", false), ("2", true), ("z", false)]);
    assert_eq!(read("a: 1\n<<: {a: 2, b: 3}\nb: 4\n"), r#"{"a":2,"b":4}"#);
    assert_eq!(read("a: >\n  b\n   c\n"), r#"{"a":"b\n c\n"}"#);
    assert_eq!(read(""), "null");
}

#[test]
fn mistakes_are_named_with_their_place() {
    let cases = [
        ("a:\n\tb: 1\n", "r.yaml:2:1: a tab is used as indentation\nhint: indent with spaces"),
        ("a: 1\n---\na: b: c\n", "r.yaml:3:5: a \": \" cannot stand here"),
        ("a: 'x\nb: 1\n", "r.yaml:1:4: a quote is not closed"),
        (
            "a: {{ .x }}\n",
            "r.yaml:1:5: a key has to be a string\nhint: put a value that begins with \"{{\" in quotes",
        ),
        ("a: @x\n", "r.yaml:1:4: a value cannot begin with \"@\""),
        ("a: 1\nb\n", "r.yaml:2:1: a key without \":\""),
        ("é: [*x]\n", "r.yaml:1:5: alias \"*x\" repeats an anchor that is not there"),
        ("a: !x!y z\n", "r.yaml:1:4: tag handle \"!x!\" is not declared"),
        ("a: \"\\q\"\n", "r.yaml:1:5: unknown escape \"\\q\""),
        ("a:\n  b: 1\n c: 2\n", "r.yaml:3:2: the mapping around this"),
        ("a: [1\nb: 2\n", "r.yaml:2:2: a comma or the end of \"[\" is due"),
        ("a: \u{1}\n", "r.yaml:1:4: control characters are not allowed"),
        ("%YAML 1.2\n---\na: b\n", "r.yaml:1:1: kustomize reads YAML 1.1 only"),
    ];
    for (text, expected) in cases {
        let refusal = refusal(text);
        assert!(refusal.starts_with(expected), "{text:?} gave {refusal:?}");
    }
    let error = yaml::read(b"a: 1\nb: \xff\n", &file(), &Limits::PERSON).unwrap_err();
    assert_eq!(error.to_string(), "r.yaml:2:4: not UTF-8");
}

#[test]
fn every_input_meets_its_limit() {
    let limited = |text: &str, limits: Limits| {
        yaml::read(text.as_bytes(), &file(), &limits).unwrap_err().kind()
    };
    let small =
        Limits { file_bytes: 1 << 20, documents: 3, depth: 20, alias_nodes: 100, ..Limits::PERSON };
    assert_eq!(limited(&"a".repeat((1 << 20) + 1), small), ErrorKind::Limit);
    assert_eq!(limited(&"a: 1\n---\n".repeat(4), small), ErrorKind::Limit);
    for open in ["[", "{a: ", "- ", "? ", "&a [", "!!seq ["] {
        let kind = limited(&open.repeat(1000), small);
        assert!(matches!(kind, ErrorKind::Limit | ErrorKind::Invalid), "{open:?}");
    }
    let nested: String = (0..30).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    assert_eq!(limited(&nested, small), ErrorKind::Limit);
    assert_eq!(
        limited(
            "a: &a [1, 2, 3, 4, 5]\nb: [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n",
            small
        ),
        ErrorKind::Limit
    );
    assert_eq!(
        limited("a: &a [[[[[[[[[[[1]]]]]]]]]]]\nb: [[[[[[[[[[[*a]]]]]]]]]]]\n", small),
        ErrorKind::Limit
    );
}

#[test]
fn a_billion_laughs_are_refused_at_once() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..20 {
        let item = format!("*a{}, ", i - 1).repeat(10);
        text.push_str(&format!("a{i}: &a{i} [{item}]\n"));
    }
    let start = Instant::now();
    let error = yaml::read(text.as_bytes(), &file(), &Limits::PERSON).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(start.elapsed() < Duration::from_millis(50));
}

#[test]
fn places_are_found_again() {
    let text = "# nothing\n---\na: 1\n---\nspec:\n  containers:\n  - name: x\n  - {name: y,\n     é: z, image: q}\n";
    let at = |path: &[Step<'_>]| yaml::locate(text.as_bytes(), 1, path);
    assert_eq!(at(&[]), Some((5, 1)));
    assert_eq!(at(&[Step::Key("spec"), Step::Key("containers")]), Some((6, 3)));
    let second = [Step::Key("spec"), Step::Key("containers"), Step::Index(1)];
    assert_eq!(at(&second), Some((8, 5)));
    assert_eq!(at(&[&second[..], &[Step::Key("image")]].concat()), Some((9, 12)));
    assert_eq!(at(&[Step::Key("spec"), Step::Key("nothing")]), Some((5, 1)));
    assert_eq!(yaml::locate(text.as_bytes(), 2, &[]), None);
}

#[test]
fn json_is_printed_as_go_prints_it() {
    let mut out = String::new();
    json::write(
        &read("b: [1, 1.5, 1e21, 1e-7, ~, true]\na: \"<&>\\u2028\\t\\x01é\"\n")[0],
        &mut out,
    )
    .unwrap();
    assert_eq!(
        out,
        "{\"a\":\"\\u003c\\u0026\\u003e\\u2028\\t\\u0001é\",\"b\":[1,1.5,1e+21,1e-7,null,true]}"
    );
}

#[test]
fn json_comes_back_as_it_went() {
    let value = &read("a: [1, -1, 18446744073709551615, 1.5, 'x', true, ~, {b: []}]\n")[0];
    let json = json::to_json(value).unwrap();
    let mut texts = [String::new(), String::new()];
    yaml::write(value, &mut texts[0]).unwrap();
    yaml::write(&json::from_json(&json), &mut texts[1]).unwrap();
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn comments_indented_by_tabs_may_follow_another_comment() {
    assert_eq!(printed("a: 1\n# c\n\n\t# d\nb: 2\n"), "a: 1\nb: 2\n");
    refusal("a: 1\n\t# d\nb: 2\n");
    refusal("a: 1\n# c\n\tb: 2\n");
}

/// Texts put together at random from the pieces of YAML, the same ones each time.
fn random_texts(count: u32) -> impl Iterator<Item = String> {
    const PIECES: [&str; 48] = [
        " ",
        "  ",
        "\n",
        "\n",
        "\n  ",
        "- ",
        "-",
        ": ",
        ":",
        "? ",
        "#",
        " # c",
        "a",
        "b",
        "key",
        "'",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a ",
        "*a",
        "!",
        "!!int ",
        "|",
        ">",
        "|-\n",
        ">2\n",
        "\t",
        "é",
        "\u{2028}",
        "\u{85}",
        "\u{feff}",
        "😀",
        "<<: ",
        "1",
        "0x1",
        "1e3",
        "~",
        "true",
        "---\n",
        "...\n",
        "2001-12-14 1:2:3",
        "%YAML 1.1\n",
        "a word and more words ",
    ];
    let mut state: u64 = 1;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        usize::try_from(state >> 33).unwrap() % below
    };
    (0..count).map(move |_| (0..1 + random(30)).map(|_| PIECES[random(PIECES.len())]).collect())
}

#[test]
fn no_text_makes_anything_panic() {
    for text in random_texts(5_000) {
        let bytes = text.as_bytes();
        let _ = yaml::read_first(bytes, &file(), &Limits::WEBHOOK);
        let path = [Step::Key("a"), Step::Index(1), Step::Key("b")];
        let _ = yaml::locate(bytes, 0, &path);
        let _ = yaml::key_lines(bytes);
        for value in yaml::read(bytes, &file(), &Limits::WEBHOOK).unwrap_or_default() {
            let _ = yaml::write(&value, &mut String::new());
            let _ = json::write(&value, &mut String::new());
            let _ = json::to_json(&value);
        }
    }
}

#[test]
fn what_is_printed_reads_as_what_it_was() {
    for text in random_texts(5_000) {
        for value in yaml::read(text.as_bytes(), &file(), &Limits::WEBHOOK).unwrap_or_default() {
            let (mut once, mut twice) = (String::new(), String::new());
            // go-yaml writes the Unicode line separators so that they come back as others.
            if yaml::write(&value, &mut once).is_err() || once.contains('\u{2028}') {
                continue;
            }
            let values = yaml::read(once.as_bytes(), &file(), &Limits::WEBHOOK).unwrap();
            yaml::write(values.first().unwrap_or(&Value::Null), &mut twice).unwrap();
            assert_eq!(once, twice, "from {text:?}");
        }
    }
}
