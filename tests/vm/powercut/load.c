// SPDX-License-Identifier: GPL-2.0
/*
 * Writing the load, and telling the log what was promised: a mark is in the log
 * behind all that was stable when it was sent.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/aio_abi.h>
#include <linux/dm-ioctl.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include "powercut.h"

#define THREADS		4

/**
 * struct load - a load that is being written
 * @plan: what
 * @fd: the disk
 * @dm: /dev/mapper/control
 * @name: of the dm device that logs
 * @round: the round that is under way
 * @next: the next of its requests
 * @lock: of @next
 */
struct load {
	const struct plan *plan;
	int fd;
	int dm;
	const char *name;
	u32 round;
	u32 next;
	pthread_mutex_t lock;
};

static void send_mark(struct load *load, const char *what, u32 round)
{
	struct {
		struct dm_ioctl dm;
		struct dm_target_msg msg;
		char text[64];
	} arg = {
		.dm.version = { DM_VERSION_MAJOR, 0, 0 },
		.dm.data_size = sizeof(arg),
		.dm.data_start = offsetof(typeof(arg), msg),
	};

	snprintf(arg.dm.name, sizeof(arg.dm.name), "%s", load->name);
	snprintf(arg.msg.message, sizeof(arg.text), "mark %s-%u", what, round);
	if (ioctl(load->dm, DM_TARGET_MSG, &arg))
		err(1, "%s: mark", load->name);
}

/*
 * A synchronous write with RWF_DSYNC is FUA and a flush; one by io_submit() is
 * FUA alone.
 */
static ssize_t write_fua(int fd, const void *buf, size_t len, off_t pos)
{
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = fd,
		.aio_buf = (unsigned long)buf,
		.aio_nbytes = len,
		.aio_offset = pos,
		.aio_rw_flags = RWF_DSYNC,
	};
	struct iocb *list = &iocb;
	aio_context_t context = 0;
	struct io_event event;

	if (syscall(SYS_io_setup, 1, &context) ||
	    syscall(SYS_io_submit, context, 1, &list) != 1 ||
	    syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1 ||
	    syscall(SYS_io_destroy, context))
		err(1, "asynchronous write");
	if (event.res < 0)
		errno = -event.res;
	return event.res;
}

static void write_op(struct load *load, const struct op *op)
{
	size_t len = (size_t)op->count * SECTOR;
	off_t pos = (off_t)op->sector * SECTOR;
	ssize_t done;
	u8 *buf;
	u32 i;

	if (posix_memalign((void **)&buf, PAGE, len))
		errx(1, "out of memory");
	for (i = 0; i < op->count; i++)
		plan_fill(load->plan, (void *)(buf + (size_t)i * SECTOR),
			  load->round, op->sector + i);
	done = op->kind == OP_FUA ? write_fua(load->fd, buf, len, pos) :
				    pwrite(load->fd, buf, len, pos);
	if (done != (ssize_t)len)
		err(1, "round %u: write of %u sectors at %u", load->round,
		    op->count, op->sector);
	free(buf);
}

static void do_op(struct load *load, const struct op *op)
{
	u64 range[2] = { (u64)op->sector * SECTOR, (u64)op->count * SECTOR };
	int ret = 0;

	switch (op->kind) {
	case OP_ZERO:
		ret = ioctl(load->fd, BLKZEROOUT, range);
		break;
	case OP_PUNCH:
		ret = fallocate(load->fd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, range[0], range[1]);
		break;
	case OP_DISCARD:
		ret = ioctl(load->fd, BLKDISCARD, range);
		break;
	default:
		write_op(load, op);
		break;
	}
	if (ret)
		err(1, "round %u: request %u on %u sectors at %u", load->round,
		    op->kind, op->count, op->sector);
}

static void *work(void *arg)
{
	struct load *load = arg;
	const struct round *round = &load->plan->round[load->round];
	u32 i;

	for (;;) {
		pthread_mutex_lock(&load->lock);
		i = load->next++;
		pthread_mutex_unlock(&load->lock);
		if (i >= round->count)
			return NULL;
		do_op(load, &round->op[i]);
	}
}

static void flush_disk(struct load *load)
{
	if (fsync(load->fd))
		err(1, "round %u: flush", load->round);
}

/* Beside a round: all rounds before have ended, and this one maybe not. */
static void *race(void *arg)
{
	struct load *load = arg;

	flush_disk(load);
	send_mark(load, "stable", load->round - 1);
	return NULL;
}

static void run_round(struct load *load)
{
	const struct round *round = &load->plan->round[load->round];
	pthread_t thread[THREADS + 1];
	u32 i, n = 0;

	load->next = 0;
	send_mark(load, "begin", load->round);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[n++], NULL, work, load))
			errx(1, "no thread");
	if (round->races && pthread_create(&thread[n++], NULL, race, load))
		errx(1, "no thread");
	while (n)
		pthread_join(thread[--n], NULL);
	send_mark(load, "fua", load->round);
	if (round->flushes) {
		flush_disk(load);
		send_mark(load, "stable", load->round);
	}
}

/**
 * load_run() - write rounds of a load
 * @plan: the load
 * @disk: a block device
 * @name: of the dm device that logs the writes below
 * @from: the first round
 * @to: the last
 */
void load_run(const struct plan *plan, const char *disk, const char *name,
	      u32 from, u32 to)
{
	struct load load = {
		.plan = plan,
		.name = name,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};

	load.fd = open(disk, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (load.fd < 0)
		err(1, "%s", disk);
	load.dm = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (load.dm < 0)
		err(1, "/dev/mapper/control");
	for (load.round = from; load.round <= to; load.round++)
		run_round(&load);
	close(load.dm);
	close(load.fd);
}
