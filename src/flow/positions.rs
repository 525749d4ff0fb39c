//! Status entries for new credentials: drawn from the database in blocks, so that no two processes share one and no
//! request waits for another; permuted, so that nobody can tell the next; spread over several open lists. Credentials that
//! are shown as QR codes have lists of their own, which checkpoints carry.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Service;
use crate::error::{Fault, Result};
use crate::model::status::{ListPurpose, Permutation};

/// Positions that a process draws at a time: a restart loses at most so many per list.
const BLOCK: u64 = 256;

/// Status positions that this process has drawn and not yet given out, by open list.
#[derive(Default)]
pub(super) struct Positions(tokio::sync::Mutex<HashMap<i64, Block>>);

#[derive(Default)]
struct Block {
    list: i64,
    permutation: Option<Permutation>,
    /// Indices that were drawn and not needed.
    spare: Vec<u64>,
    next: u64,
    end: u64,
}

impl Service {
    /// Draws `count` status entries of one list: unique for ever, and unpredictable. One request stays on one list, so
    /// that a batch does not show by its addresses; requests spread over the open lists.
    pub(super) async fn draw_positions(&self, purpose: ListPurpose, count: usize) -> Result<Vec<(i64, u64)>> {
        let lot = i64::from(u16::from_be_bytes(self.chance.bytes()));
        let slots = self.slots(purpose);
        let slot = slots.start + lot % (slots.end - slots.start);
        let mut blocks = self.positions.0.lock().await;
        let block = blocks.entry(slot).or_default();
        if block.spare.len() >= count {
            let list = block.list;
            let kept = block.spare.len() - count;
            return Ok(block.spare.drain(kept..).map(|index| (list, index)).collect());
        }
        let wanted = count as u64;
        if block.end - block.next < wanted {
            *block = self.draw_block(purpose, slot, wanted).await?;
        }
        let positions = block.next..block.next + wanted;
        block.next = positions.end;
        positions
            .map(|position| {
                let position = u32::try_from(position).ok()?;
                Some((block.list, u64::from(block.permutation.as_ref()?.index(position)?)))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| Fault::new("drawing a status index", "the position is outside its list").into())
    }

    /// Takes entries back that were drawn for a request which turned out to need none, so that repeating a request does
    /// not use up the lists.
    pub(super) async fn give_back(&self, places: impl IntoIterator<Item = (i64, u64)>) {
        let mut blocks = self.positions.0.lock().await;
        for (list, index) in places {
            if let Some(block) = blocks.values_mut().find(|block| block.list == list) {
                block.spare.push(index);
            }
        }
    }

    /// A block of positions of an open list of this slot: the lists `slot`, `slot + step`, … A new one where all are
    /// full.
    async fn draw_block(&self, purpose: ListPurpose, slot: i64, count: u64) -> Result<Block> {
        let block = BLOCK.max(count);
        loop {
            let open = self.store.open_status_lists(purpose, block).await?;
            for list in open.into_iter().filter(|list| self.is_of(slot, list.id)) {
                if let Some(start) = self.store.draw_positions(list.id, block).await? {
                    let size = u32::try_from(list.size).map_err(|error| Fault::new("drawing a status index", error))?;
                    let permutation = Permutation::new(&secret_bytes(&list.secret)?, size);
                    return Ok(Block {
                        list: list.id,
                        permutation: Some(permutation),
                        spare: Vec::new(),
                        next: start,
                        end: start + block,
                    });
                }
            }
            self.open_list(purpose, slot).await?;
        }
    }

    /// Opens the next list of every slot that runs low, so that verifiers have fetched a list before its first use.
    pub(super) async fn open_lists_ahead(&self) -> Result<()> {
        for purpose in ListPurpose::DRAWN {
            let roomy = self.store.open_status_lists(purpose, self.config.limits.status_list_size / 4).await?;
            for slot in self.slots(purpose) {
                if !roomy.iter().any(|list| self.is_of(slot, list.id)) {
                    self.open_list(purpose, slot).await?;
                }
            }
        }
        Ok(())
    }

    /// The number of the next list of the slot is one that no list has, whatever it is for.
    async fn open_list(&self, purpose: ListPurpose, slot: i64) -> Result<()> {
        let newest =
            self.store.status_lists().await?.iter().map(|list| list.id).filter(|id| self.is_of(slot, *id)).max();
        let id = newest.map_or(slot, |newest| newest + self.slot_step());
        let secret = STANDARD.encode(self.chance.bytes::<32>());
        self.store.open_status_list(id, purpose, self.config.limits.status_list_size, secret, self.clock.now()).await
    }

    /// The slots of a purpose. Each has lists of its own: its number, and every [`Service::slot_step`] from there.
    fn slots(&self, purpose: ListPurpose) -> std::ops::Range<i64> {
        let lists = i64::from(self.config.limits.status_open_lists);
        match purpose {
            ListPurpose::Qr => 1..lists + 1,
            ListPurpose::Other | ListPurpose::Any => lists + 1..2 * lists + 1,
        }
    }

    fn slot_step(&self) -> i64 {
        2 * i64::from(self.config.limits.status_open_lists)
    }

    fn is_of(&self, slot: i64, list: i64) -> bool {
        (list - slot) % self.slot_step() == 0
    }
}

fn secret_bytes(text: &str) -> Result<[u8; 32], Fault> {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Fault::new("reading a status list", "its secret is malformed"))
}
