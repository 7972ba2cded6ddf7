//! A user's own heap, from the dump to the figures, as it is typed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

mod common;

fn harness(directory: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(line.split(' '))
        .current_dir(directory)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What is printed, if it ends so.
fn printed(output: &Output, status: i32) -> String {
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}\n{error}");
    out
}

/// The one line with which it is refused.
fn refused(output: &Output) -> String {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

/// Two hundred objects in a ring, each with a tail of two, and one that nothing refers to.
fn drawing() -> String {
    let ring = (0..200).map(|number| {
        let next = (number + 1) % 200;
        format!(
            "r{number} -> r{next}; r{number} -> {{ s{number} t{number} }} s{number} [bytes=20]\n"
        )
    });
    format!(
        "digraph {{ r0 [root=true] {} garbage -> r1 }}",
        ring.collect::<String>()
    )
}

fn with_drawing() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.dot"), drawing()).unwrap();
    directory
}

#[test]
fn a_dump_becomes_a_graph_that_every_heap_runs() {
    let directory = with_drawing();
    let at = directory.path();
    let out = printed(&harness(at, "import a.dot"), 0);
    assert!(out.contains("601 objects, 601 references, 1 root"), "{out}");
    let heaps = "gc-rc,gc-rc:cycle=bacon-rajan,gc-rc:regime=atomic,gc-marksweep,arena";
    for settings in [
        "",
        ",order=breadth-first",
        ",order=shuffled,scale=3,replace=40",
    ] {
        let line = format!(
            "run heap:file=a.graph{settings} --heap {heaps} --heap-size 16M --format json \
             --invocations 1 --aa none"
        );
        let output = harness(at, &line);
        let rows = common::rows(printed(&output, 0).as_bytes());
        assert_eq!(rows.len(), 10);
        for row in &rows {
            assert_eq!(row["status"], "ok", "{row}");
            assert_eq!(row["file"], "a.graph");
            assert_eq!(row["checksum"], rows[0]["checksum"]);
            assert_eq!(row["allocated_objects"], rows[0]["allocated_objects"]);
            let seen = &row["observations"];
            let copies = if settings.contains("scale=3") { 3 } else { 1 };
            assert_eq!(seen["objects"], 600 * copies);
            assert_eq!(seen["left_out"], 1);
            let replaced = seen["replaced"].as_u64().unwrap();
            assert_eq!(replaced > 0, settings.contains("replace"), "{seen}");
        }
    }
}

#[test]
fn from_a_dump_to_an_answer_in_one_command() {
    let directory = with_drawing();
    let at = directory.path();
    let out = printed(
        &harness(at, "heap a.dot --budget 2s --output rows.jsonl"),
        0,
    );
    for words in [
        "objects     600 that roots reach",
        "1 more are garbage, and left out",
        "depth       200 references",
        "33.3 % of the objects lie on one; 1 group, the largest of 200 objects",
        "gc-rc (n = ",
        "gc-marksweep (n = ",
        "death of all",
        "longest stop",
        "bytes an object",
        "Results: rows.jsonl",
    ] {
        assert!(out.contains(words), "{words}\n{out}");
    }
    // The rows are ordinary ones.
    let out = printed(&harness(at, "report rows.jsonl --format table"), 0);
    assert!(out.contains("heap:file=a.graph"), "{out}");
}

#[test]
fn what_is_lost_of_a_damaged_dump_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let lines =
        "{\"id\": 1, \"refs\": [2], \"root\": true}\n{\"id\": 2}\nnonsense\n{\"id\": 3, \"re";
    fs::write(at.join("cut.lines"), lines).unwrap();
    let out = printed(&harness(at, "import cut.lines"), 1);
    assert!(out.contains("2 objects, 1 reference, 1 root"), "{out}");
    assert!(
        out.contains("lost: 1 end of the file in the middle of what it says"),
        "{out}"
    );
    assert!(out.contains("the first at byte 56"), "{out}");
    assert!(at.join("cut.graph").exists());
}

#[test]
fn what_is_no_dump_is_refused_in_a_line() {
    let directory = with_drawing();
    let at = directory.path();
    fs::write(at.join("noise"), b"\x01\x02\x03").unwrap();
    assert!(refused(&harness(at, "import noise")).contains("no heap dump that is known"));
    assert!(refused(&harness(at, "import absent.hprof")).contains("absent.hprof"));
    fs::create_dir(at.join("directory")).unwrap();
    assert!(refused(&harness(at, "import directory")).contains("it is no file"));
    let output = harness(at, "import a.dot -o directory");
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("cannot write directory: it is there, and no file"));
    let pipe = Command::new("mkfifo")
        .arg(at.join("pipe"))
        .status()
        .unwrap();
    assert!(pipe.success());
    assert!(refused(&harness(at, "import pipe")).contains("it is no file"));
    assert!(refused(&harness(at, "run heap:file=pipe")).contains("harness import"));
    fs::write(at.join("empty.dot"), "digraph {}").unwrap();
    assert!(refused(&harness(at, "import empty.dot")).contains("no object was found"));
    assert!(!at.join("empty.graph").exists());
    assert!(refused(&harness(at, "import a.dot -o a.dot")).contains("choose another -o FILE"));
    let same = refused(&harness(at, "import a.dot -o ./a.dot"));
    assert!(same.contains("choose another -o FILE"), "{same}");
    let output = harness(at, "heap a.dot a.graph --budget 1s --output rows.jsonl");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("two of the files have a.graph for their graph"));
    fs::remove_file(at.join("a.graph")).unwrap();
    // The dump itself, if it has the name that its graph would have.
    fs::copy(at.join("a.dot"), at.join("b.graph")).unwrap();
    assert!(refused(&harness(at, "heap b.graph")).contains("one of the dumps"));
    assert_eq!(fs::read(at.join("b.graph")).unwrap(), drawing().as_bytes());
    assert!(refused(&harness(at, "heap empty.dot")).contains("no object was found"));
    assert!(refused(&harness(at, "heap noise")).contains("no heap dump that is known"));
    assert!(refused(&harness(at, "run heap")).contains("heap:file=PATH"));
    assert!(refused(&harness(at, "run heap:file=noise")).contains("harness import"));
    printed(&harness(at, "import a.dot"), 0);
    let bytes = fs::read(at.join("a.graph")).unwrap();
    fs::write(at.join("cut.graph"), &bytes[..bytes.len() - 4]).unwrap();
    assert!(refused(&harness(at, "run heap:file=cut.graph")).contains("damaged"));
    let wrong = refused(&harness(at, "run heap:file=a.graph,order=adress"));
    assert!(
        wrong.contains("expected address, breadth-first, shuffled"),
        "{wrong}"
    );
    let threads = refused(&harness(at, "run heap:file=a.graph --threads 2"));
    assert!(threads.contains("one thread"), "{threads}");
}

/// The script runs in a process of CPython's, whichever is here; its objects are what that has.
#[test]
fn the_script_for_cpython_writes_the_objects_of_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let script = harness(at, "import --print-script cpython").stdout;
    fs::write(at.join("dump.py"), script).unwrap();
    let program = "exec(open('dump.py').read())
class Node: pass
nodes = [Node() for _ in range(5000)]
for number, node in enumerate(nodes): node.next = nodes[number - 1]
print(dump_heap('py.lines'))";
    let Ok(output) = Command::new("python3")
        .args(["-c", program])
        .current_dir(at)
        .output()
    else {
        eprintln!("there is no python3 here: its script was not run");
        return;
    };
    let objects: u64 = printed(&output, 0).trim().parse().unwrap();
    assert!(objects > 10_000);
    let out = printed(&harness(at, "import py.lines"), 0);
    assert!(out.contains("in the order of their addresses"), "{out}");
    let out = printed(
        &harness(at, "heap py.graph --budget 1s --output rows.jsonl"),
        0,
    );
    let cyclic = out
        .lines()
        .find(|line| line.trim_start().starts_with("cycles"))
        .unwrap();
    assert!(!cyclic.contains("largest of 0"), "{cyclic}");
}
