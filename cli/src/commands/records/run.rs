//! The course of `epione records get`. What can be known without anybody's leave is looked at first: the
//! record and its author's signature, what an earlier run left of it, and whether its files can be
//! written. Then the sections that are missing are asked for, and no others. A record that fails does not
//! stop the others.

use std::{collections::BTreeSet, fs, io::ErrorKind, iter, mem};

use epione_client::{
    api::MAX_GRANT_RECORDS,
    private,
    reader::{OpenRecord, ReadError, Reader, VerifiedRecord},
};
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{
    HospitalId, RecordPointer, UserId, limits::MAX_SEGMENTS, release::SectionSet,
};

use super::{
    GetArgs, Retrieved, files,
    kept::Folder,
    retrieve::{Wanted, granted_reader, intent, own_reader, receipts, unknown, wanted, who},
};
use crate::{context::Context, failure::Failure, progress};

/// Reads records. Nothing unverified is written.
pub async fn get(args: &GetArgs, context: &Context) -> Result<Retrieved, Failure> {
    let (keys, user) = who(args, context).await?;
    let Wanted { by_hospital, missing, more } = wanted(args, context).await?;
    let is_new = fs::symlink_metadata(&args.out).is_err();
    if is_new {
        private::folder(&args.out).map_err(|error| Failure::file(&args.out, &error))?;
    } else if !args.out.is_dir() {
        return Err(Failure::file(&args.out, &ErrorKind::NotADirectory.into()));
    }
    let retrieved = Retrieved::of(args.patient, more);
    let mut run = Run { args, context, keys, user, retrieved };
    for pointer in missing {
        run.retrieved.fails(pointer, unknown(args.patient, pointer, context));
    }
    for (hospital, pointers) in by_hospital {
        run.read_at(hospital, pointers).await?;
    }
    if is_new {
        // Removed only if it is empty: nothing came.
        let _ = fs::remove_dir(&args.out);
    }
    run.retrieved.conclude()
}

struct Run<'a> {
    args: &'a GetArgs,
    context: &'a Context,
    keys: ActorKeys,
    user: UserId,
    retrieved: Retrieved,
}

/// A record of which sections are to be fetched into its folder.
struct Lacking {
    record: VerifiedRecord,
    sections: SectionSet,
    folder: Folder,
}

type Opened = Vec<Result<OpenRecord, ReadError>>;

impl Run<'_> {
    /// Reads records of one hospital, as many by one grant as fit.
    async fn read_at(
        &mut self,
        hospital: HospitalId,
        pointers: BTreeSet<RecordPointer>,
    ) -> Result<(), Failure> {
        let (mut together, mut segments) = (Vec::new(), 0);
        for pointer in pointers {
            let lacking = match self.look(pointer).await {
                Ok(Some(lacking)) => lacking,
                Ok(None) => continue,
                Err(failure) => {
                    self.retrieved.fails(pointer, failure);
                    continue;
                }
            };
            let more = lacking.record.segments();
            if together.len() == MAX_GRANT_RECORDS || segments + more > MAX_SEGMENTS as usize {
                self.read(hospital, mem::take(&mut together)).await?;
                segments = 0;
            }
            segments += more;
            together.push(lacking);
        }
        if together.is_empty() { Ok(()) } else { self.read(hospital, together).await }
    }

    /// What a record lacks; nothing, if an earlier run left all of it.
    async fn look(&mut self, pointer: RecordPointer) -> Result<Option<Lacking>, Failure> {
        let chain = self.context.chain().await?;
        let record = VerifiedRecord::of(chain, self.args.patient, pointer).await?;
        let folder = Folder::look(&self.args.out, &record).await?;
        let sections = folder.missing(&record);
        if folder.is_done || sections.is_empty() {
            self.retrieved.records.push(files::already_there(&record, folder)?);
            return Ok(None);
        }
        folder.prepare().inspect_err(|_| {
            folder.abandon();
        })?;
        Ok(Some(Lacking { record, sections, folder }))
    }

    /// Reads records by one grant, or with the patient's own key.
    async fn read(&mut self, hospital: HospitalId, together: Vec<Lacking>) -> Result<(), Failure> {
        let (mut wanted, mut places) = (Vec::new(), Vec::new());
        for Lacking { record, sections, folder } in together {
            places.push((record.summary.pointer, folder));
            wanted.push((record, sections));
        }
        let pointers: Vec<_> = places.iter().map(|(pointer, _)| *pointer).collect();
        let (reader, opened) = match self.open(hospital, wanted).await {
            Ok(opened) => opened,
            Err(failure) => {
                for (pointer, folder) in places {
                    self.retrieved.fails(pointer, files::interrupted(failure.clone(), &folder));
                }
                return Ok(());
            }
        };
        for ((pointer, folder), opened) in places.into_iter().zip(opened) {
            let saved = match opened {
                Ok(record) => files::save(&reader, &record, folder, self.context).await,
                Err(error) => Err(files::interrupted(error.into(), &folder)),
            };
            match saved {
                Ok(record) => self.retrieved.records.push(record),
                Err(failure) => self.retrieved.fails(pointer, failure),
            }
        }
        if !self.args.own_key {
            let made = receipts(self.args.patient, self.user, &pointers, self.context).await?;
            self.retrieved.receipts.extend(made);
        }
        Ok(())
    }

    async fn open(
        &self,
        hospital: HospitalId,
        wanted: Vec<(VerifiedRecord, SectionSet)>,
    ) -> Result<(Reader, Opened), Failure> {
        let Self { args, context, keys, .. } = self;
        if args.own_key {
            let reader = own_reader(args, iter::once(hospital), keys, context).await?;
            let spinner = progress::waiting(context, "opening with one's own key");
            let opened = reader.open_own_sections(args.patient, wanted).await;
            spinner.finish_and_clear();
            return Ok((reader, opened));
        }
        let reader = granted_reader(args, hospital, keys, context).await?;
        let spinner = progress::waiting(context, "asking for access");
        let opened = reader.open_sections(args.patient, wanted, intent(args, self.user)).await;
        spinner.finish_and_clear();
        Ok((reader, opened?))
    }
}
