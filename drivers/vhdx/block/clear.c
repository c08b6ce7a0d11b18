// SPDX-License-Identifier: GPL-2.0
/*
 * Discard and write zeroes: the requests without data.
 *
 * Whole blocks change their state and give their space to the image, which
 * punches it when nobody is on the way to it any more. Parts of a block are
 * zeroed in the file between begin and end of a write. Both loop over the
 * blocks, since these requests may span many. What a differencing image shows of
 * its parent has no place in the file: write zeroes gets one for it, a discard
 * lets it be.
 *
 * A fixed image keeps its blocks (MS-VHDX 2.6.2.1), and so does everything that
 * the issuer of write zeroes wants to keep space for.
 */
#include "cmd.h"

static bool is_fixed(struct vhdx_cmd *cmd)
{
	return vhdx_cmd_device(cmd)->image->metadata.leave_blocks_allocated;
}

static bool may_unmap(struct vhdx_cmd *cmd)
{
	return !is_fixed(cmd) &&
	       !(blk_mq_rq_from_pdu(cmd)->cmd_flags & REQ_NOUNMAP);
}

/* The disk may end inside its last block. */
static bool covers_block(struct vhdx_cmd *cmd, u64 pos, u64 length)
{
	const struct vhdx_metadata *metadata =
		&vhdx_cmd_device(cmd)->image->metadata;

	return !(pos & (metadata->block_size - 1)) &&
	       (length >= metadata->block_size ||
		pos + length == metadata->virtual_disk_size);
}

/* Zeroes up to the end of the block in the file. As vhdx_write_begin(). */
static int zero_part(struct vhdx_cmd *cmd)
{
	struct vhdx_device *device = vhdx_cmd_device(cmd);
	struct vhdx_file *file = &device->backing->file;
	struct vhdx_write *write = &cmd->write;
	const struct vhdx_extent *extent = &write->extent;
	int ret;

	write->in_place = true;
	write->hint = req_op(blk_mq_rq_from_pdu(cmd)) == REQ_OP_DISCARD;
	ret = vhdx_write_begin(device->image, write);
	if (ret)
		return ret;
	cmd->begun = true;
	if (extent->type == VHDX_EXTENT_FILE)
		ret = file->ops->zero(file, extent->offset, extent->length,
				      may_unmap(cmd));
	vhdx_cmd_end_extent(cmd, ret);
	cmd->left = extent->length;
	return ret;
}

static int free_block(struct vhdx_cmd *cmd)
{
	struct vhdx_device *device = vhdx_cmd_device(cmd);
	int ret;

	ret = vhdx_clear_block(device->image, &cmd->write);
	if (ret)
		return ret;
	vhdx_device_changed(device);
	cmd->left = min_t(u64, cmd->write.length,
			  device->image->metadata.block_size);
	return 0;
}

/**
 * vhdx_cmd_clear() - go on with a discard or write zeroes where it is
 * @cmd: the request
 *
 * Returns when the request waits for image/ or is complete; nobody touches @cmd
 * after that.
 *
 * Context: a work of the request, under vhdx_io_save(): it waits for the file
 * system.
 */
void vhdx_cmd_clear(struct vhdx_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vhdx_write *write = &cmd->write;
	int ret;

	while (cmd->done < blk_rq_bytes(rq)) {
		write->pos = vhdx_cmd_pos(cmd);
		write->length = blk_rq_bytes(rq) - cmd->done;
		write->wait = cmd->wait;
		write->resume = vhdx_cmd_resume;
		if (may_unmap(cmd) &&
		    covers_block(cmd, write->pos, write->length))
			ret = free_block(cmd);
		else
			ret = zero_part(cmd);
		/* Parked, it may be under way again by now. */
		if (ret == -EINPROGRESS)
			return;
		if (ret) {
			vhdx_cmd_complete(cmd, ret);
			return;
		}
		cmd->done += cmd->left;
		cond_resched();
	}
	if (rq->cmd_flags & REQ_FUA)
		vhdx_cmd_flush(cmd);
	else
		vhdx_cmd_complete(cmd, 0);
}
