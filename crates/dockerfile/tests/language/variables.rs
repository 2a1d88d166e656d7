//! Variables, quotes and escapes.

use dockerfile::parse;

use crate::world::{base_config, config, failure, options, plan, plan_with, with_args};

/// What LABEL gets of a word, with A=`a b`, E empty, P=`/x/y.tar.gz`, S=`a*b*c` and nothing else set.
fn expand(word: &str) -> String {
    let text = format!("FROM a\nENV A=\"a b\" E= P=/x/y.tar.gz S='a*b*c'\nLABEL v={word}");
    config(&text).labels.unwrap()["v"].clone()
}

#[test]
fn words_are_read_as_the_shell_reads_them() {
    for (word, value) in [
        ("$A", "a b"),
        ("${A}x", "a bx"),
        ("'$A'", "$A"),
        ("\"$A\"", "a b"),
        ("\\$A", "$A"),
        ("\"\\$A\"", "$A"),
        ("\"\\x\"", "\\x"),
        ("a\\ b", "a b"),
        ("$NOT", ""),
        ("x$", "x$"),
        ("$=", "$="),
        ("${NOT:-d}", "d"),
        ("${E:-d}", "d"),
        ("${E-d}", ""),
        ("${NOT-d}", "d"),
        ("${A:+s}", "s"),
        ("${E:+s}", ""),
        ("${E+s}", "s"),
        ("${NOT+s}", ""),
        ("${NOT:-${A}}", "a b"),
        ("${NOT:-\"x}y\"}", "x}y"),
        ("${A:?must}", "a b"),
        ("${P#*/}", "x/y.tar.gz"),
        ("${P##*/}", "y.tar.gz"),
        ("${P%.*}", "/x/y.tar"),
        ("${P%%.*}", "/x/y"),
        ("${P/./-}", "/x/y-tar.gz"),
        ("${P//./-}", "/x/y-tar-gz"),
        ("${P/nothing/-}", "/x/y.tar.gz"),
        ("${P#?x}", "/y.tar.gz"),
        ("${S#a\\*}", "b*c"),
        ("${S##*\\*}", "c"),
        ("${S//\\*/-}", "a-b-c"),
        ("$$", ""),
    ] {
        assert_eq!(expand(word), value, "{word}");
    }
}

#[test]
fn what_has_to_be_set_says_so_with_its_own_words() {
    let failure = failure("FROM a\nARG V\nLABEL v=\"${V:?give a version}\"");
    assert_eq!(
        (failure.kind.as_str(), failure.message.as_str()),
        ("dockerfile_variable", "V: give a version.")
    );
    let location = failure.location.unwrap();
    assert_eq!((location.line, location.column), (3, 10));
}

#[test]
fn a_global_arg_reaches_from_and_a_stage_only_when_declared_again() {
    let text = "ARG TAG=1\nARG NAME=a:${TAG}\nFROM $NAME\nLABEL without=[$TAG]\nARG TAG\nLABEL with=[$TAG]";
    let graph = plan_with(text, &with_args(&[("TAG", "2")]), &base_config()).unwrap();
    assert!(graph.vertices[0].instruction.ends_with("library/a:2"), "{}", graph.vertices[0].instruction);
    let labels = graph.output.config.config.labels.unwrap();
    assert_eq!((labels["without"].as_str(), labels["with"].as_str()), ("[]", "[2]"));
    let missing = failure("ARG TAG\nFROM $TAG");
    assert!(missing.hint.contains("ARG"), "{missing}");
}

#[test]
fn platform_arguments_are_there_when_they_are_declared() {
    let graph =
        plan_with("FROM a\nARG TARGETARCH\nLABEL a=$TARGETARCH o=[$TARGETOS]", &options(), &base_config());
    let labels = graph.unwrap().output.config.config.labels.unwrap();
    assert_eq!((labels["a"].as_str(), labels["o"].as_str()), ("amd64", "[]"));
}

#[test]
fn ports_of_a_variable_are_split_and_paths_are_not() {
    let config = config("FROM a\nENV P=\"80 81\"\nEXPOSE $P\nVOLUME $P");
    assert_eq!(config.exposed_ports.unwrap().len(), 2);
    assert_eq!(config.volumes.unwrap().into_keys().next().unwrap(), "80 81");
}

#[test]
fn a_build_argument_that_nothing_declares_is_noticed() {
    let file =
        parse("Dockerfile", "ARG BASE=a\nFROM ${BASE}\nARG X\nRUN true\nFROM a AS other\nARG Y\n").unwrap();
    let given =
        [("BASE", "a"), ("X", "1"), ("Y", "1"), ("Z", "1"), ("HTTP_PROXY", "p"), ("SOURCE_DATE_EPOCH", "0")];
    assert_eq!(file.unused_args(&with_args(&given)), ["Z"]);
}

#[test]
fn checks_may_be_skipped() {
    for skip in ["all", "MaintainerDeprecated", "maintainerdeprecated,Other"] {
        let text = format!("# check=skip={skip};error=true\nFROM a\nMAINTAINER x\n");
        assert!(parse("Dockerfile", &text).unwrap().warnings().is_empty(), "{skip}");
        plan(&text);
    }
    let file = parse("Dockerfile", "# check=skip=Other\nFROM a\nMAINTAINER x\n").unwrap();
    assert_eq!(file.warnings().len(), 1);
}
