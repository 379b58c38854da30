//! What users find about the chain's refusals in docs/polkadot-js.md.

use epione_primitives::refusal::Refusal;

const GUIDE: &str = include_str!("../../docs/polkadot-js.md");

#[test]
fn the_guide_explains_every_code() {
    for refusal in Refusal::ALL {
        let row = format!("\n| {} | ", refusal.code());
        assert_eq!(GUIDE.matches(&row).count(), 1, "{refusal:?}: {refusal}");
    }
}
