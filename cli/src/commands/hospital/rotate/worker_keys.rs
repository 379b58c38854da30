//! New keys of a worker: the sealing key, and the key that it proves in TLS.

use epione_envelope::{account::Signer, keystore::ActorKeys, sealing_keys::SealingSuite, tls};
use epione_primitives::Hash;

use super::{RotateArgs, Rotated, Rotation};
use crate::{
    commands::hospital::{
        SetEndpointArgs, SetSealingKeyArgs, TlsKey, folder::Folder, init::save_worker_keys,
        set_endpoint, set_sealing_key, worker_settings::Keystore,
    },
    confirmation::confirm,
    context::Context,
    failure::Failure,
    identity::KeySource,
};

/// Writes a worker's next key file, and makes the worker use it from its next start on.
pub(super) fn prepare(folder: &Folder, keys: &ActorKeys) -> Result<(), Failure> {
    let mut settings = folder.worker_settings()?;
    let path = folder.unused("agent", "json");
    let files = Keystore { password_file: path.with_extension("password"), path };
    save_worker_keys(keys, &files)?;
    settings.replace_keystore(&files)
}

/// In two runs, so that the worker has the key before others seal to it.
pub async fn sealing(args: &RotateArgs, context: Context) -> Result<Rotated, Failure> {
    let rotation = Rotation::begin(args, context).await?;
    let Rotation { folder, context, hospital, entry, source, .. } = &rotation;
    let present = folder.worker_settings()?.keystore()?;
    let file = KeySource::File(present.path.clone());
    if file.public()?.sealing.as_bytes() == entry.sealing_key.as_slice() {
        let asked = format!(
            "the worker of hospital {hospital} gets a key file with a new sealing key; nothing changes on the chain yet"
        );
        confirm(context, &asked, args.yes).await?;
        let before = folder.open_worker_keys()?;
        prepare(folder, &before.with_new_sealing_key(SealingSuite::XWing))?;
        let mut rotated = rotation.rotated("sealing key", None);
        rotated.keep = vec![present.path, present.password_file];
        rotated.steps.push("restart the worker, as root: systemctl restart epione-worker".into());
        rotated.next = Some(folder.rotation("sealing", args.signer.as_ref()).to_string());
        return Ok(rotated);
    }
    let asked = format!(
        "everybody seals to the new sealing key of hospital {hospital} from now on: its worker must already run with \
         the key file {}",
        present.path.display()
    );
    confirm(context, &asked, args.yes).await?;
    let set = SetSealingKeyArgs { keys: file, signer: Some(source.clone()), hospital: None };
    let block = set_sealing_key(&set, context).await?.block;
    let mut rotated = rotation.rotated("sealing key", Some(block));
    rotated.steps.push(
        "keep the previous key files until the metric epione_worker_profiles_to_rewrap is 0: without them, nobody \
         can read the profiles that are sealed to them"
            .into(),
    );
    Ok(rotated)
}

pub async fn tls(args: &RotateArgs, context: Context) -> Result<Rotated, Failure> {
    let rotation = Rotation::begin(args, context).await?;
    let Rotation { folder, context, hospital, entry, source, .. } = &rotation;
    let keys = folder.open_worker_keys()?;
    if keys.account.account() != entry.agent {
        return Err(Failure::new(
            "the worker's key file is not of the agent that the chain names",
            "finish the rotation of the agent first",
        )
        .with_command(folder.rotation("agent", args.signer.as_ref())));
    }
    let public = |generation| tls::key(&keys.account, generation).public();
    let present = (0..tls::GENERATIONS).find(|generation| public(*generation) == entry.tls_key);
    // The first one, if the chain names a key of an earlier agent.
    let next = present.map_or(0, |generation| generation + 1);
    if next >= tls::GENERATIONS {
        return Err(Failure::new(
            "the worker's key file has no further TLS key",
            "give the worker a new account, which has new TLS keys",
        )
        .with_command(folder.rotation("agent", args.signer.as_ref())));
    }
    let key = TlsKey(public(next));
    let asked = format!(
        "everybody expects the worker of hospital {hospital} to prove the TLS key {:?} from now on",
        Hash::from(key.0)
    );
    confirm(context, &asked, args.yes).await?;
    let set = SetEndpointArgs {
        url: None,
        tls_key: Some(key),
        storage_origin: None,
        signer: Some(source.clone()),
        hospital: None,
    };
    let block = set_endpoint(&set, context).await?.block;
    let mut rotated = rotation.rotated("TLS key", Some(block));
    rotated.steps.push(
        "the worker uses it within seconds, without a restart: check that the metric epione_worker_tls_key_matches is 1"
            .into(),
    );
    Ok(rotated)
}
