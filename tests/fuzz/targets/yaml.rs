//! Any bytes are read or refused, and what is printed of them can be read and is printed alike.

#![no_main]

use overlay::Limits;
use overlay::yaml;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let file = "f.yaml".into();
    let _ = yaml::read_first(data, &file, &Limits::WEBHOOK);
    let Ok(documents) = yaml::read(data, &file, &Limits::WEBHOOK) else { return };
    for document in documents {
        let mut printed = String::new();
        if yaml::write(&document, &mut printed).is_err() {
            continue;
        }
        // A line that begins with `---` separates documents, wherever it stands.
        if printed.starts_with("---") || printed.contains("\n---") {
            continue;
        }
        let again = yaml::read(printed.as_bytes(), &file, &Limits::PERSON);
        let again = again.unwrap_or_else(|error| panic!("{error}: {printed:?}"));
        let mut reprinted = String::new();
        match again.as_slice() {
            // Nulls are no documents.
            [] => assert_eq!(printed, "null\n"),
            [one] => {
                yaml::write(one, &mut reprinted).expect("printed once");
                assert_eq!(reprinted, printed);
            }
            _ => panic!("several documents: {printed:?}"),
        }
    }
});
