//! Under construction.
#![forbid(unsafe_code)]
pub mod heap;
pub mod measure;
pub mod sync {
    //! Under construction.
}
