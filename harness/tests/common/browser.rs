//! Pages in a browser, if there is one: how they are laid out, and what they ask for.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use regex::Regex;
use serde_json::Value;

/// A program that need not be there: `None` says so on standard error, or fails where it must be
/// there.
pub(crate) fn tool(name: &str, variable: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    let required = std::env::var("HARNESS_TEST_TOOLS").is_ok_and(|value| value == "require");
    assert!(
        found.is_some() || !required,
        "no {name}: install it, or name it with {variable}"
    );
    if found.is_none() {
        eprintln!("not tested: there is no {name}; install it, or name it with {variable}");
    }
    found
}

/// The first of these programs that runs with these arguments.
pub(crate) fn first_that_runs(
    variable: &str,
    names: &[&str],
    arguments: &[&str],
) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    named
        .into_iter()
        .chain(names.iter().map(PathBuf::from))
        .find(|program| {
            let output = Command::new(program).args(arguments).output();
            output.is_ok_and(|output| output.status.success())
        })
}

pub(crate) fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = first_that_runs("HARNESS_TEST_CHROMIUM", &names, &["--version"]);
    tool("Chromium", "HARNESS_TEST_CHROMIUM", found)
}

/// Stands where a proxy would, and tells what is asked of it.
pub(crate) struct Proxy {
    port: u16,
    pub(crate) requests: mpsc::Receiver<String>,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut buffer = [0; 512];
                let length = stream.read(&mut buffer).unwrap_or(0);
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let _ = sender.send(request.lines().next().unwrap_or_default().to_owned());
                let _ = stream.write_all(b"HTTP/1.1 502 no\r\n\r\n");
            }
        });
        Self { port, requests }
    }
}

/// The narrowest window that a browser has.
const NARROWEST_WINDOW: u32 = 500;

/// Lays a page out in a browser and returns what `measure_page.js` found. `width` is that of the
/// view; one that is narrower than a window can be is a frame in another page, as on the devices
/// that developers emulate.
fn lay_out(
    chromium: &Path,
    page: &str,
    width: u32,
    dark: bool,
    proxy: &Proxy,
    directory: &Path,
) -> Value {
    let script = include_str!("../measure_page.js");
    // The page itself forbids scripts, and has none; the copy that is measured has one.
    let policy = Regex::new("<meta http-equiv=\"Content-Security-Policy\"[^>]*>").unwrap();
    let measured = policy.replace(page, format!("<script>{script}</script>").as_str());
    assert_ne!(measured, page);
    let mut path = directory.join(format!("measured-{width}-{dark}.html"));
    fs::write(&path, measured.as_bytes()).unwrap();
    if width < NARROWEST_WINDOW {
        let frame = format!(
            "<!DOCTYPE html><html style=\"color-scheme: light dark\"><body style=\"margin: 0\">\
             <iframe src=\"{}\" style=\"border: 0; width: {width}px; height: 900px\"></iframe>\
             <script>onmessage = (event) => {{ document.body.innerHTML = '<pre id=measured></pre>'; \
             document.getElementById('measured').textContent = event.data; }};</script>",
            path.file_name().unwrap().to_str().unwrap()
        );
        path = directory.join(format!("frame-{width}-{dark}.html"));
        fs::write(&path, frame).unwrap();
    }
    let dom = dump(chromium, &path, width, dark, proxy, directory);
    let json = dom
        .split_once("<pre id=\"measured\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"))
        .unwrap_or_else(|| panic!("{}", &dom[..dom.len().min(500)]))
        .0;
    serde_json::from_str(json).unwrap()
}

/// The document that a browser has made of a file.
pub(crate) fn dump(
    chromium: &Path,
    path: &Path,
    width: u32,
    dark: bool,
    proxy: &Proxy,
    directory: &Path,
) -> String {
    let output = Command::new(chromium)
        .args(browser_arguments(dark, proxy, directory))
        .arg(format!(
            "--window-size={},1000",
            width.max(NARROWEST_WINDOW)
        ))
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("file://{}", path.display()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn browser_arguments(dark: bool, proxy: &Proxy, directory: &Path) -> Vec<String> {
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-default-apps",
        "--no-first-run",
        "--hide-scrollbars",
    ];
    let mut arguments = arguments.map(str::to_owned).to_vec();
    arguments.push(format!(
        "--user-data-dir={}",
        directory.join("profile").display()
    ));
    arguments.push(format!("--proxy-server=http://127.0.0.1:{}", proxy.port));
    arguments.push(format!(
        "--blink-settings=preferredColorScheme={}",
        if dark { 0 } else { 1 }
    ));
    arguments
}

/// Left, top, right, bottom.
fn edges(value: &Value) -> [f64; 4] {
    serde_json::from_value(value.clone()).unwrap()
}

/// The page is laid out well, wide and narrow, light and dark: nothing sticks out, no text is too
/// small, leaves its drawing or lies over another, and no figure is empty.
pub(crate) fn is_laid_out_well(chromium: &Path, page: &str, proxy: &Proxy, directory: &Path) {
    for (width, dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
        let measured = lay_out(chromium, page, width, dark, proxy, directory);
        let context = format!("{width} wide, dark {dark}");
        assert_eq!(measured["dark"], dark, "{context}");
        assert_eq!(measured["width"], width, "{context}");
        // Tables scroll inside their box; the page never does sideways.
        assert_eq!(measured["contentWidth"], width, "{context}");
        let background = measured["background"].as_str().unwrap();
        assert_eq!(
            background == "rgb(255, 255, 255)",
            !dark,
            "{context}: {background}"
        );
        let figures = measured["figures"].as_array().unwrap();
        assert_eq!(figures.len(), page.matches("<figure>").count(), "{context}");
        for figure in figures {
            let context = format!("{context}: {}", figure["title"]);
            assert!(figure["marks"].as_u64().unwrap() > 0, "{context}: empty");
            assert!(
                figure["textSize"].as_f64().unwrap() >= 12.0,
                "{context}: text is {} high",
                figure["textSize"]
            );
            let [left, top, right, bottom] = edges(&figure["box"]);
            assert!(
                right - left > 250.0 && left >= 0.0 && right <= f64::from(width),
                "{context}"
            );
            let texts: Vec<(&str, [f64; 4])> = figure["texts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|text| (text["text"].as_str().unwrap(), edges(&text["box"])))
                .collect();
            for (text, [l, t, r, b]) in &texts {
                assert!(
                    *l >= left - 1.0 && *r <= right + 1.0 && *t >= top - 1.0 && *b <= bottom + 1.0,
                    "{context}: '{text}' leaves its drawing"
                );
            }
            for (index, (one, a)) in texts.iter().enumerate() {
                for (other, b) in &texts[index + 1..] {
                    // Boxes are as high as the font's line; letters are not.
                    let across = a[2].min(b[2]) - a[0].max(b[0]);
                    let down = a[3].min(b[3]) - a[1].max(b[1]);
                    assert!(
                        across <= 1.0 || down <= 4.0,
                        "{context}: '{one}' and '{other}' overlap"
                    );
                }
            }
        }
    }
}
