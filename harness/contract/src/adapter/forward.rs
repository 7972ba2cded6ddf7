//! The traits of [`crate::heap`] on a heap crate's own types.
//!
//! The heaps know nothing of the harness and of each other, but give the same names to the same
//! operations. So the forwarding is written once, one line an operation, and every heap's adapter
//! expands it for its crate. Every method resolves to the inherent one; should a crate lack one,
//! the call would be to the trait's own method and the compiler's `unconditional_recursion` says
//! so.

/// Implements [`Heap`](crate::heap::Heap) and [`Mutator`](crate::heap::Mutator) for the types of
/// the crate `$heap`, of one regime where it has several; `$events` is a function that removes and
/// translates its events, `$objects` one that says of its statistics how many bytes all objects
/// have that were not reclaimed, and how many they are, `$full_cause` one that says why it had no
/// memory, and `$number` one that says which mutator its events call this one, if it has any.
macro_rules! forward {
    ($heap:ident $(<$regime:ty>)?, $events:path, $objects:path, $full_cause:path, $number:path) => {
        impl $crate::heap::Heap for $heap::Heap $(<$regime>)? {
            type Mutator<'h> = $heap::Mutator<'h $(, $regime)?>;
            type Global = $heap::Global;
            type Weak = $heap::Weak;

            #[inline(always)]
            fn attach<R>(&self, f: impl for<'h> FnOnce(&mut $heap::Mutator<'h $(, $regime)?>) -> R) -> R {
                let attachment = $crate::presence::Attachment::begin(Self::origin(self));
                Self::attach(self, |mutator| {
                    if let Some(number) = $number(mutator) {
                        attachment.is_of(number);
                    }
                    f(mutator)
                })
            }

            fn statistics(&self) -> $crate::heap::Statistics {
                let statistics = Self::statistics(self);
                let (object_bytes, objects) = $objects(&statistics);
                $crate::heap::Statistics {
                    limit_bytes: statistics.limit_bytes,
                    allocated_objects: statistics.allocated_objects,
                    allocated_payload_bytes: statistics.allocated_payload_bytes,
                    occupied_bytes: statistics.occupied_bytes,
                    peak_occupied_bytes: statistics.peak_occupied_bytes,
                    committed_bytes: statistics.committed_bytes,
                    metadata_bytes: statistics.metadata_bytes,
                    live_bytes: statistics.live_bytes,
                    collections: statistics.collections,
                    object_bytes,
                    objects,
                }
            }

            fn origin(&self) -> std::time::Instant {
                Self::origin(self)
            }

            fn take_events(&self) -> $crate::event::EventLog {
                let mut log = $events(self);
                let presence = $crate::presence::take(Self::origin(self));
                log.events.extend(presence.events);
                log.lost += presence.lost;
                log
            }

            #[inline(always)]
            fn cleared_at(weak: &$heap::Weak) -> Option<u64> {
                $heap::Weak::cleared_at(weak)
            }
        }

        impl<'h> $crate::heap::Mutator for $heap::Mutator<'h $(, $regime)?> {
            type Heap = $heap::Heap $(<$regime>)?;
            type Ref<'m>
                = $heap::Ref<'m, 'h>
            where
                'h: 'm;
            type Local<'f> = $heap::Local<'f, 'h>;

            #[inline(always)]
            fn alloc(
                &mut self,
                into: Self::Local<'_>,
                shape: $crate::heap::Shape,
            ) -> Result<(), $crate::heap::HeapFull> {
                Self::alloc(self, into, to_shape(shape)).map_err(heap_full)
            }

            #[inline(always)]
            fn alloc_init<const R: usize, const W: usize>(
                &mut self,
                into: Self::Local<'_>,
                flags: $crate::heap::Flags,
                refs: [Self::Local<'_>; R],
                words: [u64; W],
            ) -> Result<(), $crate::heap::HeapFull> {
                Self::alloc_init(self, into, to_flags(flags), refs, words)
                    .map_err(heap_full)
            }

            #[inline(always)]
            fn alloc_move<const R: usize, const W: usize>(
                &mut self,
                into: Self::Local<'_>,
                flags: $crate::heap::Flags,
                refs: [Self::Local<'_>; R],
                words: [u64; W],
            ) -> Result<(), $crate::heap::HeapFull> {
                Self::alloc_move(self, into, to_flags(flags), refs, words)
                    .map_err(heap_full)
            }

            #[inline(always)]
            fn safepoint(&mut self) {
                Self::safepoint(self)
            }

            #[inline(always)]
            fn collect(&mut self) {
                Self::collect(self)
            }

            #[inline(always)]
            fn verify(&mut self) {
                Self::verify(self)
            }

            #[inline(always)]
            fn finalizable(&mut self, into: Self::Local<'_>) -> bool {
                Self::finalizable(self, into)
            }

            #[inline(always)]
            fn cleared(&mut self) -> Option<$heap::Weak> {
                Self::cleared(self)
            }

            #[inline(always)]
            fn blocking<R>(&mut self, f: impl FnOnce() -> R) -> R {
                match $number(self) {
                    Some(number) => {
                        Self::blocking(self, || $crate::presence::blocked(number, f))
                    }
                    None => Self::blocking(self, f),
                }
            }

            #[inline(always)]
            fn frame<const N: usize, R>(
                &mut self,
                f: impl for<'f> FnOnce(&mut Self, [$heap::Local<'f, 'h>; N]) -> R,
            ) -> R {
                Self::frame(self, f)
            }

            #[inline(always)]
            fn get(&self, local: Self::Local<'_>) -> Option<Self::Ref<'_>> {
                Self::get(self, local)
            }

            #[inline(always)]
            fn set<'m>(&'m self, local: Self::Local<'_>, value: Option<Self::Ref<'m>>) {
                Self::set(self, local, value)
            }

            #[inline(always)]
            fn load<'m>(&'m self, object: Self::Ref<'m>, field: usize) -> Option<Self::Ref<'m>> {
                Self::load(self, object, field)
            }

            #[inline(always)]
            fn store<'m>(
                &'m self,
                object: Self::Ref<'m>,
                field: usize,
                value: Option<Self::Ref<'m>>,
            ) {
                Self::store(self, object, field, value)
            }

            #[inline(always)]
            fn store_move<'m>(
                &'m self,
                object: Self::Ref<'m>,
                field: usize,
                from: Self::Local<'_>,
            ) {
                Self::store_move(self, object, field, from)
            }

            #[inline(always)]
            fn word<'m>(&'m self, object: Self::Ref<'m>, index: usize) -> u64 {
                Self::word(self, object, index)
            }

            #[inline(always)]
            fn set_word<'m>(&'m self, object: Self::Ref<'m>, index: usize, value: u64) {
                Self::set_word(self, object, index, value)
            }

            #[inline(always)]
            fn shape<'m>(&'m self, object: Self::Ref<'m>) -> $crate::heap::Shape {
                from_shape(Self::shape(self, object))
            }

            #[inline(always)]
            fn global<'m>(&'m self, object: Self::Ref<'m>) -> $heap::Global {
                Self::global(self, object)
            }

            #[inline(always)]
            fn open<'m>(&'m self, global: &'m $heap::Global) -> Self::Ref<'m> {
                Self::open(self, global)
            }

            #[inline(always)]
            fn downgrade<'m>(&'m self, object: Self::Ref<'m>) -> $heap::Weak {
                Self::downgrade(self, object)
            }

            #[inline(always)]
            fn upgrade<'m>(&'m self, weak: &$heap::Weak) -> Option<Self::Ref<'m>> {
                Self::upgrade(self, weak)
            }
        }

        #[inline(always)]
        const fn to_flags(flags: $crate::heap::Flags) -> $heap::Flags {
            $heap::Flags {
                finalize: flags.finalize,
                acyclic: flags.acyclic,
            }
        }

        #[inline(always)]
        const fn to_shape(shape: $crate::heap::Shape) -> $heap::Shape {
            $heap::Shape {
                refs: shape.refs,
                words: shape.words,
                flags: to_flags(shape.flags),
            }
        }

        #[inline(always)]
        const fn from_shape(shape: $heap::Shape) -> $crate::heap::Shape {
            $crate::heap::Shape {
                refs: shape.refs,
                words: shape.words,
                flags: $crate::heap::Flags {
                    finalize: shape.flags.finalize,
                    acyclic: shape.flags.acyclic,
                },
            }
        }

        #[inline(always)]
        fn heap_full(full: $heap::HeapFull) -> $crate::heap::HeapFull {
            $crate::heap::HeapFull {
                requested: full.requested,
                limit: full.limit,
                cause: $full_cause(&full),
            }
        }
    };
}

pub(super) use forward;
