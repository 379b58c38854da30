mod debiting;
mod invariants;
mod pruning;
mod set_limits;
