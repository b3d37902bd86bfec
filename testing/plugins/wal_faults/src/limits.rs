//! Records at the limits of what a record may have, and beyond.

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::{BlockNumber, Fork};
use pgxlog::{ExclusiveBuffer, RecordBlock, RecordBuilder, Relation, ResourceManager};

use crate::custom::{Manager, Operation, Unregistered};
use crate::fault::Fault;
use crate::page;

/// Bytes of a piece of data.
const PIECE: usize = 1 << 20;

/// Writes a record of that case; tells `written`, `not logged`, or what the error says. Each block's counters go up by one.
#[pg_extern(sql = "", volatile)]
fn wal_faults_limit(oid: pg_sys::Oid, other: pg_sys::Oid, case: &str) -> String {
    let (opened, opened_other) = (page::open(oid), page::open(other));
    let (relation, other) = (page::relation(&opened), page::relation(&opened_other));
    let piece = vec![7; PIECE];
    let one = lock(relation, 0);
    match case {
        "nothing at all" => write([], RecordBuilder::<Manager>::new(Operation::Nothing)),
        "33 blocks" => many::<33>(relation, one),
        "34 blocks" => many::<34>(relation, one),
        "block data of 65535 bytes" => with_data(one, &piece[..65_535 - 8]),
        "block data of 65536 bytes" => with_data(one, &piece[..65_536 - 8]),
        "100 pieces of block data" => {
            let value = 1_u64.to_le_bytes();
            let mut one = one;
            let block = RecordBlock::new(&mut one).standard().keep_data().data(&value[..]);
            let block = (0..99).fold(block, |block, _| block.data(&piece[..3]));
            write([block], RecordBuilder::<Manager>::new(Operation::Add))
        }
        "30 MB" => pieces(one, &piece, 30),
        "1020 MB" => pieces(one, &piece, 1020),
        "logged and unlogged" => {
            let (mut one, mut two) = (one, lock(other, 0));
            let blocks = [block(&mut one), block(&mut two)];
            write(blocks, RecordBuilder::<Manager>::new(Operation::Add))
        }
        "not registered" => {
            let mut one = one;
            write([block(&mut one)], RecordBuilder::<Unregistered>::new(Operation::Add))
        }
        "locked twice" => {
            let _two = lock(relation, 0);
            drop(one);
            "locked".to_owned()
        }
        _ => panic!("no such case"),
    }
}

fn lock(relation: Relation<'_>, number: u32) -> ExclusiveBuffer<'_> {
    relation.read(Fork::MAIN, BlockNumber::new(number)).exclusive()
}

fn block<'b>(buffer: &'b mut ExclusiveBuffer<'_>) -> RecordBlock<'b> {
    RecordBlock::new(buffer).standard().data(1_u64.to_le_bytes().to_vec())
}

fn with_data(mut buffer: ExclusiveBuffer<'_>, data: &[u8]) -> String {
    let block = block(&mut buffer).keep_data().data(data);
    write([block], RecordBuilder::<Manager>::new(Operation::Add))
}

fn pieces(mut buffer: ExclusiveBuffer<'_>, piece: &[u8], count: usize) -> String {
    let builder = RecordBuilder::<Manager>::new(Operation::Add);
    let builder = (0..count).fold(builder, |builder, _| builder.data(piece));
    write([block(&mut buffer)], builder)
}

fn many<const N: usize>(relation: Relation<'_>, first: ExclusiveBuffer<'_>) -> String {
    let mut buffers = vec![first];
    buffers.extend((1..N as u32).map(|number| lock(relation, number)));
    let blocks: Vec<_> = buffers.iter_mut().map(block).collect();
    let Ok(blocks) = <[RecordBlock<'_>; N]>::try_from(blocks) else { panic!("not so many blocks") };
    write(blocks, RecordBuilder::<Manager>::new(Operation::Add))
}

fn write<R, const N: usize>(blocks: [RecordBlock<'_>; N], builder: RecordBuilder<'_, R>) -> String
where
    R: ResourceManager,
{
    let none = Fault::new("", "");
    let outcome = builder.commit(blocks, |pages| {
        for page in pages {
            page::add(page, 1, &none).unwrap_or_else(|error| panic!("{error}"));
        }
    });
    match outcome {
        Ok(Some(_)) => "written".to_owned(),
        Ok(None) => "not logged".to_owned(),
        Err(error) => error.to_string(),
    }
}
