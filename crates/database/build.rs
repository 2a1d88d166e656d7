//! A new migration is read without a change of any source file.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
