//! Tests of whole networks under zombienet; see `tests/`.
