/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints, below /sys/kernel/tracing/events/vhdx. Every one names its disk by
 * N of vhdxN.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vhdx

#if !defined(VHDX_BLOCK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VHDX_BLOCK_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(vhdx_attach,
	    TP_PROTO(int index, bool writable, bool dio, unsigned int parents,
		     u64 replayed),
	    TP_ARGS(index, writable, dio, parents, replayed),
	    TP_STRUCT__entry(__field(int, index)
			     __field(bool, writable)
			     __field(bool, dio)
			     __field(unsigned int, parents)
			     __field(u64, replayed)),
	    TP_fast_assign(__entry->index = index;
			   __entry->writable = writable;
			   __entry->dio = dio;
			   __entry->parents = parents;
			   __entry->replayed = replayed;),
	    TP_printk("vhdx%d writable=%d dio=%d parents=%u replayed=%llu",
		      __entry->index, __entry->writable, __entry->dio,
		      __entry->parents, __entry->replayed)
);

TRACE_EVENT(vhdx_detach,
	    TP_PROTO(int index, int ret),
	    TP_ARGS(index, ret),
	    TP_STRUCT__entry(__field(int, index)
			     __field(int, ret)),
	    TP_fast_assign(__entry->index = index;
			   __entry->ret = ret;),
	    TP_printk("vhdx%d ret=%d", __entry->index, __entry->ret)
);

/* An entry of the BAT: state and offset, as MS-VHDX 2.5.1 has them. */
TRACE_EVENT(vhdx_map,
	    TP_PROTO(int index, u64 bat_index, u64 old, u64 now),
	    TP_ARGS(index, bat_index, old, now),
	    TP_STRUCT__entry(__field(int, index)
			     __field(u64, bat_index)
			     __field(u64, old)
			     __field(u64, now)),
	    TP_fast_assign(__entry->index = index;
			   __entry->bat_index = bat_index;
			   __entry->old = old;
			   __entry->now = now;),
	    TP_printk("vhdx%d bat_index=%llu state=%llu->%llu offset=%#llx->%#llx",
		      __entry->index, __entry->bat_index,
		      __entry->old & 7, __entry->now & 7,
		      __entry->old & ~0xfffffULL, __entry->now & ~0xfffffULL)
);

TRACE_EVENT(vhdx_commit,
	    TP_PROTO(int index, u32 pages, bool durable),
	    TP_ARGS(index, pages, durable),
	    TP_STRUCT__entry(__field(int, index)
			     __field(u32, pages)
			     __field(bool, durable)),
	    TP_fast_assign(__entry->index = index;
			   __entry->pages = pages;
			   __entry->durable = durable;),
	    TP_printk("vhdx%d pages=%u durable=%d", __entry->index,
		      __entry->pages, __entry->durable)
);

TRACE_EVENT(vhdx_checkpoint,
	    TP_PROTO(int index, u32 pages),
	    TP_ARGS(index, pages),
	    TP_STRUCT__entry(__field(int, index)
			     __field(u32, pages)),
	    TP_fast_assign(__entry->index = index;
			   __entry->pages = pages;),
	    TP_printk("vhdx%d pages=%u", __entry->index, __entry->pages)
);

/* Nothing more is written to the image. */
TRACE_EVENT(vhdx_failed,
	    TP_PROTO(int index, int ret),
	    TP_ARGS(index, ret),
	    TP_STRUCT__entry(__field(int, index)
			     __field(int, ret)),
	    TP_fast_assign(__entry->index = index;
			   __entry->ret = ret;),
	    TP_printk("vhdx%d ret=%d", __entry->index, __entry->ret)
);

/* op is enum req_op; sector and length are those of the request. */
TRACE_EVENT(vhdx_request_error,
	    TP_PROTO(int index, unsigned int op, u64 sector, unsigned int length,
		     int ret),
	    TP_ARGS(index, op, sector, length, ret),
	    TP_STRUCT__entry(__field(int, index)
			     __field(unsigned int, op)
			     __field(u64, sector)
			     __field(unsigned int, length)
			     __field(int, ret)),
	    TP_fast_assign(__entry->index = index;
			   __entry->op = op;
			   __entry->sector = sector;
			   __entry->length = length;
			   __entry->ret = ret;),
	    TP_printk("vhdx%d op=%u sector=%llu length=%u ret=%d",
		      __entry->index, __entry->op, __entry->sector,
		      __entry->length, __entry->ret)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH block
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
