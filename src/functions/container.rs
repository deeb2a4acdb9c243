//! Functions in containers: how Docker is called.
//!
//! Source: kustomize `kyaml/fn/runtime/container/container.go`,
//! `kyaml/fn/runtime/runtimeutil/functiontypes.go`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::{Container, Mount, Surroundings};
use crate::error::{Place, Result};
use crate::tools::Call;

impl Container {
    /// What `docker` is told to run the function once, with its standard streams attached.
    pub(super) fn arguments(&self, around: &Surroundings<'_>) -> Result<Vec<OsString>> {
        let user = if around.functions.as_current_user {
            current_user(around.directory, around.place)?
        } else {
            "nobody".into()
        };
        let network = if self.network { "host" } else { "none" };
        let mut arguments: Vec<OsString> = [
            "run",
            "--rm",
            "-i",
            "-a",
            "STDIN",
            "-a",
            "STDOUT",
            "-a",
            "STDERR",
            "--network",
            network,
            "--user",
            &user,
            "--security-opt=no-new-privileges",
        ]
        .map(OsString::from)
        .into();
        let given = around.functions.mounts.iter().map(|text| Mount::parse(text));
        for mount in self.mounts.iter().cloned().chain(given) {
            arguments.extend(["--mount".into(), mount.option(around.directory)]);
        }
        for variable in self.variables(&around.functions.env) {
            arguments.extend(["-e".into(), variable.into()]);
        }
        arguments.push(self.image.as_str().into());
        Ok(arguments)
    }

    /// Variables with values in the order of their names, then those that are taken from here.
    fn variables(&self, given: &[String]) -> Vec<String> {
        let mut values =
            BTreeMap::from([("LOG_TO_STDERR", "true"), ("STRUCTURED_RESULTS", "true")]);
        let mut names = Vec::new();
        for text in self.envs.iter().map(AsRef::as_ref).chain(given.iter().map(AsRef::as_ref)) {
            let text: &str = text;
            match text.split_once('=') {
                Some((name, value)) => drop(values.insert(name, value)),
                None if names.contains(&text) => {}
                None => names.push(text),
            }
        }
        let values = values.into_iter().map(|(name, value)| format!("{name}={value}"));
        values.chain(names.into_iter().map(str::to_owned)).collect()
    }
}

impl Mount {
    /// Reads `type=bind,src=a,dst=/b,rw=true`; what it does not know is left out.
    fn parse(text: &str) -> Self {
        let mut mount = Self::default();
        for (key, value) in text.split(',').filter_map(|option| option.split_once('=')) {
            match key {
                "type" => mount.kind = value.into(),
                "src" | "source" => mount.source = value.into(),
                "dst" | "target" => mount.target = value.into(),
                "rw" => mount.is_writable = value == "true",
                _ => {}
            }
        }
        mount
    }

    fn option(&self, directory: &Path) -> OsString {
        let source = crate::files::clean(&directory.join(self.source.as_str()));
        let mut option = OsString::from(format!("type={},source=", self.kind));
        option.push(source);
        option.push(format!(",target={}", self.target));
        if !self.is_writable {
            option.push(",readonly");
        }
        option
    }
}

/// User and group of this process, as Docker writes them.
fn current_user(directory: &Path, place: &Place) -> Result<String> {
    let ask = |flag: &str| -> Result<String> {
        let call = Call {
            program: Path::new("id"),
            arguments: &[flag.into()],
            environment: &[],
            directory: Some(directory),
            input: b"",
            limit: 1_000,
            time: None,
        };
        let output = call.run(place)?.output("id", place)?;
        Ok(String::from_utf8_lossy(&output).trim().to_owned())
    };
    Ok(format!("{}:{}", ask("-u")?, ask("-g")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::tools::Functions;

    fn arguments(container: &Container, functions: &Functions) -> String {
        let around = Surroundings {
            functions,
            limits: &Limits::PERSON,
            directory: Path::new("/k"),
            place: &Place::file("fn.yaml"),
            warnings: &mut Vec::new(),
        };
        let arguments = container.arguments(&around).expect("known");
        arguments.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned()
    }

    #[test]
    fn docker_is_called_as_kustomize_calls_it() {
        let mut container = Container { image: "example.com/fn:1".into(), ..Container::default() };
        let begin = "run --rm -i -a STDIN -a STDOUT -a STDERR";
        assert_eq!(
            arguments(&container, &Functions::default()),
            format!(
                "{begin} --network none --user nobody --security-opt=no-new-privileges \
                 -e LOG_TO_STDERR=true -e STRUCTURED_RESULTS=true example.com/fn:1"
            )
        );
        container.network = true;
        container.envs = vec!["A=1".into(), "HOME".into()];
        container.mounts = vec![Mount {
            kind: "bind".into(),
            source: "./data".into(),
            target: "/data".into(),
            is_writable: false,
        }];
        let functions = Functions {
            env: vec!["A=2".into(), "HOME".into(), "B".into()],
            mounts: vec!["type=bind,src=/x,dst=/y,rw=true".into()],
            ..Functions::default()
        };
        assert_eq!(
            arguments(&container, &functions),
            format!(
                "{begin} --network host --user nobody --security-opt=no-new-privileges \
                 --mount type=bind,source=/k/data,target=/data,readonly \
                 --mount type=bind,source=/x,target=/y \
                 -e A=2 -e LOG_TO_STDERR=true -e STRUCTURED_RESULTS=true -e HOME -e B \
                 example.com/fn:1"
            )
        );
    }

    #[test]
    fn the_present_user_is_two_numbers() {
        let user = current_user(Path::new("/"), &Place::file("fn.yaml")).expect("known");
        assert!(user.split(':').all(|number| number.parse::<u32>().is_ok()), "{user}");
    }
}
