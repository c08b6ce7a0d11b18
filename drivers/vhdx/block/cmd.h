/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is ours of a request, and who carries it out: request.c takes it from
 * the block layer, transfer.c moves its data, clear.c does what has none.
 */
#ifndef VHDX_BLOCK_CMD_H
#define VHDX_BLOCK_CMD_H

#include <linux/slab.h>

#include "block.h"

/* Merged requests up to this many pieces of memory need no allocation. */
#define VHDX_INLINE_BVECS	8

/**
 * struct vhdx_cmd - what is ours of a request
 * @iocb: of the I/O under way
 * @node: on a list of its queue
 * @work: goes on with this request alone
 * @ref: one for who submits the I/O, one for its completion
 * @done: bytes of the request that are through
 * @left: bytes of the extent at @done that are not
 * @asked: bytes of them that the I/O under way is for
 * @image: of the chain, in whose file the extent is
 * @offset: where the extent goes on in that file, in bytes
 * @begun: image/ is to hear when the extent's I/O is over
 * @zero: the extent reads as zeros
 * @buffered: not as direct I/O
 * @wait: in a work of its own, which may wait for a frozen file system and for
 *	a sector bitmap to be read
 * @commit: a commit is due before the request may end
 * @pad: the I/O writes the zeros that @write asks for too
 * @status: of the request, when it is complete
 * @ret: bytes moved, or a negative errno
 * @read: while @begun, of a read
 * @write: of anything that changes the disk
 * @flush: of a FLUSH, and of the commit at the end
 * @nr_bvecs: in @bvec
 * @bvec: the request's memory when it is of several bios, or with @pad:
 *	@inline_bvec, or allocated; or NULL
 * @inline_bvec: see there
 */
struct vhdx_cmd {
	struct kiocb iocb;
	struct llist_node node;
	struct work_struct work;
	atomic_t ref;
	unsigned int done;
	unsigned int left;
	unsigned int asked;
	const struct vhdx_image *image;
	u64 offset;
	bool begun;
	bool zero;
	bool buffered;
	bool wait;
	bool commit;
	bool pad;
	blk_status_t status;
	long ret;
	union {
		unsigned int read;
		struct vhdx_write write;
		struct vhdx_flush flush;
	};
	unsigned int nr_bvecs;
	struct bio_vec *bvec;
	struct bio_vec inline_bvec[VHDX_INLINE_BVECS];
};

static inline struct vhdx_device *vhdx_cmd_device(struct vhdx_cmd *cmd)
{
	return blk_mq_rq_from_pdu(cmd)->q->queuedata;
}

static inline struct vhdx_queue *vhdx_cmd_queue(struct vhdx_cmd *cmd)
{
	return blk_mq_rq_from_pdu(cmd)->mq_hctx->driver_data;
}

/* Where on the virtual disk it goes on, in bytes. */
static inline u64 vhdx_cmd_pos(struct vhdx_cmd *cmd)
{
	return ((u64)blk_rq_pos(blk_mq_rq_from_pdu(cmd)) << SECTOR_SHIFT) +
	       cmd->done;
}

static inline void vhdx_cmd_free_bvecs(struct vhdx_cmd *cmd)
{
	if (cmd->bvec != cmd->inline_bvec)
		kfree(cmd->bvec);
	cmd->bvec = NULL;
}

/* request.c */
void vhdx_cmd_queue_work(struct vhdx_cmd *cmd);
void vhdx_cmd_resume(struct vhdx_write *write);
void vhdx_cmd_queue_end(struct vhdx_cmd *cmd);
void vhdx_cmd_flush(struct vhdx_cmd *cmd);
void vhdx_cmd_complete(struct vhdx_cmd *cmd, int ret);

/* transfer.c */
int vhdx_cmd_map_read(struct vhdx_cmd *cmd);
bool vhdx_cmd_reads_zeros(struct vhdx_cmd *cmd);
void vhdx_cmd_end_extent(struct vhdx_cmd *cmd, int status);
void vhdx_cmd_transfer(struct vhdx_cmd *cmd);

/* clear.c */
void vhdx_cmd_clear(struct vhdx_cmd *cmd);

#endif
