//! Pauses that their work does not explain.
//!
//! A collection is held against others of its kind and about its size in the same cell. If it cost
//! several times as much for what it did, its work is not what made it long, and what is said is
//! which signs the row has of a processor that was elsewhere.
//!
//! Rejected: to compare lengths as they are. The longest of collections whose sizes differ is the
//! largest, and no surprise.

use super::part::Part;
use super::pause::Pause;
use engine::invocation::CollectionRecord;
use engine::measure::record::SYSTEM_GC;
use engine::report::quantity::{format_time, grouped};
use engine::results::CellResults;

/// A collection that costs this many times what others of its size do is not explained by its work.
const EXCESS: f64 = 4.0;

/// From so many others on it is known what is usual.
const FEWEST_PEERS: usize = 5;

/// What would shorten such a pause.
pub(super) const REMEDY: &str =
    "No option acts on that; measure again on a machine that does nothing else.";

impl Pause<'_> {
    /// What other collections cost, and why this one may have cost more, if it is unusual.
    pub(super) fn excess(&self, cell: &CellResults) -> Option<String> {
        let collection = self.collection?;
        let (part, _) = self.largest_part()?;
        let own = Cost::of(collection, part)?;
        let rows = cell.measured_rows().filter_map(|row| row.metrics.as_ref());
        let mut peers: Vec<Cost> = rows
            .flat_map(|metrics| &metrics.collections_log)
            .filter(|other| {
                other.kind == collection.kind
                    && other.generation == collection.generation
                    && other.cause != SYSTEM_GC
                    && !std::ptr::eq(*other, collection)
            })
            .filter_map(|other| Cost::of(other, part))
            .filter(|other| other.size >= own.size / 2.0 && other.size <= own.size * 2.0)
            .collect();
        if peers.len() < FEWEST_PEERS {
            return None;
        }
        peers.sort_unstable_by(|a, b| a.each().total_cmp(&b.each()));
        // Of an even number the dearer one, which makes less of the difference.
        let usual = &peers[peers.len() / 2];
        if own.each() < EXCESS * usual.each() {
            return None;
        }
        Some(format!(
            "Its work does not explain that: in {} other collections of this kind and about this \
             size here, {} took {} for as much (median), and {} in this one. {}",
            grouped(peers.len() as u64),
            own.what,
            format_time(usual.each() * own.size),
            format_time(own.time),
            self.signs()
        ))
    }

    /// What the row has of a processor that was elsewhere.
    fn signs(&self) -> String {
        let mut signs = self.row.noisy.clone();
        match self.metrics.involuntary_switches {
            Some(1) => signs.push("1 involuntary switch of its process".to_owned()),
            Some(more @ 2..) => {
                signs.push(format!(
                    "{} involuntary switches of its process",
                    grouped(more)
                ));
            }
            _ => {}
        }
        match signs.is_empty() {
            true => "The row has no sign of why: perhaps the thread was off its processor, or met \
                     memory for the first time."
                .to_owned(),
            false => format!(
                "Most of it the thread was probably off its processor; the row has: {}.",
                signs.join(", ")
            ),
        }
    }
}

/// What a part of a collection took, and how much it was of that by which its length goes.
struct Cost {
    what: &'static str,
    time: f64,
    size: f64,
}

impl Cost {
    fn of(collection: &CollectionRecord, part: &Part) -> Option<Self> {
        let cost = part.cost.as_ref()?;
        let size = (cost.size)(collection)? as f64;
        let time = part.time_in(collection)? as f64;
        (size > 0.0).then_some(Self {
            what: cost.what,
            time,
            size,
        })
    }

    fn each(&self) -> f64 {
        self.time / self.size
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{explained, searches};

    #[test]
    fn a_pause_that_its_work_does_not_explain_is_not_put_down_to_it() {
        let mut row = searches(&[19_000, 18_000, 19_000, 20_000, 19_000, 12_600_000]);
        let text = explained(vec![row.clone()]);
        for words in [
            "Its work does not explain that: in 5 other collections",
            "took 19.0 us for as much (median), and 12.6 ms in this one",
            "The row has no sign of why",
            "No option acts on that",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("bacon-rajan"), "{text}");

        row.noisy = vec!["a thread that had slept was woken 13 ms late".to_owned()];
        row.metrics.as_mut().unwrap().involuntary_switches = Some(1);
        let text = explained(vec![row]);
        assert!(
            text.contains(
                "probably off its processor; the row has: a thread that had slept was woken 13 ms \
                 late, 1 involuntary switch"
            ),
            "{text}"
        );

        // Three times as long is what cold memory does; and of few others nothing is known.
        for lengths in [
            &[19_000, 18_000, 19_000, 20_000, 19_000, 57_000][..],
            &[19_000, 12_600_000],
        ] {
            let text = explained(vec![searches(lengths)]);
            assert!(text.contains("as long as what it examines"), "{text}");
        }
    }
}
