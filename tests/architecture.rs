//! `docs/architecture.md` against the manifests and the imports: arrows run one way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Graph = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names in backquotes in a cell of a table.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The first and the last cell of each line of the table below a heading.
fn table(heading: &str) -> Graph {
    let text = read("docs/architecture.md");
    let section = text.split("\n## ").find(|part| part.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let name = names(cells[0]).into_iter().next().expect("a name");
            (name, names(cells[cells.len() - 1]))
        })
        .collect()
}

/// What the manifests say: every member of the workspace, and the members that it depends on.
fn crates() -> Graph {
    let workspace = read("Cargo.toml");
    let members = workspace.split("members = [").nth(1).expect("members");
    let members = members.split(']').next().expect("the end of the list");
    let directories: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    let manifests = directories
        .iter()
        .map(|member| read(&format!("{member}/Cargo.toml")));
    let manifests: Vec<(String, String)> = manifests
        .map(|text| {
            let name = text.split("name = \"").nth(1).expect("a name");
            (name.split('"').next().expect("its end").to_owned(), text)
        })
        .collect();
    let is_member = |name: &&str| manifests.iter().any(|(member, _)| member == name);
    manifests
        .iter()
        .map(|(name, text)| {
            let parts = text.split("dependencies]\n").skip(1);
            let lines =
                parts.flat_map(|part| part.lines().take_while(|line| !line.starts_with('[')));
            let used = lines.filter_map(|line| line.split('.').next());
            (
                name.clone(),
                used.filter(is_member).map(str::to_owned).collect(),
            )
        })
        .collect()
}

/// The source of a module without its unit tests and its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let text = text.split("#[cfg(test)]\nmod ").next().expect("something");
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.fold(String::new(), |code, line| code + line + "\n")
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            sources(&entry.expect("an entry").path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

/// The modules right below a crate's root, and what each imports from the others by `crate::`, or
/// by `super::` from a file of its own.
fn modules(source: &str) -> Graph {
    let directory = root().join(source);
    let entries = fs::read_dir(&directory).expect("a directory of sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let module = |path: &Path| {
        path.file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    };
    let paths: Vec<PathBuf> = paths
        .filter(|path| !matches!(module(path).as_str(), "lib" | "main" | "mod" | "html"))
        .collect();
    let all: BTreeSet<String> = paths.iter().map(|path| module(path)).collect();
    let mut graph: Graph = all
        .iter()
        .map(|name| (name.clone(), BTreeSet::new()))
        .collect();
    for path in &paths {
        let mut files = Vec::new();
        sources(path, &mut files);
        let name = module(path);
        for file in files {
            let code = code(&file);
            let mut imports: Vec<&str> = code.split("crate::").skip(1).collect();
            if file == *path {
                imports.extend(code.split("super::").skip(1));
            }
            for import in imports {
                // A list in braces ends where its statement does, at the latest.
                let end = if import.starts_with('{') { ';' } else { ':' };
                let used = import.split(end).next().expect("something");
                let words =
                    used.split(|character: char| !character.is_alphanumeric() && character != '_');
                let words = words.filter(|word| all.contains(*word) && **word != *name);
                let words = words.map(str::to_owned);
                graph.get_mut(&name).expect("a module").extend(words);
            }
        }
    }
    graph
}

/// A way from a node back to it, if there is one.
fn cycle(graph: &Graph) -> Option<Vec<String>> {
    fn visit(
        graph: &Graph,
        node: &str,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if way.iter().any(|earlier| earlier == node) {
            way.push(node.to_owned());
            return true;
        }
        if done.contains(node) {
            return false;
        }
        way.push(node.to_owned());
        for next in graph.get(node).into_iter().flatten() {
            if visit(graph, next, way, done) {
                return true;
            }
        }
        done.insert(node.to_owned());
        way.pop();
        false
    }
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    let found = graph
        .keys()
        .any(|node| visit(graph, node, &mut way, &mut done));
    found.then_some(way)
}

#[test]
fn the_page_says_what_the_manifests_say() {
    let written = table("Crates");
    assert_eq!(written, crates());
    assert_eq!(cycle(&written), None);
}

#[test]
fn the_page_says_what_the_engine_imports() {
    let mut imports = modules("harness/engine/src");
    imports.remove("fixture");
    assert_eq!(table("Modules of the engine"), imports);
}

#[test]
fn the_page_says_what_the_binary_imports() {
    assert_eq!(table("Modules of the binary"), modules("harness/src"));
}

#[test]
fn the_page_says_what_the_claims_import() {
    assert_eq!(
        table("Modules of the claims"),
        modules("harness/claims/src")
    );
}

#[test]
fn no_module_of_a_floor_depends_on_one_that_depends_on_it() {
    for floor in [
        "harness/contract/src",
        "harness/engine/src",
        "harness/claims/src",
        "harness/src/command",
        "harness/src",
    ] {
        let modules = modules(floor);
        assert!(modules.len() > 1, "{floor}");
        assert_eq!(cycle(&modules), None, "{floor}");
    }
}

#[test]
fn a_cycle_is_seen() {
    let graph = |arrows: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in arrows {
            graph
                .entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        graph
    };
    assert_eq!(cycle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = cycle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")]));
    assert!(found.is_some_and(|way| way.last() == Some(&"b".to_owned())));
}
