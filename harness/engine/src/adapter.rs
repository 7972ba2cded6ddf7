//! The heaps of the comparison: a new one is its [`Adapter`], and one line in `heaps!` below.
//!
//! Workloads are compiled once for each heap: whoever has a heap's *name* and needs its *type*
//! passes a [`Visitor`] to [`visit`]. Rejected: trait objects (every field read would become an
//! indirect call, and the comparison would measure those).

pub use arena;
pub use contract::adapter::*;

use crate::suggest;

/// Something to be done with a heap whose type is known only by its name.
pub trait Visitor {
    /// What comes out.
    type Output;

    /// Called with the adapter that [`visit`] found.
    fn visit<A: Adapter>(self) -> Self::Output;
}

/// Lists the heaps, in the order in which they are shown. In braces: an option of a heap, and the
/// adapters that are in its place with some values of that.
macro_rules! heaps {
    ($($adapter:ty $({ $option:literal: $($value:literal => $other:ty),+ $(,)? })?),+ $(,)?) => {
        /// Every heap of the comparison.
        pub const HEAPS: &[Description] = &[$(<$adapter>::DESCRIPTION),+];

        /// Calls the visitor with the adapter of the heap called `name` for these settings; `None`
        /// if there is none.
        pub fn visit<V: Visitor>(name: &str, settings: &Settings, visitor: V) -> Option<V::Output> {
            $(
                if name == <$adapter>::DESCRIPTION.name {
                    $($(
                        if settings.text($option) == $value {
                            return Some(visitor.visit::<$other>());
                        }
                    )+)?
                    return Some(visitor.visit::<$adapter>());
                }
            )+
            let _ = settings;
            None
        }
    };
}

heaps![
    gc_rc::GcRc {
        "regime": "atomic" => gc_rc::GcRcAtomic,
        "object-lock" => gc_rc::GcRcObjectLock,
        "biased" => gc_rc::GcRcBiased,
        "deferred" => gc_rc::GcRcDeferred,
    },
    gc_marksweep::GcMarksweep,
    ::arena::Arena, // the floor: never frees
];

/// The description of the heap called `name`.
///
/// # Errors
///
/// A sentence that names the heap the user may have meant.
pub fn find(name: &str) -> Result<&'static Description, String> {
    HEAPS
        .iter()
        .find(|heap| heap.name == name)
        .ok_or_else(|| suggest::unknown("heap", name, HEAPS.iter().map(|heap| heap.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Build<'s>(&'s Settings);

    impl Visitor for Build<'_> {
        type Output = Result<(), String>;
        fn visit<A: Adapter>(self) -> Self::Output {
            A::build(self.0).map(drop)
        }
    }

    /// Each option at the ends of what it takes, and beyond: it makes a heap, or it is refused in
    /// one line.
    #[test]
    fn options_hold_to_their_ends() {
        let numbers = [
            "0",
            "1",
            "64",
            "65",
            "4294967296",
            "18446744073709551615",
            "-1",
            "1e3",
            "nan",
        ];
        let times = ["1ns", "0s", "584554530872y", "99999999999999999999y", "off"];
        let sizes = ["1", "64K", "8191T", "8192T", "1e300", "0.1", "infT", "auto"];
        let percentages = [
            "0/0", "100/100", "101/0", "0/255", "256/2", "98", "-1/2", "98/2/1",
        ];
        let values = || {
            numbers
                .iter()
                .chain(&times)
                .chain(&sizes)
                .chain(&percentages)
        };
        for heap in HEAPS {
            for option in heap.options() {
                let mut taken = 0;
                for value in values() {
                    let mut settings = Settings::of(heap, 64 << 20);
                    let set = settings.set(heap, option.name, value);
                    let built = set.and_then(|()| {
                        taken += 1;
                        visit(heap.name, &settings, Build(&settings)).unwrap()
                    });
                    if let Err(refused) = built {
                        assert!(!refused.contains('\n') && refused.len() > 20, "{refused}");
                    }
                }
                assert!(taken < values().count(), "{} takes anything", option.name);
            }
            for limit in [0, 1, 4096, 1 << 20, (1 << 53) - 1, u64::MAX] {
                let settings = Settings::of(heap, limit);
                if let Err(refused) = visit(heap.name, &settings, Build(&settings)).unwrap() {
                    assert!(!refused.contains('\n'), "{refused}");
                }
            }
        }
    }
}
