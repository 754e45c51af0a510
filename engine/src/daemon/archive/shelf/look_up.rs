//! A message looked up in a shard's log: which segments can have it, which of their batches do, and what their records say.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use shards::Aged;
use shards::api::{MessageView, State};
use wal::Lsn;
use wal::index::{BatchError, Index, IndexError, PAGE_BYTES, Times, batch_bytes, visit_batch};
use wal::limits::BLOCK_BYTES;
use wal::segment::Header;
use wire::id::{AccountId, MessageId};

use crate::files::index_path;

use super::super::super::limits::INDEX_WHILE_ASKED_MAX;
use super::super::{Asker, Outcome};
use super::files::open;
use super::{Known, Shelf, ShelfError};

impl Shelf {
    /// What became of a message that its shard did not have, for whoever may know of it.
    pub(in super::super) fn ask(&mut self, durable: Lsn, asker: Asker, id: MessageId) -> Outcome {
        let error = match self.find(durable, asker, id) {
            Ok(None) => return Outcome::Unknown,
            Ok(Some((account, view))) if matches!(view.state, State::Final(_)) => {
                return Outcome::Found(account, view);
            }
            // A shard forgets no message before it is over. So it was too busy to say, or some of the log cannot be read.
            Ok(Some(_)) => ShelfError::Open,
            Err(error) => error,
        };
        self.complain(&error);
        Outcome::Failed
    }

    /// What the log says of a message, and whose it is, as far as it is on disk.
    ///
    /// # Errors
    /// When a file cannot be read. What was read of the last segment is told even when that ends too early.
    pub(super) fn find(
        &mut self,
        durable: Lsn,
        asker: Asker,
        id: MessageId,
    ) -> Result<Option<(AccountId, Box<MessageView>)>, ShelfError> {
        if self.listed_at != Some(self.segment_of(durable)) {
            self.list(durable)?;
        }
        if self.unread.len() > INDEX_WHILE_ASKED_MAX {
            return Err(ShelfError::Unread { count: self.unread.len() });
        }
        while let Some((&seq, _)) = self.unread.last_key_value() {
            self.index(seq)?;
        }
        let read = self.read_last(durable);
        let found = match self.look_up(asker, id) {
            // The shard may have taken a segment away since: then the rest says what there is.
            Err(_) => {
                self.list(durable)?;
                self.look_up(asker, id)?
            }
            Ok(found) => found,
        };
        let is_over = found.as_ref().is_some_and(|(_, view)| matches!(view.state, State::Final(_)));
        if is_over { Ok(found) } else { read.map(|()| found) }
    }

    fn look_up(
        &mut self,
        asker: Asker,
        id: MessageId,
    ) -> Result<Option<(AccountId, Box<MessageView>)>, ShelfError> {
        let mut aged = Aged::new(id);
        let mut is_begun = false;
        let mut places = Vec::new();
        let numbers: Vec<u64> = self.volumes.keys().copied().collect();
        for seq in numbers {
            let Some(times) = self.volumes[&seq].times() else { continue };
            if !may_have(times, id, is_begun) {
                continue;
            }
            places.clear();
            self.places_in(seq, id, &mut places)?;
            is_begun |= !places.is_empty();
            self.apply(&self.volumes[&seq].header, &places, &mut aged)?;
        }
        if let Some(last) =
            self.last.as_ref().filter(|last| last.times().is_some_and(|it| may_have(it, id, is_begun)))
        {
            places.clear();
            last.find(id, &mut places);
            self.apply(last.segment(), &places, &mut aged)?;
        }
        let account = aged.account().filter(|&account| asker.may_know_of(account));
        Ok(account.and_then(|account| Some((account, aged.view(account)?))))
    }

    /// The batches of a segment that may have a message. An index that is damaged is made again.
    fn places_in(&mut self, seq: u64, id: MessageId, places: &mut Vec<u32>) -> Result<(), ShelfError> {
        let index = match &self.volumes[&seq].index {
            Known::InMemory(gather) => {
                gather.find(id, places);
                return Ok(());
            }
            Known::Filed(index) => index,
        };
        let path = index_path(&self.dir, seq);
        match look_into(&path, index, id, places) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(event = "archive.index_damaged", file = %path.display(), %error, "it is made again");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ShelfError::Io { path, source }),
        }
        places.clear();
        let gather = self.gather(seq, None)?;
        gather.find(id, places);
        self.file(seq, gather);
        Ok(())
    }

    /// Gives a message's records in these batches to it.
    fn apply(&self, header: &Header, places: &[u32], aged: &mut Aged) -> Result<(), ShelfError> {
        if places.is_empty() {
            return Ok(());
        }
        let (path, file) = open(&self.dir, header.seq)?;
        let failed = |source| ShelfError::Io { path: path.clone(), source };
        let mut bytes = Vec::new();
        for &offset in places {
            bytes.resize(BLOCK_BYTES, 0);
            file.read_exact_at(&mut bytes, offset.into()).map_err(failed)?;
            let gone = BatchError { segment: header.seq, offset };
            let len = batch_bytes(header, offset, &bytes).filter(|&len| self.fits(offset, len));
            bytes.resize(len.ok_or(gone)?, 0);
            file.read_exact_at(&mut bytes, offset.into()).map_err(failed)?;
            visit_batch(header, offset, &bytes, aged.id(), |at, record| aged.apply(at, record))?;
        }
        Ok(())
    }

    fn fits(&self, offset: u32, len: usize) -> bool {
        u64::from(offset) + len as u64 <= self.config.layout.segment_bytes()
    }
}

/// Whether records of a message can be in a segment: none is older than its id, and before its acceptance, which is as old,
/// there is nothing of it.
fn may_have(times: Times, id: MessageId, is_begun: bool) -> bool {
    let minted = id.minted_at();
    times.last >= minted && (is_begun || times.first <= minted)
}

fn look_into(
    path: &Path,
    index: &Index,
    id: MessageId,
    places: &mut Vec<u32>,
) -> io::Result<Result<(), IndexError>> {
    let pages = index.pages_of(id);
    if pages.is_empty() {
        return Ok(Ok(()));
    }
    let file = File::open(path)?;
    let mut page = [0; PAGE_BYTES];
    for number in pages {
        match file.read_exact_at(&mut page, index.page_at(number)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Err(IndexError::Damaged("a page that is there")));
            }
            Err(error) => return Err(error),
        }
        if let Err(error) = index.find(number, &page, id, places) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}
