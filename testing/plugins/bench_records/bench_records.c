/*
 * What `cargo xtask bench records` measures, in C: functions that write records of a custom resource manager and of
 * Generic WAL in a loop, and redo and description of the former. bench_records_rust does the same by pgxlog.
 *
 * Besides, what both sides are measured with: pages to be changed, marks in the log that tell the CPU time of the
 * process that replays them, and a loop that describes one record.
 *
 * To be named in shared_preload_libraries. The records, in both languages:
 *
 *     MESSAGE  32 bytes of main data, no block
 *     ADD      8 bytes of main data: the value; 16 bytes of data of block 0: offset behind the page's header, and value
 */
#include "postgres.h"

#include <time.h>

#include "access/generic_xlog.h"
#include "access/relation.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"

PG_MODULE_MAGIC;

#define RMGR_ID 251
#define OPERATION_MESSAGE 0x00
#define OPERATION_ADD 0x10
#define OPERATION_MARK 0x20

/* Pages of a Generic WAL record at most, and the bytes of each page that are changed. */
#define PAGES 4
#define CONTENT 4096

/* The block that the record of this number changes: all of them in no order that a CPU could foresee. */
#define CHANGED_BLOCK(number, blocks) ((BlockNumber) (((number) * UINT64CONST(0x9E3779B97F4A7C15) >> 32) % (blocks)))

typedef struct Change
{
	uint64		offset;
	uint64		value;
} Change;

static void
redo_add(XLogReaderState *record)
{
	Buffer		buffer;

	if (XLogReadBufferForRedo(record, 0, &buffer) == BLK_NEEDS_REDO)
	{
		Size		length;
		Change	   *change = (Change *) XLogRecGetBlockData(record, 0, &length);
		Page		page = BufferGetPage(buffer);

		if (length != sizeof(Change) || change->offset > CONTENT - sizeof(uint64))
			elog(PANIC, "bench_records: invalid change");
		memcpy(PageGetContents(page) + change->offset, &change->value, sizeof(uint64));
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

static void
redo_mark(XLogReaderState *record)
{
	struct timespec time;
	uint64		number;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	memcpy(&number, XLogRecGetData(record), sizeof(number));
	ereport(LOG, errmsg("bench_records: mark " UINT64_FORMAT " after " INT64_FORMAT " ns",
						number, (int64) time.tv_sec * 1000000000 + time.tv_nsec));
}

static void
redo(XLogReaderState *record)
{
	uint8		info = XLogRecGetInfo(record) & ~XLR_INFO_MASK;

	switch (info)
	{
		case OPERATION_MESSAGE:
			break;
		case OPERATION_ADD:
			redo_add(record);
			break;
		case OPERATION_MARK:
			redo_mark(record);
			break;
		default:
			elog(PANIC, "bench_records: unknown op code %u", info);
	}
}

static void
desc(StringInfo out, XLogReaderState *record)
{
	uint8		info = XLogRecGetInfo(record) & ~XLR_INFO_MASK;

	if (info == OPERATION_MESSAGE)
		appendStringInfo(out, "payload (%u bytes)", XLogRecGetDataLen(record));
	else if (info == OPERATION_ADD)
	{
		Change	   *change = (Change *) XLogRecGetBlockData(record, 0, NULL);

		if (change)
			appendStringInfo(out, "offset " UINT64_FORMAT ", value " UINT64_FORMAT, change->offset, change->value);
		else
			appendStringInfo(out, "value " UINT64_FORMAT, *(uint64 *) XLogRecGetData(record));
	}
}

static const char *
identify(uint8 info)
{
	switch (info & ~XLR_INFO_MASK)
	{
		case OPERATION_MESSAGE:
			return "MESSAGE";
		case OPERATION_ADD:
			return "ADD";
		case OPERATION_MARK:
			return "MARK";
		default:
			return NULL;
	}
}

static RmgrData rmgr = {
	.rm_name = "bench records",
	.rm_redo = redo,
	.rm_desc = desc,
	.rm_identify = identify,
};

void
_PG_init(void)
{
	RegisterCustomRmgr(RMGR_ID, &rmgr);
}

/* write_messages(count bigint) */
PG_FUNCTION_INFO_V1(write_messages);

Datum
write_messages(PG_FUNCTION_ARGS)
{
	int64		count = PG_GETARG_INT64(0);

	for (int64 i = 0; i < count; i++)
	{
		uint64		payload[4] = {i, i, i, i};

		XLogBeginInsert();
		XLogRegisterData((char *) payload, sizeof(payload));
		XLogInsert(RMGR_ID, OPERATION_MESSAGE);
	}
	PG_RETURN_VOID();
}

/* add(relation regclass, count bigint, blocks int): records of one block, of the first so many */
PG_FUNCTION_INFO_V1(add);

Datum
add(PG_FUNCTION_ARGS)
{
	Relation	relation = relation_open(PG_GETARG_OID(0), RowExclusiveLock);
	int64		count = PG_GETARG_INT64(1);
	uint64		blocks = PG_GETARG_INT32(2);

	for (int64 i = 0; i < count; i++)
	{
		uint64		value = i;
		Change		change = {.offset = i * 8 % CONTENT, .value = value};
		Buffer		buffer = ReadBuffer(relation, CHANGED_BLOCK(value, blocks));
		Page		page = BufferGetPage(buffer);

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		START_CRIT_SECTION();
		memcpy(PageGetContents(page) + change.offset, &change.value, sizeof(uint64));
		MarkBufferDirty(buffer);
		if (RelationNeedsWAL(relation))
		{
			XLogRecPtr	end;

			XLogBeginInsert();
			XLogRegisterData((char *) &value, sizeof(value));
			XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
			XLogRegisterBufData(0, (char *) &change, sizeof(change));
			end = XLogInsert(RMGR_ID, OPERATION_ADD);
			PageSetLSN(page, end);
		}
		END_CRIT_SECTION();
		UnlockReleaseBuffer(buffer);
	}
	relation_close(relation, RowExclusiveLock);
	PG_RETURN_VOID();
}

/* add_generic(relation regclass, count bigint, pages int): Generic WAL records of so many pages */
PG_FUNCTION_INFO_V1(add_generic);

Datum
add_generic(PG_FUNCTION_ARGS)
{
	Relation	relation = relation_open(PG_GETARG_OID(0), RowExclusiveLock);
	int64		count = PG_GETARG_INT64(1);
	int32		pages = PG_GETARG_INT32(2);

	if (pages < 1 || pages > PAGES)
		elog(ERROR, "between 1 and %d pages", PAGES);
	for (int64 i = 0; i < count; i++)
	{
		Buffer		buffers[PAGES];
		uint64		value = i;
		GenericXLogState *state;

		for (int32 block = 0; block < pages; block++)
		{
			buffers[block] = ReadBuffer(relation, block);
			LockBuffer(buffers[block], BUFFER_LOCK_EXCLUSIVE);
		}
		state = GenericXLogStart(relation);
		for (int32 block = 0; block < pages; block++)
		{
			Page		page = GenericXLogRegisterBuffer(state, buffers[block], 0);

			memcpy(PageGetContents(page) + i * 8 % CONTENT, &value, sizeof(value));
		}
		GenericXLogFinish(state);
		for (int32 block = 0; block < pages; block++)
			UnlockReleaseBuffer(buffers[block]);
	}
	relation_close(relation, RowExclusiveLock);
	PG_RETURN_VOID();
}

/* make_pages(relation regclass, blocks int): appends so many pages to be changed */
PG_FUNCTION_INFO_V1(make_pages);

Datum
make_pages(PG_FUNCTION_ARGS)
{
	Relation	relation = relation_open(PG_GETARG_OID(0), AccessExclusiveLock);
	int32		blocks = PG_GETARG_INT32(1);

	for (int32 block = 0; block < blocks; block++)
	{
		Buffer		buffer = ReadBufferExtended(relation, MAIN_FORKNUM, P_NEW, RBM_ZERO_AND_LOCK, NULL);
		Page		page = BufferGetPage(buffer);

		START_CRIT_SECTION();
		PageInit(page, BLCKSZ, 0);
		((PageHeader) page)->pd_lower = MAXALIGN(SizeOfPageHeaderData) + CONTENT;
		MarkBufferDirty(buffer);
		log_newpage_buffer(buffer, true);
		END_CRIT_SECTION();
		UnlockReleaseBuffer(buffer);
	}
	relation_close(relation, AccessExclusiveLock);
	PG_RETURN_VOID();
}

/* mark(number bigint): a record; who replays it logs the number and the CPU time up to there */
PG_FUNCTION_INFO_V1(mark);

Datum
mark(PG_FUNCTION_ARGS)
{
	uint64		number = PG_GETARG_INT64(0);

	XLogBeginInsert();
	XLogRegisterData((char *) &number, sizeof(number));
	PG_RETURN_LSN(XLogInsert(RMGR_ID, OPERATION_MARK));
}

/* last_record() returns pg_lsn: where this session's last record begins */
PG_FUNCTION_INFO_V1(last_record);

Datum
last_record(PG_FUNCTION_ARGS)
{
	PG_RETURN_LSN(ProcLastRecPtr);
}

/* describe(record pg_lsn, times bigint) returns text: describes a record so often; returns the description */
PG_FUNCTION_INFO_V1(describe);

Datum
describe(PG_FUNCTION_ARGS)
{
	XLogRecPtr	position = PG_GETARG_LSN(0);
	int64		times = PG_GETARG_INT64(1);
	StringInfoData out;
	RmgrData	methods;
	char	   *error = NULL;
	XLogReaderState *reader = XLogReaderAllocate(wal_segment_size, NULL,
												 XL_ROUTINE(.page_read = read_local_xlog_page,
															.segment_open = wal_segment_open,
															.segment_close = wal_segment_close),
												 NULL);

	XLogBeginRead(reader, position);
	if (!XLogReadRecord(reader, &error))
		elog(ERROR, "no record: %s", error ? error : "end of the log");
	methods = GetRmgr(XLogRecGetRmid(reader));
	initStringInfo(&out);
	for (int64 i = 0; i < times; i++)
	{
		resetStringInfo(&out);
		methods.rm_desc(&out, reader);
	}
	XLogReaderFree(reader);
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}
