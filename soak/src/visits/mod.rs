//! Doctors who submit visits while something goes wrong, an account of what their workers acknowledged, and the checks
//! that nothing of it was lost. The crash loop and the drills use them.

pub mod board;
pub mod calm;
pub mod load;
