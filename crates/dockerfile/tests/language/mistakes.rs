//! Mistakes, each with its kind and the user's own line and column.

use crate::world::{failure, failure_with, with_target};

#[test]
fn each_mistake_is_shown_where_it_was_made() {
    for (text, kind, line, column) in [
        ("FROM a\nCOPPY a b", "dockerfile_syntax", 2, 1),
        ("RUN x", "dockerfile_syntax", 1, 1),
        ("FROM", "dockerfile_syntax", 1, 1),
        ("FROM a b", "dockerfile_syntax", 1, 8),
        ("FROM a AS 1x", "dockerfile_syntax", 1, 11),
        ("FROM a\nCOPY --form=x a b", "dockerfile_syntax", 2, 6),
        ("FROM a\nCOPY a", "dockerfile_syntax", 2, 6),
        ("FROM a\nCOPY a b c", "dockerfile_syntax", 2, 10),
        ("FROM a\nRUN", "dockerfile_syntax", 2, 1),
        ("FROM a\nENV A", "dockerfile_syntax", 2, 5),
        ("FROM a\nENV A=1 B", "dockerfile_syntax", 2, 9),
        ("FROM a\nLABEL a='x", "dockerfile_syntax", 2, 9),
        ("FROM a\nLABEL a=${A", "dockerfile_syntax", 2, 9),
        ("FROM a\nEXPOSE 99999", "dockerfile_syntax", 2, 8),
        ("FROM a\nSTOPSIGNAL SIGNOPE", "dockerfile_syntax", 2, 12),
        ("FROM a\nSHELL bash", "dockerfile_syntax", 2, 7),
        ("FROM a\nHEALTHCHECK curl", "dockerfile_syntax", 2, 13),
        ("FROM a\nHEALTHCHECK --interval=5 CMD x", "dockerfile_syntax", 2, 24),
        ("FROM a\nRUN a \\\n  && b\nRUN <<EOF\nx", "dockerfile_syntax", 4, 5),
        ("FROM A:x", "image_reference_invalid", 1, 6),
        ("FROM a AS b\nFROM c\nCOPY --from=2 x y", "stage_not_found", 3, 13),
        ("FROM a\nCOPY --from=late x y\nFROM b AS late\nFROM b\nCOPY --from=0 x y", "stage_not_found", 2, 13),
        ("FROM a AS builder\nFROM c\nCOPY --from=bulider x y", "stage_not_found", 3, 13),
        ("FROM a\nRUN --mount=type=cache,target=/c make", "dockerfile_unsupported", 2, 5),
        ("FROM a\nRUN --mount=target=/c make", "dockerfile_unsupported", 2, 5),
        ("FROM a\nRUN --mount=type=secre,id=a make", "dockerfile_syntax", 2, 18),
        ("FROM a\nRUN --mount=type=secret make", "dockerfile_syntax", 2, 5),
        ("FROM a\nRUN --mount=type=secret,id=a,tarmget=/x make", "dockerfile_syntax", 2, 30),
        ("FROM a\nRUN --mount=type=secret,id=a,mode=rw make", "dockerfile_syntax", 2, 35),
        ("FROM a\nRUN --mount=type=secret,id= make", "dockerfile_syntax", 2, 25),
        ("FROM a\nRUN --mount make", "dockerfile_syntax", 2, 5),
        ("FROM a\nRUN --network=none make", "dockerfile_unsupported", 2, 5),
        ("FROM a\nCOPY --link a b", "dockerfile_unsupported", 2, 6),
        ("FROM a\nCOPY --chmod=755 a b", "dockerfile_unsupported", 2, 6),
        ("FROM a\nADD --checksum=sha256:00 a b", "dockerfile_syntax", 2, 16),
        ("FROM a\nADD --checksum=sha256:00 https://example.com/x b", "dockerfile_syntax", 2, 16),
        (
            "FROM a\nADD --checksum=sha256:00 https://a.example/x https://b.example/y b/",
            "dockerfile_syntax",
            2,
            16,
        ),
        ("FROM a\nADD --checksum https://example.com/x b", "dockerfile_syntax", 2, 5),
        ("FROM a\nADD https://u:p@example.com/x /x", "dockerfile_syntax", 2, 5),
        ("FROM a\nADD https://example.com /x/", "dockerfile_syntax", 2, 5),
        ("FROM a\nADD https://example.com/a/%2e%2e /x/", "dockerfile_syntax", 2, 5),
        ("FROM a\nADD https://example.com/a.git#main /x", "dockerfile_unsupported", 2, 5),
        ("FROM a\nADD git@example.com:a/b.git /x", "dockerfile_unsupported", 2, 5),
        ("FROM a\nCOPY <<EOF /x\nhello\nEOF\n", "dockerfile_unsupported", 2, 6),
        ("FROM a\nRUN <<EOF\n#!/usr/bin/python\nEOF\n", "dockerfile_unsupported", 2, 5),
        ("FROM a\nONBUILD RUN x", "dockerfile_unsupported", 2, 1),
        ("# syntax=example.com/own:1\nFROM a", "dockerfile_unsupported", 1, 1),
        ("# syntax=docker/dockerfile:1-labs\nFROM a", "dockerfile_unsupported", 1, 1),
        ("# escape=x\nFROM a", "dockerfile_syntax", 1, 1),
        ("# check=skip=all\n# check=error=true\nFROM a", "dockerfile_syntax", 2, 1),
        ("# check=error=true\nFROM a\nMAINTAINER x", "dockerfile_check_failed", 3, 0),
        ("# check=eror=true\nFROM a", "dockerfile_syntax", 1, 1),
        ("FROM a\nRUN --security=insecure x", "dockerfile_unsupported", 2, 5),
        ("FROM a\nRUN --device=gpu x", "dockerfile_unsupported", 2, 5),
        ("FROM a\nCOPY --parents a b", "dockerfile_unsupported", 2, 6),
        ("FROM a\nCOPY --exclude=x --exclude=y a b", "dockerfile_unsupported", 2, 6),
        ("FROM a\nADD --keep-git-dir=true a b", "dockerfile_unsupported", 2, 5),
        ("FROM a\nADD --chmod=1 a b", "dockerfile_unsupported", 2, 5),
        ("FROM a\nADD --link a b", "dockerfile_unsupported", 2, 5),
        ("FROM a\nADD --exclude=x a b", "dockerfile_unsupported", 2, 5),
        ("FROM a\nADD <<EOF /x\nhello\nEOF\n", "dockerfile_unsupported", 2, 5),
        // Known only when the variable is.
        ("FROM a\nARG U=https://x.example/y.git\nADD a $U /y/", "dockerfile_unsupported", 3, 7),
        ("FROM a\nONBUILD RUN <<EOF\nx\nEOF\n", "dockerfile_unsupported", 2, 1),
        ("FROM a\nONBUILD ONBUILD RUN x", "dockerfile_syntax", 2, 9),
        ("FROM a\nENV --x=1", "dockerfile_syntax", 2, 5),
        ("FROM a\nCMD --version", "dockerfile_syntax", 2, 5),
        ("FROM a\nRUN [\"x\", 1]", "dockerfile_syntax", 2, 5),
        ("FROM a\nVOLUME /a $X", "dockerfile_syntax", 2, 11),
        ("FROM a\nEXPOSE +80", "dockerfile_syntax", 2, 8),
        ("FROM a\nEXPOSE 90-80", "dockerfile_syntax", 2, 8),
        ("FROM a\nEXPOSE 80/http", "dockerfile_syntax", 2, 8),
        ("FROM a\nLABEL a=${:x}", "dockerfile_syntax", 2, 9),
        ("FROM a\nLABEL a=${A?}", "dockerfile_variable", 2, 9),
        ("FROM --platform=x a", "dockerfile_syntax", 1, 17),
        ("FROM a\nARG =1", "dockerfile_syntax", 2, 5),
    ] {
        let found = failure(text);
        let location = found.location.clone().expect(text);
        assert_eq!(
            (found.kind.as_str(), location.line, location.column),
            (kind, line, column),
            "{text}\n{found}"
        );
        assert_eq!(location.text, text.lines().nth(line as usize - 1).unwrap());
        assert_eq!(found.blame.as_str(), "user");
    }
}

#[test]
fn an_error_behind_a_continuation_points_at_its_own_line() {
    let failure = failure("FROM a\nCOPY a \\\n  # why\n  --oops \\\n  b");
    let location = failure.location.unwrap();
    assert_eq!((location.line, location.text.as_str()), (5, "  b"), "several sources need a folder");
}

#[test]
fn what_was_probably_meant_is_said() {
    for (text, hint) in [
        ("FROM a\nCOPPY a b", "Did you mean `COPY`?"),
        ("FROM a\nCOPY --form=x a b", "Did you mean `--from`?"),
        ("FROM a\nENTRYPIONT x", "Did you mean `ENTRYPOINT`?"),
        ("FROM a AS builder\nFROM c\nCOPY --from=bulider x y", "Did you mean `builder`?"),
        ("FROM a\nCOPY a b c", "Write `c/`."),
    ] {
        assert_eq!(failure(text).hint, hint, "{text}");
    }
    let target = failure_with("FROM a AS test\nFROM b AS release", &with_target("relase"));
    assert_eq!((target.kind.as_str(), target.hint.as_str()), ("target_not_found", "Did you mean `release`?"));
}

#[test]
fn a_file_without_a_stage_is_refused() {
    for text in ["", "\n\n# only a comment\n", "ARG A=1\n"] {
        assert_eq!(failure(text).kind, "dockerfile_empty", "{text:?}");
    }
    assert_eq!(failure(&"#\n".repeat(1_100_000)).kind, "dockerfile_too_large");
}

#[test]
fn a_known_frontend_is_ours() {
    for syntax in
        ["docker/dockerfile:1", "docker/dockerfile:1.7", "docker.io/docker/dockerfile:1", "docker/dockerfile"]
    {
        crate::world::plan(&format!("# syntax={syntax}\nFROM a"));
    }
}

#[test]
fn the_character_nul_is_shown_where_it_stands() {
    let failure = failure("FROM a\nRUN a\0b");
    let location = failure.location.expect("a place");
    assert_eq!((failure.kind.as_str(), location.line, location.column), ("dockerfile_syntax", 2, 6));
    assert_eq!(location.text, "RUN a\u{2400}b");
}
