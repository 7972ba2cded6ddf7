//! `harness compare`: two files, what differs between them.

use crate::{Run, harness, tiny};

#[test]
fn two_files_are_compared() {
    let run =
        |file: &str| tiny(&["list", "rings", "--heap=gc-rc,arena", "--output", file]).expect(0);
    let (a, b) = (run("a.jsonl"), run("b.jsonl"));
    let path = |run: &Run, name: &str| run.directory.path().join(name).to_str().unwrap().to_owned();
    let text = harness(&["compare", &path(&a, "a.jsonl"), &path(&b, "b.jsonl")])
        .expect(0)
        .stdout;
    for part in [
        "Same machine, build and settings.",
        "B / A",
        "list",
        "rings",
        "geometric mean of B / A over 2 pairs",
        "not interleaved",
    ] {
        assert!(text.contains(part), "no '{part}' in:\n{text}");
    }
}
