//! Random programs against a plain model: whatever a script does, the heap and the model must see
//! the same graph.
//!
//! A script is a list of operations on a few locals, globals and weak references. The model is a
//! map from object numbers to fields and words, and knows nothing of collectors. Every object
//! carries its number in its first word, so that the two graphs can be walked side by side. They
//! are compared, and the heap verifies itself, after every collection and at the end; weak
//! references must yield whatever the model can still reach, and after a collection nothing else.
//!
//! Each variant plays other scripts in each run, after those of `scripts.proptest-regressions`:
//! what has failed once, on whatever heap, is added there, and stays. `SCRIPT_CASES` is the number
//! of scripts, for those who want to look for long.

use std::collections::{BTreeMap, BTreeSet};

use harness::heap::{Flags, Heap, Mutator, Shape};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use tests::{MIB, Variant, on_every_heap};

on_every_heap!(scripts_agree_with_the_model);

/// Locals of each frame.
const LOCALS: usize = 5;
/// Fields of the largest object.
const MOST_FIELDS: usize = 4;

#[derive(Clone, Debug)]
enum Op {
    Alloc {
        into: usize,
        fields: usize,
        extra_words: u32,
    },
    AllocInit {
        into: usize,
        operands: [usize; 3],
    },
    AllocMove {
        into: usize,
        operands: [usize; 2],
    },
    Set {
        into: usize,
        from: usize,
    },
    Clear {
        local: usize,
    },
    Load {
        into: usize,
        from: usize,
        field: usize,
    },
    Store {
        object: usize,
        field: usize,
        value: usize,
    },
    StoreNull {
        object: usize,
        field: usize,
    },
    SetWord {
        object: usize,
        value: u64,
    },
    /// Takes what a local holds out of it before it is stored: in between nothing refers to it.
    MoveOut {
        from: usize,
        object: usize,
        field: usize,
    },
    /// The same from a field to a local.
    MoveIn {
        into: usize,
        object: usize,
        field: usize,
    },
    NewGlobal {
        from: usize,
    },
    OpenGlobal {
        into: usize,
        global: usize,
    },
    DropGlobal {
        global: usize,
    },
    Downgrade {
        from: usize,
    },
    Upgrade {
        into: usize,
        weak: usize,
    },
    Garbage {
        count: u16,
    },
    Large {
        into: usize,
        keep: usize,
    },
    Safepoint,
    Collect,
    /// The rest of the script up to the number runs in a frame of its own, which gets a copy of one
    /// local and gives one back.
    Frame {
        argument: usize,
        result: usize,
        body: Vec<Op>,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let local = || 0..LOCALS;
    let field = || 0..MOST_FIELDS;
    let simple = prop_oneof![
        4 => (local(), 0..=MOST_FIELDS, 0..40_u32)
            .prop_map(|(into, fields, extra_words)| Op::Alloc { into, fields, extra_words }),
        4 => (local(), [local(), local(), local()]).prop_map(|(into, operands)| Op::AllocInit { into, operands }),
        4 => (local(), [local(), local()]).prop_map(|(into, operands)| Op::AllocMove { into, operands }),
        3 => (local(), local()).prop_map(|(into, from)| Op::Set { into, from }),
        2 => local().prop_map(|local| Op::Clear { local }),
        6 => (local(), local(), field()).prop_map(|(into, from, field)| Op::Load { into, from, field }),
        8 => (local(), field(), local()).prop_map(|(object, field, value)| Op::Store { object, field, value }),
        2 => (local(), field()).prop_map(|(object, field)| Op::StoreNull { object, field }),
        1 => (local(), any::<u64>()).prop_map(|(object, value)| Op::SetWord { object, value }),
        3 => (local(), local(), field()).prop_map(|(from, object, field)| Op::MoveOut { from, object, field }),
        3 => (local(), local(), field()).prop_map(|(into, object, field)| Op::MoveIn { into, object, field }),
        1 => local().prop_map(|from| Op::NewGlobal { from }),
        1 => (local(), any::<usize>()).prop_map(|(into, global)| Op::OpenGlobal { into, global }),
        1 => any::<usize>().prop_map(|global| Op::DropGlobal { global }),
        1 => local().prop_map(|from| Op::Downgrade { from }),
        1 => (local(), any::<usize>()).prop_map(|(into, weak)| Op::Upgrade { into, weak }),
        1 => (1..300_u16).prop_map(|count| Op::Garbage { count }),
        1 => (local(), local()).prop_map(|(into, keep)| Op::Large { into, keep }),
        1 => Just(Op::Safepoint),
        1 => Just(Op::Collect),
    ];
    simple.prop_recursive(3, 60, 20, move |inner| {
        (local(), local(), prop::collection::vec(inner, 1..20)).prop_map(
            |(argument, result, body)| Op::Frame {
                argument,
                result,
                body,
            },
        )
    })
}

/// An object of the model.
#[derive(Clone, Debug, Default)]
struct ModelObject {
    fields: Vec<Option<u64>>,
    /// The second word, where there is one.
    word: Option<u64>,
}

/// What the heap should look like.
#[derive(Debug, Default)]
struct Model {
    objects: BTreeMap<u64, ModelObject>,
    /// The locals of every frame, outermost first.
    frames: Vec<[Option<u64>; LOCALS]>,
    globals: Vec<u64>,
    weaks: Vec<u64>,
}

impl Model {
    fn add(&mut self, fields: Vec<Option<u64>>, word: Option<u64>) -> u64 {
        let number = self.objects.len() as u64;
        self.objects.insert(number, ModelObject { fields, word });
        number
    }

    fn locals(&mut self) -> &mut [Option<u64>; LOCALS] {
        self.frames.last_mut().expect("a script runs in a frame")
    }

    fn reachable(&self) -> BTreeSet<u64> {
        let mut stack: Vec<u64> = self.frames.iter().flatten().flatten().copied().collect();
        stack.extend(&self.globals);
        let mut reached = BTreeSet::new();
        while let Some(number) = stack.pop() {
            if reached.insert(number) {
                stack.extend(self.objects[&number].fields.iter().flatten());
            }
        }
        reached
    }
}

/// A heap and the model, side by side.
struct Pair<H: Heap> {
    model: Model,
    globals: Vec<H::Global>,
    weaks: Vec<H::Weak>,
    reclaims_cycles: bool,
    reclaims: bool,
}

impl<H: Heap> Pair<H> {
    fn run<'f, 'h>(
        &mut self,
        m: &mut H::Mutator<'h>,
        locals: [<H::Mutator<'h> as Mutator>::Local<'f>; LOCALS],
        ops: &[Op],
    ) {
        for op in ops {
            self.step(m, locals, op);
        }
    }

    fn step<'f, 'h>(
        &mut self,
        m: &mut H::Mutator<'h>,
        locals: [<H::Mutator<'h> as Mutator>::Local<'f>; LOCALS],
        op: &Op,
    ) {
        match *op {
            Op::Alloc {
                into,
                fields,
                extra_words,
            } => {
                m.alloc(locals[into], Shape::new(fields as u32, 1 + extra_words))
                    .expect("room");
                let word = (extra_words > 0).then_some(0);
                let number = self.model.add(vec![None; fields], word);
                m.set_word(m.get(locals[into]).expect("just made"), 0, number);
                self.model.locals()[into] = Some(number);
            }
            Op::AllocInit { into, operands } => {
                let fields = operands.map(|operand| self.model.locals()[operand]);
                let number = self.model.add(fields.to_vec(), Some(77));
                m.alloc_init(
                    locals[into],
                    Flags::NONE,
                    operands.map(|o| locals[o]),
                    [number, 77],
                )
                .expect("room");
                self.model.locals()[into] = Some(number);
            }
            Op::AllocMove { into, operands } => {
                let fields = operands.map(|operand| self.model.locals()[operand].take());
                let number = self.model.add(fields.to_vec(), None);
                m.alloc_move(
                    locals[into],
                    Flags::NONE,
                    operands.map(|o| locals[o]),
                    [number],
                )
                .expect("room");
                self.model.locals()[into] = Some(number);
            }
            Op::Set { into, from } => {
                m.set(locals[into], m.get(locals[from]));
                let value = self.model.locals()[from];
                self.model.locals()[into] = value;
            }
            Op::Clear { local } => {
                m.set(locals[local], None);
                self.model.locals()[local] = None;
            }
            Op::Load { into, from, field } => {
                let Some(number) = self.model.locals()[from] else {
                    return;
                };
                let fields = &self.model.objects[&number].fields;
                if let Some(&value) = fields.get(field) {
                    let object = m.get(locals[from]).expect("the model has an object here");
                    m.set(locals[into], m.load(object, field));
                    self.model.locals()[into] = value;
                }
            }
            Op::Store {
                object,
                field,
                value,
            } => {
                let value_number = self.model.locals()[value];
                let Some(number) = self.model.locals()[object] else {
                    return;
                };
                let fields = &mut self.model.objects.get_mut(&number).expect("known").fields;
                if let Some(slot) = fields.get_mut(field) {
                    *slot = value_number;
                    let object = m.get(locals[object]).expect("the model has an object here");
                    m.store(object, field, m.get(locals[value]));
                }
            }
            Op::StoreNull { object, field } => {
                let Some(number) = self.model.locals()[object] else {
                    return;
                };
                let fields = &mut self.model.objects.get_mut(&number).expect("known").fields;
                if let Some(slot) = fields.get_mut(field) {
                    *slot = None;
                    m.store(
                        m.get(locals[object]).expect("the model has an object here"),
                        field,
                        None,
                    );
                }
            }
            Op::SetWord { object, value } => {
                let Some(number) = self.model.locals()[object] else {
                    return;
                };
                if let Some(word) = &mut self.model.objects.get_mut(&number).expect("known").word {
                    *word = value;
                    m.set_word(
                        m.get(locals[object]).expect("the model has an object here"),
                        1,
                        value,
                    );
                }
            }
            Op::MoveOut {
                from,
                object,
                field,
            } => {
                let Some(number) = self.model.locals()[object] else {
                    return;
                };
                let moved = self.model.locals()[from].take();
                let target = m.get(locals[object]).expect("the model has an object here");
                let value = m.get(locals[from]);
                m.set(locals[from], None);
                let fields = &mut self.model.objects.get_mut(&number).expect("known").fields;
                match fields.get_mut(field) {
                    Some(slot) => {
                        *slot = moved;
                        m.store(target, field, value);
                    }
                    None => {
                        // Dropped and taken back, several times.
                        for _ in 0..3 {
                            m.set(locals[from], value);
                            m.set(locals[from], None);
                        }
                        m.set(locals[from], value);
                        self.model.locals()[from] = moved;
                    }
                }
            }
            Op::MoveIn {
                into,
                object,
                field,
            } => {
                let Some(number) = self.model.locals()[object] else {
                    return;
                };
                let fields = &mut self.model.objects.get_mut(&number).expect("known").fields;
                if let Some(slot) = fields.get_mut(field) {
                    let moved = slot.take();
                    let target = m.get(locals[object]).expect("the model has an object here");
                    let value = m.load(target, field);
                    m.store(target, field, None);
                    m.set(locals[into], value);
                    self.model.locals()[into] = moved;
                }
            }
            Op::NewGlobal { from } => {
                let Some(number) = self.model.locals()[from] else {
                    return;
                };
                self.globals
                    .push(m.global(m.get(locals[from]).expect("the model has an object here")));
                self.model.globals.push(number);
            }
            Op::OpenGlobal { into, global } => {
                if self.globals.is_empty() {
                    return;
                }
                let global = global % self.globals.len();
                m.set(locals[into], Some(m.open(&self.globals[global])));
                let number = self.model.globals[global];
                self.model.locals()[into] = Some(number);
            }
            Op::DropGlobal { global } => {
                if self.globals.is_empty() {
                    return;
                }
                let global = global % self.globals.len();
                drop(self.globals.swap_remove(global));
                self.model.globals.swap_remove(global);
            }
            Op::Downgrade { from } => {
                let Some(number) = self.model.locals()[from] else {
                    return;
                };
                self.weaks
                    .push(m.downgrade(m.get(locals[from]).expect("the model has an object here")));
                self.model.weaks.push(number);
            }
            Op::Upgrade { into, weak } => {
                if self.weaks.is_empty() {
                    return;
                }
                let weak = weak % self.weaks.len();
                let number = self.model.weaks[weak];
                let object = m.upgrade(&self.weaks[weak]);
                if self.model.reachable().contains(&number) {
                    let object = object.expect("a weak reference to a reachable object yields it");
                    assert_eq!(m.word(object, 0), number);
                }
                if let Some(object) = object {
                    // Perhaps not reclaimed yet, and then as good as ever.
                    assert_eq!(m.word(object, 0), number);
                    m.set(locals[into], Some(object));
                    self.model.locals()[into] = Some(number);
                }
            }
            Op::Garbage { count } => m.frame(|m, [ring, other]| {
                for i in 0..u64::from(count) {
                    m.alloc_move(ring, Flags::NONE, [ring, other], [i])
                        .expect("room");
                    if i % 3 == 0 {
                        let object = m.get(ring).expect("just made");
                        m.store(object, 1, Some(object));
                    }
                    if i % 7 == 0 {
                        m.set(ring, None);
                    }
                }
            }),
            Op::Large { into, keep } => {
                m.alloc(locals[into], Shape::new(1500, 1)).expect("room");
                let number = self.model.add(vec![None; 1500], None);
                let object = m.get(locals[into]).expect("just made");
                m.set_word(object, 0, number);
                self.model.locals()[into] = Some(number);
                m.store(object, 1499, m.get(locals[keep]));
                let kept = self.model.locals()[keep];
                self.model.objects.get_mut(&number).expect("known").fields[1499] = kept;
            }
            Op::Safepoint => m.safepoint(),
            Op::Collect => {
                m.collect();
                self.compare(m, true);
            }
            Op::Frame {
                argument,
                result,
                ref body,
            } => {
                m.frame(|m, inner: [_; LOCALS]| {
                    m.set(inner[0], m.get(locals[argument]));
                    let value = self.model.locals()[argument];
                    self.model.frames.push([value, None, None, None, None]);
                    // The outer locals stay in the model's lower frame: the heap must keep them
                    // too.
                    self.run(m, inner, body);
                    m.set(locals[result], m.get(inner[1]));
                    let frame = self.model.frames.pop().expect("pushed above");
                    self.model.locals()[result] = frame[1];
                });
            }
        }
    }

    /// Compares everything that can be reached from the innermost frame and the globals. With
    /// `collected`, weak references to what cannot be reached must be gone.
    fn compare<'h>(&mut self, m: &mut H::Mutator<'h>, collected: bool) {
        for (global, &number) in self.globals.iter().zip(&self.model.globals) {
            self.compare_from(m, m.open(global), number);
        }
        if collected && self.reclaims {
            let reachable = self.model.reachable();
            for (weak, number) in self.weaks.iter().zip(&self.model.weaks) {
                let object = m.upgrade(weak);
                if reachable.contains(number) {
                    assert_eq!(m.word(object.expect("reachable"), 0), *number);
                } else if self.reclaims_cycles {
                    assert!(
                        object.is_none(),
                        "object {number} is not reachable, and a collection left it"
                    );
                }
            }
        }
        m.verify();
    }

    fn compare_from<'m, 'h: 'm>(
        &self,
        m: &'m H::Mutator<'h>,
        root: <H::Mutator<'h> as Mutator>::Ref<'m>,
        number: u64,
    ) {
        let mut seen = BTreeMap::from([(number, root)]);
        let mut stack = vec![(number, root)];
        while let Some((number, object)) = stack.pop() {
            let expected = &self.model.objects[&number];
            assert_eq!(m.word(object, 0), number);
            assert_eq!(m.shape(object).refs as usize, expected.fields.len());
            if let Some(word) = expected.word {
                assert_eq!(m.word(object, 1), word);
            }
            for (field, &expected) in expected.fields.iter().enumerate() {
                let target = m.load(object, field);
                assert_eq!(
                    target.is_some(),
                    expected.is_some(),
                    "field {field} of object {number}"
                );
                if let (Some(target), Some(expected)) = (target, expected) {
                    match seen.get(&expected) {
                        Some(&known) => {
                            assert!(known == target, "object {expected} is in two places")
                        }
                        None => {
                            seen.insert(expected, target);
                            stack.push((expected, target));
                        }
                    }
                }
            }
        }
    }
}

fn scripts_agree_with_the_model<V: Variant>() {
    let cases = match std::env::var("SCRIPT_CASES") {
        Ok(cases) => cases.parse().expect("SCRIPT_CASES is a number"),
        Err(_) if V::is_stress() => 60,
        Err(_) => 150,
    };
    // One for all heaps: a script that one has failed at is worth a try on the others.
    let kept = FileFailurePersistence::Direct("scripts.proptest-regressions");
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(kept)),
        ..Config::default()
    };
    let script = prop::collection::vec(op(), 1..120);
    let result = TestRunner::new(config).run(&script, |ops| {
        let heap = V::heap(32 * MIB);
        let capabilities = V::capabilities();
        heap.attach(|m| {
            m.frame(|m, locals: [_; LOCALS]| {
                let mut pair = Pair::<V::Heap> {
                    model: Model::default(),
                    globals: Vec::new(),
                    weaks: Vec::new(),
                    reclaims_cycles: capabilities.reclaims_cycles,
                    reclaims: capabilities.reclaims,
                };
                pair.model.frames.push([None; LOCALS]);
                pair.run(m, locals, &ops);
                let expected = *pair.model.locals();
                for (local, number) in locals.into_iter().zip(expected) {
                    let object = m.get(local);
                    assert_eq!(object.is_some(), number.is_some());
                    if let (Some(object), Some(number)) = (object, number) {
                        pair.compare_from(m, object, number);
                    }
                }
                m.collect();
                pair.compare(m, true);
            });
            m.collect();
            m.verify();
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
