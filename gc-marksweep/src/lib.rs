//! tmp
mod primitive;
mod safepoint;
