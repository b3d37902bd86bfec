//! Thousands of random changes by Generic WAL, with crashes between them: all pages are as they must be, here and on a standby.

#[path = "../plugins/wal_faults/src/random_change.rs"]
// Only the extension cares for what becomes an image.
#[allow(dead_code)]
mod random_change;

use std::env;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pgwal::DataPage;
use random_change::{Outcome, Random, RandomChange, last_change};
use walker_testing::{Cluster, ClusterBuilder, Installation, Session};

const DATABASE: &str = "postgres";
const TIMEOUT: Duration = Duration::from_secs(120);
/// The header's fields that say when a page was changed and not how: `pd_lsn` and `pd_checksum`.
const NOT_COMPARED: usize = 10;

/// So many changes; more by the variable, for long runs.
fn changes() -> u64 {
    env::var("WALKER_CHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

/// Which ones; others by the variable.
fn seed() -> u64 {
    env::var("WALKER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// What the pages must be, with all of the changes up to one.
#[derive(Debug)]
struct Model {
    seed: u64,
    pages: Vec<DataPage>,
    /// Changes up to this one were made or given up.
    number: u64,
    /// The last one that was made.
    last_made: u64,
}

impl Model {
    /// Goes on to a later change.
    fn advance_to(&mut self, number: u64) {
        for number in self.number + 1..=number {
            let change = RandomChange::new(self.seed, number, self.pages.len() as u32);
            if change.outcome != Outcome::Finished {
                continue;
            }
            self.last_made = number;
            for edit in &change.pages {
                if edit.block as usize == self.pages.len() {
                    self.pages.push(DataPage::zeroed());
                }
                let page = &mut self.pages[edit.block as usize];
                change.apply(edit, page);
                // Generic WAL does not keep what is there.
                let free = usize::from(page.lower())..usize::from(page.upper());
                page.as_bytes_mut()[free].fill(0);
            }
        }
        self.number = self.number.max(number);
    }

    /// Compares all pages, after the changes that they tell of.
    fn compare(&mut self, pages: &[DataPage]) -> Result<()> {
        let (number, _) = last_change(&pages[0]).context("block 0 is no page")?;
        ensure!(number >= self.last_made, "change {number} is the last one, though {} was durable", self.last_made);
        self.advance_to(number);
        ensure!(pages.len() >= self.pages.len(), "{} blocks, of {}", pages.len(), self.pages.len());
        for (block, (page, model)) in pages.iter().zip(&self.pages).enumerate() {
            let differs = |place: &usize| page.as_bytes()[*place] != model.as_bytes()[*place];
            if let Some(place) = (NOT_COMPARED..DataPage::SIZE).find(differs) {
                ensure!(false, "block {block} differs at {place} after change {number}: {page:?}, not {model:?}");
            }
        }
        // Of changes that were lost or given up there may be pages, but nothing is on them.
        let rest = pages.iter().skip(self.pages.len()).all(|page| page.as_bytes().iter().all(|byte| *byte == 0));
        ensure!(rest, "there is something behind the last page");
        Ok(())
    }
}

fn pages(cluster: &Cluster) -> Result<Vec<DataPage>> {
    let query = "SELECT encode(wal_faults_page('pages', block), 'hex')
        FROM generate_series(0, wal_faults_blocks('pages') - 1) AS block";
    let page = |row: Vec<String>| -> Result<DataPage> {
        let digits = row[0].as_bytes().chunks_exact(2).map(std::str::from_utf8);
        let bytes: Vec<u8> = digits.map(|digits| Ok(u8::from_str_radix(digits?, 16)?)).collect::<Result<_>>()?;
        Ok(DataPage::from_bytes(bytes.as_slice().try_into()?).clone())
    };
    cluster.psql_rows(DATABASE, query)?.into_iter().map(page).collect()
}

fn builder() -> Result<ClusterBuilder> {
    let settings = [
        ("shared_preload_libraries", "wal_faults"),
        ("autovacuum", "off"),
        ("max_wal_size", "4GB"),
        ("wal_keep_size", "4GB"),
        ("checkpoint_timeout", "1h"),
        // Few, so that pages are written and read again.
        ("shared_buffers", "1MB"),
    ];
    Ok(Cluster::builder(&Installation::for_tests()?).settings(settings))
}

/// What happens besides the changes.
fn disturb(cluster: &Cluster, random: &mut Random) -> Result<()> {
    let switch = |name: &str, value: &str| -> Result<()> {
        cluster.configure([(name, value)])?;
        cluster.reload()
    };
    match random.below(8) {
        0 | 1 => drop(cluster.psql(DATABASE, "CHECKPOINT")?),
        2 => switch("full_page_writes", "off")?,
        3 => switch("full_page_writes", "on")?,
        4 => switch("wal_consistency_checking", "generic")?,
        5 => switch("wal_consistency_checking", "")?,
        6 => drop(cluster.psql(DATABASE, "SELECT pg_switch_wal()")?),
        _ => {}
    }
    Ok(())
}

/// The changes of one batch, in a transaction that is perhaps given up: that takes none of them back.
fn batch(seed: u64, first: u64, count: u64, flush: bool, random: &mut Random) -> String {
    let end = if random.below(2) == 0 { "COMMIT" } else { "ROLLBACK" };
    format!("BEGIN; SELECT wal_faults_random('pages', {seed}, {first}, {count}, {flush}); {end};")
}

#[test]
fn random_changes_with_crashes_between_them_leave_the_pages_that_they_should() -> Result<()> {
    let (changes, seed) = (changes(), seed());
    let mut random = Random::new(seed);
    let mut cluster = builder()?.start()?;
    cluster.psql(
        DATABASE,
        "CREATE EXTENSION wal_faults; CREATE TABLE pages () WITH (autovacuum_enabled = off); SELECT wal_faults_make('pages', 2)",
    )?;
    let mut standby = cluster.base_backup(builder()?.setting("hot_standby", "on"))?;
    standby.follow(&cluster)?;
    standby.start()?;
    let mut model = Model { seed, pages: pages(&cluster)?, number: 0, last_made: 0 };
    let (mut done, mut crashes, mut next_crash) = (0, 0, 200);
    let mut session: Session = cluster.session(DATABASE)?;
    while done < changes {
        disturb(&cluster, &mut random)?;
        let count = 20 + random.below(60);
        session.execute(&batch(seed, done + 1, count, true, &mut random))?;
        // Finished or not, they are behind us and durable; what is on the pages says which was the last one that was finished.
        model.advance_to(done + count);
        done += count;
        if done >= next_crash || done >= changes {
            next_crash = done + 200 + random.below(150);
            // More of them, which are lost or not.
            session.send(&batch(seed, done + 1, 200, random.below(2) == 0, &mut random))?;
            if random.below(3) == 0 {
                drop(cluster.session(DATABASE)?.send("CHECKPOINT"));
            }
            sleep(Duration::from_millis(random.below(60)));
            cluster.crash()?;
            cluster.start()?;
            crashes += 1;
            session = cluster.session(DATABASE)?;
            let found = pages(&cluster)?;
            model.compare(&found).with_context(|| format!("seed {seed}, crash {crashes}"))?;
            done = model.number;
            let lsn = cluster.flush_wal()?;
            standby.wait_for_lsn("pg_last_wal_replay_lsn()", lsn, TIMEOUT)?;
            let replica = pages(&standby)?;
            ensure!(replica.len() >= model.pages.len(), "the standby has {} blocks", replica.len());
            for (block, (page, primary)) in replica.iter().zip(&found).take(model.pages.len()).enumerate() {
                // What was read from a file has the checksum that was there, which redo does not know.
                let [page, primary] = [page, primary].map(|page| {
                    let mut page = page.clone();
                    page.as_bytes_mut()[8..10].fill(0);
                    page
                });
                ensure!(page == primary, "seed {seed}, crash {crashes}: block {block} of the standby differs");
            }
        }
    }
    eprintln!("{done} changes, {crashes} crashes, {} pages", model.pages.len());
    ensure!(crashes >= changes / 700, "{crashes} crashes only");
    Ok(())
}
