//! Checks: a second opinion on what is live, and a pattern in what is not.

use std::collections::{BTreeMap, HashSet};
use std::ptr::NonNull;

use handshake::World;

use crate::attach::Context;
use crate::block::{BLOCK, LARGE};
use crate::heap::Inner;
use crate::object::{GRANULE, Object};
use crate::policy::Extent;
use crate::remember::card_of;

/// What free memory is filled with: as a header, an object far larger than any block; as a
/// reference, an address in no heap.
const POISON: u8 = 0xdb;

/// Fills free memory with the pattern.
///
/// # Safety
///
/// The memory lies in the heap and belongs to nobody.
pub(crate) unsafe fn poison(start: NonNull<u8>, length: usize) {
    // SAFETY: the caller's word.
    unsafe { start.write_bytes(POISON, length) };
}

/// Walks the reachable objects with a stack and a set of its own, collects, walks again, and
/// compares.
///
/// 1. Before: the write barrier has missed nothing.
/// 2. Before and after: every address reached is that of an object: aligned, in a used block and
///    within its bounds or in a run of pages of its own, with a header that fits there; and no two
///    objects overlap.
/// 3. The collection found live exactly what the second walk reaches: each of its granules bears
///    the mark, no other granule does, and the per-block counts and the total say the same.
/// 4. Whatever was reachable before is reachable afterwards.
///
/// All in one stop, so that mutators cannot change what is compared.
pub(crate) fn verify(shared: &Inner, me: &Context) {
    let waited;
    let world = loop {
        let target = shared.handshake.next();
        let stop = shared.handshake.stop(me.into(), target);
        if let Some(world) = stop.world {
            waited = stop.waited;
            break world;
        }
        shared.record_wait(me, stop.waited);
    };
    // Once, so that all three looks at the heap see the same roots whoever drops a global
    // meanwhile.
    shared.handles.prune_globals();
    let before = walk(shared, &world);
    let mut complete = true;
    shared.for_each_log(&world, |log| complete &= !log.is_incomplete());
    if shared.policy.is_armed() && complete {
        check_barrier(shared, &world, &before);
    }
    // First what is young, then everything: the second must not find anything that the first has
    // lost.
    let collect = |wanted| {
        let cycle = shared.cycle(me, &world, shared.plan(&world, wanted));
        let after = walk(shared, &world);
        for object in before.keys() {
            assert!(
                after.contains_key(object),
                "a collection lost the reachable object {object:#x}"
            );
        }
        (cycle, after)
    };
    collect(Extent::Young);
    let (cycle, after) = collect(Extent::Whole);
    compare_with_marks(shared, &after, cycle.live_bytes());
    shared.count(&cycle);
    let report = world.resume();
    shared.record_wait(me, waited);
    shared.record_collection(me, report, &cycle, true);
}

/// The address and size in bytes of every object that can be reached.
type Reachable = BTreeMap<usize, usize>;

fn walk(shared: &Inner, world: &World<'_, Context>) -> Reachable {
    let used_blocks = shared.supply.used_blocks();
    let mut large = BTreeMap::new();
    (shared.supply).for_each_large(|object, bytes| {
        large.insert(object.address(), bytes);
    });
    let mut stack = Vec::new();
    shared.for_each_root(world, |root| stack.push(root));
    let mut reached = Reachable::new();
    while let Some(object) = stack.pop() {
        let address = object.address();
        if reached.contains_key(&address) {
            continue;
        }
        assert!(
            address.is_multiple_of(GRANULE),
            "{address:#x} is reachable and not aligned"
        );
        let room = match shared.space.block_of(address) {
            Some(block) => {
                assert!(
                    (block as usize) < used_blocks,
                    "{address:#x} is reachable and in no used block"
                );
                BLOCK - (address - shared.space.block_start(block).addr().get())
            }
            None => *(large.get(&address)).unwrap_or_else(|| {
                panic!("{address:#x} is reachable and neither in a block nor a large object")
            }),
        };
        // SAFETY: checked to lie in memory of this heap; what is read is checked before it is
        // relied on.
        let header = unsafe { object.header() };
        let size = header.size();
        assert!(
            size <= room && (size > LARGE) == large.contains_key(&address),
            "{address:#x} is reachable and its header is not an object's: {size} bytes where \
             {room} fit"
        );
        reached.insert(address, size);
        // SAFETY: the object lies within its room, so its fields do.
        stack.extend((0..header.refs()).filter_map(|field| unsafe { object.load(field) }));
    }
    for (one, two) in reached.iter().zip(reached.iter().skip(1)) {
        assert!(
            one.0 + one.1 <= *two.0,
            "objects overlap: {:#x} of {} bytes and {:#x}",
            one.0,
            one.1,
            two.0
        );
    }
    reached
}

/// Checks the first invariant of [`crate::remember`]: an old object that refers to a young one is
/// in a log, or the field's card is dirty.
fn check_barrier(shared: &Inner, world: &World<'_, Context>, reachable: &Reachable) {
    let mut logged = HashSet::new();
    shared.for_each_log(world, |log| logged.extend(log.objects()));
    for &address in reachable.keys() {
        let object = Object::from_raw(address as *mut _).expect("an object's address is not null");
        // SAFETY: the walk has found it to be an object.
        let header = unsafe { object.header() };
        if !shared.space.is_marked(object) || logged.contains(&object) {
            continue;
        }
        for field in 0..header.refs() {
            // SAFETY: one of the object's own; an object that logs cards is large.
            let (target, remembered) = unsafe {
                let dirty = header.is_logging()
                    && header.size() > LARGE
                    && !shared.space.card(object, card_of(field)).is_clean();
                (object.load(field), dirty)
            };
            assert!(
                remembered || target.is_none_or(|target| shared.space.is_marked(target)),
                "field {field} of the old object {address:#x} refers to a young one and is not \
                 remembered"
            );
        }
    }
}

fn compare_with_marks(shared: &Inner, reachable: &Reachable, live_bytes: u64) {
    let mut granules = vec![0; shared.supply.used_blocks()];
    let mut bytes = 0;
    for (&address, &size) in reachable {
        bytes += size as u64;
        let object = Object::from_raw(address as *mut _).expect("an object's address is not null");
        assert!(
            shared.space.is_marked(object),
            "{address:#x} is reachable and not marked"
        );
        if let Some(block) = shared.space.block_of(address) {
            granules[block as usize] += size / GRANULE;
            assert!(
                shared.space.is_wholly_marked(object, size),
                "{address:#x} is reachable and not marked to its end"
            );
        }
    }
    assert_eq!(
        bytes, live_bytes,
        "bytes reachable against bytes found live"
    );
    for (block, &granules) in granules.iter().enumerate() {
        let block = block as u32;
        assert_eq!(
            shared.space.count_marked(block),
            granules,
            "granules marked in block {block}"
        );
        assert_eq!(
            shared.space.live_granules(block),
            granules,
            "granules counted live in block {block}"
        );
    }
    let mut large = 0;
    (shared.supply).for_each_large(|object, _| {
        large += usize::from(reachable.contains_key(&object.address()))
    });
    let expected = reachable.values().filter(|&&size| size > LARGE).count();
    assert_eq!(
        large, expected,
        "large objects kept against large objects reachable"
    );
}
