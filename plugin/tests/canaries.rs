//! Secrets do not show: the program is run over a repository each of whose inputs holds a text that nothing else has,
//! in success and in every failure, and all that it prints and leaves behind is searched for them.
//!
//! Only what is plain in the repository may be printed, and only by a command that prints what it renders.
#![expect(clippy::disallowed_methods, reason = "tests read what the program leaves on the disk")]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

#[path = "support/peers.rs"]
mod peers;

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use peers::peer;

/// Texts in inputs that are plain in the repository: rendered, they are printed.
const PLAIN: [&str; 3] = ["canaryplainsecret", "canaryvariable", "canaryhelmvalue"];

/// Texts that nobody asked for.
const SECRET: [&str; 12] = [
    "canarysopsyaml",
    "canarysopsjson",
    "canarysopsenv",
    "canarysopsini",
    "canarysopsbinary",
    "canarysopspatch",
    "canarykubeconfig",
    "canarygitpassword",
    "canaryregistry",
    "canarychartlogin",
    "canaryvaulttoken",
    "CANARYPGPKEY",
];

/// The key of age whose bytes are all 0x42, and its recipient.
const KEY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

/// Another key that opens nothing here.
const OTHER_KEY: &str =
    "AGE-SECRET-KEY-1GDP5XS6RGDP5XS6RGDP5XS6RGDP5XS6RGDP5XS6RGDP5XS6RGDPSST380Y";

/// A repository with its surroundings, all below one folder.
struct World {
    folder: tempfile::TempDir,
    sops: PathBuf,
    helm: PathBuf,
    /// What answers nothing but refusals.
    server: String,
    /// What showed and must not.
    leaks: RefCell<Vec<String>>,
}

/// One run of the program.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    /// A release whose values are encrypted is there all the same, and it is said that they are not.
    #[track_caller]
    fn renders_without_encrypted_values(&self) {
        assert!(
            self.out.contains("good")
                && self.err.contains("is encrypted: rendered without its values"),
            "{}\n{}",
            self.out,
            self.err
        );
    }
}

impl World {
    fn new() -> Option<Self> {
        let (sops, helm) = (peer("sops")?, peer("helm")?);
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder, sops, helm, server: refusing(), leaks: RefCell::default() };
        for place in ["repo", "home", "tmp", "cache"] {
            std::fs::create_dir(world.path(place)).unwrap();
        }
        world.fill();
        Some(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a file as SOPS encrypts it.
    fn encrypt(&self, name: &str, kind: &str, text: &str, more: &[&str]) {
        let mut child = Command::new(&self.sops)
            .args(["--disable-version-check", "encrypt", "--age", RECIPIENT])
            .args(["--input-type", kind, "--output-type", kind, "--filename-override", name])
            .args(more)
            .env("HOME", self.path("home"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let encrypted = String::from_utf8(output.stdout).unwrap();
        assert!(!encrypted.contains("canary"), "{name} is not encrypted");
        self.write(name, &encrypted);
    }

    fn run(&self, words: &[&str], environment: &[(&str, &str)]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-overlay"))
            .args(words)
            .current_dir(self.path("repo"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("KUBECONFIG", self.path("kubeconfig"))
            .env("SOPS_AGE_KEY", KEY)
            .env("RUST_BACKTRACE", "1")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Runs Git on the repository.
    fn git(&self, line: &str) {
        let status = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(line.split(' '))
            .current_dir(self.path("repo"))
            .env("HOME", self.path("home"))
            .status()
            .unwrap();
        assert!(status.success(), "git {line}");
    }

    /// Puts other values in the place of all that are plain, in the folders that Flux is asked about.
    fn change(&self) {
        for folder in ["clusters", "plain", "vars", "apps"] {
            for file in files(&self.path(&format!("repo/{folder}"))) {
                let text = std::fs::read_to_string(&file).unwrap();
                let changed = PLAIN
                    .iter()
                    .fold(text, |text, secret| text.replace(secret, &format!("{secret}changed")));
                std::fs::write(file, changed).unwrap();
            }
        }
    }

    /// Runs a command line, and searches for everything that `shows` does not allow.
    fn check(&self, line: &str, environment: &[(&str, &str)], shows: &[&str]) -> Run {
        let words: Vec<&str> = line.split_whitespace().collect();
        let run = self.run(&words, environment);
        assert!(!run.err.contains("panicked"), "{line}\n{}", run.err);
        let printed = |text: &str, allowed: &[&str], stream: &str| {
            for secret in PLAIN.iter().chain(&SECRET).chain(&[KEY]) {
                let is_allowed = allowed.contains(secret);
                let is_there = || forms(secret).iter().any(|form| text.contains(form));
                if !is_allowed && is_there() {
                    self.leaks.borrow_mut().push(format!("{line}: {secret} in {stream}\n{text}"));
                }
            }
        };
        printed(&run.out, shows, "standard output");
        // What is plain may be part of a line that an error shows; what is said beside data never is.
        printed(&run.err, &[], "standard error");
        for left in files(&self.path("cache")).into_iter().chain(files(&self.path("home"))) {
            let content = std::fs::read(&left).unwrap();
            printed(&String::from_utf8_lossy(&content), &[], &left.to_string_lossy());
        }
        let left = files(&self.path("tmp"));
        assert!(left.is_empty(), "{line} left {left:?}");
        run
    }
}

impl World {
    /// Fails where anything showed.
    fn finish(self) {
        let leaks = self.leaks.into_inner();
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    }
}

/// A text as it is, and as a Secret holds it.
fn forms(text: &str) -> Vec<String> {
    // Wherever it begins within the encoded text, of which the first and last signs may be of something else.
    let at = |offset: usize| {
        let padded = [&vec![0; offset], text.as_bytes()].concat();
        let encoded = base64(&padded);
        let first = (offset * 8).div_ceil(6);
        encoded[first..encoded.trim_end_matches('=').len() - 2].to_owned()
    };
    vec![text.to_owned(), at(0), at(1), at(2)]
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        let number = number << (8 * (3 - three.len()));
        for at in 0..4 {
            let sign = SIGNS[(number >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// A server that refuses everybody, and repeats what it was sent.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let body = &request[..read];
            let head = format!(
                "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"r\"\r\n\
                 connection: close\r\ncontent-length: {read}\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    address
}

fn kustomization(name: &str, more: &str) -> String {
    format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
         metadata: {{name: {name}, namespace: flux-system}}\nspec:\n  interval: 1m\n  prune: true\n  \
         path: ./{name}\n  sourceRef: {{kind: GitRepository, name: flux-system}}\n{more}"
    )
}

fn secret(name: &str, field: &str, data: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: flux-system}}\n{field}: {data}\n"
    )
}

const DECRYPTS: &str = "  decryption: {provider: sops, secretRef: {name: keys}}\n";

impl World {
    fn fill(&self) {
        self.write(
            "kubeconfig",
            &format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
                 contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: 'http://{}'}}}}]\n\
                 users: [{{name: u, user: {{token: canarykubeconfig}}}}]\n",
                self.server
            ),
        );
        self.write(
            "broken-kubeconfig",
            "users: [{name: u, user: {token: canarykubeconfig\n- : }\n",
        );
        self.write("odd-kubeconfig", "users: [{name: u, user: canarykubeconfig}]\n");
        self.write("keys.asc", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nCANARYPGPKEY+CANARYPGPKEY\n=AAAA\n-----END PGP PRIVATE KEY BLOCK-----\n");
        self.plain();
        self.encrypted();
        self.refused();
        self.flux();
        self.releases();
    }

    /// An overlay with plain Secrets of all kinds.
    fn plain(&self) {
        self.write(
            "repo/plain/kustomization.yaml",
            "resources: [secret.yaml]\nsecretGenerator:\n- {name: made, envs: [made.env], files: [made.txt]}\n",
        );
        self.write(
            "repo/plain/secret.yaml",
            &secret("plain", "stringData", "{password: canaryplainsecret}"),
        );
        self.write("repo/plain/made.env", "password=canaryplainsecret\n");
        self.write("repo/plain/made.txt", "canaryplainsecret\n");
        self.write("repo/before/secret.yaml", &secret("plain", "stringData", "{password: other}"));
    }

    /// SOPS in every format, named by a kustomization and by Kustomizations.
    fn encrypted(&self) {
        let only_data = ["--encrypted-regex", "^(data|stringData)$"];
        let yaml = secret("sops", "stringData", "{password: canarysopsyaml}");
        self.encrypt("repo/sops/secret.yaml", "yaml", &yaml, &only_data);
        self.encrypt("repo/sops/values.json", "json", "{\"password\": \"canarysopsjson\"}", &[]);
        self.encrypt("repo/sops/values.env", "dotenv", "password=canarysopsenv\n", &[]);
        self.encrypt("repo/sops/values.ini", "ini", "[a]\npassword = canarysopsini\n", &[]);
        self.encrypt("repo/sops/values.bin", "binary", "canarysopsbinary", &[]);
        self.write(
            "repo/sops/kustomization.yaml",
            "resources: [secret.yaml]\nsecretGenerator:\n- name: made\n  files: [values.json, values.ini, values.bin]\n\
             - {name: env, envs: [values.env]}\n",
        );
        // What is a patch once it is decrypted, and no YAML.
        self.encrypt("repo/badpatch/patch.yaml", "binary", "a: [canarysopspatch\nb: }", &[]);
        self.write("repo/badpatch/secret.yaml", &secret("a", "stringData", "{a: b}"));
        self.write(
            "repo/badpatch/kustomization.yaml",
            "resources: [secret.yaml]\npatches: [{path: patch.yaml}]\n",
        );
        // Changed since it was encrypted.
        let changed = std::fs::read_to_string(self.path("repo/sops/secret.yaml")).unwrap();
        self.write("repo/changed/secret.yaml", &changed.replace("name: sops", "name: changed"));
        let cut = changed.find("mac:").unwrap();
        self.write("repo/cut/secret.yaml", &changed[..cut]);
    }

    /// What is wrong in and around plain Secrets.
    fn refused(&self) {
        let case = |name: &str, kustomization: &str, object: &str| {
            self.write(&format!("repo/bad/{name}/kustomization.yaml"), kustomization);
            self.write(&format!("repo/bad/{name}/secret.yaml"), object);
        };
        let own = secret("a", "stringData", "{password: canaryplainsecret}");
        let resources = "resources: [secret.yaml]\n";
        case(
            "yaml",
            resources,
            &own.replace("{password: canaryplainsecret}", "{password: \"canaryplainsecret"),
        );
        case("twice", resources, &own.replace("}\n", ", password: canaryplainsecret}\n"));
        case("list", resources, &secret("a", "stringData", "[canaryplainsecret]"));
        case("base64", resources, &secret("a", "data", "{password: '*canaryplainsecret*'}"));
        case("number", resources, &secret("a", "data", "{password: {deep: canaryplainsecret}}"));
        case(
            "type",
            resources,
            &own.replace("kind: Secret\n", "kind: Secret\ntype: kubernetes.io/tls\n"),
        );
        case(
            "docker",
            resources,
            &secret(
                "a",
                "type: kubernetes.io/dockerconfigjson\nstringData",
                "{.dockerconfigjson: canaryplainsecret}",
            ),
        );
        case(
            "patch",
            &format!(
                "{resources}patches:\n- target: {{kind: Secret}}\n  patch: |\n    - {{op: test, path: /stringData/password, value: canaryplainsecret2}}\n"
            ),
            &own,
        );
        case(
            "replacement",
            &format!(
                "{resources}replacements:\n- source: {{kind: Secret, fieldPath: stringData.password, options: {{delimiter: '-', index: 9}}}}\n  \
                 targets: [{{select: {{kind: Secret}}, fieldPaths: [metadata.labels.x]}}]\n"
            ),
            &own,
        );
        case("strategic", &format!("{resources}patches: [{{path: patch.yaml}}]\n"), &own);
        self.write(
            "repo/bad/strategic/patch.yaml",
            &own.replace("{password:", "[password,").replace('}', "]"),
        );
        case(
            "inside",
            &format!(
                "{resources}replacements:\n- sourceValue: x\n  \
                 targets: [{{select: {{kind: Secret}}, fieldPaths: [stringData.password.deep]}}]\n"
            ),
            &own,
        );
        case("env", "secretGenerator: [{name: a, envs: [secret.yaml]}]\n", "=canaryplainsecret\n");
        case("literal", "secretGenerator: [{name: a, literals: ['=canaryplainsecret']}]\n", "");
        case("kind", resources, &own.replace("kind: Secret", "kind: Sekret"));
    }

    fn flux(&self) {
        let from = "  postBuild:\n    substituteFrom: [{kind: Secret, name: vars}]\n";
        self.write("repo/clusters/plain.yaml", &kustomization("plain", ""));
        self.write("repo/clusters/sops.yaml", &kustomization("sops", DECRYPTS));
        self.write("repo/clusters/vars.yaml", &kustomization("vars", from));
        self.write(
            "repo/vars/vars.yaml",
            &secret("vars", "stringData", "{secret: canaryvariable}"),
        );
        // Where it is found before anything is rendered.
        self.write(
            "repo/clusters/hidden.yaml",
            &secret("vars", "stringData", "{secret: canaryvariable}"),
        );
        self.write("repo/vars/web.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: flux-system}\ndata: {a: '${secret}'}\n");
        self.write("repo/failing/changed.yaml", &kustomization("changed", DECRYPTS));
        self.write("repo/failing/cut.yaml", &kustomization("cut", DECRYPTS));
        self.write("repo/failing/badpatch.yaml", &kustomization("badpatch", DECRYPTS));
        let missing = "  postBuild:\n    substitute: {secret: canaryvariable}\n";
        self.write("repo/failing/missing.yaml", &kustomization("missing", missing));
        self.write(
            "repo/missing/a.yaml",
            &secret("m", "stringData", "{a: canaryplainsecret, b: '${secret}', c: '${MISSING}'}"),
        );
        let expression = missing.replace("canaryvariable", "'canaryvariable ${'");
        self.write("repo/failing/expression.yaml", &kustomization("expression", &expression));
        self.write(
            "repo/expression/a.yaml",
            &secret(
                "e",
                "stringData",
                "{a: canaryplainsecret, b: '${secret', c: '${secret:=canaryvariable'}",
            ),
        );
        let broken = missing.replace("canaryvariable", "\"canaryvariable: [\\n- }\"");
        self.write("repo/failing/broken.yaml", &kustomization("broken", &broken));
        self.write("repo/broken/a.yaml", &secret("b", "stringData", "{a: ${secret}}"));
    }

    /// Releases whose values, charts and credentials are secret.
    fn releases(&self) {
        let release = |name: &str, spec: &str| {
            format!(
                "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: {name}, namespace: flux-system}}\nspec:\n  interval: 1m\n{spec}"
            )
        };
        let local = |chart: &str| {
            format!(
                "  chart: {{spec: {{chart: ./{chart}, sourceRef: {{kind: GitRepository, name: flux-system}}}}}}\n"
            )
        };
        let from = |secret: &str| format!("  valuesFrom: [{{kind: Secret, name: {secret}}}]\n");
        let remote = |name: &str, kind: &str, url: &str| {
            format!(
                "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: flux-system}}\n\
                 spec: {{url: '{url}', interval: 1m, insecure: true, secretRef: {{name: {name}}}}}\n"
            )
        };
        self.write("repo/releases/apps.yaml", &kustomization("apps", DECRYPTS));
        self.write(
            "repo/apps/values.yaml",
            &secret("values", "stringData", "{values.yaml: 'password: canaryhelmvalue'}"),
        );
        self.write("repo/apps/good.yaml", &release("good", &(local("chart") + &from("values"))));
        self.write(
            "repo/apps/fails.yaml",
            &release("fails", &(local("failing-chart") + &from("values"))),
        );
        self.write(
            "repo/apps/schema.yaml",
            &release("schema", &(local("schema-chart") + &from("values"))),
        );
        self.write(
            "repo/apps/odd.yaml",
            &secret("odd", "stringData", "{values.yaml: 'password: [canaryhelmvalue'}"),
        );
        self.write("repo/apps/unread.yaml", &release("unread", &(local("chart") + &from("odd"))));
        let encrypted = secret("hidden", "stringData", "{values.yaml: 'password: canarysopsyaml'}");
        self.encrypt(
            "repo/apps/hidden.yaml",
            "yaml",
            &encrypted,
            &["--encrypted-regex", "^stringData$"],
        );
        self.write(
            "repo/apps/masked.yaml",
            &release("masked", &(local("chart") + &from("hidden"))),
        );
        let repository = |name: &str| {
            format!(
                "  chart: {{spec: {{chart: app, sourceRef: {{kind: HelmRepository, name: {name}}}}}}}\n"
            )
        };
        self.write(
            "repo/apps/http.yaml",
            &(release("http", &repository("http"))
                + &remote("http", "HelmRepository", &format!("http://{}", self.server))),
        );
        let reference = "  chartRef: {kind: OCIRepository, name: oci}\n";
        self.write(
            "repo/apps/oci.yaml",
            &(release("oci", reference)
                + &remote("oci", "OCIRepository", &format!("oci://{}/org/app", self.server))),
        );
        let git = "  chart: {spec: {chart: ., sourceRef: {kind: GitRepository, name: git}}}\n";
        self.write(
            "repo/apps/git.yaml",
            &(release("git", git)
                + &remote("git", "GitRepository", &format!("http://{}/app", self.server))
                    .replace("insecure: true, ", "")),
        );
        self.write("repo/apps/logins.yaml", &[
            secret("http", "stringData", "{username: u, password: canarychartlogin}"),
            secret("oci", "stringData", &format!("{{.dockerconfigjson: '{{\"auths\": {{\"{}\": {{\"username\": \"u\", \"password\": \"canaryregistry\"}}}}}}'}}", self.server)),
            secret("git", "stringData", "{username: u, password: canarygitpassword}"),
            secret("keys", "stringData", "{sops.vault-token: canaryvaulttoken}"),
        ].join("---\n"));
        let chart = |name: &str, template: &str| {
            self.write(
                &format!("repo/{name}/Chart.yaml"),
                &format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n"),
            );
            self.write(&format!("repo/{name}/templates/a.yaml"), template);
        };
        chart(
            "chart",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}'}\ndata: {a: '{{ .Values.password }}'}\n",
        );
        chart("failing-chart", "{{ fail .Values.password }}");
        chart("schema-chart", "");
        self.write(
            "repo/schema-chart/values.schema.json",
            "{\"properties\": {\"password\": {\"enum\": [\"x\"]}}}",
        );
    }
}

#[test]
fn no_secret_shows_where_nobody_asked_for_it() {
    let Some(world) = World::new() else { return };
    let plain = ["canaryplainsecret"];
    let check = |line: &str, shows: &[&str], code: i32| {
        let run = world.check(line, &[], shows);
        assert_eq!(run.code, code, "{line}\n{}\n{}", run.out, run.err);
        run
    };
    // What is plain is printed by who prints what it renders, so that the search would find it.
    assert!(check("build plain", &plain, 0).out.contains("canaryplainsecret"));
    assert!(check("build sops", &[], 0).out.contains("ENC["));
    check("sync plain --rehearse", &[], 0);
    check("sync plain --rehearse -o json", &[], 0);
    check("sync plain --rehearse --from before --force-conflicts", &[], 0);
    check("sync plain --rehearse --from before", &[], 0);
    for kind in [
        "yaml",
        "twice",
        "list",
        "base64",
        "number",
        "type",
        "docker",
        "patch",
        "replacement",
        "strategic",
        "inside",
        "env",
        "literal",
        "kind",
    ] {
        for line in [
            format!("build bad/{kind}"),
            format!("sync bad/{kind} --rehearse"),
            format!("sync bad/{kind} --rehearse -o json"),
        ] {
            // Some of it renders, and what is plain is printed then.
            world.check(&line, &[], if line.starts_with("build") { &plain } else { &[] });
        }
    }
    // No cluster answers, or none is named.
    for command in [
        "diff plain",
        "sync plain --yes",
        "status plain",
        "delete plain --yes",
        "sync plain --yes -o json",
    ] {
        assert_ne!(world.check(command, &[], &[]).code, 0, "{command}");
        for kubeconfig in ["broken-kubeconfig", "odd-kubeconfig", "none"] {
            let path = world.path(kubeconfig);
            world.check(command, &[("KUBECONFIG", path.to_str().unwrap())], &[]);
        }
    }
    world.finish();
}

#[test]
fn no_secret_shows_in_what_flux_would_do() {
    let Some(world) = World::new() else { return };
    let helm = format!("--helm-command {}", world.helm.display());
    for output in ["", " -o json", " -o yaml"] {
        let run = world.check(&format!("flux tree clusters{output}"), &[], &[]);
        assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
        assert_eq!(world.check(&format!("flux tree failing{output}"), &[], &[]).code, 1);
        let run = world.check(&format!("flux tree releases --with-helm {helm}{output}"), &[], &[]);
        assert_eq!(run.code, 1, "{}\n{}", run.out, run.err);
        for failure in ["fails", "schema", "unread", "http", "oci", "git"] {
            assert!(run.err.contains(&format!("apps/{failure}.yaml")), "{failure}\n{}", run.err);
        }
        run.renders_without_encrypted_values();
    }
    for (name, folder, shows, code) in [
        ("plain", "clusters", &["canaryplainsecret"][..], 0),
        ("sops", "clusters", &[], 0),
        ("vars", "clusters", &["canaryvariable"], 0),
        ("changed", "failing", &[], 0),
        ("cut", "failing", &[], 0),
        ("badpatch", "failing", &[], 1),
        ("missing", "failing", &["canaryplainsecret", "canaryvariable"], 1),
        ("expression", "failing", &[], 1),
        ("broken", "failing", &[], 1),
    ] {
        let line = format!(
            "flux build kustomization {name} --path {name} --kustomization-file {folder}/{name}.yaml --dry-run --strict-substitute"
        );
        let run = world.check(&line, &[], shows);
        assert_eq!(run.code, code, "{line}\n{}\n{}", run.out, run.err);
    }
    world.finish();
}

#[test]
fn no_secret_shows_in_all_that_a_repository_renders() {
    let Some(world) = World::new() else { return };
    let helm = format!("--with-helm --helm-command {}", world.helm.display());
    let opened =
        ["canarysopsyaml", "canarysopsjson", "canarysopsenv", "canarysopsini", "canarysopsbinary"];
    let decrypted = [&PLAIN[..], &opened].concat();
    for output in ["", " -o json", " -o yaml"] {
        let build = |line: &str, shows: &[&str]| {
            let run = world.check(&format!("flux build {line}{output}"), &[], shows);
            assert_ne!(run.code, 2, "{line}\n{}", run.err);
            run
        };
        // What is plain in the repository is printed; of the rest, nothing that nobody asked for.
        let run = build("./clusters", &PLAIN);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.out.contains("canaryvariable"), "{}", run.out);
        let run = build("./clusters --decrypt", &decrypted);
        assert!(
            opened.iter().all(|secret| run.out.contains(secret)
                || forms(secret).iter().any(|form| run.out.contains(form))),
            "{}",
            run.out
        );
        build("./failing", &PLAIN);
        build("./failing --decrypt", &decrypted);
        let logins = [
            "canaryhelmvalue",
            "canarychartlogin",
            "canaryregistry",
            "canarygitpassword",
            "canaryvaulttoken",
            "canaryplainsecret",
        ];
        let run = build(&format!("./releases {helm}"), &logins);
        assert_eq!(run.code, 1, "{}", run.err);
        run.renders_without_encrypted_values();
        let all = [&logins[..], &opened].concat();
        let run = build(&format!("./releases {helm} --decrypt"), &all);
        assert!(run.out.contains("canarysopsyaml"), "{}", run.out);
        assert_eq!(build("./clusters --ask-cluster", &PLAIN).code, 1);
    }
    world.finish();
}

#[test]
fn no_secret_shows_in_what_differs() {
    let Some(world) = World::new() else { return };
    let helm = format!("--with-helm --helm-command {}", world.helm.display());
    world.git("init -q -b main");
    world.git("add .");
    world.git("commit -q -m one");
    world.change();
    for output in ["", " -o json", " -o yaml"] {
        let run = world.check(&format!("flux diff ./clusters{output}"), &[], &[]);
        assert_eq!(run.code, 1, "{}\n{}", run.out, run.err);
        assert_eq!(world.check(&format!("flux diff ./failing{output}"), &[], &[]).code, 2);
        let run = world.check(&format!("flux diff ./releases {helm}{output}"), &[], &[]);
        assert_eq!(run.code, 2, "{}\n{}", run.out, run.err);
        assert!(run.out.contains("good") && run.out.contains("*** (after)"), "{}", run.out);
        // All of it new, and all of it gone.
        world.git("commit -q -a -m two");
        for range in ["HEAD~1..HEAD", "HEAD..HEAD~1"] {
            let line = format!("flux diff ./clusters --revision {range}{output}");
            assert_eq!(world.check(&line, &[], &[]).code, 1);
        }
        world.git("reset -q --soft HEAD~1");
        for command in ["", " --ask-cluster", " --live", " --live --impersonate=false"] {
            for kubeconfig in ["kubeconfig", "broken-kubeconfig", "odd-kubeconfig", "none"] {
                let path = world.path(kubeconfig);
                let line = format!("flux diff ./clusters{command}{output}");
                world.check(&line, &[("KUBECONFIG", path.to_str().unwrap())], &[]);
            }
        }
    }
    world.finish();
}

#[test]
fn keys_do_not_show_where_they_are_wrong() {
    let Some(world) = World::new() else { return };
    let pgp = world.path("keys.asc");
    for environment in [
        &[("SOPS_AGE_KEY", "AGE-SECRET-KEY-1CANARYPGPKEY")][..],
        &[("SOPS_AGE_KEY", OTHER_KEY)],
        &[("SOPS_AGE_KEY", ""), ("SOPS_AGE_KEY_FILE", pgp.to_str().unwrap())],
    ] {
        for line in [
            "flux tree clusters",
            "flux tree failing -o json",
            "flux build sops ./clusters",
            "flux build sops ./clusters --decrypt",
            "flux build kustomization sops --path sops --kustomization-file clusters/sops.yaml --dry-run",
        ] {
            world.check(line, environment, &[]);
        }
    }
    world.finish();
}

#[test]
fn the_search_finds_what_is_encoded() {
    for before in ["", "x", "xy", "xyz"] {
        let encoded = base64(format!("{before}canaryplainsecret and more").as_bytes());
        assert!(
            forms("canaryplainsecret").iter().any(|form| encoded.contains(form)),
            "{before}: {encoded}"
        );
    }
    assert_eq!(base64(b"a"), "YQ==");
    assert_eq!(base64(b"abcd"), "YWJjZA==");
}
