//! Requests whose bodies are protobuf, short enough that all their bytes are those of text.

use crate::exchange::Question;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All";

/// The beginning of a field, or a whole small number.
fn byte(value: usize) -> String {
    let byte = u8::try_from(value).ok().filter(u8::is_ascii);
    char::from(byte.expect("it is short")).into()
}

/// A field that is a text or a message.
fn field(number: usize, text: &str) -> String {
    byte(number << 3 | 2) + &byte(text.len()) + text
}

fn on(number: usize) -> String {
    byte(number << 3) + &byte(1)
}

/// A definition of a kind, with this as its group and its schema.
fn definition(group: &str, schema: &str) -> Question {
    let names = field(1, "as") + &field(4, "A");
    let version = field(1, "v1") + &on(2) + &on(3) + &field(4, &field(1, schema));
    let spec = field(1, group) + &field(3, &names) + &field(4, "Cluster") + &field(7, &version);
    let raw = field(1, &field(1, &format!("as.{group}"))) + &field(2, &spec);
    let meta = field(1, "apiextensions.k8s.io/v1") + &field(2, "CustomResourceDefinition");
    Question {
        method: "POST",
        path: DEFINITIONS.into(),
        content_type: Some("application/vnd.kubernetes.protobuf"),
        body: format!("k8s\0{}{}", field(1, &meta), field(2, &raw)),
        ..Question::default()
    }
}

/// All of them.
pub(crate) fn questions() -> Vec<Question> {
    let items = field(5, "array");
    vec![
        definition("a.io", &field(5, "object")),
        definition("a.io", &(field(5, "object") + &field(1, "x"))),
        definition("a.io", &field(5, "thing")),
        definition("a.io", &items),
        definition("io", &field(5, "object")),
        Question { body: "{}".into(), ..definition("a.io", "") },
        Question { body: "k8s\0\n\u{5}a".into(), ..definition("a.io", "") },
    ]
}
