//! Counts by transaction.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use anyhow::Result;
use pgwal::rmgr::xact::Xact;
use pgwal::{Lsn, RawRecord, ReadError, Record, RmgrId, TextBuffer, Timestamp, TransactionId};

use super::Counter;
use super::counts::{Counts, Share};
use super::table::{Cell, Span, Table, TableRow};
use crate::arguments::RecordFormat;
use crate::output::Output;
use crate::time::local_text;

const FIELDS: &[&str] = &["xid", "subtransactions", "begin", "end", "outcome", "time"];
const HEADINGS: &[&str] = &["Transaction", "Sub", "First record", "End", "Outcome", "Time"];

/// What became of a transaction, as far as the records tell that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// No record tells.
    Unknown,
    Committed(Timestamp),
    Aborted(Timestamp),
    /// Prepared for commit in two phases, and not yet ended.
    Prepared(Timestamp),
}

/// A transaction with its subtransactions, as far as known.
#[derive(Debug, Clone)]
struct Transaction {
    /// Invalid for the records outside of transactions.
    xid: TransactionId,
    share: Share,
    subtransactions: u64,
    begin: Lsn,
    end: Lsn,
    outcome: Outcome,
}

impl Transaction {
    const fn new(xid: TransactionId) -> Self {
        let share = Share { counts: Counts { count: 0, record_size: 0, fpi_size: 0 }, fpi_count: 0 };
        Self { xid, share, subtransactions: 0, begin: Lsn::MAX, end: Lsn::INVALID, outcome: Outcome::Unknown }
    }

    /// Adds what was counted of a subtransaction.
    fn join(&mut self, subtransaction: &Self) {
        self.share += subtransaction.share;
        self.begin = self.begin.min(subtransaction.begin);
        self.end = self.end.max(subtransaction.end);
    }

    fn row(&self, scratch: &mut TextBuffer) -> TableRow {
        let (outcome, time) = match self.outcome {
            Outcome::Unknown => ("unknown", None),
            Outcome::Committed(time) => ("committed", Some(time)),
            Outcome::Aborted(time) => ("aborted", Some(time)),
            Outcome::Prepared(time) => ("prepared", Some(time)),
        };
        let time = time.map(|time| {
            scratch.clear();
            scratch.append_time(time);
            scratch.to_string()
        });
        let (begin, end) = (self.begin.to_string(), self.end.to_string());
        if !self.xid.is_valid() {
            let missing = Cell::Missing(());
            let cells =
                vec![missing.clone(), missing.clone(), Cell::Text(begin), Cell::Text(end), missing.clone(), missing];
            let labels = vec!["-".to_owned(); 2].into_iter().chain(vec![String::new(); 4]).collect();
            return TableRow { cells, labels, share: self.share };
        }
        let cells = vec![
            Cell::Number(u64::from(self.xid.get())),
            Cell::Number(self.subtransactions),
            Cell::Text(begin.clone()),
            Cell::Text(end.clone()),
            Cell::Text(outcome.to_owned()),
            time.clone().map_or(Cell::Missing(()), Cell::Text),
        ];
        let (xid, subtransactions) = (self.xid.to_string(), self.subtransactions.to_string());
        let labels = vec![xid, subtransactions, begin, end, outcome.to_owned(), time.unwrap_or_default()];
        TableRow { cells, labels, share: self.share }
    }
}

/// By size, and among those of one size the older ones last: only such an order makes the result the same each time.
#[derive(Debug)]
struct BySize(Transaction);

impl BySize {
    fn key(&self) -> (u64, Reverse<Lsn>) {
        (self.0.share.counts.combined_size(), Reverse(self.0.begin))
    }
}

impl PartialEq for BySize {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for BySize {}

impl PartialOrd for BySize {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BySize {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The counts of each transaction. Of those that have ended only the largest are kept, if only these are wanted.
#[derive(Debug)]
pub(super) struct Transactions {
    top: Option<u32>,
    /// Those that have not ended, by their number; subtransactions of which no more is known among them.
    running: HashMap<TransactionId, Transaction>,
    /// The transaction of each subtransaction that told it before its end.
    parents: HashMap<TransactionId, TransactionId>,
    /// Those that have ended: the smallest at the top.
    ended: BinaryHeap<Reverse<BySize>>,
    /// How many have ended and were too small, and their sum.
    others: (u64, Share),
    total: Share,
}

impl Transactions {
    pub(super) fn new(top: Option<u32>) -> Self {
        let (running, parents) = (HashMap::new(), HashMap::new());
        let (others, total) = ((0, Share::default()), Share::default());
        Self { top, running, parents, ended: BinaryHeap::new(), others, total }
    }

    fn add(&mut self, record: &Record<'_>) -> Result<(), ReadError> {
        let fpi_count = record.blocks.iter().filter(|block| block.image.is_some()).count() as u64;
        let fpi_size = u64::from(record.image_len());
        let record_size = u64::from(record.total_len).saturating_sub(fpi_size);
        let share = Share { counts: Counts { count: 1, record_size, fpi_size }, fpi_count };
        self.total += share;

        let xact = if record.rmgr == RmgrId::TRANSACTION { Xact::parse(record) } else { Ok(Xact::Unknown) };
        let xact = xact.map_err(|error| ReadError { lsn: error.lsn, kind: error.cause.into() })?;
        let mut writer = record.xid;
        match (&xact, record.top_xid) {
            (Xact::Commit(end) | Xact::Abort(end), _) => writer = end.xid,
            (Xact::Prepare(prepare), _) => writer = prepare.xid,
            (Xact::Assignment { top, subtransactions }, _) => {
                subtransactions.iter().for_each(|xid| self.set_parent(*xid, *top));
                writer = *top;
            }
            (_, Some(top)) => self.set_parent(record.xid, top),
            _ => {}
        }
        let owner = self.parents.get(&writer).copied().unwrap_or(writer);
        let transaction = self.running.entry(owner).or_insert_with(|| Transaction::new(owner));
        transaction.share += share;
        transaction.begin = transaction.begin.min(record.lsn);
        transaction.end = record.end;
        match xact {
            // A subtransaction whose transaction is known ends with that one.
            _ if owner != writer => {}
            Xact::Prepare(prepare) => {
                transaction.outcome = Outcome::Prepared(prepare.time);
                self.adopt(owner, &prepare.subtransactions);
            }
            Xact::Commit(end) => {
                transaction.outcome = Outcome::Committed(end.time);
                self.end(owner, &end.subtransactions);
            }
            Xact::Abort(end) => {
                transaction.outcome = Outcome::Aborted(end.time);
                self.end(owner, &end.subtransactions);
            }
            _ => {}
        }
        Ok(())
    }

    /// From now on, the records of a subtransaction belong to `top`.
    fn set_parent(&mut self, xid: TransactionId, top: TransactionId) {
        if xid != top && self.parents.insert(xid, top).is_none() {
            self.adopt(top, &[xid]);
            let transaction = self.running.entry(top).or_insert_with(|| Transaction::new(top));
            transaction.subtransactions += 1;
        }
    }

    /// Adds what was counted of subtransactions as if they were transactions of their own.
    fn adopt(&mut self, top: TransactionId, subtransactions: &[TransactionId]) {
        for xid in subtransactions {
            let Some(subtransaction) = self.running.remove(xid) else { continue };
            let transaction = self.running.entry(top).or_insert_with(|| Transaction::new(top));
            transaction.join(&subtransaction);
        }
    }

    /// The transaction has ended, and will not be heard of again.
    fn end(&mut self, xid: TransactionId, subtransactions: &[TransactionId]) {
        self.adopt(xid, subtransactions);
        let Some(mut transaction) = self.running.remove(&xid) else { return };
        // Those that were told of before and now again count once.
        let new = subtransactions.iter().filter(|xid| !self.parents.contains_key(xid)).count() as u64;
        transaction.subtransactions += new;
        if !self.parents.is_empty() {
            self.parents.retain(|_, top| *top != xid);
        }
        self.keep(transaction);
    }

    /// Keeps the transaction if it is one of the largest so far.
    fn keep(&mut self, transaction: Transaction) {
        self.ended.push(Reverse(BySize(transaction)));
        let top = self.top.map_or(usize::MAX, |top| usize::try_from(top).unwrap_or(usize::MAX));
        if self.ended.len() > top
            && let Some(Reverse(BySize(smallest))) = self.ended.pop()
        {
            self.others.0 += 1;
            self.others.1 += smallest.share;
        }
    }

    fn table(mut self, span: Span) -> Table {
        for (_, transaction) in std::mem::take(&mut self.running) {
            self.keep(transaction);
        }
        let mut transactions: Vec<_> = self.ended.into_iter().map(|Reverse(transaction)| transaction).collect();
        transactions.sort_unstable_by(|one, other| other.cmp(one));
        let mut scratch = local_text();
        let rows = transactions.iter().map(|BySize(transaction)| transaction.row(&mut scratch)).collect();
        let mut table = Table::new("transaction", span, FIELDS, HEADINGS, rows, self.total);
        table.others = Some(self.others).filter(|(rows, _)| *rows > 0);
        table
    }
}

impl Counter for Transactions {
    /// Which transaction a record belongs to is known by what came before.
    fn parts(&self) -> Option<impl Fn() -> Self + Sync + use<>> {
        None::<fn() -> Self>
    }

    fn join(&mut self, _later: Self) {}

    fn count(&mut self, record: &RawRecord<'_>) -> Result<(), ReadError> {
        self.add(&record.decode()?)
    }

    fn write(self, span: Span, format: RecordFormat, output: &mut Output) -> Result<()> {
        self.table(span).write(format, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwal::Version;

    /// A record of ten bytes of transaction `xid` at `lsn`.
    fn record<'a>(lsn: u64, xid: u32, top: Option<u32>) -> Record<'a> {
        Record {
            lsn: Lsn::new(lsn),
            end: Lsn::new(lsn + 0x10),
            prev: Lsn::INVALID,
            total_len: 10,
            xid: TransactionId::new(xid),
            top_xid: top.map(TransactionId::new),
            origin: None,
            rmgr: RmgrId::HEAP,
            info: 0,
            version: Version::V15,
            main_data: &[],
            blocks: Default::default(),
        }
    }

    /// `xl_xact_commit` or `xl_xact_abort` with subtransactions.
    fn ending(subtransactions: &[u32]) -> Vec<u8> {
        let mut data = 5_000_000i64.to_le_bytes().to_vec();
        data.extend(2u32.to_le_bytes());
        data.extend((subtransactions.len() as i32).to_le_bytes());
        subtransactions.iter().for_each(|xid| data.extend(xid.to_le_bytes()));
        data
    }

    fn end(lsn: u64, xid: u32, operation: u8, data: &[u8]) -> Record<'_> {
        Record { rmgr: RmgrId::TRANSACTION, info: operation | 0x80, main_data: data, ..record(lsn, xid, None) }
    }

    fn told(transactions: Transactions) -> Vec<(String, u64, u64, String)> {
        let span = Span { start: Lsn::new(1), end: Lsn::new(2) };
        let json = serde_json::to_value(transactions.table(span)).unwrap();
        let rows = json["rows"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.to_string().trim_matches('"').to_owned();
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
        rows.map(|row| {
            (text(&row["xid"]), number(&row["count"]), number(&row["subtransactions"]), text(&row["outcome"]))
        })
        .collect()
    }

    fn row(xid: &str, count: u64, subtransactions: u64, outcome: &str) -> (String, u64, u64, String) {
        (xid.to_owned(), count, subtransactions, outcome.to_owned())
    }

    #[test]
    fn subtransactions_join_their_transaction_where_the_log_tells_it() {
        let mut transactions = Transactions::new(None);
        let (with_two, without) = (ending(&[11, 12]), ending(&[]));
        let records = [
            record(0x10, 10, None),
            record(0x20, 11, None),
            // As with wal_level = logical.
            record(0x30, 12, Some(10)),
            record(0x40, 12, None),
            record(0x50, 20, None),
            record(0x60, 21, None),
            end(0x70, 10, 0x00, &with_two),
            // Rolled back to a savepoint.
            end(0x80, 21, 0x20, &without),
            record(0x90, 0, None),
            record(0xA0, 30, None),
            end(0xB0, 20, 0x20, &without),
        ];
        records.iter().for_each(|record| transactions.add(record).unwrap());
        assert!(transactions.parents.is_empty());
        let expected = [
            row("10", 5, 2, "committed"),
            row("20", 2, 0, "aborted"),
            row("21", 2, 0, "aborted"),
            row("null", 1, 0, "null"),
            row("30", 1, 0, "unknown"),
        ];
        assert_eq!(told(transactions), expected);
    }

    #[test]
    fn only_the_largest_are_kept_if_only_they_are_wanted() {
        let mut transactions = Transactions::new(Some(2));
        let without = ending(&[]);
        for xid in 3..1000 {
            let records = 1 + u64::from(xid == 500) * 5 + u64::from(xid == 700) * 3;
            (0..records).for_each(|_| transactions.add(&record(u64::from(xid) * 0x100, xid, None)).unwrap());
            transactions.add(&end(u64::from(xid) * 0x100 + 0x80, xid, 0x00, &without)).unwrap();
            assert!(transactions.ended.len() <= 2 && transactions.running.is_empty());
        }
        assert_eq!((transactions.others.0, transactions.others.1.counts.count), (995, 995 * 2));
        assert_eq!(told(transactions), [row("500", 7, 0, "committed"), row("700", 5, 0, "committed")]);
    }
}
