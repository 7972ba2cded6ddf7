//! A first program: a family tree, who can be reached in it, and who cannot.
//!
//! `cargo run --release -p gc-marksweep --example first`

use gc_marksweep::{Heap, HeapFull, Local, Mutator, Ref, Shape};

/// A person: fields for mother and father, a word for the year of birth.
const PERSON: Shape = Shape::new(2, 1);
const MOTHER: usize = 0;
const FATHER: usize = 1;

fn born<'h>(m: &mut Mutator<'h>, person: Local<'_, 'h>, year: u64) -> Result<(), HeapFull> {
    m.alloc(person, PERSON)?;
    if let Some(person) = m.get(person) {
        m.set_word(person, 0, year);
    }
    Ok(())
}

/// The oldest ancestor's year of birth. References are read without being rooted: nothing can be
/// collected while `m` is borrowed shared.
fn earliest<'m, 'h>(m: &'m Mutator<'h>, person: Ref<'m, 'h>) -> u64 {
    let parents = [m.load(person, MOTHER), m.load(person, FATHER)];
    let years = parents
        .into_iter()
        .flatten()
        .map(|parent| earliest(m, parent));
    years.min().unwrap_or(u64::MAX).min(m.word(person, 0))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let heap = Heap::builder().limit(1 << 20).build()?;
    heap.attach(|m| {
        // Three roots, which last as long as the closure.
        m.frame(|m, [child, mother, grandmother]| {
            born(m, grandmother, 1899)?;
            born(m, mother, 1931)?;
            born(m, child, 1960)?;
            if let (Some(child), Some(mother)) = (m.get(child), m.get(mother)) {
                m.store(child, MOTHER, Some(mother));
                m.store(mother, MOTHER, m.get(grandmother));
            }
            // Two roots fewer; both women are still reachable through the child.
            m.set(mother, None);
            m.set(grandmother, None);
            m.collect();
            if let Some(child) = m.get(child) {
                println!(
                    "the earliest birth in the family was in {}",
                    earliest(m, child)
                );
            }

            // Now the child's mother is forgotten, and her mother with her.
            let gone = m
                .get(child)
                .and_then(|child| m.load(child, MOTHER))
                .map(|mother| m.downgrade(mother));
            if let Some(child) = m.get(child) {
                m.store(child, MOTHER, None);
            }
            m.collect();
            let dead = gone.is_some_and(|gone| m.upgrade(&gone).is_none());
            println!("the mother has been reclaimed: {dead}");
            Ok::<_, HeapFull>(())
        })
    })?;
    println!("{:#?}", heap.statistics());
    Ok(())
}
