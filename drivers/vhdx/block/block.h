/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The block layer's side of the driver: what its files share.
 */
#ifndef VHDX_BLOCK_H
#define VHDX_BLOCK_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "compat/compat.h"
#include "image/image.h"

/*
 * A queue submits from one thread, so more queues mean more requests on their
 * way into the file system at once; past a few they only cost tags.
 */
#define VHDX_MAX_QUEUES		4
#define VHDX_QUEUE_DEPTH	96

/**
 * struct vhdx_backing - the file of an image
 * @link: in the list of all of them
 * @file: what image/ sees of it
 * @handed: the description behind the descriptor of the caller. Locks on it
 *	(QEMU's image locks) live as long as it does; no I/O is done on it.
 * @io: our own description of the same file, for all I/O
 * @writable: @io is open for writing
 * @dio: requests go to @io as direct I/O
 * @is_parent: in the chain of an image that is attached, not that one itself
 * @index: N of the /dev/vhdxN that it belongs to, or -1: not known yet
 * @can_punch: holes are welcome in it
 * @may_pad: zeros may be written around data: what fails on its file system does
 *	not land later, and none have failed yet
 * @stable_pages: memory must not change while it is being written from
 * @wb_err: errors of write-back since then are ours
 * @dev: device of the file system the file is on, as stat() tells it
 * @ino: its inode number there
 * @dio_mem_align: alignment in memory that direct I/O needs, in bytes
 * @dio_offset_align: alignment in the file that direct I/O needs, in bytes; 0
 *	when the file cannot do direct I/O
 */
struct vhdx_backing {
	struct list_head link;
	struct vhdx_file file;
	struct file *handed;
	struct file *io;
	bool writable;
	bool dio;
	bool is_parent;
	int index;
	bool can_punch;
	bool may_pad;
	bool stable_pages;
	errseq_t wb_err;
	dev_t dev;
	u64 ino;
	u32 dio_mem_align;
	u32 dio_offset_align;
};

/* What a device may be asked to do; changed under vhdx_devices_mutex. */
enum vhdx_device_state {
	VHDX_DEVICE_ATTACHING,
	VHDX_DEVICE_ATTACHED,
	VHDX_DEVICE_CHANGING,
	VHDX_DEVICE_DETACHING,
};

/*
 * Does the disk go with its last close? What looks at every new disk (udev) opens
 * and closes it without being a user of it; who mounts it or puts a device on it
 * claims it, so that is what counts.
 */
enum vhdx_autoclear {
	VHDX_AUTOCLEAR_OFF,
	VHDX_AUTOCLEAR_UNCLAIMED,	/* once somebody has claimed it */
	VHDX_AUTOCLEAR_ARMED,
};

/* What requests are counted by, for sysfs. */
enum vhdx_request_kind {
	VHDX_COUNT_READ,
	VHDX_COUNT_READ_ZEROS,		/* answered without I/O */
	VHDX_COUNT_WRITE,
	VHDX_COUNT_FUA,			/* of those */
	VHDX_COUNT_FLUSH,
	VHDX_COUNT_DISCARD,
	VHDX_COUNT_WRITE_ZEROES,
	VHDX_COUNT_COMMIT_WAIT,		/* had to wait for the journal's flush */
	VHDX_COUNT_ERROR,
	VHDX_COUNTS,
};

/**
 * struct vhdx_queue - a hardware queue's way to the file
 * @device: the owner
 * @list: requests (struct vhdx_cmd) for @work to submit, newest first
 * @work: submits what is on @list
 * @local_work: the same, for a request that is alone
 * @ended: requests whose I/O is over, for @ended_work to end
 * @ended_work: ends what is on @ended
 * @busy: requests that have come and not ended
 * @alone: times in a row that there was but one
 * @count: requests by kind, since the attach
 */
struct vhdx_queue {
	struct vhdx_device *device;
	struct llist_head list;
	struct work_struct work;
	struct work_struct local_work;
	struct llist_head ended;
	struct work_struct ended_work;
	atomic_t busy;
	unsigned int alone;
	atomic64_t count[VHDX_COUNTS];
} ____cacheline_aligned_in_smp;

/**
 * struct vhdx_device - an attached image
 * @index: N of /dev/vhdxN
 * @state: see enum vhdx_device_state
 * @dying: no new openers; changed and read under the disk's open_mutex
 * @writable: attached for writing
 * @failed: the journal has given up, and that was said
 * @settling: no commit is due any more, until requests come again
 * @discard: the disk can discard
 * @replayed: changes that the logs of the chain held when it was attached
 * @autoclear: see enum vhdx_autoclear; changed under the disk's open_mutex
 * @autoclear_work: detaches it when its last user has gone
 * @image: with its chain of parents; ours. Changes while requests are held back
 * @image_lock: held to change @image, and by who looks at it elsewhere than for
 *	a request, or as the owner of the device
 * @backing: the file of @image
 * @shrink_link: in the list of those whose memory can be taken away
 * @disk: the gendisk
 * @tag_set: its requests
 * @workqueue: carries them out
 * @local_wq: works on the CPU that asks for them: a queue's only request, and ends
 * @journal_work: the journal's worker
 * @commit_work: has the journal commit what nobody flushes
 * @queue: one for each hardware queue
 */
struct vhdx_device {
	int index;
	enum vhdx_device_state state;
	bool dying;
	bool writable;
	bool failed;
	bool settling;
	bool discard;
	u64 replayed;
	enum vhdx_autoclear autoclear;
	struct work_struct autoclear_work;
	struct vhdx_image *image;
	struct mutex image_lock;	/* @image */
	struct vhdx_backing *backing;
	struct list_head shrink_link;
	struct gendisk *disk;
	struct blk_mq_tag_set tag_set;
	struct workqueue_struct *workqueue;
	struct workqueue_struct *local_wq;
	struct work_struct journal_work;
	struct delayed_work commit_work;
	struct vhdx_queue queue[VHDX_MAX_QUEUES];
};

/* The file that an image is in. */
static inline struct vhdx_backing *
vhdx_backing_of(const struct vhdx_image *image)
{
	return container_of(image->file, struct vhdx_backing, file);
}

/* Direct I/O that failed so may do as buffered: file systems are pickier than they say. */
static inline bool vhdx_backing_refuses_dio(ssize_t ret)
{
	return ret == -EINVAL || ret == -EOPNOTSUPP;
}

/* backing.c */
struct vhdx_backing *vhdx_backing_open(struct file *handed, bool writable,
				       char *error);
void vhdx_backing_close(struct vhdx_backing *backing);
void vhdx_backing_set_user(struct vhdx_backing *backing, int index,
			   bool is_parent);
unsigned int vhdx_backing_granularity(const struct vhdx_backing *backing);
u64 vhdx_backing_used(const struct vhdx_backing *backing);
bool vhdx_backing_may_pad(const struct vhdx_backing *backing);
bool vhdx_backing_start_write(struct kiocb *iocb, bool wait);
void vhdx_backing_end_write(struct kiocb *iocb);

/* chain.c */
struct vhdx_image *vhdx_chain_open(struct file **files, u32 count,
				   unsigned int flags, char *error);
void vhdx_chain_close(struct vhdx_image *image);

/* change.c */
int vhdx_device_compact(int index, u64 *freed, char *error);
int vhdx_device_resize(int index, u64 size, char *error);

/* control.c */
int __init vhdx_control_register(void);
void vhdx_control_unregister(void);
__printf(3, 4)
int vhdx_refuse(char *error, int errnum, const char *fmt, ...);

/* disk.c */
int __init vhdx_devices_init(void);
void vhdx_devices_exit(void);
struct vhdx_device *vhdx_device_create(int index, unsigned int flags,
				       struct vhdx_image *image, char *error);
int vhdx_device_add(struct vhdx_device *device, char *error);
int vhdx_device_destroy(struct vhdx_device *device);
struct vhdx_device *vhdx_device_claim(int index, enum vhdx_device_state state);
void vhdx_device_unclaim(struct vhdx_device *device);
int vhdx_device_detach(int index, bool lazy, int *unclean);
void vhdx_device_fail(struct vhdx_device *device);

/* request.c */
int vhdx_requests_init(struct vhdx_device *device);
int vhdx_requests_call(struct vhdx_device *device,
		       int (*fn)(struct vhdx_device *device, void *data),
		       void *data);
int vhdx_requests_finish(struct vhdx_device *device);
int vhdx_requests_hold(struct vhdx_device *device);
void vhdx_requests_release(struct vhdx_device *device);
void vhdx_requests_set_image(struct vhdx_device *device,
			     struct vhdx_image *image);
void vhdx_requests_exit(struct vhdx_device *device);
void vhdx_device_changed(struct vhdx_device *device);

/* shrink.c */
int __init vhdx_shrink_init(void);
void vhdx_shrink_exit(void);
void vhdx_shrink_add(struct vhdx_device *device);
void vhdx_shrink_remove(struct vhdx_device *device);

/* sysfs.c */
extern const struct attribute_group *vhdx_device_groups[];

/* trace.c */
extern const struct vhdx_observer vhdx_trace_observer;

#endif
