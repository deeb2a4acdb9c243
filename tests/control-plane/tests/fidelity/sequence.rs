//! A sequence of requests about a few objects, another one for each number.

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::change::{Temper, change, operations, part_of};
use crate::exchange::Question;
use crate::objects::Object;

/// What is done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Asked as it stands.
    Ask(Question),
    /// What is at a path is read, changed, and sent back.
    Rewrite { path: String, to: String, edit: Edit },
    /// A list; watches and later lists begin where it was made.
    Mark(String),
    /// What has happened since the mark.
    Watch(String),
    /// The rest of a list that is read in pages of one.
    Pages(String),
}

/// A change to what a server has, the same on both.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    /// Changes by chance.
    Chance { seed: u64, temper: Temper },
    /// A count of a scale.
    Replicas(i64),
    /// Another version than it has.
    Stale,
    /// Another uid than it has.
    Stranger,
    /// Without owners of fields.
    Disowned,
}

/// One step with what it is about.
pub(crate) struct Act {
    pub(crate) step: Step,
    pub(crate) kind: String,
    pub(crate) what: &'static str,
}

/// The steps of one number.
pub(crate) struct Sequence {
    pub(crate) namespace: String,
    pub(crate) acts: Vec<Act>,
}

struct Author {
    chance: Chance,
    objects: Vec<Object>,
    acts: Vec<Act>,
}

/// How many steps follow the first one.
const LENGTH: usize = 14;

const MANAGERS: [&str; 4] = ["alpha", "beta", "gamma", "kubectl"];

impl Sequence {
    pub(crate) fn new(number: u64) -> Self {
        let mut chance = Chance::new(number);
        let namespace = format!("fidelity-{number}");
        let all = Object::all(number, &namespace, &mut chance);
        let count = 1 + chance.below(2);
        let mut objects: Vec<_> =
            (0..count).map(|_| all[chance.below(all.len())].clone()).collect();
        // Every kind has its turn.
        let turn = usize::try_from(number).unwrap_or_default() % all.len();
        objects[0] = all[turn].clone();
        let mut author = Author { chance, objects, acts: Vec::new() };
        author.begin();
        for _ in 0..LENGTH {
            author.go_on();
        }
        author.end();
        Self { namespace, acts: author.acts }
    }
}

impl Author {
    fn act(&mut self, object: &Object, what: &'static str, step: Step) {
        self.acts.push(Act { step, kind: object.kind.clone(), what });
    }

    fn begin(&mut self) {
        for object in self.objects.clone() {
            if object.is_namespaced() {
                self.act(&object, "list", Step::Mark(object.collection.clone()));
            }
            match self.chance.below(4) {
                0 => self.create(&object),
                1 => self.apply(&object, &object.value.clone(), "alpha", ""),
                _ => {
                    let mut value = object.value.clone();
                    if self.chance.percent(30) {
                        change(&mut value, Temper::Mild, &mut self.chance);
                    }
                    self.apply(&object, &value, "alpha", "");
                }
            }
        }
    }

    fn end(&mut self) {
        for object in self.objects.clone() {
            self.act(&object, "get", Step::Ask(Question::get(object.path.clone())));
            if object.is_namespaced() && self.chance.percent(10) {
                self.act(&object, "watch", Step::Watch(object.collection.clone()));
            }
            let delete =
                Question { method: "DELETE", path: object.path.clone(), ..Question::default() };
            self.act(&object, "delete", Step::Ask(delete));
        }
    }

    fn go_on(&mut self) {
        let object = self.objects[self.chance.below(self.objects.len())].clone();
        match self.chance.below(100) {
            0..=24 => self.apply_something(&object),
            25..=36 => self.rewrite(&object),
            37..=43 => self.merge(&object),
            44..=49 => self.patch_json(&object),
            50..=56 => self.patch_strategically(&object),
            57..=61 => self.create(&object),
            62..=66 => self.scale(&object),
            67..=72 => self.write_status(&object),
            73..=80 => self.read(&object),
            81..=85 => self.delete(&object),
            86..=93 => self.invalid(&object),
            _ => self.misuse(&object),
        }
    }

    fn manager(&mut self) -> &'static str {
        self.chance.pick(&MANAGERS)
    }

    /// The query of a write.
    fn options(&mut self, first: &str) -> String {
        let mut options = vec![first.to_owned()];
        if self.chance.percent(12) {
            options.push("dryRun=All".into());
        }
        if self.chance.percent(60) {
            let how = self.chance.pick(&["Strict", "Warn", "Ignore"]);
            options.push(format!("fieldValidation={how}"));
        }
        options.retain(|option| !option.is_empty());
        options.join("&")
    }

    fn create(&mut self, object: &Object) {
        let mut value = object.value.clone();
        if self.chance.percent(20) {
            change(&mut value, Temper::Wild, &mut self.chance);
        }
        let manager = self.manager();
        let options = self.options(&format!("fieldManager={manager}"));
        let path = format!("{}?{options}", object.collection);
        self.act(object, "create", Step::Ask(Question::send("POST", path, &value)));
    }

    fn apply(&mut self, object: &Object, value: &Value, manager: &str, more: &str) {
        let options = self.options(&format!("fieldManager={manager}{more}"));
        let mut question = Question::send("PATCH", format!("{}?{options}", object.path), value);
        question.content_type = Some("application/apply-patch+yaml");
        if self.chance.percent(20) {
            let mut text = String::new();
            let written = overlay::yaml::write(&overlay::json::from_json(value), &mut text);
            if written.is_ok() {
                question.body = text;
            }
        }
        self.act(object, "apply", Step::Ask(question));
    }

    fn apply_something(&mut self, object: &Object) {
        let manager = self.manager();
        let mut value = match self.chance.below(3) {
            0 => object.value.clone(),
            _ => part_of(&object.value, &mut self.chance),
        };
        for _ in 0..self.chance.below(3) {
            // Of two unknown fields the server names one by chance.
            if !value.to_string().contains("\"added\"") {
                change(&mut value, Temper::Mild, &mut self.chance);
            }
        }
        if self.chance.percent(10) && !value.to_string().contains("\"added\"") {
            change(&mut value, Temper::Wild, &mut self.chance);
        }
        let force = if self.chance.percent(35) { "&force=true" } else { "" };
        self.apply(object, &value, manager, force);
    }

    fn rewrite(&mut self, object: &Object) {
        let edit = match self.chance.below(10) {
            0 => Edit::Stale,
            1 => Edit::Stranger,
            2 => Edit::Disowned,
            at => Edit::Chance {
                seed: self.chance.below(1 << 30) as u64,
                temper: if at < 5 { Temper::Wild } else { Temper::Mild },
            },
        };
        let manager = if self.chance.percent(70) {
            format!("fieldManager={}", self.manager())
        } else {
            String::new()
        };
        let to = format!("{}?{}", object.path, self.options(&manager));
        self.act(object, "update", Step::Rewrite { path: object.path.clone(), to, edit });
    }

    fn some_change(&mut self, object: &Object) -> Value {
        let mut value = part_of(&object.value, &mut self.chance);
        let temper = if self.chance.percent(20) { Temper::Wild } else { Temper::Mild };
        change(&mut value, temper, &mut self.chance);
        if let Some(map) = value.as_object_mut() {
            map.remove("apiVersion");
            map.remove("kind");
        }
        value
    }

    fn patch(
        &mut self,
        object: &Object,
        content_type: &'static str,
        body: &Value,
        what: &'static str,
    ) {
        let manager = self.manager();
        let options = self.options(&format!("fieldManager={manager}"));
        let mut question = Question::send("PATCH", format!("{}?{options}", object.path), body);
        question.content_type = Some(content_type);
        self.act(object, what, Step::Ask(question));
    }

    fn merge(&mut self, object: &Object) {
        let mut value = self.some_change(object);
        if self.chance.percent(20) {
            value["metadata"] = json!({"labels": {"merged": "yes", "app": null}});
        }
        self.patch(object, "application/merge-patch+json", &value, "merge patch");
    }

    fn patch_json(&mut self, object: &Object) {
        let operations = operations(&object.value, &mut self.chance);
        self.patch(object, "application/json-patch+json", &operations, "JSON patch");
    }

    fn patch_strategically(&mut self, object: &Object) {
        let mut value = self.some_change(object);
        if self.chance.percent(25)
            && let Some(containers) =
                value.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut)
        {
            let directives = [
                json!({"name": "proxy", "$patch": "delete"}),
                json!({"name": "web", "$patch": "replace", "image": "new"}),
                json!({"$patch": "replace"}),
            ];
            containers.push(directives[self.chance.below(directives.len())].clone());
        }
        self.patch(
            object,
            "application/strategic-merge-patch+json",
            &value,
            "strategic merge patch",
        );
    }

    fn scale(&mut self, object: &Object) {
        let path = format!("{}/scale", object.path);
        let count = i64::try_from(self.chance.below(8)).unwrap_or_default() - 1;
        let manager = self.manager();
        let query = self.options(&format!("fieldManager={manager}"));
        if !object.has_scale() && self.chance.percent(80) {
            return self.read(object);
        }
        let spec = json!({"spec": {"replicas": count}});
        let step = match self.chance.below(4) {
            0 => Step::Ask(Question::get(path)),
            1 => Step::Rewrite { to: format!("{path}?{query}"), path, edit: Edit::Replicas(count) },
            2 => {
                let mut question = Question::send("PATCH", format!("{path}?{query}"), &spec);
                question.content_type = Some("application/merge-patch+json");
                Step::Ask(question)
            }
            _ => {
                let mut scale = spec;
                scale["apiVersion"] = "autoscaling/v1".into();
                scale["kind"] = "Scale".into();
                scale["metadata"] = json!({
                    "name": object.value["metadata"]["name"],
                    "namespace": object.value["metadata"]["namespace"],
                });
                let force = if self.chance.percent(50) { "&force=true" } else { "" };
                let mut question =
                    Question::send("PATCH", format!("{path}?{query}{force}"), &scale);
                question.content_type = Some("application/apply-patch+yaml");
                Step::Ask(question)
            }
        };
        self.act(object, "scale", step);
    }

    fn write_status(&mut self, object: &Object) {
        let Some(mut status) = object.status() else { return self.read(object) };
        let path = format!("{}/status", object.path);
        let manager = self.manager();
        let query = self.options(&format!("fieldManager={manager}"));
        if self.chance.percent(25) {
            let temper = if self.chance.percent(50) { Temper::Wild } else { Temper::Mild };
            change(&mut status, temper, &mut self.chance);
        }
        let step = match self.chance.below(5) {
            0 => Step::Ask(Question::get(path)),
            1 => {
                let seed = self.chance.below(1 << 30) as u64;
                let edit = Edit::Chance { seed, temper: Temper::Mild };
                Step::Rewrite { to: format!("{path}?{query}"), path, edit }
            }
            2 | 3 => {
                let body = json!({"status": status, "spec": {"paused": true}});
                let mut question = Question::send("PATCH", format!("{path}?{query}"), &body);
                question.content_type = Some("application/merge-patch+json");
                Step::Ask(question)
            }
            _ => {
                let mut body = json!({
                    "apiVersion": object.value["apiVersion"], "kind": object.value["kind"],
                    "metadata": {"name": object.value["metadata"]["name"]}, "status": status,
                });
                if self.chance.percent(30) {
                    body["metadata"]["labels"] = json!({"by": "status"});
                }
                let mut question = Question::send("PATCH", format!("{path}?{query}"), &body);
                question.content_type = Some("application/apply-patch+yaml");
                Step::Ask(question)
            }
        };
        self.act(object, "status", step);
    }

    fn read(&mut self, object: &Object) {
        let mut question = Question::get(object.path.clone());
        let accepts = [
            None,
            Some("application/json;as=Table;v=v1;g=meta.k8s.io, application/json"),
            Some("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io, application/json"),
            Some("application/yaml"),
        ];
        question.accept = accepts[self.chance.below(3)];
        if !object.is_namespaced() {
            return self.act(object, "get", Step::Ask(question));
        }
        let queries = [
            "labelSelector=app%3Dweb",
            "labelSelector=app+in+(web,db),tier!%3Dback",
            "labelSelector=!app",
            "fieldSelector=metadata.name%3Dnone",
            "resourceVersion=0",
            "limit=10",
            "labelSelector=Not%20Valid!",
            "fieldSelector=spec.unknown%3D1",
        ];
        match self.chance.below(4) {
            0 => self.act(object, "get", Step::Ask(question)),
            1 => self.act(object, "list", Step::Pages(object.collection.clone())),
            _ => {
                let query = queries[self.chance.below(queries.len())];
                question.path = format!("{}?{query}", object.collection);
                self.act(object, "list", Step::Ask(question));
            }
        }
    }

    fn delete(&mut self, object: &Object) {
        let zero = "00000000-0000-0000-0000-000000000000";
        let options = [
            json!({}),
            json!({"propagationPolicy": "Foreground"}),
            json!({"propagationPolicy": "Orphan"}),
            json!({"propagationPolicy": "Sideways"}),
            json!({"preconditions": {"uid": zero}}),
            json!({"gracePeriodSeconds": 0}),
            json!({"gracePeriodSeconds": -5}),
            json!({"dryRun": ["All"]}),
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}),
        ];
        let options = &options[self.chance.below(options.len())];
        if object.is_namespaced() && self.chance.percent(15) {
            let path = format!("{}?labelSelector=app%3Dweb", object.collection);
            let question = Question::send("DELETE", path, options);
            return self.act(object, "delete", Step::Ask(question));
        }
        let question = Question::send("DELETE", object.path.clone(), options);
        self.act(object, "delete", Step::Ask(question));
    }

    /// Creates that never last: what is refused of a kind.
    fn invalid(&mut self, object: &Object) {
        let mut value = object.value.clone();
        value["metadata"]["name"] = "never".into();
        change(&mut value, Temper::Wild, &mut self.chance);
        let validation = self.chance.pick(&["Strict", "Warn", "Ignore"]);
        let path = format!("{}?dryRun=All&fieldValidation={validation}", object.collection);
        self.act(object, "invalid", Step::Ask(Question::send("POST", path, &value)));
    }

    /// Requests that are wrong in themselves.
    fn misuse(&mut self, object: &Object) {
        let value = &object.value;
        let mut renamed = value.clone();
        renamed["metadata"]["name"] = "another".into();
        let mut moved = value.clone();
        moved["metadata"]["namespace"] = "elsewhere".into();
        let mut owned = value.clone();
        owned["metadata"]["managedFields"] = json!([{"manager": "x"}]);
        let mut other = value.clone();
        other["kind"] = "Other".into();
        let (path, collection) = (&object.path, &object.collection);
        let apply = |query: &str, body: &Value| Question {
            content_type: Some("application/apply-patch+yaml"),
            ..Question::send("PATCH", format!("{path}{query}"), body)
        };
        let text = |method, path: &str, content_type, body: &str| Question {
            method,
            path: path.to_owned(),
            content_type: Some(content_type),
            body: body.to_owned(),
            ..Question::default()
        };
        let deep = format!("{}1{}", "[".repeat(10_500), "]".repeat(10_500));
        let questions = [
            apply("", value),
            apply("?fieldManager=alpha", &renamed),
            apply("?fieldManager=alpha", &moved),
            apply("?fieldManager=alpha", &owned),
            apply("?fieldManager=alpha", &other),
            apply("?fieldManager=alpha&force=maybe", value),
            apply("?fieldManager=alpha&dryRun=Some", value),
            apply("?fieldManager=alpha&fieldValidation=Loose", value),
            text(
                "PATCH",
                &format!("{path}?fieldManager=a"),
                "application/apply-patch+yaml",
                "a: [b",
            ),
            text("PATCH", path, "application/merge-patch+json", "{\"a\""),
            text("PATCH", path, "application/merge-patch+json", "[]"),
            text("PATCH", path, "application/json-patch+json", "{}"),
            text(
                "PATCH",
                path,
                "application/json-patch+json",
                "[{\"op\":\"jump\",\"path\":\"/a\"}]",
            ),
            text("PATCH", path, "text/plain", "a"),
            text("POST", collection, "application/json", "{}"),
            text("POST", collection, "application/json", ""),
            text("POST", collection, "text/plain", "a"),
            text("POST", collection, "application/json", &deep),
            text("PUT", path, "application/json", "null"),
            text("PUT", collection, "application/json", "{}"),
            Question::send("PUT", path.clone(), &renamed),
            Question::send("POST", path.clone(), value),
            Question::send("POST", collection.clone(), &moved),
            Question::get(format!("{path}/nothing")),
            Question::get(format!("{collection}?limit=x")),
            Question::get(format!("{collection}?resourceVersion=x")),
            Question { accept: Some("text/html"), ..Question::get(path.clone()) },
            Question::get(format!("{collection}?continue=x")),
        ];
        let question = questions[self.chance.below(questions.len())].clone();
        self.act(object, "misuse", Step::Ask(question));
    }
}

impl Edit {
    pub(crate) fn apply(self, object: &mut Value) {
        match self {
            Self::Chance { seed, temper } => {
                let mut chance = Chance::new(seed);
                change(object, temper, &mut chance);
                if temper == Temper::Mild {
                    change(object, temper, &mut chance);
                }
            }
            Self::Replicas(count) => object["spec"]["replicas"] = count.into(),
            Self::Stale => object["metadata"]["resourceVersion"] = "1".into(),
            Self::Stranger => {
                object["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
            }
            Self::Disowned => object["metadata"]["managedFields"] = json!([{}]),
        }
    }
}
