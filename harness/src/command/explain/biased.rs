//! `harness explain biased`: counts of two parts, and two threads.
//!
//! The second thread does what it is told, a task at a time, and polls between tasks if it is to.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;

use gc_rc::{Biased, Cycle, Global, Heap, HeapFull, Local, Mutator, Ref, Shape, Shares};

use super::{Page, edges, enumeration, number};

type M<'h> = Mutator<'h, Biased>;

/// What thread two does, in this order.
#[derive(Clone, Copy)]
enum Task {
    TakeB = 1,
    DropB,
    CutOffB,
    CutOffD,
    DropA,
    Leave,
}

const TASKS: [Task; 6] = [
    Task::TakeB,
    Task::DropB,
    Task::CutOffB,
    Task::CutOffD,
    Task::DropA,
    Task::Leave,
];

/// What the threads tell each other.
#[derive(Default)]
struct Turns {
    /// The last task that was set, and the last that was done.
    set: AtomicU32,
    done: AtomicU32,
    /// Thread two passes no safepoints while it waits.
    still: AtomicBool,
    /// It has noticed.
    stands: AtomicBool,
}

impl Turns {
    /// Has thread two do a task.
    fn have_done(&self, task: Task) {
        self.set.store(task as u32, SeqCst);
        while self.done.load(SeqCst) < task as u32 {
            thread::yield_now();
        }
    }

    /// Has thread two stand still, or go on.
    fn stand_still(&self, still: bool) {
        self.still.store(still, SeqCst);
        while self.stands.load(SeqCst) != still {
            thread::yield_now();
        }
    }
}

/// Thread two.
fn second(heap: &Heap<Biased>, a: Global, turns: &Turns) {
    let mut global = Some(a);
    heap.attach(|m| {
        m.frame(|m, [s]| {
            for task in TASKS {
                while turns.set.load(SeqCst) < task as u32 {
                    let still = turns.still.load(SeqCst);
                    turns.stands.store(still, SeqCst);
                    if !still {
                        m.safepoint();
                    }
                    thread::yield_now();
                }
                let m: &M<'_> = m;
                let a = || m.open(global.as_ref().expect("it is dropped last"));
                match task {
                    Task::TakeB => m.set(s, m.load(a(), 0)),
                    Task::DropB => m.set(s, None),
                    Task::CutOffB => m.store(a(), 0, None),
                    Task::CutOffD => m.store(a(), 1, None),
                    Task::DropA => global = None,
                    Task::Leave => {}
                }
                turns.done.store(task as u32, SeqCst);
            }
        });
    });
}

/// What an object's parts are, in a few words.
fn parts(shares: Option<Shares>, count: u32) -> String {
    match shares {
        Some(Shares { owner, others, .. }) => format!("one {owner}, others {others}"),
        None => format!("no owner, count {count}"),
    }
}

fn parts_of<'m, 'h>(m: &'m M<'h>, object: Ref<'m, 'h>) -> String {
    parts(m.shares(object), m.count(object))
}

/// Shows what an operation does to the parts of an object.
fn changing<'m, 'h>(
    page: &mut Page,
    m: &'m M<'h>,
    (name, object): (char, Ref<'m, 'h>),
    code: &str,
    change: impl FnOnce(),
) {
    let before = parts_of(m, object);
    change();
    page.line(&format!("    {code}"));
    let after = parts_of(m, object);
    page.step("", &format!("{name}: {before} -> {after}"));
}

/// Polls until so many objects in all have been freed, or for a while.
fn poll_until(heap: &Heap<Biased>, m: &mut M<'_>, freed: u64) {
    for _ in 0..10_000_000 {
        if heap.statistics().freed_objects >= freed {
            break;
        }
        m.safepoint();
        thread::yield_now();
    }
}

/// How many objects have been freed, in words.
fn freed(page: &mut Page, heap: &Heap<Biased>, before: u64) -> u64 {
    let freed = heap.statistics().freed_objects;
    let words = number(freed - before, "object is freed", "objects are freed");
    page.step("", &words);
    freed
}

pub(super) fn page() -> Result<Page, Box<dyn Error>> {
    // Without a cycle collector no stop comes between; and the first thread counts from the start
    // as it does when there are two.
    let builder = Heap::builder().limit(1 << 20).cycle(Cycle::None);
    let builder = builder.single_mutator(false);
    let heap: Heap<Biased> = builder.build_unlocked()?;
    let mut page = Page::of(include_str!("biased.md"));
    heap.attach(|m| {
        m.frame(|m, [p, q, r]| {
            m.frame(|m, objects| {
                let [a, .., f]: [Local<'_, '_>; 6] = objects;
                for (local, name) in objects.into_iter().zip('A'..) {
                    m.alloc(local, Shape::new(2, 1))?;
                    m.set_word(m.get(local).expect("just made"), 0, name as u64);
                }
                for (from, field, to) in edges("A0B A1D B0C D0E") {
                    let from = m.get(objects[from]).expect("just made");
                    m.store(from, field, m.get(objects[to]));
                }
                m.set(p, m.get(a));
                m.set(q, m.get(f));
                Ok::<_, HeapFull>(())
            })?;
            m.safepoint();

            page.go_on(&[]);
            {
                let m = &*m;
                let roots = [("p", m.get(p)), ("q", m.get(q))];
                let mut found: Vec<(Ref<'_, '_>, String)> = Vec::new();
                let named = roots.map(|(name, root)| (root, name.to_owned()));
                let mut waiting: Vec<_> = named.into_iter().collect();
                while let Some((object, holder)) = waiting.pop() {
                    let object = object.expect("the graph has no nulls on this way");
                    let name = char::from(m.word(object, 0) as u8);
                    for field in 0..2 {
                        if let Some(child) = m.load(object, field) {
                            waiting.push((Some(child), name.to_string()));
                        }
                    }
                    found.push((object, holder));
                }
                found.sort_by_key(|(object, _)| m.word(*object, 0));
                for (object, holder) in found {
                    let name = char::from(m.word(object, 0) as u8);
                    let holders = enumeration(&[holder]);
                    let words = format!("{}: referred to by {holders}", parts_of(m, object));
                    page.step(&name.to_string(), &words);
                }
            }

            page.go_on(&[]);
            {
                let m = &*m;
                let b = m.load(m.get(p).expect("A"), 0).expect("B");
                let code = "one: m.set(r, m.load(A, 0))";
                changing(&mut page, m, ('B', b), code, || m.set(r, Some(b)));
                let code = "one: m.set(r, None)";
                changing(&mut page, m, ('B', b), code, || m.set(r, None));
            }

            let global = m.global(m.get(p).expect("A"));
            let turns = Turns::default();
            thread::scope(|scope| {
                scope.spawn(|| second(&heap, global, &turns));
                page.go_on(&[]);
                turns.stand_still(true);
                {
                    let m = &*m;
                    let b = m.load(m.get(p).expect("A"), 0).expect("B");
                    let code = "two: m.set(s, m.load(A, 0))";
                    let task = || turns.have_done(Task::TakeB);
                    changing(&mut page, m, ('B', b), code, task);
                    let code = "two: m.set(s, None)";
                    let task = || turns.have_done(Task::DropB);
                    changing(&mut page, m, ('B', b), code, task);

                    page.go_on(&[]);
                    let code = "two: m.store(A, 0, None)";
                    let task = || turns.have_done(Task::CutOffB);
                    changing(&mut page, m, ('B', b), code, task);
                }
                page.go_on(&[]);
                turns.stand_still(false);
                poll_until(&heap, m, 2);
                page.line("    one, two: m.safepoint()");
                let so_far = freed(&mut page, &heap, 0);

                page.go_on(&[]);
                page.line("    one: m.blocking(...)");
                m.blocking(|| {
                    turns.have_done(Task::CutOffD);
                    // Thread two polls when it has done that.
                    for _ in 0..10_000_000 {
                        if heap.statistics().freed_objects >= so_far + 2 {
                            break;
                        }
                        thread::yield_now();
                    }
                });
                page.line("    two: m.store(A, 1, None); m.safepoint()");
                let so_far = freed(&mut page, &heap, so_far);

                page.go_on(&[]);
                turns.stand_still(true);
                m.set(q, None);
                page.line("    one: m.set(q, None); m.safepoint()");
                (0..1000).for_each(|_| m.safepoint());
                let so_far = freed(&mut page, &heap, so_far);

                page.go_on(&[]);
                m.set(p, None);
                turns.have_done(Task::DropA);
                page.line("    two: drop(global)");
                page.line("    one: m.set(p, None); m.safepoint()");
                (0..1000).for_each(|_| m.safepoint());
                freed(&mut page, &heap, so_far);
                turns.stand_still(false);
                poll_until(&heap, m, so_far + 1);
                page.line("    one, two: m.safepoint()");
                freed(&mut page, &heap, so_far);
                turns.have_done(Task::Leave);
            });
            let bias = heap.statistics().bias.unwrap_or_default();
            let times = |objects| number(objects, "time", "times");
            page.go_on(&[
                ("named", times(bias.named_objects)),
                ("merged", times(bias.merged_objects)),
            ]);
            Ok::<_, HeapFull>(())
        })
    })?;
    Ok(page)
}
