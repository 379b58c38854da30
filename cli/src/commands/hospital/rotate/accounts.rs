//! New accounts of a hospital. The previous account loses all rights in the same block.

use epione_client::chain::calls::hospitals;
use epione_envelope::{
    account::{AccountKey, Scheme},
    keystore::ActorKeys,
    sealing_keys::SealingSuite,
};
use epione_primitives::hospital::Duty;

use super::{GovernanceArgs, RotateArgs, Rotated, Rotation, worker_keys};
use crate::{
    commands::keys,
    confirmation::confirm,
    context::Context,
    failure::Failure,
    identity::{self, KeySource},
};

pub async fn governance(args: &GovernanceArgs, context: Context) -> Result<Rotated, Failure> {
    let rotation = Rotation::begin(&args.rotate, context).await?;
    let Rotation { context, hospital, governance, source, .. } = &rotation;
    if let KeySource::File(path) = &args.next
        && !path.exists()
    {
        let fresh = ActorKeys::generate(Scheme::Sr25519, SealingSuite::XWing);
        keys::save(&fresh, path, context)?;
    }
    let next = identity::account(&context.keys(&args.next)?);
    let asked = format!(
        "hospital {hospital} is governed by account {} instead of {}, at once: the previous key signs nothing any \
         more, and the new one has its vote in the council",
        next.id(),
        governance.id()
    );
    confirm(context, &asked, args.rotate.yes).await?;
    let named = rotation.named(Duty::Governance, &next).await?;
    let call = hospitals::rotate_accounts(Some(&named), None);
    let block = context.chain().await?.submit(&call, governance).await?.block.number;
    let mut rotated = rotation.rotated("governance account", Some(block));
    if let (KeySource::File(new), KeySource::File(old)) = (&args.next, source) {
        rotated.steps.push(format!(
            "from now on, sign with {} (--as), or put it in the place of {}; keep copies of it elsewhere",
            new.display(),
            old.display()
        ));
    }
    rotated.steps.push("session keys, agent and the worker's keys stay as they are".into());
    Ok(rotated)
}

pub async fn agent(args: &RotateArgs, context: Context) -> Result<Rotated, Failure> {
    let rotation = Rotation::begin(args, context).await?;
    let Rotation { folder, context, hospital, entry, governance, .. } = &rotation;
    let present = folder.worker_settings()?.keystore()?;
    let asked = format!(
        "the worker of hospital {hospital} gets a new account, at once: until you restart it with its new key file, \
         it can neither announce nor approve"
    );
    confirm(context, &asked, args.yes).await?;
    // An earlier run may have ended after it had prepared the file.
    if KeySource::File(present.path).public()?.account == entry.agent {
        let before = folder.open_worker_keys()?;
        let account = AccountKey::generate(Scheme::Sr25519);
        worker_keys::prepare(folder, &ActorKeys { account, sealing: before.sealing })?;
    }
    let next = identity::account(&folder.open_worker_keys()?);
    let named = rotation.named(Duty::Agent, &next).await?;
    let call = hospitals::rotate_accounts(None, Some(&named));
    let block = context.chain().await?.submit(&call, governance).await?.block.number;
    let mut rotated = rotation.rotated("agent account", Some(block));
    rotated.steps = vec![
        format!("{} names the new key file, and the previous one", folder.worker_config().display()),
        "restart the worker now, as root: systemctl restart epione-worker".into(),
        "the worker still proves its previous TLS key, with the previous key file: replace that key, too".into(),
    ];
    rotated.next = Some(folder.rotation("tls", args.signer.as_ref()).to_string());
    Ok(rotated)
}
