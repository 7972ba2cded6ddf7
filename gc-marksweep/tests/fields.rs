//! Fields and words: what is written comes back, whatever lies beside it, and whatever the header
//! says besides how many there are.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gc_marksweep::{Flags, FullCause, Generations, Heap, Local, Mutator, Shape};

const MIB: usize = 1 << 20;

/// Fields and words of any number lie beside one another and not on top.
#[test]
fn every_field_and_word_has_a_place_of_its_own() {
    fn check<'h>(m: &mut Mutator<'h>, [object, names]: [Local<'_, 'h>; 2], shape: Shape) {
        let (refs, words) = (shape.refs as usize, shape.words as usize);
        m.alloc(object, shape).unwrap();
        let one = m.get(object).unwrap();
        assert!((0..refs).all(|field| m.load(one, field).is_none()));
        assert!((0..words).all(|word| m.word(one, word) == 0));
        for field in 0..refs {
            m.store(one, field, m.load(m.get(names).unwrap(), field));
        }
        for word in 0..words {
            m.set_word(one, word, u64::MAX - word as u64);
        }
        m.collect();
        let one = m.get(object).unwrap();
        assert_eq!(m.shape(one), shape);
        for field in 0..refs {
            let name = m.load(m.get(names).unwrap(), field);
            assert!(
                name.is_some() && m.load(one, field) == name,
                "{field} of {shape:?}"
            );
        }
        for word in 0..words {
            let expected = u64::MAX - word as u64;
            assert_eq!(m.word(one, word), expected, "{word} of {shape:?}");
        }
    }

    let heap = Heap::builder().limit(4 * MIB).poison(true).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [first, object, names, name]| {
            m.alloc(names, Shape::new(2200, 0)).unwrap();
            for field in 0..2200 {
                m.alloc_init(name, Flags::NONE, [], [field as u64]).unwrap();
                m.store_move(m.get(names).unwrap(), field, name);
            }
            for refs in (0..10).chain([63, 64, 65, 1022, 1023, 1024, 1025, 2200]) {
                for words in [0, 1, 2, 7] {
                    let shape = Shape::new(refs, words);
                    // Behind one another, so that what is written too far is seen in the next.
                    check(m, [first, names], shape);
                    check(m, [object, names], shape);
                    let one = m.get(first).unwrap();
                    for field in 0..refs as usize {
                        assert!(m.load(one, field) == m.load(m.get(names).unwrap(), field));
                    }
                }
            }
            m.verify();
        });
    });
}

/// The same of objects that are made with their contents.
#[test]
fn what_an_object_is_made_with_is_in_its_fields() {
    let heap = Heap::builder().limit(2 * MIB).poison(true).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a, b, made, moved, null]| {
            m.alloc_init(a, Flags::NONE, [], [1]).unwrap();
            m.alloc_init(b, Flags::NONE, [], [2]).unwrap();
            for _ in 0..100 {
                m.alloc_init(made, Flags::NONE, [a, null, b], [3, 4])
                    .unwrap();
                m.alloc_move(moved, Flags::FINALIZE, [made, null, null, a, b], [5])
                    .unwrap();
                assert!([made, a, b].iter().all(|&local| m.get(local).is_none()));
                m.collect();
                let object = m.get(moved).unwrap();
                let inner = m.load(object, 0).unwrap();
                let (one, two) = (m.load(object, 3).unwrap(), m.load(object, 4).unwrap());
                let words = [m.word(object, 0), m.word(one, 0), m.word(two, 0)];
                assert_eq!(words, [5, 1, 2]);
                assert!(m.load(object, 1).is_none() && m.load(object, 2).is_none());
                assert!(m.load(inner, 0) == Some(one) && m.load(inner, 1).is_none());
                assert!(m.load(inner, 2) == Some(two));
                assert_eq!([m.word(inner, 0), m.word(inner, 1)], [3, 4]);
                m.set(a, Some(one));
                m.set(b, Some(two));
            }
            m.verify();
        });
    });
}

/// Whether stores into an object are to be remembered stands in its header, and so do its
/// properties: none of it makes an object have a word or a field more, or less.
#[test]
fn what_the_header_says_besides_changes_no_index() {
    let heap = Heap::builder()
        .limit(4 * MIB)
        .generations(Generations::On)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [object, young]| {
            let both = Flags {
                finalize: true,
                acyclic: true,
            };
            for flags in [Flags::NONE, Flags::FINALIZE, Flags::ACYCLIC, both] {
                for (refs, words) in [(0, 0), (1, 0), (0, 1), (2, 1), (1100, 0), (1100, 3)] {
                    let shape = Shape::new(refs, words).with(flags);
                    m.alloc(object, shape).unwrap();
                    let (refs, words) = (refs as usize, words as usize);
                    // New, old and logging, old and remembered.
                    for turn in 0..3 {
                        let one = m.get(object).unwrap();
                        assert_eq!(m.shape(one), shape, "turn {turn}");
                        let refused = |access: &dyn Fn()| {
                            assert!(
                                catch_unwind(AssertUnwindSafe(access)).is_err(),
                                "{shape:?} in turn {turn}"
                            );
                        };
                        for index in [refs, refs + 1, usize::MAX] {
                            refused(&|| assert!(m.load(one, index).is_none()));
                            refused(&|| m.store(one, index, Some(one)));
                        }
                        for index in [words, words + 1, usize::MAX] {
                            refused(&|| assert_eq!(m.word(one, index), 0));
                            refused(&|| m.set_word(one, index, 1));
                        }
                        if turn == 0 {
                            m.collect();
                        } else if refs > 0 {
                            m.alloc(young, Shape::new(0, 1)).unwrap();
                            m.store(m.get(object).unwrap(), refs - 1, m.get(young));
                        }
                    }
                    m.verify();
                }
            }
        });
    });
}

/// An object has so many words and no more, as its size says before anything is allocated.
#[test]
fn more_words_than_an_object_can_have_are_refused() {
    let heap = Heap::builder().limit(64 << 30).build();
    let Ok(heap) = heap else {
        return; // A system that does not overcommit.
    };
    heap.attach(|m| {
        m.frame(|m, [object]| {
            for shape in [
                Shape::new(0, Shape::MAX_WORDS + 1),
                Shape::new(3, u32::MAX),
                Shape::new(u32::MAX, u32::MAX),
            ] {
                let refused = m.alloc(object, shape).unwrap_err();
                assert_eq!(refused.cause, FullCause::Limit, "{shape:?}");
            }
            // Address space only: next to nothing of it is touched.
            m.alloc(object, Shape::new(1, Shape::MAX_WORDS)).unwrap();
            let one = m.get(object).unwrap();
            assert_eq!(m.shape(one), Shape::new(1, Shape::MAX_WORDS));
            let last = Shape::MAX_WORDS as usize - 1;
            m.set_word(one, last, 7);
            m.store(one, 0, Some(one));
            assert_eq!((m.word(one, last), m.word(one, last - 1)), (7, 0));
            m.collect();
            assert!(m.load(m.get(object).unwrap(), 0) == m.get(object));
        });
    });
}
