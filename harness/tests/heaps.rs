//! A user's own heap, from the dump to the figures, as it is typed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use common::browser::{Proxy, chromium, is_laid_out_well};
use common::{harness_in, send, shell_in, unwrapped};

mod common;

fn harness(directory: &Path, line: &str) -> Output {
    harness_in(directory)
        .args(line.split(' '))
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
        "1 that none reaches",
        "depth       200 references",
        "33.3 % of the objects lie on one; 1 group, the largest of 200 objects",
        "gc-rc (n = ",
        "gc-marksweep (n = ",
        "death of all",
        "longest stop",
        "bytes an object",
        "Results: rows.jsonl",
        "gc-marksweep against gc-rc: ",
        "of the objects lie on one",
    ] {
        assert!(out.contains(words), "{words}\n{out}");
    }
    assert!(out.ends_with("\nReport:  rows.html\n"), "{out}");
    assert!(!at.join("a.html").exists());
    // The rows are ordinary ones.
    let out = printed(&harness(at, "report rows.jsonl --format table"), 0);
    assert!(out.contains("heap:file=a.graph"), "{out}");
    printed(&harness(at, "report rows.jsonl --html ordinary.html"), 0);
    assert!(page(&at.join("ordinary.html")).contains("What each heap costs"));
}

fn page(path: &Path) -> String {
    let page = fs::read_to_string(path).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    assert!(
        !page.contains("<script") && !page.contains("src="),
        "{page}"
    );
    page
}

/// The same ring twice as long, with two rings beside it; and none of its garbage.
fn larger_drawing() -> String {
    let drawing = drawing().replace("garbage -> r1", "");
    let more = (200..400).map(|number| {
        let next = if number == 399 { 200 } else { number + 1 };
        format!("r{number} -> r{next}; ")
    });
    let more: String = more.collect();
    drawing.replace(
        "digraph {",
        &format!("digraph {{ {more} r0 -> r200; p [root=true]; p -> p;"),
    )
}

/// What is said of why mark-sweep takes less or more than counting goes with what was measured.
fn reasons_agree(out: &str) {
    let joined = unwrapped(out);
    let (_, ratios) = joined.split_once("gc-marksweep against gc-rc: ").unwrap();
    let (ratios, reasons) = ratios.split_once(". gc-rc: ").unwrap();
    for (way, quantity, reason) in [
        ("less: ", "death of all", "nothing is done for what dies"),
        ("more: ", "collection", "steps one after another"),
    ] {
        let mut ways = ratios.split("; ");
        let is_shown = ways.any(|part| part.starts_with(way) && part.contains(quantity));
        assert_eq!(reasons.contains(reason), is_shown, "{out}");
    }
}

#[test]
fn the_page_says_with_plots_what_the_terminal_says() {
    let directory = with_drawing();
    let at = directory.path();
    let out = printed(&harness(at, "heap a.dot --budget 1s"), 0);
    assert!(out.ends_with("\nReport:  a.html\n"), "{out}");
    reasons_agree(&out);
    let text = page(&at.join("a.html"));
    for title in [
        "Depth",
        "References to an object",
        "References of an object",
        "Objects by size",
        "Bytes by size",
        "Objects on cycles",
        "Memory, an object",
        "First collection, an object",
        "Collection, an object",
        "Death of all, an object",
        "Longest stop",
    ] {
        assert!(
            text.contains(&format!("<h3>{title}</h3>")),
            "{title}\n{text}"
        );
    }
    for words in [
        "What was lost in the import",
        "Nothing.",
        "600 that roots reach",
        "33.3 % of the objects lie on one",
        "Not drawn: replacing",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    // Each sentence of the terminal, which has it in lines.
    let printed_words = unwrapped(&out);
    let (_, conclusion) = text.split_once("aria-label=\"Conclusion\"").unwrap();
    let (conclusion, _) = conclusion.split_once("</section>").unwrap();
    let sentences: Vec<&str> = (conclusion.split("<p>").skip(1))
        .map(|rest| rest.split("</p>").next().unwrap())
        .collect();
    assert!(sentences.len() >= 3, "{conclusion}");
    for sentence in sentences {
        assert!(
            printed_words.contains(&unwrapped(sentence)),
            "{sentence}\n{out}"
        );
    }
    // A page that was made before is made again, and nothing is beside the rows.
    fs::write(at.join("a.html"), &text[..text.len() / 2]).unwrap();
    printed(&harness(at, "heap a.dot --budget 1s"), 0);
    assert!(page(&at.join("a.html")).len() > text.len() / 2);
    let results = fs::read_dir(at.join("results")).unwrap();
    let results = results.map(|entry| entry.unwrap().path());
    assert!(
        results
            .map(|path| path.extension().unwrap().to_owned())
            .all(|end| end == "jsonl")
    );
    assert!(text.len() < 200_000, "{}", text.len());
}

#[test]
fn no_name_and_no_string_of_a_dump_is_in_the_page() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let lines = "{\"id\": 1, \"refs\": [2, 9], \"root\": true, \"name\": \"confidential\"}\n\
                 {\"id\": 2, \"bytes\": 24, \"value\": \"confidential\"}\nconfidential\n";
    fs::write(at.join("a.lines"), lines).unwrap();
    let out = printed(&harness(at, "heap a.lines --budget 1s"), 1);
    assert!(!out.contains("confidential"), "{out}");
    let text = page(&at.join("a.html"));
    assert!(!text.contains("confidential"), "{text}");
    // What was lost is told on both.
    for words in [
        "1 references to objects that are not in the dump",
        "1 lines that are no JSON object",
    ] {
        assert!(
            out.contains(words) && text.contains(words),
            "{words}\n{out}"
        );
    }
}

#[test]
fn of_two_dumps_what_is_different_is_said() {
    let directory = with_drawing();
    let at = directory.path();
    fs::write(at.join("b.dot"), larger_drawing()).unwrap();
    let out = printed(&harness(at, "heap a.dot b.dot --budget 1s"), 0);
    let line = |name: &str| {
        let (_, table) = out.split_once("\nb.dot against a.dot\n").unwrap();
        let mut lines = table.lines().map(str::trim);
        let line = lines
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {out}"));
        unwrapped(line)
    };
    assert_eq!(line("objects"), "objects 600 -> 801 +201, 1.33 times");
    assert_eq!(line("roots"), "roots 1 -> 2 +1, 2.0 times");
    assert_eq!(line("garbage"), "garbage 1 -> 0 -1");
    assert_eq!(line("depth"), "depth 200 -> 200 as before");
    assert_eq!(
        line("groups of cycles"),
        "groups of cycles 1 -> 3 +2, 3.0 times"
    );
    assert_eq!(
        line("share on cycles"),
        "share on cycles 33.3 % -> 50.1 % +16.7 points"
    );
    // The new ring's objects have one field; so has p.
    assert_eq!(line("8 to 15"), "8 to 15 0 -> 201 +201; +1.6 KiB");
    for words in [
        "b.dot against a.dot on gc-rc\n",
        "b.dot against a.dot on gc-marksweep\n",
        "heap:file=a.graph",
        "heap:file=b.graph",
    ] {
        assert!(out.contains(words), "{words}\n{out}");
    }
    assert!(out.ends_with("\nReport:  a-b.html\n"), "{out}");
    let text = page(&at.join("a-b.html"));
    for words in [
        "What a.dot and b.dot cost on each heap",
        "b.dot against a.dot",
        "+201, 1.33 times",
        "Cost of b.dot over that of a.dot",
        "n = a.dot 600, b.dot 801 objects",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    // Others are compared with the first, too.
    fs::create_dir(at.join("later")).unwrap();
    fs::copy(at.join("a.dot"), at.join("later/a.dot")).unwrap();
    let out = printed(&harness(at, "heap a.dot b.dot later/a.dot --budget 1s"), 0);
    assert!(out.contains("\nb.dot against a.dot on gc-rc\n"), "{out}");
    assert!(out.contains("\nlater/a.dot against a.dot\n"), "{out}");
    assert!(
        out.contains("later/a.dot against a.dot: no number of the graph differs."),
        "{out}"
    );
    assert!(out.ends_with("\nReport:  a-and-2-more.html\n"), "{out}");
}

/// Both are measured, however short the time is; and both have their names only, not the places
/// where they are.
#[test]
fn no_graph_is_left_out_and_no_path_is_told() {
    let directory = with_drawing();
    let at = directory.path();
    fs::create_dir_all(at.join("home/somebody/x")).unwrap();
    fs::create_dir_all(at.join("home/somebody/y")).unwrap();
    fs::copy(at.join("a.dot"), at.join("home/somebody/x/a.dot")).unwrap();
    fs::write(at.join("home/somebody/y/a.dot"), larger_drawing()).unwrap();
    let line = "heap home/somebody/x/a.dot home/somebody/y/a.dot --budget 1ms --html p.html";
    let out = printed(&harness(at, line), 0);
    for words in [
        "heap:file=home/somebody/x/a.graph",
        "heap:file=home/somebody/y/a.graph",
        "y/a.dot against x/a.dot on gc-rc\n",
        "2 processes for each pair",
    ] {
        assert!(out.contains(words), "{words}\n{out}");
    }
    let text = page(&at.join("p.html"));
    assert!(text.contains("y/a.dot against x/a.dot"), "{text}");
    assert!(!text.contains("somebody"), "{text}");
}

/// As of `harness run`: twice as many processes would be one series all the same.
#[test]
fn a_heap_that_is_named_twice_is_measured_once() {
    let directory = with_drawing();
    let at = directory.path();
    let measure = "--heap gc-rc,gc-rc --heap gc-rc:cycle=generational --format json";
    for (line, processes) in [
        (format!("heap a.dot --budget 1ms {measure}"), 2),
        (
            format!("run heap:file=a.graph --invocations 3 {measure}"),
            3,
        ),
    ] {
        let output = harness(at, &line);
        let mut rows = common::rows(printed(&output, 0).as_bytes());
        rows.retain(|row| row["iteration"] == row["iterations"]);
        assert_eq!(rows.len(), processes, "{line}");
        assert!(rows.iter().all(|row| row["twin"] != true), "{line}");
        let said = text(&output.stderr);
        let note = "note: gc-rc is named more than once, and run once\n";
        assert_eq!(said.matches(note).count(), 1, "{said}");
    }
}

/// What is said of why follows the heap's options and the graph.
#[test]
fn what_frees_less_is_not_called_quicker() {
    let directory = with_drawing();
    let at = directory.path();
    let chain = "digraph { r [root=true]; r -> a -> b -> c }";
    fs::write(at.join("chain.dot"), chain).unwrap();
    let line = "heap a.dot --budget 1ms --heap gc-rc --heap gc-rc:cycle=none";
    let out = printed(&harness(at, line), 0);
    let joined = unwrapped(&out);
    assert!(out.contains("; not all is freed\n"), "{out}");
    assert!(joined.contains("hangs from these, is never freed"), "{out}");
    assert_eq!(out.matches("death of all").count(), 2 + 2, "{out}");
    let out = printed(&harness(at, "heap chain.dot --budget 1ms"), 0);
    let joined = unwrapped(&out);
    assert!(joined.contains("which has no cycles to find"), "{out}");
    reasons_agree(&out);
    assert!(!out.contains("one in a thousand"), "{out}");
}

#[test]
fn rows_of_a_graph_that_was_replaced_are_not_taken_for_the_new_one_s() {
    let directory = with_drawing();
    let at = directory.path();
    printed(&harness(at, "heap a.dot --budget 1ms --output r.jsonl"), 0);
    fs::remove_file(at.join("a.graph")).unwrap();
    fs::write(at.join("a.dot"), larger_drawing()).unwrap();
    let out = printed(&harness(at, "heap a.dot --budget 1ms --resume r.jsonl"), 1);
    assert!(out.contains("the rows are of another graph"), "{out}");
    assert!(!out.contains("of which the death of all"), "{out}");
}

#[test]
fn rows_for_other_programs_have_nothing_beside_them() {
    let directory = with_drawing();
    let at = directory.path();
    let output = harness(at, "heap a.dot --budget 1ms --format json");
    let out = printed(&output, 0);
    for line in out.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!(row["workload"], "heap");
    }
    assert!(text(&output.stderr).contains("600 that roots reach"));
}

/// A dump's name may hold anything; neither a terminal nor the lines of a message are moved by it.
#[test]
fn a_name_controls_no_terminal() {
    let directory = with_drawing();
    let at = directory.path();
    let name = "a\u{1b}]0;title\u{7}\n\u{9b}2J\u{7f}";
    fs::rename(at.join("a.dot"), at.join(format!("{name}.dot"))).unwrap();
    let safe = r"a\u001b]0;title\u0007\u000a\u009b2J\u007f";
    let is_said = |line: &str, status: i32, words: &str| {
        let line = line.replace("NAME", name);
        let output = harness(at, &line);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(
            output.status.code(),
            Some(status),
            "{line:?}: {out:?}\n{error:?}"
        );
        for text in [&out, &error] {
            let controls = |character: char| character.is_control() && character != '\n';
            assert!(!text.contains(controls), "{line:?}: {text:?}");
        }
        let words = words.replace("NAME", safe);
        assert!(
            out.contains(&words) || error.contains(&words),
            "{line:?}: {out:?}\n{error:?}"
        );
        error
    };
    is_said("import NAME.dot", 0, "\nGraph: NAME.graph (");
    is_said("heap NAME.dot --budget 1ms", 0, "\nReport:  NAME.html\n");
    is_said(
        "heap NAME.dot --budget 1ms --output NAME.jsonl",
        0,
        "\nResults: NAME.jsonl\nReport:  NAME.html\n",
    );
    let told = fs::read_to_string(at.join(format!("{name}.html"))).unwrap();
    assert!(!told.contains("\u{1b}") && told.contains(&format!("heap:file={safe}.dot")));
    // Not as an interval log: in so short a run there may be no pause to put into one.
    for format in ["answer", "table", "csv", "json", "markdown", "trace"] {
        is_said(&format!("report NAME.jsonl --format {format}"), 0, "");
    }
    is_said("why NAME.jsonl", 0, "heap:file=NAME.graph");
    is_said("report NAME.jsonl --html NAME.2.html", 0, "NAME.2.html");
    for (line, words) in [
        ("import NAME-2", "cannot import NAME-2: "),
        ("heap NAME-2", "cannot import NAME-2: "),
        ("run heap:file=NAME", "NAME"),
        ("report NAME", "there is no file NAME;"),
        ("why NAME", "there is no file NAME;"),
        (
            "report NAME.jsonl --workload NAME",
            "unknown workload 'NAME'",
        ),
        ("heap NAME.dot --heap NAME", "unknown heap 'NAME'"),
        ("heap NAME.dot --html NAME.dot", "would replace NAME.dot"),
    ] {
        let error = is_said(line, 2, words);
        assert_eq!(error.lines().count(), 1, "{line:?}: {error:?}");
    }
    is_said("heap NAME.dot --order NAME", 2, "invalid value 'a");
    is_said("NAME", 2, "unrecognized subcommand 'a");
}

#[test]
fn what_cannot_be_done_is_said_before_a_dump_is_read() {
    let directory = with_drawing();
    let at = directory.path();
    for (line, words) in [
        (
            "heap a.dot --html no/such/p.html",
            "no/such/p.html cannot be written",
        ),
        ("heap a.dot --html .", "cannot be written"),
        ("heap a.dot --heap nonsense", "nonsense"),
    ] {
        let error = refused(&harness(at, line));
        assert!(error.contains(words), "{line}: {error}");
    }
    for line in ["heap a.dot --order foo", "heap a.dot --replace 101"] {
        assert_eq!(harness(at, line).status.code(), Some(2), "{line}");
    }
    fs::hard_link(at.join("a.dot"), at.join("linked.html")).unwrap();
    let error = refused(&harness(at, "heap a.dot --html linked.html"));
    assert!(error.contains("the page would replace a.dot"), "{error}");
    assert!(!at.join("a.graph").exists());
}

#[test]
fn nothing_is_written_over_that_an_earlier_run_has_not_made() {
    let directory = with_drawing();
    let at = directory.path();
    // Somebody's own page, graph, and file of that name.
    fs::write(at.join("a.html"), "<p>mine</p>").unwrap();
    let error = refused(&harness(at, "heap a.dot --budget 1s"));
    assert!(
        error.contains("a.html is there, and no page of harness heap"),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(at.join("a.html")).unwrap(),
        "<p>mine</p>"
    );
    assert!(
        !at.join("a.graph").exists(),
        "nothing was read before that was known"
    );
    printed(&harness(at, "heap a.dot --budget 1s --html named.html"), 0);
    page(&at.join("named.html"));
    for (line, words) in [
        ("heap a.dot --html a.dot", "the page would replace a.dot"),
        (
            "heap a.dot --html ./a.graph",
            "the page would replace a.graph",
        ),
        ("heap a.dot --html r --output r", "the page would replace r"),
        ("heap a.dot --html -", "name a file for the page"),
    ] {
        let error = refused(&harness(at, line));
        assert!(error.contains(words), "{line}: {error}");
    }
    assert_eq!(fs::read(at.join("a.dot")).unwrap(), drawing().as_bytes());
    fs::remove_file(at.join("a.html")).unwrap();

    // The dump was made anew: its older graph may be all that is left of the older heap.
    let old = fs::read(at.join("a.graph")).unwrap();
    fs::write(at.join("a.dot"), larger_drawing()).unwrap();
    for line in ["heap a.dot --budget 1s", "import a.dot"] {
        let error = refused(&harness(at, line));
        let words = "a.graph is there, and a graph, but not known to be of this dump; move it away";
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(fs::read(at.join("a.graph")).unwrap(), old);
    printed(&harness(at, "import a.dot -o a.graph"), 0);
    printed(&harness(at, "import a.dot"), 0);
    assert_ne!(fs::read(at.join("a.graph")).unwrap(), old);
    fs::write(at.join("a.graph"), "mine").unwrap();
    let error = refused(&harness(at, "import a.dot"));
    assert!(error.contains("a.graph is there, and no graph"), "{error}");
}

/// The rows alone give the ordinary page, which is less.
#[test]
fn no_ordinary_page_takes_the_place_of_one_of_heaps_unasked() {
    let directory = with_drawing();
    let at = directory.path();
    printed(
        &harness(at, "heap a.dot --budget 1ms --output rows.jsonl"),
        0,
    );
    let made = page(&at.join("rows.html"));
    let error = refused(&harness(at, "report rows.jsonl"));
    for words in ["rows.html is a page of harness heap", "--html FILE"] {
        assert!(error.contains(words), "{error}");
    }
    // Nor at the end of another run whose rows are appended.
    let line = "run list --size tiny --heap arena --invocations 1 --output rows.jsonl";
    let out = printed(&harness(at, line), 0);
    let words = "No report: rows.html is a page of harness heap";
    assert!(out.contains(words), "{out}");
    assert_eq!(page(&at.join("rows.html")), made);
    // By name it does, and where an ordinary one is.
    printed(&harness(at, "report rows.jsonl --html rows.html"), 0);
    assert!(page(&at.join("rows.html")).contains("What each heap costs"));
    printed(&harness(at, "report rows.jsonl"), 0);
}

#[test]
fn a_page_of_other_dumps_that_are_called_the_same_stays() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    for (place, drawing) in [
        ("x", drawing()),
        ("y", larger_drawing()),
        ("z", "digraph { a -> b }".to_owned()),
    ] {
        fs::create_dir(at.join(place)).unwrap();
        let name = if place == "x" { "old.dot" } else { "new.dot" };
        fs::write(at.join(place).join(name), drawing).unwrap();
    }
    let out = printed(&harness(at, "heap x/old.dot y/new.dot --budget 1ms"), 0);
    assert!(out.ends_with("\nReport:  x/old-new.html\n"), "{out}");
    let made = page(&at.join("x/old-new.html"));
    let error = refused(&harness(at, "heap x/old.dot z/new.dot --budget 1ms"));
    let words = "x/old-new.html is there, and a page of other dumps; name another file";
    assert!(error.contains(words), "{error}");
    assert_eq!(page(&at.join("x/old-new.html")), made);
    assert!(!at.join("z/new.graph").exists());
    let line = "heap x/old.dot z/new.dot --budget 1ms --html other.html";
    printed(&harness(at, line), 0);
    // Of these it is made again, and of their graphs.
    let out = printed(&harness(at, "heap x/old.graph y/new.graph --budget 1ms"), 0);
    assert!(out.ends_with("\nReport:  x/old-new.html\n"), "{out}");
    printed(&harness(at, "heap x/old.dot y/new.dot --budget 1ms"), 0);
}

#[test]
fn what_quotes_a_page_is_none() {
    let directory = with_drawing();
    let at = directory.path();
    printed(&harness(at, "heap a.dot --budget 1ms"), 0);
    let made = page(&at.join("a.html"));
    let (head, _) = made.split_once("<style>").unwrap();
    let mine = format!("<p>How a page of harness heap begins:</p><pre>{head}</pre>");
    fs::write(at.join("a.html"), &mine).unwrap();
    let error = refused(&harness(at, "heap a.dot --budget 1ms"));
    assert!(error.contains("no page of harness heap"), "{error}");
    assert_eq!(fs::read_to_string(at.join("a.html")).unwrap(), mine);
}

/// What is said to go on with writes its page where the first would have.
#[test]
fn an_interrupted_run_goes_on_to_the_same_page() {
    let directory = with_drawing();
    let at = directory.path();
    let parent = harness_in(at)
        .args(["heap", "a.dot", "--budget", "3s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let results = || -> Vec<PathBuf> {
        let entries = fs::read_dir(at.join("results")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let is_begun = || {
        let mut files = results().into_iter();
        files.any(|file| fs::metadata(file).is_ok_and(|file| file.len() > 0))
    };
    while !is_begun() {
        thread::sleep(Duration::from_millis(1));
    }
    send("-INT", &parent.id().to_string());
    let output = parent.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    let (_, command) = said.split_once("Go on with:\n").unwrap();
    let _ = fs::remove_file(at.join("a.html"));
    let out = printed(&shell_in(at, command), 0);
    assert!(out.ends_with("\nReport:  a.html\n"), "{command}\n{out}");
    page(&at.join("a.html"));
    assert_eq!(results().len(), 1, "{:?}", results());
}

#[test]
fn the_page_of_heaps_is_laid_out_well() {
    let Some(chromium) = chromium() else { return };
    let directory = with_drawing();
    let at = directory.path();
    fs::write(
        at.join("a-second-dump-with-a-long-name.dot"),
        larger_drawing(),
    )
    .unwrap();
    let line =
        "heap a.dot a-second-dump-with-a-long-name.dot --budget 1s --replace 10 --html a.html";
    printed(&harness(at, line), 0);
    let text = page(&at.join("a.html"));
    let profile = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    is_laid_out_well(&chromium, &text, &Proxy::new(), profile.path());
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
    let twice = refused(&harness(
        at,
        "heap a.dot a.graph --budget 1s --output rows.jsonl",
    ));
    assert!(
        twice.contains("two of the files have a.graph for their graph"),
        "{twice}"
    );
    assert!(!at.join("a.graph").exists());
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
