//! Options by name, from text.

use std::time::Duration;

use gc_marksweep::{Builder, BuilderOption, Generations, OptionError, OverheadLimit, Sizing};

fn set(name: &str, value: &str) -> Result<Builder, OptionError> {
    Builder::default().set(name, value)
}

/// Whether two builders have the same settings.
#[track_caller]
fn same(one: &Builder, other: &Builder) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

#[test]
fn every_default_is_a_value_that_its_option_takes() {
    for option in Builder::OPTIONS {
        let set = set(option.name, option.default).unwrap();
        same(&set, &Builder::default());
        set.build().unwrap();
    }
}

#[test]
fn text_sets_what_the_methods_set() {
    let default = Builder::default;
    let limit = OverheadLimit {
        time_percent: 0,
        free_percent: 100,
    };
    let second = Some(Duration::from_secs(1));
    let pairs = [
        ("limit", "1.5MiB", default().limit(3 << 19)),
        ("prefetch-depth", "0", default().prefetch_depth(0)),
        ("marking-workers", "2", default().marking_workers(2)),
        (
            "generations",
            "off",
            default().generations(Generations::Off),
        ),
        ("generations", "on", default().generations(Generations::On)),
        ("nursery", "1M", default().nursery(1 << 20)),
        (
            "sizing",
            "multiplier",
            default().sizing(Sizing::Multiplier(2.0)),
        ),
        (
            "sizing",
            "mem-balancer",
            default().sizing(Sizing::MemBalancer(0.2)),
        ),
        ("release-after", "1s", default().release_after(second)),
        ("release-after", "off", default().release_after(None)),
        ("overhead-limit", "off", default().overhead_limit(None)),
        (
            "overhead-limit",
            "0/100",
            default().overhead_limit(Some(limit)),
        ),
        (
            "mark-stack-limit",
            "64K",
            default().mark_stack_limit(1 << 16),
        ),
        ("event-capacity", "0", default().event_capacity(0)),
        ("stress", "on", default().stress(true)),
        ("poison", "on", default().poison(true)),
        ("watchdog", "1s", default().watchdog(second)),
    ];
    for (name, value, expected) in &pairs {
        same(&set(name, value).unwrap(), expected);
    }
    for BuilderOption { name, .. } in Builder::OPTIONS {
        assert!(pairs.iter().any(|(other, ..)| other == name), "{name}");
    }
}

/// Ranges are written as numbers in the table, and are constants for everybody else.
#[test]
fn ranges_are_those_of_the_constants() {
    for (name, most) in [
        ("prefetch-depth", Builder::MAX_PREFETCH_DEPTH),
        ("marking-workers", Builder::MAX_MARKING_WORKERS),
    ] {
        let option = Builder::OPTIONS.iter().find(|option| option.name == name);
        assert_eq!(option.unwrap().values, format!("0 to {most}"));
    }
}

#[test]
fn an_option_takes_what_it_says_and_nothing_else() {
    for option in Builder::OPTIONS {
        let &BuilderOption { name, values, .. } = option;
        let takes = |value: &str| set(name, value).is_ok();
        if let Some((least, most)) = values.split_once(" to ") {
            let [least, most] = [least, most].map(|end| end.parse::<i64>().unwrap());
            assert!(
                takes(&least.to_string()) && takes(&most.to_string()),
                "{name}"
            );
            assert!(!takes(&(least - 1).to_string()), "{name}");
            assert!(!takes(&(most + 1).to_string()), "{name}");
        } else {
            for word in values.split(" | ") {
                // Else a description, with an example.
                let word = word
                    .split_once("such as ")
                    .map_or(word, |(_, example)| example);
                assert!(takes(word), "{name}={word}");
            }
        }
        for wrong in [
            "", " ", "x", "-1", "0s", "on ", "OFF", "98/101", "8192T", "0.1",
        ] {
            let error = set(name, wrong).unwrap_err();
            let expected = format!("option {name} cannot be '{wrong}': expected {values}");
            assert_eq!(error.to_string(), expected);
        }
        assert!(
            !option.help.is_empty() && !option.help.contains('\n'),
            "{name}"
        );
    }
}

#[test]
fn an_unknown_option_is_told_which_there_are() {
    let error = set("mark_stack_limit", "off").unwrap_err();
    assert!(matches!(&error, OptionError::Unknown { name, .. } if name == "mark_stack_limit"));
    let text = error.to_string();
    assert!(text.starts_with("unknown option 'mark_stack_limit': there are limit, "));
    for option in Builder::OPTIONS {
        assert!(text.contains(option.name), "{text}");
    }
}
