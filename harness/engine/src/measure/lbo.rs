//! Lower-bound overhead.
//!
//! Definition: *cost(g) / min over heaps h of (cost(h) - explicit collection cost(h)), for wall
//! time and for CPU; the minimum includes the arena heap* (Cai, Blackburn, Bond and Maas,
//! *Distilling the Real Cost of Production Garbage Collectors*, ISPASS 2022).
//!
//! What memory management costs in all cannot be measured: there is no program without it. But it
//! costs at least what separates a heap from the cheapest run of the same program that anyone has
//! seen, with that run's own collections taken off. The more heaps are compared, the closer that
//! comes to the ideal from above, and the closer the overhead to the truth from below. The arena,
//! which never collects, is the natural candidate; a collector with better locality may beat it.
//!
//! *Explicit collection cost*, of which only what is certain may be taken off, lest the bound be
//! none:
//!
//! * wall time: the parts of pauses in which everybody stood still for a collection (not the way to
//!   the safepoint, when some still ran), and on a heap behind a global lock, cycle collections and
//!   drains, during which nobody else has the lock. Their waits for it are none.
//! * CPU: the [collector's](super::cpu); nothing where it is not known.
//!
//! The heaps are those of one group: same work, same heap bytes, same machine. A heap that did not
//! complete has no cost and is left out of both sides.

use super::event::{self, Phase};
use contract::row::Metrics;

/// What is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Wall time.
    Wall,
    /// Processor time of all threads.
    Cpu,
}

/// What a heap's run of some work cost, in any unit that is the same for all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// All of it.
    pub total: f64,
    /// The part that is certainly collection; at most all of it.
    pub collection: f64,
}

/// Parts of pauses in which nobody runs.
fn standstill() -> impl Iterator<Item = &'static str> {
    let phases = [Phase::Roots, Phase::Mark, Phase::Finish, Phase::Stop];
    let phases = phases.into_iter().map(Phase::name);
    phases.chain([event::CYCLE_COLLECTION, event::DRAIN, event::EXPLICIT])
}

impl Cost {
    /// The cost of one iteration in nanoseconds.
    pub fn of(metrics: &Metrics, resource: Resource) -> Self {
        let (total, collection) = match resource {
            Resource::Wall => {
                let parts = standstill().filter_map(|name| metrics.pause_parts.get(name));
                (metrics.wall_ns, parts.map(|part| part.total_ns).sum())
            }
            Resource::Cpu => (metrics.cpu_ns, metrics.collector_cpu_ns.unwrap_or(0)),
        };
        Self {
            total: total as f64,
            collection: collection.min(total) as f64,
        }
    }

    /// The mean cost of several iterations; `None` of none.
    pub fn mean<'m>(
        iterations: impl IntoIterator<Item = &'m Metrics>,
        resource: Resource,
    ) -> Option<Self> {
        let mut sum = Self {
            total: 0.0,
            collection: 0.0,
        };
        let mut count = 0.0;
        for metrics in iterations {
            let cost = Self::of(metrics, resource);
            sum.total += cost.total;
            sum.collection += cost.collection;
            count += 1.0;
        }
        (count > 0.0).then(|| Self {
            total: sum.total / count,
            collection: sum.collection / count,
        })
    }
}

/// The least that the work can cost as far as these runs tell; `None` of no run, or if nothing is
/// left.
pub fn ideal(costs: impl IntoIterator<Item = Cost>) -> Option<f64> {
    costs
        .into_iter()
        .map(|cost| cost.total - cost.collection)
        .min_by(f64::total_cmp)
        .filter(|&least| least > 0.0)
}

/// The lower-bound overhead of each heap, in the order given, as a factor: 1.2 is at least 20 %
/// more than the work alone. `None` where the heap has no cost, or nobody has.
pub fn overheads(costs: &[Option<Cost>]) -> Vec<Option<f64>> {
    let ideal = ideal(costs.iter().flatten().copied());
    costs
        .iter()
        .map(|cost| Some(cost.as_ref()?.total / ideal?))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::measure::pause::Part;

    fn cost(total: f64, collection: f64) -> Option<Cost> {
        Some(Cost { total, collection })
    }

    /// A table with the answers worked out by hand.
    #[test]
    fn a_made_table() {
        //                 counting         tracing           arena
        let costs = [cost(150.0, 30.0), cost(120.0, 40.0), cost(100.0, 0.0)];
        // The tracing heap without its collections is the cheapest: 80.
        assert_eq!(overheads(&costs), [Some(1.875), Some(1.5), Some(1.25)]);
        // Without it, the arena.
        assert_eq!(overheads(&[costs[0], costs[2]]), [Some(1.5), Some(1.0)]);
        // A heap that did not complete neither has a figure nor sets the bound.
        assert_eq!(overheads(&[None, costs[2]]), [None, Some(1.0)]);
        assert_eq!(overheads(&[None, None]), [None, None]);
    }

    #[test]
    fn only_what_is_certain_is_taken_off() {
        let part = |total_ns| Part {
            count: 1,
            total_ns,
            max_ns: total_ns,
        };
        let names = ["time-to-safepoint", "roots", "mark", "finish", "resume"];
        let mut parts: BTreeMap<String, Part> =
            names.map(|name| (name.to_owned(), part(10))).into();
        parts.insert("lock-wait".to_owned(), part(10));
        parts.insert("drain".to_owned(), part(5));
        let metrics = Metrics {
            wall_ns: 1000,
            cpu_ns: 1500,
            pause_parts: parts,
            collector_cpu_ns: Some(200),
            ..Metrics::default()
        };
        let wall = Cost::of(&metrics, Resource::Wall);
        assert_eq!(Some(wall), cost(1000.0, 35.0));
        assert_eq!(Some(Cost::of(&metrics, Resource::Cpu)), cost(1500.0, 200.0));
        let unknown = Metrics {
            collector_cpu_ns: None,
            ..metrics.clone()
        };
        let mean = Cost::mean([&metrics, &unknown], Resource::Cpu);
        assert_eq!(mean, cost(1500.0, 100.0));
        assert_eq!(Cost::mean([], Resource::Wall), None);
    }
}
