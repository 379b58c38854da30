mod debiting;
mod invariants;
mod set_limits;
