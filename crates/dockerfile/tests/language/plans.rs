//! What instructions become.

use dockerfile::parse;
use model::{CopyFrom, Op, RuntimeConfig, SecretMount};

use crate::world::{
    base_config, config, failure, last, names, options, plan, plan_with, with_args, with_target,
};

fn args_of(text: &str) -> Vec<String> {
    match last(&plan(text)) {
        Op::Exec(exec) => exec.args.clone(),
        other => panic!("{other:?}"),
    }
}

fn copy_of(text: &str) -> model::Copy {
    match last(&plan(text)) {
        Op::Copy(copy) => copy.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn run_has_a_shell_form_and_an_exec_form() {
    assert_eq!(args_of("FROM a\nRUN echo \"a b\" > x"), ["/bin/sh", "-c", "echo \"a b\" > x"]);
    assert_eq!(args_of("FROM a\nRUN [\"echo\", \"$HOME\"]"), ["echo", "$HOME"]);
    assert_eq!(args_of("FROM a\nSHELL [\"bash\", \"-ec\"]\nRUN echo"), ["bash", "-ec", "echo"]);
    // What looks like JSON and is none is the shell's.
    assert_eq!(args_of("FROM a\nRUN [ -f x ]"), ["/bin/sh", "-c", "[ -f x ]"]);
}

#[test]
fn continuations_and_comments_within_are_gone() {
    let text = "FROM a\nRUN a && \\\n  # why\n\n    b \\  \n && c\n";
    assert_eq!(args_of(text)[2], "a &&     b  && c");
    assert_eq!(args_of("# escape=`\nFROM a\nRUN a `\n b \\\n")[2], "a  b \\");
    assert_eq!(args_of("\u{feff}FROM a\r\nRUN a \\\r\n b\r\n")[2], "a  b");
}

#[test]
fn a_here_document_is_the_script_or_its_input() {
    assert_eq!(args_of("FROM a\nRUN <<EOF\necho $x\n\techo b\nEOF\n")[2], "echo $x\n\techo b\n");
    assert_eq!(args_of("FROM a\nRUN <<-\"EOF\"\n\techo b\n\tEOF\n")[2], "echo b\n");
    assert_eq!(args_of("FROM a\nRUN cat <<X > f\nline\nX\n")[2], "cat <<X > f\nline\nX\n");
    // Only a program that is the whole command is not the shell's.
    let script = args_of("FROM a\nRUN cat <<EOF > /run.sh\n#!/bin/sh\nexec x\nEOF\n");
    assert_eq!(script[2], "cat <<EOF > /run.sh\n#!/bin/sh\nexec x\nEOF\n");
    // Neither quoted text nor arithmetic is one.
    assert_eq!(args_of("FROM a\nRUN echo \"a <<EOF b\"")[2], "echo \"a <<EOF b\"");
    assert_eq!(args_of("FROM a\nRUN echo $((1 << 2))")[2], "echo $((1 << 2))");
}

#[test]
fn a_secret_has_the_languages_defaults() {
    let secrets = |text: &str| match last(&plan(text)) {
        Op::Exec(exec) => exec.secrets.clone(),
        other => panic!("{other:?}"),
    };
    let secret = |id: &str, target: Option<&str>, env: Option<&str>| SecretMount {
        id: id.to_owned(),
        target: target.map(str::to_owned),
        env: env.map(str::to_owned),
        required: false,
        mode: 0o400,
        uid: 0,
        gid: 0,
    };
    for (flag, expected) in [
        ("id=npm", secret("npm", Some("/run/secrets/npm"), None)),
        ("target=/root/.npmrc", secret(".npmrc", Some("/root/.npmrc"), None)),
        ("id=npm,dst=rc", secret("npm", Some("/app/rc"), None)),
        ("id=npm,env=NPM", secret("npm", None, Some("NPM"))),
        ("id=npm,env=NPM,target=/x", secret("npm", Some("/x"), Some("NPM"))),
        ("id=$NAME", secret("of-arg", Some("/run/secrets/of-arg"), None)),
        (
            "id=a,required,mode=0440,uid=7,gid=8",
            SecretMount {
                required: true,
                mode: 0o440,
                uid: 7,
                gid: 8,
                ..secret("a", Some("/run/secrets/a"), None)
            },
        ),
    ] {
        let text = format!("FROM a\nWORKDIR /app\nARG NAME=of-arg\nRUN --mount=type=secret,{flag} make");
        assert_eq!(secrets(&text), [expected], "{flag}");
    }
    let two = "FROM a\nRUN --mount=type=secret,id=a --mount=id=b,type=secret make";
    assert_eq!(secrets(two).len(), 2);
}

#[test]
fn the_environment_of_a_run_is_env_and_then_arg() {
    let text = "FROM a\nARG X=1 Y Z=z\nENV Z=env E=\"a b\"\nRUN true";
    let graph =
        plan_with(text, &with_args(&[("X", "2"), ("HTTP_PROXY", "p"), ("OTHER", "o")]), &base_config());
    let graph = graph.unwrap();
    let Op::Exec(exec) = last(&graph) else { panic!("a run") };
    assert_eq!(exec.env, ["PATH=/bin", "BASE=yes", "Z=env", "E=a b", "X=2"]);
    assert_eq!(exec.proxy_env, ["HTTP_PROXY=p"]);
    let history: Vec<_> = graph.output.history.iter().map(|entry| entry.created_by.as_str()).collect();
    assert_eq!(history, ["ARG X=2 Y Z=z", "ENV Z=env E=a b", "RUN |1 X=2 /bin/sh -c true # buildkit"]);
}

#[test]
fn env_is_replaced_in_its_place() {
    assert_eq!(
        config("FROM a\nENV PATH=/x:$PATH\nENV NEW a b c").env,
        ["PATH=/x:/bin", "BASE=yes", "NEW=a b c"]
    );
    // All values of one line are of before the line.
    assert_eq!(config("FROM a\nENV A=1\nENV A=2 B=$A").env[2..], ["A=2", "B=1"]);
}

#[test]
fn copy_goes_to_where_the_working_directory_is() {
    let copy = copy_of("FROM a\nWORKDIR /app\nWORKDIR sub/../x\nCOPY --chown=app:1 a b/ .");
    assert_eq!((copy.dest.as_str(), copy.chown.as_deref()), ("/app/x/", Some("app:1")));
    assert_eq!(copy.sources, ["a", "b/"]);
    assert_eq!((copy.from, copy.unpack), (CopyFrom::Context, false));
    for (dest, absolute) in
        [("/", "/"), ("x", "/x"), ("x/", "/x/"), ("./x/.", "/x/"), ("/a/../b", "/b"), ("../../c", "/c")]
    {
        assert_eq!(copy_of(&format!("FROM a\nCOPY f {dest}")).dest, absolute, "{dest}");
    }
    assert_eq!(copy_of("FROM a\nCOPY [\"a b\", \"c d/\"]").sources, ["a b"]);
    assert!(copy_of("FROM a\nADD a.tar /x").unpack);
}

#[test]
fn an_add_fetches_what_is_an_address_and_copies_the_rest() {
    let copy = copy_of("FROM a\nARG V=2\nADD a https://example.com/v$V/b%20c?d=/e HTTP://x.example/f /x/");
    assert_eq!(copy.sources, ["a", "https://example.com/v2/b%20c?d=/e", "HTTP://x.example/f"]);
    let fetched: Vec<_> = copy.fetches.iter().map(|fetch| (fetch.source, fetch.name.as_str())).collect();
    assert_eq!(fetched, [(1, "b c"), (2, "f")]);
    let digest = format!("sha256:{}", "5".repeat(64));
    let copy =
        copy_of(&format!("FROM a\nARG D={digest}\nADD --checksum=$D --chown=1 https://example.com /x"));
    assert_eq!(copy.fetches[0].checksum.as_ref().map(ToString::to_string), Some(digest));
    assert_eq!((copy.fetches[0].name.as_str(), copy.chown.as_deref()), ("__unnamed__", Some("1")));
    assert!(copy_of("FROM a\nCOPY https://example.com/x /y").fetches.is_empty());
    let graph = plan(
        "FROM a\nADD --checksum=sha256:5555555555555555555555555555555555555555555555555555555555555555 https://example.com/x /y",
    );
    assert_eq!(graph.output.history[0].created_by, "ADD https://example.com/x /y # buildkit");
}

#[test]
fn copies_read_stages_by_name_and_number_and_images() {
    let text =
        "FROM a AS Build\nRUN make\nFROM b\nCOPY --from=build /x /\nCOPY --from=0 /y /\nCOPY --from=c:1 /z /";
    let graph = plan(text);
    let from: Vec<_> = graph
        .vertices
        .iter()
        .filter_map(|vertex| match &vertex.op {
            Op::Copy(copy) => match copy.from {
                CopyFrom::Vertex { vertex } => Some(graph.vertex(vertex).name()),
                CopyFrom::Context => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(from, ["[build 2/2] RUN make", "[build 2/2] RUN make", "FROM docker.io/library/c:1"]);
    for (index, vertex) in graph.vertices.iter().enumerate() {
        assert!(vertex.op.inputs().iter().all(|input| input.0 < index), "inputs come first");
    }
}

#[test]
fn only_what_the_target_needs_is_planned_and_resolved() {
    let text = "FROM a AS one\nRUN 1\nFROM b AS two\nADD git@example.com:x.git /\nFROM one AS three\nRUN 3";
    let dockerfile = parse("Dockerfile", text).unwrap();
    let needed = dockerfile.needed_images(&options()).unwrap();
    let needed: Vec<_> = needed.iter().map(|image| image.reference.to_string()).collect();
    assert_eq!(needed, ["docker.io/library/a:latest"]);
    assert_eq!(
        names(&plan(text)),
        ["[one 1/2] FROM docker.io/library/a:latest", "[one 2/2] RUN 1", "[three 2/2] RUN 3"]
    );
    let one = plan_with(text, &with_target("ONE"), &base_config()).unwrap();
    assert_eq!(one.vertices.len(), 2);
    let first = plan_with(text, &with_target("0"), &base_config()).unwrap();
    assert_eq!(first, one);
}

#[test]
fn a_stage_goes_on_with_the_configuration_of_its_base() {
    let graph = plan("FROM a AS base\nENV A=1\nUSER app\nWORKDIR /w\nSHELL [\"sh\"]\nFROM base\nRUN x");
    let Op::Exec(exec) = last(&graph) else { panic!("a run") };
    assert_eq!((exec.user.as_str(), exec.cwd.as_str(), exec.args[0].as_str()), ("app", "/w", "sh"));
    assert!(exec.env.contains(&"A=1".to_owned()));
    assert_eq!(graph.output.history.len(), 5);
    // ARG goes on to the stages that are built on its own, and to no other.
    assert_eq!(config("FROM a AS base\nARG V=1\nFROM base\nENV X=[$V]").env.last().unwrap(), "X=[1]");
    assert_eq!(config("FROM a AS base\nARG V=1\nFROM a\nENV X=[$V]").env.last().unwrap(), "X=[]");
}

#[test]
fn an_entry_point_drops_the_cmd_of_the_base_but_not_its_own() {
    assert_eq!(config("FROM a").cmd, base_config().cmd);
    assert_eq!(config("FROM a\nENTRYPOINT [\"x\"]").cmd, None);
    let kept = config("FROM a\nCMD y\nENTRYPOINT [\"x\"]");
    assert_eq!(kept.cmd.unwrap(), ["/bin/sh", "-c", "y"]);
}

#[test]
fn the_configuration_takes_every_instruction() {
    let config = config(
        "FROM a\nLABEL a=1 \"b c\"='d e'\nEXPOSE 80 53/udp 8000-8001\nVOLUME /a /b\nVOLUME [\"/c d\"]\n\
         STOPSIGNAL SIGINT\nUSER 1000:1000\nHEALTHCHECK --interval=5s --retries=3 CMD curl -f http://x\nWORKDIR /\n",
    );
    let labels = config.labels.unwrap();
    assert_eq!((labels["a"].as_str(), labels["b c"].as_str()), ("1", "d e"));
    let ports: Vec<_> = config.exposed_ports.unwrap().into_keys().collect();
    assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
    assert_eq!(config.volumes.unwrap().into_keys().collect::<Vec<_>>(), ["/a", "/b", "/c d"]);
    assert_eq!((config.stop_signal.as_deref(), config.user.as_str()), (Some("SIGINT"), "1000:1000"));
    let health = config.healthcheck.unwrap();
    assert_eq!(health.test, ["CMD-SHELL", "curl -f http://x"]);
    assert_eq!((health.interval, health.retries, health.timeout), (5_000_000_000, 3, 0));
    assert_eq!(config.working_dir, "/");
    let none = crate::world::config("FROM a\nHEALTHCHECK NONE").healthcheck.unwrap();
    assert_eq!(none.test, ["NONE"]);
}

#[test]
fn scratch_is_the_empty_file_system_with_a_path() {
    let graph = plan("FROM scratch\nCOPY a /");
    assert_eq!(graph.vertices[0].op, Op::Scratch);
    assert_eq!(names(&graph)[0], "[1/2] FROM scratch");
    assert_eq!(graph.output.config.config.working_dir, "/");
    assert!(graph.output.config.config.env[0].starts_with("PATH=/usr/local/sbin:"));
    assert_eq!(
        (graph.output.config.os.as_str(), graph.output.config.architecture.as_str()),
        ("linux", "amd64")
    );
}

#[test]
fn a_platform_is_asked_for_by_the_stage_that_names_it() {
    let text = "FROM --platform=$BUILDPLATFORM a AS tool\nRUN x\nFROM a\nCOPY --from=tool /x /";
    let mut arm = options();
    arm.platform = "linux/arm64".parse().unwrap();
    let needed = parse("Dockerfile", text).unwrap().needed_images(&arm).unwrap();
    let platforms: Vec<_> = needed.iter().map(|image| image.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(needed[1].location.line, 3);
}

#[test]
fn a_stage_has_the_platform_of_the_stage_it_is_built_on() {
    let graph = plan("FROM --platform=linux/arm64 a AS tool\nFROM tool\nRUN x");
    assert_eq!(graph.output.platform.to_string(), "linux/arm64");
    assert_eq!(graph.output.config.architecture, "arm64");
}

#[test]
fn a_copy_from_scratch_resolves_nothing() {
    let text = "FROM a\nCOPY --from=scratch x /";
    assert_eq!(parse("Dockerfile", text).unwrap().needed_images(&options()).unwrap().len(), 1);
    assert!(plan(text).vertices.iter().any(|vertex| vertex.op == Op::Scratch));
}

#[test]
fn two_dashes_end_the_flags() {
    assert_eq!(copy_of("FROM a\nCOPY --chown=1 -- --a /b/").sources, ["--a"]);
}

#[test]
fn a_maintainer_is_taken_as_written() {
    let text = "FROM a\nMAINTAINER Tim O'Brien";
    assert_eq!(plan(text).output.config.author.as_deref(), Some("Tim O'Brien"));
    assert_eq!(parse("Dockerfile", text).unwrap().warnings()[0].rule, "MaintainerDeprecated");
}

#[test]
fn what_an_image_was_is_not_what_it_becomes() {
    let base = RuntimeConfig { on_build: Some(Vec::new()), ..base_config() };
    let config = plan_with("FROM a\nRUN x", &options(), &base).unwrap().output.config;
    assert_eq!((config.created, config.config.on_build), (None, None));
    assert!(config.history.is_empty() && config.rootfs.diff_ids.is_empty());
}

#[test]
fn triggers_of_a_base_image_are_refused_at_its_line() {
    let base = RuntimeConfig { on_build: Some(vec!["COPY . /app".to_owned()]), ..base_config() };
    let refused = plan_with("# x\nFROM a\n", &options(), &base).unwrap_err();
    assert_eq!((refused.kind.as_str(), refused.location.unwrap().line), ("dockerfile_unsupported", 2));
    assert!(failure("FROM a\nONBUILD RUN x").message.contains("ONBUILD"));
}
