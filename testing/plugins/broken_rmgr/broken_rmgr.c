/*
 * An object of its own in the WAL, which can be made wrong: it shows that the harness for such objects finds that.
 *
 * To be named in shared_preload_libraries. The object is counters in the pages of a table without columns:
 *
 *   CREATE FUNCTION counter_create(regclass, blocks integer) RETURNS void AS 'broken_rmgr' LANGUAGE C;
 *   CREATE FUNCTION counter_add(regclass, slot integer, amount bigint) RETURNS void AS 'broken_rmgr' LANGUAGE C;
 *   CREATE FUNCTION counter_value(regclass, slot integer) RETURNS bigint AS 'broken_rmgr' LANGUAGE C;
 *
 * They lie in the special space: for a table's own access method the pages are empty.
 */
#include "postgres.h"

#include "access/bufmask.h"
#include "access/relation.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "access/xlogutils.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/guc.h"
#include "utils/rel.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(counter_create);
PG_FUNCTION_INFO_V1(counter_add);
PG_FUNCTION_INFO_V1(counter_value);

#define COUNTERS_PER_PAGE 64

#define RECORD_INIT 0x00
#define RECORD_ADD 0x10

typedef struct AddRecord
{
	int64		amount;
	int32		index;
} AddRecord;

#define SizeOfAddRecord (offsetof(AddRecord, index) + sizeof(int32))

enum Fault
{
	FAULT_NONE,
	/* Redo leaves out the changes of each fourth counter. */
	FAULT_REDO_FORGETS,
	/* Redo does not say in the page that it was there. */
	FAULT_REDO_KEEPS_LSN,
	/* Changes are made without a record. */
	FAULT_NOT_LOGGED
};

static const struct config_enum_entry faults[] = {
	{"none", FAULT_NONE, false},
	{"redo_forgets", FAULT_REDO_FORGETS, false},
	{"redo_keeps_lsn", FAULT_REDO_KEEPS_LSN, false},
	{"not_logged", FAULT_NOT_LOGGED, false},
	{NULL, 0, false}
};

static int	fault = FAULT_NONE;
static bool mask_hides_all = false;

static int64 *
counters(Page page)
{
	return (int64 *) PageGetSpecialPointer(page);
}

static void
init_page(Page page)
{
	PageInit(page, BLCKSZ, COUNTERS_PER_PAGE * sizeof(int64));
	memset(PageGetSpecialPointer(page), 0, COUNTERS_PER_PAGE * sizeof(int64));
}

static void
redo(XLogReaderState *record)
{
	uint8		info = XLogRecGetInfo(record) & ~XLR_INFO_MASK;
	Buffer		buffer;

	if (info == RECORD_INIT)
	{
		buffer = XLogInitBufferForRedo(record, 0);
		init_page(BufferGetPage(buffer));
	}
	else if (XLogReadBufferForRedo(record, 0, &buffer) == BLK_NEEDS_REDO)
	{
		AddRecord	add;

		memcpy(&add, XLogRecGetData(record), SizeOfAddRecord);
		if (fault != FAULT_REDO_FORGETS || add.index % 4 != 3)
			counters(BufferGetPage(buffer))[add.index] += add.amount;
	}
	else
	{
		if (BufferIsValid(buffer))
			UnlockReleaseBuffer(buffer);
		return;
	}
	if (fault != FAULT_REDO_KEEPS_LSN || info == RECORD_INIT)
		PageSetLSN(BufferGetPage(buffer), record->EndRecPtr);
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

static void
desc(StringInfo text, XLogReaderState *record)
{
	AddRecord	add;

	if ((XLogRecGetInfo(record) & ~XLR_INFO_MASK) != RECORD_ADD || XLogRecGetDataLen(record) < SizeOfAddRecord)
		return;
	memcpy(&add, XLogRecGetData(record), SizeOfAddRecord);
	appendStringInfo(text, "counter %d, amount " INT64_FORMAT, add.index, add.amount);
}

static const char *
identify(uint8 info)
{
	return (info & ~XLR_INFO_MASK) == RECORD_ADD ? "ADD" : "INIT";
}

static void
mask(char *page, BlockNumber block)
{
	mask_page_lsn_and_checksum(page);
	if (mask_hides_all)
		mask_page_content(page);
}

static const RmgrData rmgr = {
	.rm_name = "broken rmgr",
	.rm_redo = redo,
	.rm_desc = desc,
	.rm_identify = identify,
	.rm_mask = mask,
};

void
_PG_init(void)
{
	DefineCustomEnumVariable("broken_rmgr.fault", "What is wrong.", NULL, &fault, FAULT_NONE, faults,
							 PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("broken_rmgr.mask_hides_all", "Whether the mask leaves nothing to compare.", NULL,
							 &mask_hides_all, false, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	RegisterCustomRmgr(RM_EXPERIMENTAL_ID, &rmgr);
}

/* Locks the page of a counter. */
static Buffer
read_page(Relation relation, int32 slot, int mode)
{
	BlockNumber block = slot / COUNTERS_PER_PAGE;
	Buffer		buffer;

	if (slot < 0 || block >= RelationGetNumberOfBlocks(relation))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no counter %d", slot)));
	buffer = ReadBuffer(relation, block);
	LockBuffer(buffer, mode);
	return buffer;
}

Datum
counter_create(PG_FUNCTION_ARGS)
{
	Relation	relation = relation_open(PG_GETARG_OID(0), AccessExclusiveLock);
	int32		blocks = PG_GETARG_INT32(1);

	for (int32 block = 0; block < blocks; block++)
	{
		/* Nobody else extends it: the lock is exclusive. */
		Buffer		buffer = ReadBuffer(relation, P_NEW);
		XLogRecPtr	end;

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		START_CRIT_SECTION();
		init_page(BufferGetPage(buffer));
		MarkBufferDirty(buffer);
		XLogBeginInsert();
		XLogRegisterBuffer(0, buffer, REGBUF_WILL_INIT);
		/* PageSetLSN evaluates it twice. */
		end = XLogInsert(RM_EXPERIMENTAL_ID, RECORD_INIT);
		PageSetLSN(BufferGetPage(buffer), end);
		END_CRIT_SECTION();
		UnlockReleaseBuffer(buffer);
	}
	relation_close(relation, NoLock);
	PG_RETURN_VOID();
}

Datum
counter_add(PG_FUNCTION_ARGS)
{
	Relation	relation = relation_open(PG_GETARG_OID(0), RowExclusiveLock);
	int32		slot = PG_GETARG_INT32(1);
	AddRecord	add = {.amount = PG_GETARG_INT64(2), .index = slot % COUNTERS_PER_PAGE};
	Buffer		buffer = read_page(relation, slot, BUFFER_LOCK_EXCLUSIVE);
	Page		page = BufferGetPage(buffer);
	XLogRecPtr	end;

	START_CRIT_SECTION();
	counters(page)[add.index] += add.amount;
	MarkBufferDirty(buffer);
	if (fault != FAULT_NOT_LOGGED)
	{
		XLogBeginInsert();
		XLogRegisterBuffer(0, buffer, 0);
		XLogRegisterData((char *) &add, SizeOfAddRecord);
		end = XLogInsert(RM_EXPERIMENTAL_ID, RECORD_ADD);
		PageSetLSN(page, end);
	}
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
	relation_close(relation, RowExclusiveLock);
	PG_RETURN_VOID();
}

Datum
counter_value(PG_FUNCTION_ARGS)
{
	Relation	relation = relation_open(PG_GETARG_OID(0), AccessShareLock);
	int32		slot = PG_GETARG_INT32(1);
	Buffer		buffer = read_page(relation, slot, BUFFER_LOCK_SHARE);
	int64		value = counters(BufferGetPage(buffer))[slot % COUNTERS_PER_PAGE];

	UnlockReleaseBuffer(buffer);
	relation_close(relation, AccessShareLock);
	PG_RETURN_INT64(value);
}
