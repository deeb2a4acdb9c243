//! Which resources a patch or a replacement is for.
//!
//! Group, version, kind, name and namespace are regular expressions that have to match the whole
//! text; labels and annotations are selected as `kubectl get -l` does.
//!
//! Source: kustomize `api/types/selector.go` and `api/resmap`, `Select`; the label syntax is
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>.

use ecow::EcoString;
use regex::Regex;

use crate::error::{Error, Place, Result};
use crate::kustomization::Selector;
use crate::limits::Limits;
use crate::pattern;
use crate::resource::{Gvk, Id, Resource};
use crate::value::{Map, Value};

/// What was read, or what is wrong with it.
type Syntax<T> = std::result::Result<T, String>;

/// A compiled selector.
#[derive(Clone, Debug)]
pub struct Matcher {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    labels: LabelSelector,
    annotations: LabelSelector,
}

/// An expression that matches whole texts.
#[derive(Clone, Debug)]
enum Pattern {
    /// A blank one matches anything.
    Any,
    /// Without operators; a dot stands for any character but a line break.
    Text(EcoString),
    /// All others.
    Regex(Regex),
}

/// Requirements on labels or annotations, all of which have to hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LabelSelector(Vec<Requirement>);

/// What one label has to be.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Requirement {
    key: EcoString,
    operator: Operator,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Operator {
    /// `a`
    Exists,
    /// `!a`
    Missing,
    /// `a=b`, `a==b`, `a in (b,c)`
    In(Vec<EcoString>),
    /// `a!=b`, `a notin (b,c)`: a missing label passes.
    NotIn(Vec<EcoString>),
    /// `a>1`
    Above(i64),
    /// `a<1`
    Below(i64),
}

impl Matcher {
    /// Compiles `selector` within the bounds for a person.
    ///
    /// # Errors
    /// As [`Matcher::within`].
    pub fn new(selector: &Selector) -> Result<Self> {
        Self::within(selector, &Limits::PERSON)
    }

    /// Compiles `selector`, each expression to at most [`Limits::regex_bytes`].
    ///
    /// # Errors
    /// Where an expression or a label selector breaks its syntax. The place is blank: the caller
    /// knows where the selector stands.
    pub fn within(selector: &Selector, limits: &Limits) -> Result<Self> {
        let Selector { gvk, name, namespace, label_selector, annotation_selector } = selector;
        Ok(Self {
            group: Pattern::new("group", &gvk.group, limits)?,
            version: Pattern::new("version", &gvk.version, limits)?,
            kind: Pattern::new("kind", &gvk.kind, limits)?,
            name: Pattern::new("name", name, limits)?,
            namespace: Pattern::new("namespace", namespace, limits)?,
            labels: labels("labelSelector", label_selector)?,
            annotations: labels("annotationSelector", annotation_selector)?,
        })
    }

    /// Whether the resource is selected, by its first or its present name and namespace.
    #[must_use]
    pub fn matches(&self, resource: &Resource) -> bool {
        self.matches_gvk(&resource.gvk())
            && self.matches_names(resource)
            && self.matches_metadata(resource)
    }

    /// The one name that resources can be selected by, where there is just one.
    #[must_use]
    pub fn only_name(&self) -> Option<&str> {
        match &self.name {
            Pattern::Text(name) if !name.contains('.') => Some(name),
            Pattern::Any | Pattern::Text(_) | Pattern::Regex(_) => None,
        }
    }

    /// Whether one id is selected; labels and annotations are not asked.
    ///
    /// Replacements compare the namespace as it is written, where patches take a blank one for
    /// `default`: so does kustomize.
    #[must_use]
    pub fn matches_id(&self, id: &Id) -> bool {
        self.matches_gvk(&id.gvk)
            && self.name.matches(&id.name)
            && self.namespace.matches(&id.namespace)
    }

    /// Whether labels and annotations are as required.
    #[must_use]
    pub fn matches_metadata(&self, resource: &Resource) -> bool {
        self.labels.matches(resource.labels()) && self.annotations.matches(resource.annotations())
    }

    /// Whether it selects by nothing of an id.
    #[must_use]
    pub fn is_any_id(&self) -> bool {
        [&self.group, &self.version, &self.kind, &self.name, &self.namespace]
            .iter()
            .all(|pattern| matches!(pattern, Pattern::Any))
    }

    /// Whether it selects by labels or annotations.
    #[must_use]
    pub fn has_metadata(&self) -> bool {
        !self.labels.0.is_empty() || !self.annotations.0.is_empty()
    }

    fn matches_gvk(&self, gvk: &Gvk) -> bool {
        self.kind.matches(&gvk.kind)
            && self.group.matches(&gvk.group)
            && self.version.matches(&gvk.version)
    }

    fn matches_names(&self, resource: &Resource) -> bool {
        if matches!((&self.name, &self.namespace), (Pattern::Any, Pattern::Any)) {
            return true;
        }
        let (now, first) = (resource.id(), resource.original_id());
        (self.name.matches(&first.name) || self.name.matches(&now.name))
            && (self.namespace.matches(first.effective_namespace())
                || self.namespace.matches(now.effective_namespace()))
    }
}

impl Pattern {
    fn new(field: &str, text: &EcoString, limits: &Limits) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::Any);
        }
        if !text.contains(['\\', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$']) {
            return Ok(Self::Text(text.clone()));
        }
        let anchored = format!("^(?:{text})$");
        let regex = pattern::compile(&anchored, limits.regex_bytes).map_err(|why| {
            refused(format!("{field} \"{text}\" is not a regular expression: {why}"))
        })?;
        Ok(Self::Regex(regex))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Text(pattern) => matches_dots(pattern, text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Whether both are the same but for dots of `pattern`, which stand for any character.
fn matches_dots(pattern: &str, text: &str) -> bool {
    let mut rest = text.chars();
    pattern.chars().all(|want| match rest.next() {
        Some(have) => have == want || (want == '.' && have != '\n'),
        None => false,
    }) && rest.next().is_none()
}

fn refused(message: String) -> Error {
    Error::new(pattern::kind(&message), Place::file(""), message)
}

fn labels(field: &str, text: &str) -> Result<LabelSelector> {
    LabelSelector::parse(text).map_err(|why| refused(format!("{field} \"{text}\": {why}")))
}

impl LabelSelector {
    /// Reads `a=b, c in (d,e), !f`; a blank text requires nothing.
    ///
    /// # Errors
    /// Where it breaks the syntax, or a key or value is none that a label may have.
    pub fn parse(text: &str) -> Syntax<Self> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let mut requirements = Vec::new();
        if parser.peek() == &Token::End {
            return Ok(Self(requirements));
        }
        loop {
            requirements.push(parser.requirement()?);
            match parser.next() {
                Token::End => return Ok(Self(requirements)),
                Token::Symbol(",") => {}
                token => return Err(token.instead_of("a comma or the end")),
            }
        }
    }

    /// Whether all requirements hold.
    #[must_use]
    pub fn matches(&self, labels: Option<&Map>) -> bool {
        self.0.iter().all(|one| {
            let value = labels.and_then(|labels| labels.get(&one.key));
            one.operator.holds(value.map(|value| Value::as_text(value).unwrap_or_default()))
        })
    }
}

impl Operator {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Missing => value.is_none(),
            Self::In(list) => value.is_some_and(|value| list.iter().any(|one| one == value)),
            Self::NotIn(list) => value.is_none_or(|value| list.iter().all(|one| one != value)),
            Self::Above(bound) => number().is_some_and(|number| number > *bound),
            Self::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    Word(EcoString),
    Symbol(&'static str),
    End,
}

impl Token {
    fn instead_of(&self, expected: &str) -> String {
        match self {
            Self::Word(text) => format!("found `{text}`, expected {expected}"),
            Self::Symbol(text) => format!("found `{text}`, expected {expected}"),
            Self::End => format!("it ends where {expected} is expected"),
        }
    }
}

/// Longer symbols before their beginnings.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        let token = match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => Token::Symbol(symbol),
            None => {
                let end = rest.find(|c| is_blank(c) || "=!(),><".contains(c));
                Token::Word(rest[..end.unwrap_or(rest.len())].into())
            }
        };
        let length = match &token {
            Token::Word(word) => word.len(),
            Token::Symbol(symbol) => symbol.len(),
            Token::End => 0,
        };
        tokens.push(token);
        rest = rest[length..].trim_start_matches(is_blank);
    }
    tokens.push(Token::End);
    tokens
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

struct Parser {
    /// Ends with [`Token::End`], which is never passed.
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn requirement(&mut self) -> Syntax<Requirement> {
        let is_negated = self.peek() == &Token::Symbol("!");
        if is_negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            token => return Err(token.instead_of("a key")),
        };
        check_key(&key)?;
        let operator = match self.peek() {
            Token::End | Token::Symbol(",") if is_negated => Operator::Missing,
            Token::End | Token::Symbol(",") => Operator::Exists,
            // A `!` before a comparison is lost: so it is in Kubernetes.
            _ => self.comparison()?,
        };
        Ok(Requirement { key, operator })
    }

    fn comparison(&mut self) -> Syntax<Operator> {
        match self.next() {
            Token::Symbol("=" | "==") => Ok(Operator::In(vec![self.value()?])),
            Token::Symbol("!=") => Ok(Operator::NotIn(vec![self.value()?])),
            Token::Symbol(">") => Ok(Operator::Above(self.integer()?)),
            Token::Symbol("<") => Ok(Operator::Below(self.integer()?)),
            Token::Word(word) if word == "in" => Ok(Operator::In(self.values()?)),
            Token::Word(word) if word == "notin" => Ok(Operator::NotIn(self.values()?)),
            token => Err(token.instead_of("=, ==, !=, in or notin")),
        }
    }

    /// One value, which may be blank.
    fn value(&mut self) -> Syntax<EcoString> {
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(EcoString::new());
        }
        match self.next() {
            Token::Word(value) => check_value(value),
            token => Err(token.instead_of("a value")),
        }
    }

    fn integer(&mut self) -> Syntax<i64> {
        let value = self.value()?;
        value.parse().map_err(|_| format!("`{value}` is compared as a number but is no integer"))
    }

    /// `(a,b)`, where blank values count: `(a,)`.
    fn values(&mut self) -> Syntax<Vec<EcoString>> {
        match self.next() {
            Token::Symbol("(") => {}
            token => return Err(token.instead_of("(")),
        }
        let mut values = Vec::new();
        loop {
            let value = match self.peek() {
                Token::Word(word) => check_value(word.clone())?,
                _ => EcoString::new(),
            };
            if !value.is_empty() {
                self.next();
            }
            values.push(value);
            match self.next() {
                Token::Symbol(")") => return Ok(values),
                Token::Symbol(",") => {}
                token => return Err(token.instead_of("a comma or )")),
            }
        }
    }
}

/// Source: apimachinery `IsQualifiedName`: a name of at most 63 characters, and before a slash a
/// DNS subdomain of at most 253.
fn check_key(key: &str) -> Syntax<()> {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(p, n)| (Some(p), n));
    let is_key = is_name(name) && prefix.is_none_or(is_subdomain);
    if is_key { Ok(()) } else { Err(format!("`{key}` is no label key")) }
}

fn check_value(value: EcoString) -> Syntax<EcoString> {
    if value.is_empty() || is_name(&value) {
        return Ok(value);
    }
    Err(format!("`{value}` is no label value"))
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_subdomain(text: &str) -> bool {
    let is_lower = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(is_lower)
            && bytes.last().is_some_and(is_lower)
            && bytes.iter().all(|b| is_lower(b) || *b == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;
    use crate::value::Key;

    fn resource(kind: &str, namespace: &str, name: &str) -> Resource {
        let mut value = Value::map();
        value.set(&["apiVersion"], Value::plain("apps/v1"));
        value.set(&["kind"], Value::plain(kind));
        value.set(&["metadata", "name"], Value::plain(name));
        if !namespace.is_empty() {
            value.set(&["metadata", "namespace"], Value::plain(namespace));
        }
        Resource::new(value, Origin { file: "a.yaml".into(), document: 0 })
    }

    fn named(name: &str, namespace: &str) -> Selector {
        Selector { name: name.into(), namespace: namespace.into(), ..Selector::default() }
    }

    fn selects(selector: &Selector, resource: &Resource) -> bool {
        Matcher::new(selector).expect("a selector").matches(resource)
    }

    fn holds(selector: &str, pairs: &[(&str, &str)]) -> bool {
        let map: Map = pairs.iter().map(|(k, v)| (Key::from(*k), Value::plain(*v))).collect();
        LabelSelector::parse(selector).expect("a selector").matches(Some(&map))
    }

    #[test]
    fn expressions_match_whole_texts() {
        let web = resource("Deployment", "shop", "web-1");
        assert!(selects(&named("web.*", ""), &web));
        assert!(selects(&named("a|web-1", ""), &web));
        assert!(!selects(&named("web", ""), &web));
        assert!(selects(&named("w.b-1", "shop|x"), &web));
        assert!(!selects(&named("w.b-12", ""), &web));
    }

    #[test]
    fn first_and_present_names_are_selected() {
        let mut web = resource("Deployment", "", "web");
        web.remember_id();
        web.value.set(&["metadata", "name"], Value::plain("dev-web"));
        web.value.set(&["metadata", "namespace"], Value::plain("dev"));
        for (name, namespace) in [("web", ""), ("dev-web", ""), ("web", "dev"), ("web", "default")]
        {
            assert!(selects(&named(name, namespace), &web), "{namespace}/{name}");
        }
        assert!(!selects(&named("web", "other"), &web));
    }

    #[test]
    fn a_blank_namespace_is_default() {
        let web = resource("Deployment", "", "web");
        assert!(selects(&named("", "default"), &web));
        assert!(!selects(&named("", "shop"), &web));
    }

    #[test]
    fn labels_are_compared() {
        let pairs = [("app", "web"), ("tier", ""), ("size", "5")];
        for selector in [
            "",
            "app",
            "app=web",
            "app==web",
            "app in (x, web)",
            "app notin (x,y)",
            "app!=x",
            "!x",
            "tier=",
            "tier in ()",
            "tier in (a,)",
            "app=web,tier",
            "size>4",
            "size<6",
            "x!=y",
            "x notin (a)",
            "in!=notin",
        ] {
            assert!(holds(selector, &pairs), "{selector}");
        }
        for selector in ["!app", "x", "app=x", "app in (x)", "tier=a", "size>5", "app=web,x"] {
            assert!(!holds(selector, &pairs), "{selector}");
        }
    }

    #[test]
    fn refuses_what_kubernetes_refuses() {
        for selector in [
            "=a",
            ",",
            "a,",
            "a b",
            "a in b",
            "a in (b",
            "a in (b c)",
            "a=(",
            "-a",
            "a=-b",
            "a/b/c",
            "A.b/c",
            "a>b",
            "a===b",
            "a in (b,)c",
        ] {
            assert!(LabelSelector::parse(selector).is_err(), "{selector}");
        }
    }

    #[test]
    fn a_bad_expression_is_named() {
        let error = Matcher::new(&named("web(", "")).expect_err("refused");
        assert!(
            error.message().starts_with("name \"web(\" is not a regular expression: "),
            "{error}"
        );
    }

    #[test]
    fn large_expressions_are_refused() {
        let error = Matcher::within(&named("((a{100}){100}){100}", ""), &Limits::WEBHOOK);
        assert!(error.is_err());
    }
}
