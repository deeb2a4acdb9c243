//! The Common Expression Language as far as the API server uses it: the rules of custom resources
//! and of admission policies.
//!
//! Own, because rules come from whoever writes a CRD: what they may cost is bounded, their nesting
//! is too, and what goes wrong is said as the server says it. Source: cel-go 0.26, the library of
//! kube-apiserver 1.36, and apiserver `pkg/cel/library`.

mod eval;
mod functions;
mod parse;
pub mod time;
mod types;
mod value;

pub use types::Type;
pub use value::{Key, Value};

/// An expression that was read.
#[derive(Debug)]
pub struct Program {
    expr: parse::Expr,
}

impl Program {
    /// Reads an expression.
    ///
    /// # Errors
    /// Where it is none; the text is that of the API server.
    pub fn parse(source: &str) -> Result<Self, String> {
        // Longer ones are refused as a whole: the server's own limit is on the object.
        if source.len() > MOST_BYTES {
            return Err(parse::complain(source, 0, "expression code point size exceeds limit"));
        }
        parse::parse(source).map(|expr| Self { expr })
    }

    /// What the expression gives with these variables, and how many steps that took.
    ///
    /// # Errors
    /// Where it fails, or takes more steps than the server allows; the text is that of the server.
    pub fn run(&self, variables: &[(&str, Value)]) -> (Result<Value, String>, u64) {
        let mut scope = eval::Scope::new(variables);
        let outcome = scope.eval(&self.expr);
        (outcome, scope.steps)
    }

    /// What the expression gives with variables of these types, as far as that is certain.
    ///
    /// # Errors
    /// Where a name is not there or an operator does not fit; the text is that of the server.
    /// `source` is what the expression was read from.
    pub fn check(&self, source: &str, variables: &[(&str, Type)]) -> Result<Type, String> {
        types::check(source, &self.expr, variables)
    }

    /// Whether it is a variable or something in one, and no more.
    #[must_use]
    pub fn is_selection(&self) -> bool {
        self.expr.is_selection()
    }

    /// Whether a variable is named anywhere.
    pub fn names(&self, variable: &str) -> bool {
        self.expr.names(variable)
    }
}

/// Most bytes of an expression.
const MOST_BYTES: usize = 100_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn run(source: &str) -> Result<Value, String> {
        let object = json!({"name": "web", "ports": [{"port": 80}, {"port": 443}],
            "labels": {"a": "b"}, "text": "héllo"});
        Program::parse(source)?.run(&[("self", Value::from_json(&object))]).0
    }

    #[test]
    fn expressions_hold() {
        for source in [
            "self.ports.all(p, p.port > 0) && self.ports.exists(p, p.port == 443)",
            "self.ports.map(p, p.port) == [80, 443]",
            "self.ports.filter(p, p.port > 100).size() == 1",
            "self.ports.exists_one(p, p.port == 80)",
            "self.labels.all(k, k == 'a') && self.labels['a'] == 'b'",
            "has(self.name) && !has(self.other)",
            "'a' in self.labels && !('c' in self.labels)",
            "self.?other.orValue('x') == 'x' && self[?'name'].hasValue()",
            "self.text.size() == 5 && self.text.charAt(1) == 'é'",
            "1 == 1.0 && 2u == 2 && dyn(1) < 1.5",
            "-9223372036854775808 < 0 && 7 % 3 == 1 && -7 / 2 == -3",
            "(false || self.none == 1 || true) && !(false && self.none == 1)",
            "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'",
            "'abc'.matches('^a.c$') && 'x1y2'.findAll('[0-9]') == ['1', '2']",
            "'%s is %d and %.2f'.format(['a', 1, 1.5]) == 'a is 1 and 1.50'",
            "duration('90m') == duration('1h30m') && duration('90s').getSeconds() == 90",
            "timestamp('2020-02-03T04:05:06Z').getFullYear() == 2020",
            "timestamp('2020-02-03T00:00:00Z') - timestamp('2020-02-02T00:00:00Z') == duration('24h')",
            "quantity('1Gi').isGreaterThan(quantity('500M')) && quantity('1k').asInteger() == 1000",
            "quantity('1.5').add(quantity('500m')).compareTo(quantity('2')) == 0",
            "ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.2.3.4')",
            "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('v1.2', true).minor() == 2",
            "url('https://a.example:8080/p?q=1').getPort() == '8080' && !isURL('a b')",
            "sets.contains([1, 2, 3], [1, 2]) && math.greatest(1, 3, 2) == 3",
            "[1, 2].sum() == 3 && ['b', 'a'].max() == 'b' && [1, 2].isSorted()",
            "cel.bind(x, 2, x * x) == 4 && type(1) == int && string(1) + 'a' == '1a'",
            "[1, 2].all(i, v, v == i + 1) && {'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
            "optional.of(2).optMap(x, x + 1).value() == 3 && optional.none().orValue(1) == 1",
            "base64.decode('YQ==') == b'a' && r'\\n'.size() == 2 && '\\x41' == 'A'",
            "!format.dns1123Label().validate('a-b').hasValue()",
            "true ? 1 == 1 : false",
        ] {
            let found = run(source);
            assert!(matches!(found, Ok(Value::Bool(true))), "{source}: {found:?}");
        }
    }

    #[test]
    fn errors_are_those_of_the_server() {
        for (source, error) in [
            ("self.none", "no such key: none"),
            ("self.ports[7]", "index out of bounds: 7"),
            ("1 / 0", "division by zero"),
            ("9223372036854775807 + 1", "integer overflow"),
            ("-(-9223372036854775807 - 1)", "integer overflow"),
            ("1 + 'a'", "no such overload"),
            ("self.name.none()", "no such overload"),
        ] {
            assert_eq!(run(source).unwrap_err(), error, "{source}");
        }
    }

    #[test]
    fn what_is_certain_to_be_wrong_is_known_before() {
        let port = Arc::new([("port".to_owned(), Type::Int)].into());
        let ports = Type::List(Arc::new(Type::Object(port)));
        let fields =
            Arc::new([("name".to_owned(), Type::Text), ("ports".to_owned(), ports)].into());
        let check = |source: &str| {
            let own = [("self", Type::Object(Arc::clone(&fields)))];
            Program::parse(source).unwrap().check(source, &own)
        };
        assert_eq!(check("self.ports.all(p, p.port > 0) && self.name != ''"), Ok(Type::Bool));
        assert_eq!(check("self.ports.size() + 1"), Ok(Type::Int));
        let error = check("self.name == 5").unwrap_err();
        let expected = "ERROR: <input>:1:11: found no matching overload for '_==_' applied to \
            '(string, int)'\n | self.name == 5\n | ..........^";
        assert_eq!(error, expected);
        assert!(check("self.none == 5").unwrap_err().contains("undefined field 'none'"));
        assert!(check("other").unwrap_err().contains("undeclared reference to 'other'"));
    }

    #[test]
    fn no_expression_runs_for_long() {
        let list: Vec<_> = (0..2000).collect();
        let variables = [("self", Value::from_json(&json!(list)))];
        for source in [
            "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))",
            "self.map(a, self.map(b, self)).size() == 1",
            "lists.range(100000000).size() == 1",
            "cel.bind(a, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', lists.range(100000).all(i, \
             (a + a + a + a + a + a + a + a).size() > 0))",
        ] {
            let (outcome, steps) = Program::parse(source).unwrap().run(&variables);
            assert_eq!(outcome.unwrap_err(), eval::TOO_EXPENSIVE, "{source}");
            assert!(steps < 400_000_000);
        }
    }
}
