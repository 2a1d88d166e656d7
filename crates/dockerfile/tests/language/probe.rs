use crate::world::*;
#[test]
fn probe() {
    for text in [
        "FROM a\nRUN cat <<EOF > /e.sh\n#!/bin/sh\nexec x\nEOF\n",
        "FROM a\nRUN echo \"a <<EOF b\"",
        "FROM a\nCOPY -- a /b",
        "FROM a\nENV --x=1",
        "FROM a\nARG U=https://x.example/y\nADD $U /y",
        "FROM a\nMAINTAINER Tim O'Brien",
        "FROM a\nONBUILD RUN <<EOF\nx\nEOF\n",
        "FROM a\nRUN [1]",
        "FROM a AS b\nARG V=1\nFROM b\nLABEL v=$V",
        "FROM --platform=linux/arm64 a AS b\nFROM b",
        "FROM a\nVOLUME $X",
        "FROM a\nENV P=a*b\nLABEL v=${P#a\\*}",
        "FROM a\nEXPOSE +80",
        "FROM a\nCOPY --from=scratch a /",
    ] {
        match plan_with(text, &options(), &base_config()) {
            Ok(g) => println!(
                "{text:?}\n   OK {:?} {:?} {} {:?}",
                last(&g),
                g.output.config.config.labels,
                g.output.platform,
                g.output.config.author
            ),
            Err(f) => println!(
                "{text:?}\n   ERR {} {} {:?}",
                f.kind,
                f.message,
                f.location.map(|l| (l.line, l.column))
            ),
        }
    }
}
fn slow(what: &str, text: &str) {
    let began = std::time::Instant::now();
    let r = plan_with(text, &options(), &base_config());
    println!(
        "{what}: {:?} {}",
        began.elapsed(),
        match r {
            Ok(_) => "ok".to_owned(),
            Err(f) => f.message.chars().take(90).collect(),
        }
    );
}
#[test]
fn slowness() {
    slow("flags", &format!("FROM a\nRUN {}x", "--a ".repeat(10_000)));
    slow("env", &format!("FROM a\nENV{}", (0..20_000).map(|n| format!(" a{n}=")).collect::<String>()));
    let doubling: String = (0..14).map(|n| format!("ENV V{} $V{n}$V{n}\n", n + 1)).collect();
    let big = format!("FROM a\nENV V0=xxxxxxxx\n{doubling}");
    slow("runs", &format!("{big}{}", "RUN x\n".repeat(1000)));
    slow("labels", &format!("{big}LABEL{}", " a=$V14".repeat(2000)));
    slow(
        "stages",
        &format!(
            "FROM a AS s0\nRUN x\n{}",
            (1..3000).map(|n| format!("FROM s{} AS s{n}\nRUN x\n", n - 1)).collect::<String>()
        ),
    );
    slow("glob", &format!("{big}LABEL v=${{V14##${{V7}}*z}}"));
    slow("ports", &format!("FROM a\nEXPOSE{}", " 1-65535".repeat(40)));
}
