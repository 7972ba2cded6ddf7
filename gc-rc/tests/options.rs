//! Options by name, from text.

use std::time::Duration;

use gc_rc::{Builder, BuilderOption, Cycle, Free, Gil, OptionError, OverheadLimit};

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
    let [_, second, third] = Builder::CPYTHON_3_13;
    let pairs = [
        ("limit", "1.5MiB", default().limit(3 << 19)),
        ("limit", "off", default().limit(usize::MAX)),
        ("cycle", "none", default().cycle(Cycle::None)),
        ("cycle", "bacon-rajan", default().cycle(Cycle::BaconRajan)),
        ("free", "lazy", default().free(Free::Lazy)),
        ("gil", "fair", default().gil(Gil::Fair)),
        (
            "threshold",
            "700",
            default().thresholds([700, second, third]),
        ),
        ("oldest-growth", "0", default().oldest_growth(0)),
        ("possible-roots", "1", default().possible_roots(1)),
        ("cycle-filter", "off", default().cycle_filter(false)),
        ("prefetch", "on", default().prefetch(true)),
        (
            "switch-interval",
            "1s 500ms",
            default().switch_interval(Duration::from_millis(1500)),
        ),
        ("lock-hold-times", "on", default().lock_hold_times(true)),
        ("overhead-limit", "off", default().overhead_limit(None)),
        (
            "overhead-limit",
            "0/100",
            default().overhead_limit(Some(limit)),
        ),
        ("release-after", "off", default().release_after(None)),
        ("single-mutator", "off", default().single_mutator(false)),
        ("event-capacity", "0", default().event_capacity(0)),
        ("stress", "on", default().stress(true)),
        ("poison", "on", default().poison(true)),
        (
            "watchdog",
            "1m",
            default().watchdog(Some(Duration::from_secs(60))),
        ),
    ];
    for (name, value, expected) in &pairs {
        same(&set(name, value).unwrap(), expected);
    }
    for BuilderOption { name, .. } in Builder::OPTIONS {
        assert!(pairs.iter().any(|(other, ..)| other == name), "{name}");
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
    let error = set("lock_hold_times", "on").unwrap_err();
    assert!(matches!(&error, OptionError::Unknown { name, .. } if name == "lock_hold_times"));
    let text = error.to_string();
    assert!(text.starts_with("unknown option 'lock_hold_times': there are limit, "));
    for option in Builder::OPTIONS {
        assert!(text.contains(option.name), "{text}");
    }
}
