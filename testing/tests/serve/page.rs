//! The page in a browser: from the overview to a single block and back, by mouse and by keyboard, in light and dark.

use anyhow::{Context as _, Result, ensure};

use super::browser::{self, Browser};
use super::{DATABASE, HOSTILE, cluster, command, serve};
use crate::served::Served;

/// How many blocks each cell stands for, once the heat map is there.
const PER_CELL: &str = "document.querySelector('#heatmap')?.dataset.perCell";
const TOLD: &str = "document.querySelector('#told')?.textContent";
const CRUMBS: &str = "[...document.querySelectorAll('#crumbs li')].map((crumb) => crumb.textContent).join(' > ')";
const NAMES: &str =
    "[...document.querySelectorAll('#tables tbody tr td:first-child a')].map((name) => name.textContent)";
const LINK: &str = "[...document.querySelectorAll('#tables a')].find((link) => link.textContent === 'public.orders')";

#[test]
fn by_mouse_from_the_overview_to_a_block_and_back() -> Result<()> {
    let Some(program) = browser::find()? else { return Ok(()) };
    let cluster = cluster()?;
    let served = serve(&cluster, &[])?;
    let mut browser = Browser::start(&program)?;
    browser.look_like(1280, 900, false)?;
    browser.go(&served.url)?;
    browser.wait_for("document.querySelector('main h1')?.textContent === 'Overview'")?;
    browser.wait_for(
        "document.body.innerText.includes('garbagemap') && document.querySelectorAll('.u-wrap').length === 3",
    )?;
    cluster.psql(
        DATABASE,
        "INSERT INTO parts SELECT generate_series(1, 30000); UPDATE parts SET id = id + 1 WHERE id < 3000",
    )?;
    browser.wait_for("document.querySelector('#chart-wal .u-legend').textContent.includes('Heap')")?;
    browser.value("new Promise((done) => setTimeout(done, 3000))")?;
    browser.picture("overview-light")?;

    // Tables: sorted by a heading, once more the other way round, and filtered.
    browser.click("header nav a[href='#/tables']")?;
    browser.wait_for(&format!("{NAMES}.length > 50 && {NAMES}[0] === 'public.orders'"))?;
    browser.picture("tables-light")?;
    browser.click("#sort-name")?;
    browser.wait_for("document.querySelector('th[aria-sort]').textContent === 'Table ▲'")?;
    let names = browser.value(NAMES)?;
    let names: Vec<&str> = names.as_array().context("no names")?.iter().filter_map(|name| name.as_str()).collect();
    ensure!(names.is_sorted(), "{names:?}");
    browser.click("#sort-name")?;
    browser.wait_for("document.querySelector('th[aria-sort]').getAttribute('aria-sort') === 'descending'")?;
    browser.value("history.back()")?;
    browser.wait_for("document.querySelector('th[aria-sort]').getAttribute('aria-sort') === 'ascending'")?;
    browser.click("#sort-dead-tuples")?;
    browser.click("#filter")?;
    for letter in ["i", "m", "g"] {
        browser.press(letter)?;
    }
    browser.wait_for(&format!("{NAMES}.length === 1"))?;
    // A name is text, whatever it holds.
    let quoted = format!("public.\"{}\"", HOSTILE.replace('"', "\"\""));
    assert_eq!(browser.value(NAMES)?[0], quoted.as_str());
    assert_eq!(browser.value("document.querySelectorAll('main img').length")?, 0);
    browser.picture("tables-hostile")?;
    browser.click("#tables a")?;
    browser.wait_for("document.querySelector('main h1').textContent.includes('onerror')")?;
    assert_eq!(
        browser.value("[document.querySelectorAll('main img').length, document.title.includes('taken')]")?,
        serde_json::json!([0, false])
    );
    browser.picture("table-hostile")?;

    // One table: into a cell, to a block, and back.
    browser.click("header nav a[href='#/tables']")?;
    browser.wait_for(LINK)?;
    let link = browser.text(&format!("{LINK}.getAttribute('href')"))?;
    browser.click(&format!("#tables a[href='{link}']"))?;
    browser.wait_for(&format!("{PER_CELL} > 1"))?;
    browser.wait_for("document.querySelector('.figures') && document.querySelector('.u-wrap')")?;
    browser.picture("table-light")?;
    browser.value("document.querySelector('#heatmap').focus()")?;
    browser.press("w")?;
    browser.press("ArrowLeft")?;
    click_on_cell(&mut browser, 100)?;
    browser.wait_for(&format!("{PER_CELL} === '1'"))?;
    browser.wait_for(&format!("{CRUMBS}.startsWith('whole table > blocks ')"))?;
    browser.picture("zoom-light")?;
    click_on_cell(&mut browser, 1)?;
    browser.wait_for("document.querySelector('#block h2')?.textContent.startsWith('Block ')")?;
    let shown = browser.text("document.querySelector('#block').innerText")?;
    let told = browser.text(TOLD)?;
    let id = link.trim_start_matches("#/table/");
    let block = browser.text("new URLSearchParams(location.hash.split('?')[1]).get('block')")?;
    let row = cluster.psql(
        DATABASE,
        &format!(
            "SELECT n_dead_tuples, n_tuples, to_char(freespace, 'FM999,999') FROM garbage_blocks({id}::regclass, false, {block}, {block})"
        ),
    )?;
    let row: Vec<&str> = row.split('|').collect();
    ensure!(
        shown.contains(&format!("Dead tuples\n{}\n", row[0])) && shown.contains(&format!("Tuples\n{}\n", row[1])),
        "{row:?}: {shown}"
    );
    ensure!(told.contains(&format!("{} dead of {} tuples", row[0], row[1])), "{row:?}: {told}");
    browser.picture("block-light")?;
    browser.look_like(1280, 900, true)?;
    browser.picture("block-dark")?;
    browser.value("history.back()")?;
    browser.wait_for(&format!("!document.querySelector('#block h2') && {PER_CELL} === '1'"))?;
    browser.click("#crumbs button")?;
    browser.wait_for(&format!("{PER_CELL} > 1"))?;
    browser.picture("table-dark")?;
    browser.click("header nav a[href='#/overview']")?;
    browser.wait_for("document.querySelectorAll('.u-wrap').length === 3")?;
    browser.picture("overview-dark")?;

    // The switch wins over the system, also after the page is loaded again.
    browser.value("(() => { const e = document.querySelector('#theme'); e.value = 'light'; e.dispatchEvent(new Event('change')); })()")?;
    let ground = "getComputedStyle(document.documentElement).backgroundColor";
    assert_eq!(browser.text(ground)?, "rgb(255, 255, 255)");
    browser.go(&format!("{}/#/tables?sort=size", served.url))?;
    browser.wait_for(&format!("{NAMES}.length > 50"))?;
    assert_eq!(browser.text(ground)?, "rgb(255, 255, 255)");

    for (width, height) in [(360, 740), (1600, 1000)] {
        browser.look_like(width, height, true)?;
        for (name, address) in
            [("overview", "#/overview".to_owned()), ("tables", "#/tables".to_owned()), ("table", link.clone())]
        {
            browser.value(&format!("location.hash = '{address}'"))?;
            browser.wait_for("document.querySelector('main h1') && (document.querySelector('.u-wrap') || document.querySelector('#tables tbody tr'))")?;
            browser.value("new Promise((done) => setTimeout(done, 700))")?;
            browser.picture(&format!("{name}-{width}"))?;
        }
    }
    browser.assert_clean(&served.url)
}

/// Clicks on the middle of a cell of the heat map.
fn click_on_cell(browser: &mut Browser, cell: u32) -> Result<()> {
    let place = browser.value(&format!(
        "(() => {{ const e = document.querySelector('#heatmap'); e.scrollIntoView({{ block: 'center' }});
            const b = e.getBoundingClientRect(); const columns = Number(e.dataset.columns);
            const rows = Math.ceil(Number(e.dataset.cells) / columns);
            return [b.left + b.width * ({cell} % columns + 0.5) / columns, b.top + b.height * (Math.floor({cell} / columns) + 0.5) / rows]; }})()"
    ))?;
    browser.click_at(&place[0], &place[1])
}

#[test]
fn by_keyboard_alone_in_dark() -> Result<()> {
    let Some(program) = browser::find()? else { return Ok(()) };
    let cluster = cluster()?;
    let served = serve(&cluster, &[])?;
    let mut browser = Browser::start(&program)?;
    browser.look_like(1280, 900, true)?;
    browser.go(&served.url)?;
    browser.wait_for("document.querySelectorAll('.u-wrap').length === 3")?;
    browser.tab_to("e.textContent === 'Tables'")?;
    browser.press("Enter")?;
    browser.wait_for(&format!("{NAMES}.length > 50"))?;
    browser.tab_to("e.id === 'sort-dead-bytes'")?;
    browser.press("Enter")?;
    browser.wait_for("document.querySelector('th[aria-sort]').getAttribute('aria-sort') === 'ascending'")?;
    // The focus stays on the heading.
    browser.press("Enter")?;
    browser.wait_for("document.querySelector('th[aria-sort]').getAttribute('aria-sort') === 'descending'")?;
    browser.tab_to("e.textContent === 'public.orders'")?;
    browser.picture("tables-focus-dark")?;
    browser.press("Enter")?;
    browser.wait_for(&format!("{PER_CELL} > 1"))?;
    browser.tab_to("e.id === 'heatmap'")?;
    browser.press("w")?;
    browser.wait_for(&format!("{TOLD}.includes('(100 %)') || {TOLD}.includes('dead of')"))?;
    let worst = browser.text(TOLD)?;
    browser.press("ArrowRight")?;
    ensure!(browser.text(TOLD)? != worst, "the arrow did not move");
    browser.press("ArrowLeft")?;
    assert_eq!(browser.text(TOLD)?, worst);
    browser.press("Enter")?;
    browser.wait_for(&format!("{PER_CELL} === '1'"))?;
    // One is at the first block of the cell that was opened, among its neighbours.
    let first = worst.split(' ').nth(1).context("no block")?;
    browser.wait_for(&format!("{TOLD}.startsWith('Block {first}: ')"))?;
    browser.press("ArrowRight")?;
    let next = browser.text(TOLD)?;
    ensure!(next.starts_with("Block ") && !next.starts_with(&format!("Block {first}:")), "{next}");
    browser.picture("zoom-focus-dark")?;
    browser.press("Enter")?;
    browser.wait_for("document.querySelector('#block h2')")?;
    browser.press("Escape")?;
    browser.wait_for("!document.querySelector('#block h2')")?;
    browser.press("Escape")?;
    browser.wait_for(&format!("{PER_CELL} > 1 && {CRUMBS} === 'whole table'"))?;
    // One is where one was.
    browser.wait_for(&format!("{TOLD} === {}", serde_json::json!(worst)))?;
    browser.press("Escape")?;
    browser.wait_for("document.querySelector('#tables')")?;
    browser.assert_clean(&served.url)
}

#[test]
fn the_page_asks_for_the_token_and_says_when_the_server_is_away() -> Result<()> {
    let Some(program) = browser::find()? else { return Ok(()) };
    let mut cluster = cluster()?;
    let mut command = command(&cluster.connection_string(DATABASE), &[])?;
    command.env("WALKER_SERVE_TOKEN", "0123456789abcdef0123");
    let served = Served::start(command)?;
    let mut browser = Browser::start(&program)?;
    browser.look_like(1280, 900, false)?;
    browser.go(&served.url)?;
    browser.wait_for("location.pathname === '/login' && document.querySelector('#token')")?;
    browser.picture("login")?;
    for key in "0123456789abcdef0123".chars() {
        browser.press(&key.to_string())?;
    }
    browser.press("Enter")?;
    browser.wait_for("location.pathname === '/' && document.querySelectorAll('.u-wrap').length === 3")?;
    assert_eq!(browser.text("document.cookie")?, "", "scripts see the session");
    cluster.stop(walker_testing::Mode::Fast)?;
    browser.wait_for("document.querySelector('#trouble').textContent.includes('connection to server')")?;
    let said = browser.text("document.querySelector('#trouble').innerText")?;
    ensure!(said.contains("what is shown is of"), "{said}");
    browser.picture("away")?;
    cluster.start()?;
    browser.wait_for("document.querySelector('#trouble').hidden")?;
    browser.assert_clean(&served.url)
}
