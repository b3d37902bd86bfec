/// The first page of segment `000000010000000000000001` of PostgreSQL 17 with three records, so that examples have
/// something to read: a row is inserted into table 1663/5/16384, whose page the record holds; `test_custom_rmgrs`
/// writes its message; the transaction commits.
pub fn small_log() -> Vec<u8> {
    const BEGIN: u64 = 0x100_0000;
    let mut log = Vec::new();
    log.extend(0xD116u16.to_le_bytes()); // xlp_magic
    log.extend(2u16.to_le_bytes()); // xlp_info: XLP_LONG_HEADER
    log.extend(1u32.to_le_bytes()); // xlp_tli
    log.extend(BEGIN.to_le_bytes()); // xlp_pageaddr
    log.extend([0; 8]); // xlp_rem_len, padding
    log.extend(7_300_000_000_000_000_000u64.to_le_bytes()); // xlp_sysid
    log.extend((16u32 << 20).to_le_bytes()); // xlp_seg_size
    log.extend(8192u32.to_le_bytes()); // xlp_xlog_blcksz

    // A page with one tuple at its end; what is between is left out.
    let mut page = vec![0; 24];
    page[12..18].copy_from_slice(&[28, 0, 0xE0, 0x1F, 0, 0x20]); // pd_lower, pd_upper, pd_special
    page[18..20].copy_from_slice(&[4, 0x20]); // pd_pagesize_version
    page.extend((0x1FE0u32 | 1 << 15 | 28 << 17).to_le_bytes()); // ItemIdData
    let mut tuple = vec![0; 32];
    tuple[0] = 0xDB; // t_xmin
    tuple[18..23].copy_from_slice(&[1, 0, 0, 8, 24]); // t_infomask2, t_infomask, t_hoff
    page.extend(tuple);

    let mut insert = vec![0, 0x10, 0, 0]; // block 0, main fork, with an image and without data
    insert.extend((page.len() as u16).to_le_bytes()); // bimg_len
    insert.extend([28, 0, 3]); // hole_offset, bimg_info: a hole, to be applied
    insert.extend([1663u32, 5, 16384, 7].map(u32::to_le_bytes).concat()); // relation, block
    insert.extend([255, 3]); // main data of 3 bytes follows
    insert.extend(page);
    insert.extend([1, 0, 0]); // offnum, flags

    let mut message = vec![255, 13];
    message.extend(5u64.to_le_bytes());
    message.extend(b"hello");

    let mut commit = vec![255, 8];
    commit.extend(800_000_000_000_000i64.to_le_bytes());

    let mut previous = BEGIN - 100;
    for (rmgr, content) in [(10, insert), (128, message), (1, commit)] {
        let start = BEGIN + log.len() as u64;
        let mut header = (24 + content.len() as u32).to_le_bytes().to_vec(); // xl_tot_len
        header.extend(731u32.to_le_bytes()); // xl_xid
        header.extend(previous.to_le_bytes()); // xl_prev
        header.extend([0, rmgr, 0, 0]); // xl_info, xl_rmid
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&content), &header);
        log.extend(header);
        log.extend(checksum.to_le_bytes()); // xl_crc
        log.extend(content);
        log.resize(log.len().next_multiple_of(8), 0);
        previous = start;
    }
    log.resize(8192, 0);
    log
}
