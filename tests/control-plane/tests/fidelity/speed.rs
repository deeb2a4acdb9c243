//! How fast the API in memory is beside a real server, on the same machine in the same run.
//!
//! `CARGO_PROFILE_RELEASE_LTO=off cargo test --release -p control-plane --test fidelity speed -- --ignored --nocapture`

use std::time::{Duration, Instant};

use control_plane::{Result, shared};
use overlay::rehearsal::{Options, Rehearsal};
use serde_json::json;

use crate::exchange::{Question, Server};
use crate::objects::{Object, documents};

/// Deployments that are applied.
const COUNT: usize = 1000;

/// How many clients apply at the same time; more make the real server no faster on two cores.
const CLIENTS: usize = 8;

fn apply(number: usize, replicas: usize) -> Question {
    let mut documents = documents(crate::objects::OBJECTS).into_iter();
    let mut object = documents.find(|one| one["kind"] == "Deployment").expect("there is one");
    object["metadata"]["name"] = format!("web-{number}").into();
    object["metadata"]["namespace"] = "fidelity-speed".into();
    object["spec"]["replicas"] = json!(replicas);
    let object = Object::new(object);
    let path = format!("{}?fieldManager=speed&force=true", object.path);
    let content_type = Some("application/apply-patch+yaml");
    Question { content_type, ..Question::send("PATCH", path, &object.value) }
}

fn timed(server: &Server, questions: &[Question]) -> Duration {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for part in questions.chunks(COUNT.div_ceil(CLIENTS)) {
            scope.spawn(move || {
                for question in part {
                    let reply = server.ask(question);
                    assert!(reply.is_success(), "{}", reply.body);
                }
            });
        }
    });
    begin.elapsed()
}

#[test]
#[ignore = "a measurement, for a release build"]
fn speed() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let api = Rehearsal::new(&Options::default()).expect("the default minor is known");
    let (ours, real) = (Server::Memory(api), Server::Real(plane));
    crate::begin(&ours, &real, "fidelity-speed");
    for (what, replicas) in [("new", 1), ("the same again", 1), ("changed", 2)] {
        let questions: Vec<_> = (0..COUNT).map(|number| apply(number, replicas)).collect();
        let times = [timed(&ours, &questions), timed(&real, &questions)];
        let ratio = times[1].as_secs_f64() / times[0].as_secs_f64();
        println!(
            "{COUNT} applies, {what}: {:?} in memory, {:?} real, {ratio:.1} times",
            times[0], times[1]
        );
    }
    Ok(())
}
