//! The arena as a heap of the comparison.
//!
//! It is exempt from the heap limit: it never frees, so it needs room for everything an iteration
//! allocates. Its own limit is, unless an option says otherwise, 70 % of the memory the system says
//! is available when the heap is made, so that a workload that would need more ends as `skipped`
//! and not at the hands of the system's out-of-memory killer.

use std::fs;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use contract::adapter::{Adapter, Capabilities, Description, HeapOption, Settings};
use contract::cgroup::Cgroup;
use contract::units::parse_bytes;

use crate::Heap;

/// The adapter of [`Heap`].
#[derive(Clone, Copy, Debug)]
pub struct Arena;

/// The limit where hardly anything is available: enough to say that it does not suffice.
const LEAST: u64 = 1 << 20;
/// The unit of `/proc/self/statm`, or less.
const PAGE: u64 = 4096;
/// The limit where the system does not say how much memory is available.
const UNKNOWN_AVAILABLE: u64 = 4 << 30;

impl Adapter for Arena {
    type Heap = Heap;

    const DESCRIPTION: Description = Description {
        name: "arena",
        summary: "never frees: the floor; not bound by --heap-size",
        options: || {
            vec![HeapOption {
                name: "limit",
                values: "a size, such as 64M | auto",
                default: "auto",
                help: "its own limit, in place of --heap-size; auto is 70 % of available memory",
            }]
        },
        takes: |_, value| value == "auto" || parse_bytes(value).is_ok(),
    };

    fn capabilities(_settings: &Settings) -> Capabilities {
        Capabilities {
            reclaims: false,
            reclaims_cycles: false,
            limited: false,
        }
    }

    fn build(settings: &Settings) -> Result<Heap, String> {
        let share = || (available_bytes().unwrap_or(UNKNOWN_AVAILABLE) / 10 * 7).max(LEAST);
        let limit = parse_bytes(settings.text("limit")).unwrap_or_else(|_auto| share());
        Heap::new(Some(usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    /// Everything is forgotten; the pages stay, faulted in.
    fn recycle(heap: &Heap) {
        heap.reset();
    }
}

/// Memory that can be used without swapping, as the kernel estimates it, the control groups allow
/// it, and the limit of the process's address space leaves room for it; `None` where the system
/// says nothing.
fn available_bytes() -> Option<u64> {
    let information = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = information
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?
                .trim()
                .strip_suffix(" kB")
        })
        .and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok())
        .map(|kilobytes| kilobytes * 1024);
    let allowed = Cgroup::read().memory_left_bytes;
    let limits = [available, allowed, address_space_bytes()];
    limits.into_iter().flatten().min()
}

/// Half of the address space that this process may still take; `None` without a limit. Where an
/// arena cannot reserve what it may take it grows by chunks, each as large as all before it.
fn address_space_bytes() -> Option<u64> {
    let (limit, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    let sizes = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = sizes.split(' ').next()?.parse().unwrap_or(0);
    (limit < RLIM_INFINITY).then(|| limit.saturating_sub(pages * PAGE) / 2)
}
