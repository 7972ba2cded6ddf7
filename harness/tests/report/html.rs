//! The page: whole in itself, every figure in it, safe whatever a row holds, and laid out well by a
//! browser.

use std::fs;

use harness::invocation::{Distribution, Metrics};
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::browser::{Proxy, chromium, dump, is_laid_out_well};
use crate::unified_log::parse_unified;
use crate::{harness, refused, report, rows, succeeded};

#[test]
fn the_page_needs_nothing_else() {
    let page = succeeded(report(&["--html", "-"]));
    assert!(page.contains("default-src 'none'"), "no policy");
    for forbidden in [
        "<script",
        "src=",
        "@import",
        "url(",
        "<link",
        "href=\"http",
        "<iframe",
        "<object",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    for link in Regex::new("href=\"([^\"]*)\"")
        .unwrap()
        .captures_iter(&page)
    {
        let target = link[1]
            .strip_prefix('#')
            .unwrap_or_else(|| panic!("{}", &link[1]));
        assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
    }
    assert!(
        !page.contains("NaN") && !page.contains(">inf"),
        "a number is none"
    );
}

#[test]
fn every_figure_is_drawn_or_said_to_be_missing() {
    let page = succeeded(report(&["--html", "-"]));
    for title in [
        "Time relative to",
        "Memory relative to",
        "Collections against live heap",
        "Time against heap size",
        "Lower-bound overhead, wall time",
        "Lower-bound overhead, CPU time",
        "Pauses by percentile",
        "Minimum mutator utilisation",
        "Memory over time",
        "Latency against space",
    ] {
        assert!(
            page.contains(&format!("<h3>{title}")),
            "{title} is not drawn"
        );
    }
    // These workloads have no requests.
    assert!(page.contains("Request latency by percentile (the workload has no requests)"));
    let figures: Vec<&str> = page.split("<figure>").skip(1).collect();
    for figure in &figures {
        assert!(
            figure.contains("class=\"mark\"") || figure.contains("class=\"curve\""),
            "{figure}"
        );
        assert!(figure.contains("n = "), "{figure}");
        assert!(
            figure.contains("<code>harness run binary-trees:depth=11 churn:nodes=8000 --size tiny"),
            "{figure}"
        );
    }
    assert!(figures.len() > 20);
}

#[test]
fn labels_are_text_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let evil = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;,|\n[0.1s][info]";
    let path = directory.path().join("evil.jsonl");
    let mut text = String::new();
    for row in rows().into_iter().filter(|row| {
        row.invocation.workload == "churn"
            && row.invocation.heap == "gc-marksweep"
            && row.invocation.threads == 2
    }) {
        let mut row = row;
        row.invocation.workload = evil.to_owned();
        row.invocation.heap = evil.to_owned();
        if let Some(metrics) = &mut row.metrics {
            change(metrics, evil);
        }
        if let Some(environment) = &mut row.environment {
            environment.cpu = Some(evil.to_owned());
            environment.arguments = vec!["/path/to/harness".to_owned(), evil.to_owned()];
        }
        text.push_str(&serde_json::to_string(&row).unwrap());
        text.push('\n');
    }
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let page = succeeded(harness(&["report", path, "--html", "-"]));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script") && !page.contains("<img"));
    let markdown = succeeded(harness(&["report", path, "--format", "markdown"]));
    let table: String = markdown
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(
        !table.contains("<script") && !table.contains("<img"),
        "{table}"
    );
    let trace = succeeded(harness(&["report", path, "--format", "trace"]));
    serde_json::from_str::<Value>(&trace).unwrap();
    let log = succeeded(harness(&["report", path, "--format", "hlog"]));
    let tag = Regex::new(r"^(#.*|Tag=[^,\s]+,[^,\s]+,[^,\s]+,[^,\s]+,[^,\s]+)$").unwrap();
    assert!(log.lines().all(|line| tag.is_match(line)), "{log}");
    refused(
        harness(&["report", path, "--format", "unified-log"]),
        &["of one heap"],
    );
    let unified = succeeded(harness(&[
        "report",
        path,
        "--format",
        "unified-log",
        "--heap-size",
        "3M",
    ]));
    assert!(!parse_unified(&unified).is_empty());
}

/// Gives everything in a row that is text another text.
fn change(metrics: &mut Metrics, text: &str) {
    metrics.operation = text.to_owned();
    for collection in &mut metrics.collections_log {
        collection.cause = text.to_owned();
        collection.kind = text.to_owned();
        collection.phases.insert(text.to_owned(), 1);
    }
    for span in &mut metrics.spans {
        span.kind = text.to_owned();
    }
    metrics
        .stalls
        .insert(text.to_owned(), Distribution::of([1, 2, 3]));
}

#[test]
fn the_page_is_laid_out_well_wide_and_narrow_light_and_dark() {
    let Some(chromium) = chromium() else { return };
    let page = succeeded(report(&["--html", "-"]));
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let proxy = Proxy::new();
    is_laid_out_well(&chromium, &page, &proxy, directory.path());
    // The browser asks its maker for the time and for updates, whatever it shows: only hosts that
    // are not its own were asked for by a page.
    let asked = || -> Vec<String> {
        let own = |request: &String| {
            let words: Vec<&str> = request.split([' ', '/', ':']).collect();
            let makers = ["google.com", "googleapis.com", "gvt1.com", "gstatic.com"];
            words
                .iter()
                .any(|word| makers.iter().any(|maker| word.ends_with(maker)))
        };
        proxy
            .requests
            .try_iter()
            .filter(|request| !own(request))
            .collect()
    };
    assert_eq!(asked(), [""; 0], "the page asked the network");
    // And one that does ask is caught.
    let path = directory.path().join("asks.html");
    fs::write(&path, "<img src=\"http://pixel.test/\">").unwrap();
    dump(&chromium, &path, 1280, false, &proxy, directory.path());
    assert!(
        asked().iter().any(|request| request.contains("pixel.test")),
        "the proxy was not asked"
    );
}
