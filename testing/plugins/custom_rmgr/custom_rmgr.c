/*
 * A library with a resource manager of its own, whose records change nothing.
 *
 * To be named in shared_preload_libraries. CREATE FUNCTION write_record(text) RETURNS pg_lsn AS 'custom_rmgr' LANGUAGE C
 * writes a record with that text and returns its end.
 */
#include "postgres.h"

#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "fmgr.h"
#include "utils/pg_lsn.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(write_record);

static void
redo(XLogReaderState *record)
{
}

static void
desc(StringInfo buffer, XLogReaderState *record)
{
	appendBinaryStringInfo(buffer, XLogRecGetData(record), XLogRecGetDataLen(record));
}

static const char *
identify(uint8 info)
{
	return "TEXT";
}

static const RmgrData rmgr = {
	.rm_name = "walker test",
	.rm_redo = redo,
	.rm_desc = desc,
	.rm_identify = identify,
};

void
_PG_init(void)
{
	RegisterCustomRmgr(RM_EXPERIMENTAL_ID, &rmgr);
}

Datum
write_record(PG_FUNCTION_ARGS)
{
	text	   *data = PG_GETARG_TEXT_PP(0);

	XLogBeginInsert();
	XLogRegisterData(VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
	PG_RETURN_LSN(XLogInsert(RM_EXPERIMENTAL_ID, 0));
}
