//! How a thread comes to the heap and leaves it: attachment, and the regions in which it counts as
//! stopped.
//!
//! **Invariant.** A [`Context`] that is registered with the handshake stays where it is until it
//! has been detached, and a thread that is attached is not attached once more unless it is in a
//! blocking region.

use std::cell::Cell;
use std::marker::{PhantomData, PhantomPinned};
use std::sync::atomic::Ordering;

use handshake::process::Resident;
use handshake::{Member, Name, Party};

use crate::alloc::Buffer;
use crate::frame::Frames;
use crate::heap::Heap;
use crate::mutator::Mutator;
use crate::remember::Log;
use crate::step::Recording;

/// The part of a mutator that a collector touches while the mutator is stopped.
pub(crate) struct Context {
    pub(crate) party: Party,
    pub(crate) buffer: Buffer,
    pub(crate) frames: Frames,
    pub(crate) log: Log,
    /// Whether it was the system that had no memory for the last large object asked for. The
    /// owner's alone.
    pub(crate) refused: Cell<bool>,
    /// The owner's alone.
    pub(crate) recording: Recording,
    pub(crate) number: u32,
}

// SAFETY: the party is the one inside.
unsafe impl Member for Context {
    fn party(&self) -> &Party {
        &self.party
    }
}

thread_local! {
    /// Whether the thread is attached to a mark-sweep heap and not inside a blocking region.
    static ATTACHED: Cell<bool> = const { Cell::new(false) };
}

/// Sets the thread's attachment for as long as it lives.
struct Attachment {
    before: bool,
}

impl Attachment {
    fn set(attached: bool) -> Self {
        Self {
            before: ATTACHED.replace(attached),
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        ATTACHED.set(self.before);
    }
}

impl<'h> Mutator<'h> {
    pub(crate) fn attach<R>(heap: &Heap, f: impl for<'a> FnOnce(&mut Mutator<'a>) -> R) -> R {
        /// Undoes the registration, also when the client's closure unwinds.
        struct Detach<'a>(&'a Mutator<'a>);
        impl Drop for Detach<'_> {
            fn drop(&mut self) {
                let Mutator { context, heap, .. } = self.0;
                self.0.flush_tally();
                if !heap.0.may_enter() {
                    // Every other operation is refused for ever.
                    return;
                }
                context.buffer.give_back(&heap.0.space, &heap.0.supply);
                // SAFETY: this mutator runs, so no collection can be in progress.
                unsafe { heap.0.orphans.adopt(&heap.0.space, &context.log) };
                heap.0.handshake.detach(context.into());
            }
        }

        assert!(
            !ATTACHED.get(),
            "gc-marksweep: this thread is already attached to a heap: attach a second time only \
             inside `blocking`"
        );
        heap.0.enter();
        let _attachment = Attachment::set(true);
        let mut mutator = Mutator {
            context: Context {
                party: Party::new(),
                buffer: Buffer::new(),
                frames: Frames::new(),
                log: Log::default(),
                refused: Cell::new(false),
                recording: Recording::default(),
                number: heap.0.counters.mutators.fetch_add(1, Ordering::Relaxed),
            },
            tally: Cell::new(0),
            heap: heap.clone(),
            brand: PhantomData,
            _pinned: PhantomPinned,
        };
        let mutator = &raw mut mutator;
        // SAFETY: the mutator stays in this stack frame, which outlives the guard that detaches it.
        // From here on it is reached only through this pointer; it is `!Unpin`, so the exclusive
        // reference that the client gets does not exclude the registered one, and what both touch
        // are cells and atomics.
        unsafe {
            let context = &(*mutator).context;
            let wait = (heap.0.handshake).attach(context.into(), context.number, thread_name());
            let Ok(wait) = wait else {
                panic!("gc-marksweep: the system has no memory to attach a thread");
            };
            let _detach = Detach(&*mutator);
            heap.0.record_wait(context, wait);
            f(&mut *mutator)
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn park(&mut self) {
        let shared = self.shared();
        shared.enter();
        let wait = shared.handshake.park(&self.context.party);
        shared.record_wait(&self.context, wait);
    }

    /// Runs `f` while this thread counts as stopped: collections go on without it. `f` may wait for
    /// other threads, and may attach to a heap. Waits for the end of a collection that is in
    /// progress when `f` returns or unwinds.
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let heap = gc_marksweep::Heap::builder().limit(1 << 20).build()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let shared = heap.clone();
    /// let waiter = std::thread::spawn(move || {
    ///     shared.attach(|m| m.blocking(|| receiver.recv()))
    /// });
    /// // The other may wait: it keeps nobody out.
    /// heap.attach(|m| m.collect());
    /// sender.send(()).expect("somebody receives");
    /// assert_eq!(waiter.join().expect("it does not panic"), Ok(()));
    /// # Ok::<(), gc_marksweep::BuildError>(())
    /// ```
    #[inline]
    pub fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R {
        /// Runs again before anything else does, also when `f` unwinds.
        struct Leave<'a, 'h>(&'a Mutator<'h>);
        impl Drop for Leave<'_, '_> {
            fn drop(&mut self) {
                let Mutator { context, .. } = self.0;
                let shared = self.0.shared();
                if !shared.enter_unless_unwinding() {
                    // Unwinding goes on to where the mutator is given up.
                    return;
                }
                let wait = shared.handshake.leave_blocking(&context.party);
                shared.record_wait(context, wait);
            }
        }

        self.shared().handshake.enter_blocking(&self.context.party);
        let _leave = Leave(self);
        let _attachment = Attachment::set(false);
        f()
    }
}

fn thread_name() -> Name {
    let thread = std::thread::current();
    match thread.name() {
        Some(name) => Name::new(format_args!("thread \"{name}\"")),
        None => Name::new(format_args!("thread {:?}", thread.id())),
    }
}
