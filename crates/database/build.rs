//! Looks at the migrations, so that a new one is compiled in without touching a source file.

#[expect(clippy::print_stdout, reason = "cargo reads it")]
fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
