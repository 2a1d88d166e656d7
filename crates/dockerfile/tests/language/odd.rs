//! Input that nobody writes but a stranger.

use std::time::{Duration, Instant};

use dockerfile::parse;

use crate::world::{base_config, options, plan_with};

/// Small deterministic noise: the same on every machine.
fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    })
}

#[test]
fn no_text_makes_it_panic() {
    const PIECES: [&str; 40] = [
        "FROM ",
        "a",
        "\n",
        "RUN ",
        "COPY ",
        "--from=",
        "0",
        "$",
        "{",
        "}",
        ":-",
        "\"",
        "'",
        "\\",
        "\\\n",
        "[",
        "]",
        ",",
        "<<EOF\n",
        "EOF\n",
        "ENV ",
        "A=",
        "ARG ",
        "#",
        " ",
        "\t",
        "\r\n",
        "ONBUILD ",
        "HEALTHCHECK ",
        "CMD ",
        "AS b",
        "\u{0}",
        "ä",
        "\u{1f980}",
        "/",
        "//",
        "%%",
        "##",
        "*",
        "# escape=`\n",
    ];
    for seed in 0..4000 {
        let mut noise = noise(seed);
        let length = noise.next().unwrap() % 40;
        let text: String = (0..length).map(|_| PIECES[(noise.next().unwrap() % 40) as usize]).collect();
        let _ = plan_with(&format!("FROM a\n{text}"), &options(), &base_config());
        let _ = parse("Dockerfile", &text);
    }
}

#[test]
fn nothing_a_stranger_writes_takes_long() {
    let began = Instant::now();
    let deep = format!("FROM a\nLABEL a={}", "${A:-".repeat(10_000));
    let doubling: String = (0..40).map(|n| format!("ENV V{} $V{n}$V{n}\n", n + 1)).collect();
    let stars = format!("FROM a\nENV A={}\nLABEL a=${{A##{}b}}", "a".repeat(50_000), "*a".repeat(200));
    let replaced = format!("FROM a\nENV A={}\nLABEL a=${{A//{}b/x}}", "a".repeat(4000), "*a".repeat(50));
    let lines = format!("FROM a\n{}", "RUN x\n".repeat(20_000));
    let flags = format!("FROM a\nRUN {}x", "--a ".repeat(15_000));
    let environment: String =
        (0..1500).map(|n| format!("ENV{}\n", " b=".replace('b', &format!("a{n}x")).repeat(9))).collect();
    for text in [
        deep,
        format!("FROM a\nENV V0=xxxxxxxx\n{doubling}"),
        stars,
        replaced,
        lines,
        flags,
        format!("FROM a\n{environment}"),
    ] {
        let _ = plan_with(&text, &options(), &base_config());
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn what_grows_without_end_is_refused() {
    // V14 has 128 KiB.
    let doubling: String = (0..14).map(|n| format!("ENV V{} $V{n}$V{n}\n", n + 1)).collect();
    let big = format!("FROM a AS s\nENV V0=xxxxxxxx\n{doubling}");
    for (what, text) in [
        ("environments", format!("{big}{}", "RUN x\n".repeat(5000))),
        ("labels", format!("{big}LABEL{}", " a=$V14".repeat(5000))),
        ("unused values", format!("{big}LABEL a={}", "${V14:+}".repeat(5000))),
        ("folders", format!("{big}WORKDIR $V14\nENV {}\n{}", "V14=", "USER 1\nRUN x\n".repeat(4000))),
        ("stages", format!("{big}{}", "FROM s AS s\n".repeat(900))),
        ("patterns", format!("{big}LABEL a=${{V14##${{V7}}*z}}")),
        ("ports", format!("FROM a\nEXPOSE{}", " 1-65535".repeat(2000))),
        ("instructions", format!("FROM a\n{}", "RUN x\n".repeat(10_001))),
        ("froms", "FROM a\n".repeat(1001)),
        ("a line", format!("FROM a\nRUN {}", "x".repeat(65_536))),
    ] {
        let failure = plan_with(&text, &options(), &base_config()).expect_err(what);
        assert_eq!(failure.kind, "dockerfile_too_large", "{what}: {failure}");
        assert!(failure.to_string().len() < 500_000, "{what}");
    }
    let people = format!("{}{}", "FROM a\nENV A=1 B=2\n", "RUN make\nCOPY a /b\n".repeat(400));
    assert_eq!(crate::world::plan(&people).vertices.len(), 801);
}
