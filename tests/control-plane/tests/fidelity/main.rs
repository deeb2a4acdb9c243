//! The API in memory against a real kube-apiserver: both get the same requests and must answer the same.
//!
//! Objects of all kinds are rendered through overlays of their own and sent in sequences: created, applied by
//! several managers, in conflict and by force, changed, scaled, patched, refused, deleted, listed, watched. What
//! a sequence does is decided by its number alone. More of them, or others:
//! `SEQUENCES=5000 FIRST=1000 cargo test -p control-plane --test fidelity -- --nocapture`; one of them in full:
//! `SHOW=17`.
//!
//! What differs and is meant to stands in `differences.txt`, with its reason; everything else fails the test.

#![expect(clippy::print_stdout, reason = "the score is what one looks at")]

mod binary;
#[path = "../../../differential/chance.rs"]
mod chance;
mod change;
mod corners;
mod exchange;
mod hostile;
mod objects;
mod plain;
mod pods;
mod sequence;
mod speed;

use std::collections::BTreeMap;
use std::fmt::Write;

use control_plane::{ControlPlane, Result, condition, shared};
use exchange::{Question, Reply, Server};
use overlay::rehearsal::{Grade, Kind, Options, Rehearsal};
use plain::Plain;
use regex::Regex;
use sequence::{Act, Sequence, Step};
use serde_json::Value;

/// Sequences that every run sends.
const SEQUENCES: u64 = 400;

/// The least share of requests to exactly rehearsed kinds that are answered alike, in a thousand.
const FLOOR: usize = 990;

/// A server, with what it has chosen and what it was last asked to remember.
struct Side {
    server: Server,
    plain: Plain,
    mark: String,
}

/// What one request came to.
struct Outcome {
    question: Question,
    replies: [Reply; 2],
    difference: Option<String>,
}

/// How many of how many are alike.
#[derive(Clone, Copy, Default)]
struct Score {
    alike: usize,
    meant: usize,
    all: usize,
}

/// What is meant to differ: a kind, a text in the difference, and why.
struct Exception {
    kind: Regex,
    difference: Regex,
    line: &'static str,
}

impl Side {
    fn new(server: Server) -> Self {
        Self { server, plain: Plain::new(), mark: "0".into() }
    }

    /// The requests of a step, with their answers.
    fn take(&mut self, step: &Step) -> Vec<(Question, Reply)> {
        let ask = |server: &Server, question: Question| {
            let reply = server.ask(&question);
            (question, reply)
        };
        match step {
            Step::Ask(question) => vec![ask(&self.server, question.clone())],
            Step::Rewrite { path, to, edit } => {
                let Some(mut object) = self.server.object(path) else {
                    return vec![ask(&self.server, Question::get(path.clone()))];
                };
                edit.apply(&mut object);
                vec![ask(&self.server, Question::send("PUT", to.clone(), &object))]
            }
            Step::Mark(path) => {
                let pair = ask(&self.server, Question::get(path.clone()));
                let list = pair.1.json().unwrap_or_default();
                self.mark = text(&list["metadata"]["resourceVersion"]);
                vec![pair]
            }
            Step::Watch(path) => {
                let path = format!("{path}?watch=1&resourceVersion={}&timeoutSeconds=1", self.mark);
                vec![ask(&self.server, Question::get(path))]
            }
            Step::Pages(path) => {
                let mut pages = vec![ask(&self.server, Question::get(format!("{path}?limit=1")))];
                for _ in 0..3 {
                    let list = pages.last().and_then(|(_, reply)| reply.json()).unwrap_or_default();
                    let token = text(&list["metadata"]["continue"]);
                    if token.is_empty() {
                        break;
                    }
                    let path = format!("{path}?limit=1&continue={token}");
                    pages.push(ask(&self.server, Question::get(path)));
                }
                pages
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Asks both; what each question came to.
fn take(ours: &mut Side, real: &mut Side, step: &Step) -> Vec<Outcome> {
    let (ours_said, real_said) = (ours.take(step), real.take(step));
    let count = [ours_said.len(), real_said.len()];
    let pairs = ours_said.into_iter().zip(real_said);
    let mut outcomes: Vec<_> = pairs
        .map(|((question, ours_said), (_, real_said))| {
            let ours = ours.plain.reply(&question, &ours_said);
            let real = real.plain.reply(&question, &real_said);
            let difference = difference(&ours, &real);
            Outcome { question, replies: [ours_said, real_said], difference }
        })
        .collect();
    if let Some(last) = outcomes.last_mut().filter(|_| count[0] != count[1]) {
        last.difference = Some(format!("{} pages instead of {}", count[0], count[1]));
    }
    outcomes
}

/// Where two replies differ; of refusals first what they say.
fn difference(ours: &Value, real: &Value) -> Option<String> {
    let found = plain::difference(ours, real, "")?;
    let said = |reply: &Value| format!("{} {}", reply["status"], text(&reply["body"]["message"]));
    let alike =
        ours["status"] == real["status"] && ours["body"]["message"] == real["body"]["message"];
    let found = match alike {
        true => found,
        false => format!("{} INSTEAD OF {}", said(ours), said(real)),
    };
    let same = plain::difference(&plain::without_empty(ours), &plain::without_empty(real), "");
    // So one of the exceptions recognises it.
    Some(found + if same.is_none() { " (EMPTY AND NULL)" } else { "" })
}

fn exceptions() -> Vec<Exception> {
    let lines = include_str!("differences.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let exception = |line: &'static str| {
        let parts: Vec<_> = line.splitn(3, " | ").collect();
        let [kind, difference, _] = parts[..] else { panic!("kind | difference | why: {line}") };
        let pattern = |text: &str| Regex::new(text).unwrap_or_else(|why| panic!("{line}: {why}"));
        Exception { kind: pattern(&format!("^({kind})$")), difference: pattern(difference), line }
    };
    lines.map(exception).collect()
}

/// The number that an environment variable holds.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn define(plane: &ControlPlane, api: &Rehearsal) -> Result<()> {
    for definition in objects::documents(objects::DEFINITIONS) {
        let name = text(&definition["metadata"]["name"]);
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        plane.apply(&path, definition.to_string())?;
        plane.wait_for(&path, |object| condition(object, "Established"))?;
        api.apply(&definition, "", "control-plane").expect("the definitions are valid");
        let plural = text(&definition["spec"]["names"]["plural"]);
        // A definition is established a moment before it is served.
        let path = format!("/apis/example.org/v1/namespaces/default/{plural}");
        plane.wait_for(&path, |list| list["items"].is_array())?;
        let document = "/openapi/v3/apis/example.org/v1";
        plane.wait_for(document, |found| found.to_string().contains(&plural))?;
    }
    Ok(())
}

#[test]
fn requests_are_answered_as_a_real_server_answers_them() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let address = plane.server_url().trim_start_matches("https://").to_owned();
    let options = Options { address, ..Options::default() };
    let api = Rehearsal::new(&options).expect("the default minor is known");
    define(plane, &api)?;
    let mut ours = Side::new(Server::Memory(api.clone()));
    let mut real = Side::new(Server::Real(plane));
    let grades = grades(&api);
    let exceptions = exceptions();
    let mut used = vec![0; exceptions.len()];
    let mut scores: BTreeMap<(Grade, String), Score> = BTreeMap::new();
    let mut report = String::new();
    let show = number("SHOW");
    let first = show.or_else(|| number("FIRST")).unwrap_or_default();
    let count = if show.is_some() { 1 } else { number("SEQUENCES").unwrap_or(SEQUENCES) };
    for sequence_number in first..first + count {
        let sequence = Sequence::new(sequence_number);
        begin(&ours.server, &real.server, &sequence.namespace);
        // What one of them has counted more does not matter to the next sequence.
        (ours.plain, real.plain) = (Plain::new(), Plain::new());
        for (at, act) in sequence.acts.iter().enumerate() {
            let outcomes = take(&mut ours, &mut real, &act.step);
            let parted = outcomes.iter().any(Outcome::parts_ways);
            for outcome in outcomes {
                let score = scores.entry((grades[&act.kind], act.kind.clone())).or_default();
                score.all += 1;
                let head = format!("{sequence_number}.{at} {} {}", act.kind, act.what);
                if show.is_some() {
                    println!("{head}: {}", outcome.in_full());
                }
                let Some(difference) = &outcome.difference else {
                    score.alike += 1;
                    continue;
                };
                let exception = exceptions.iter().position(|one| one.means(act, difference));
                if let Some(exception) = exception {
                    used[exception] += 1;
                    score.meant += 1;
                    continue;
                }
                writeln!(report, "{head}: {}\n    {difference}", outcome.title()).expect("room");
            }
            if parted {
                // What comes now would only be a consequence.
                break;
            }
        }
    }
    print_scores(&scores);
    for (exception, count) in exceptions.iter().zip(&used) {
        println!("{count:5} times {}", exception.line);
    }
    if let Some(file) = std::env::var_os("DIFFERENCES") {
        std::fs::write(file, &report).expect("the report can be written");
    }
    let exact = scores.iter().filter(|((grade, _), _)| *grade == Grade::Exact);
    let exact = exact.fold(Score::default(), |sum, (_, score)| sum.with(*score));
    assert!(exact.alike * 1000 >= exact.all * FLOOR, "{} of {} alike", exact.alike, exact.all);
    assert!(report.is_empty(), "differences that are not listed:\n{report}");
    if first == 0 && count >= SEQUENCES {
        // What the real server leaves to chance may be alike for once.
        let certain = |exception: &Exception| !exception.line.ends_with("to chance");
        let mut unused = exceptions.iter().zip(&used).filter(|(_, count)| **count == 0);
        let unused = unused.find(|(exception, _)| certain(exception));
        assert!(unused.is_none(), "no longer differs: {}", unused.map_or("", |(one, _)| one.line));
    }
    Ok(())
}

#[test]
fn hostile_requests_are_refused_as_a_real_server_refuses_them() -> Result<()> {
    let questions = hostile::questions().into_iter().chain(binary::questions());
    asked_of_both("fidelity-hostile", questions)
}

#[test]
fn statuses_and_addresses_are_read_as_a_real_server_reads_them() -> Result<()> {
    asked_of_both("fidelity-pods", pods::questions().into_iter())
}

#[test]
fn corners_are_turned_as_a_real_server_turns_them() -> Result<()> {
    asked_of_both("fidelity-corners", corners::questions().into_iter())
}

/// Asks both servers, in a namespace of its own.
fn asked_of_both(namespace: &str, questions: impl Iterator<Item = Question>) -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let address = plane.server_url().trim_start_matches("https://").to_owned();
    let api = Rehearsal::new(&Options { address, ..Options::default() });
    let mut ours = Side::new(Server::Memory(api.expect("the default minor is known")));
    let mut real = Side::new(Server::Real(plane));
    begin(&ours.server, &real.server, namespace);
    let report = compare(&mut ours, &mut real, questions);
    assert!(report.is_empty(), "{report}");
    Ok(())
}

/// Asks both servers each of the questions; what differs.
fn compare(ours: &mut Side, real: &mut Side, questions: impl Iterator<Item = Question>) -> String {
    let mut report = String::new();
    for question in questions {
        for outcome in take(ours, real, &Step::Ask(question)) {
            let Some(difference) = &outcome.difference else { continue };
            let title: String = outcome.title().chars().take(200).collect();
            let difference: String = difference.chars().take(600).collect();
            let real: String = outcome.replies[1].body.chars().take(1200).collect();
            writeln!(report, "{title}\n    {difference}\n    {real}").expect("text has room");
        }
    }
    report
}

/// Gives a sequence its namespace.
fn begin(ours: &Server, real: &Server, namespace: &str) {
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
    });
    let question = Question::send("POST", "/api/v1/namespaces", &object);
    for server in [ours, real] {
        let reply = server.ask(&question);
        assert!(reply.is_success(), "{}", reply.body);
    }
}

/// How exactly each kind is rehearsed.
fn grades(api: &Rehearsal) -> BTreeMap<String, Grade> {
    let objects = objects::documents(objects::OBJECTS);
    let grade = |object: &Value| {
        let kind = text(&object["kind"]);
        let grade = api.grade(&Kind::new(&text(&object["apiVersion"]), &kind));
        (kind, grade)
    };
    objects.iter().map(grade).collect()
}

fn print_scores(scores: &BTreeMap<(Grade, String), Score>) {
    let mut grades: BTreeMap<Grade, Score> = BTreeMap::new();
    for ((grade, kind), score) in scores {
        score.print(&format!("{kind} ({grade})"));
        let sum = grades.entry(*grade).or_default();
        *sum = sum.with(*score);
    }
    for (grade, score) in grades {
        score.print(&format!("all {grade}"));
    }
}

impl Score {
    fn with(self, other: Self) -> Self {
        Self {
            alike: self.alike + other.alike,
            meant: self.meant + other.meant,
            all: self.all + other.all,
        }
    }

    fn print(self, name: &str) {
        let percent = 100.0 * self.alike as f64 / (self.all as f64).max(1.0);
        let Self { alike, meant, all } = self;
        println!("{name:40} {alike:6} of {all:6} alike, {percent:6.2} %; {meant} meant to differ");
    }
}

impl Exception {
    fn means(&self, act: &Act, difference: &str) -> bool {
        self.kind.is_match(&act.kind) && self.difference.is_match(difference)
    }
}

impl Outcome {
    /// Whether one did what the other refused.
    fn parts_ways(&self) -> bool {
        let write = self.question.method != "GET";
        self.difference.is_some() && write && !self.question.path.contains("dryRun=All")
    }

    fn title(&self) -> String {
        let Question { method, path, body, .. } = &self.question;
        let body: String = body.chars().take(1200).collect();
        format!("{method} {path} {body}")
    }

    fn in_full(&self) -> String {
        let [ours, real] = &self.replies;
        format!(
            "{}\n  in memory: {} {}\n  real: {} {}\n  {}",
            self.title(),
            ours.status,
            ours.body,
            real.status,
            real.body,
            self.difference.as_deref().unwrap_or("alike")
        )
    }
}
