//! Ceremonies of many hospitals.

use epione_primitives::{consortium::threshold, limits::MAX_SEALED_SHARES_BYTES};

use super::hospitals::{KEY, World, open, some, wrap};

#[tokio::test]
async fn sixteen_and_thirty_hospitals_generate_a_key_and_renew_their_shares() {
    for count in [16, 30] {
        let mut world = World::new(count).await;
        let first = world.first_epoch().await;
        let needed = threshold(count.into());
        assert_eq!((first.members.len(), usize::from(first.threshold)), (count.into(), needed));
        let state = world.view().state.clone().unwrap();
        let sealed = state.dealings.iter().flatten().map(|it| world.chain.bodies[&it.body].len());
        assert!(sealed.max().unwrap() <= MAX_SEALED_SHARES_BYTES as usize);
        let shares = world.shares(&first).await;
        let wrapped = wrap(&first, &shares[&world.hospitals[1].id]);

        world.request_refresh();
        let second = world.next_epoch(Some(first.id)).await;
        let second = world.all_confirm(second.id).await;
        let shares = world.shares(&second).await;
        let mixing = world.followed(&second, &shares[&world.hospitals[2].id], first.id);
        assert_eq!(open(&wrapped, &mixing, &some(&shares, needed)), Some(KEY));
        assert_eq!(open(&wrapped, &mixing, &some(&shares, needed - 1)), None);
    }
}
